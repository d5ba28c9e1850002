//! gRPC over HTTP/2: message framing, status and compression.

mod status;

pub use status::{Code, percent_decode};
