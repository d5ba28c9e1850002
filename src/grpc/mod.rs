//! gRPC over HTTP/2: message framing, status and compression.

mod inflate;
mod message;
mod status;

pub(crate) use inflate::Inflater;
pub use message::{Deframer, PREFIX_LEN, Part};
pub use status::{Code, percent_decode, percent_encode};
