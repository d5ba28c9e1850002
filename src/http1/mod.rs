//! HTTP/1.1 on etcd's port: `/health`, `/metrics`, `/version` and the JSON
//! gateway pass through; each request is one event.

mod body;
mod connection;
mod exchange;

pub use connection::{Connection, MAX_HEAD, Piece, Witness};
pub use exchange::{Exchange, target_without_query};
