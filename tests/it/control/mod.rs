//! The admin API over real sockets: what its description promises, who gets in.

mod access;
mod described;
mod exchange;
mod limits;
mod schema;
mod service;
mod unlike;
