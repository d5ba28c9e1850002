//! HTTP/2 as it stands on the wire: frames, HPACK, settings and windows
//! (RFC 9113, RFC 7541). Bytes in, facts out; nothing here knows of gRPC.

mod error_code;
mod offence;
mod settings;
mod side;
mod stream_id;

pub use error_code::ErrorCode;
pub use offence::Offence;
pub use settings::Settings;
pub use side::{Both, Side};
pub use stream_id::StreamId;
