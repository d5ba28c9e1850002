//! HTTP/1.1 on etcd's port: `/health`, `/metrics`, `/version` and the JSON
//! gateway pass through; each request is one event.

mod exchange;

pub use exchange::Exchange;
