//! HTTP/2 as it stands on the wire: frames, HPACK, settings and windows
//! (RFC 9113, RFC 7541). Bytes in, facts out; nothing here knows of gRPC.
//!
//! [`sniff`] tells from a connection's first bytes whether it is HTTP/2 at all.
//! From there one [`Deframer`] reads each direction and gives [`Piece`]s; the
//! header blocks among them go through that direction's [`hpack::Decoder`].
//! [`frame_encoder`] writes frames. What a peer did wrong is an [`Offence`].

mod deframer;
mod error_code;
mod frame;
pub mod frame_encoder;
pub mod hpack;
mod offence;
mod opening;
mod settings;
mod side;
mod stream_id;
mod window;

pub use deframer::{
    Deframer, MAX_EMPTY_CONTINUATIONS, MAX_GOAWAY_DEBUG, MAX_HEADER_BLOCK, MAX_SETTINGS_PAYLOAD,
    Piece, SettingsFrame,
};
pub use error_code::ErrorCode;
pub use frame::{
    DEFAULT_MAX_FRAME_SIZE, FRAME_HEADER_LEN, Flags, FrameHeader, FrameType, LARGEST_FRAME_SIZE,
    PREFACE,
};
pub use offence::Offence;
pub use opening::{Opening, sniff};
pub use settings::{DEFAULT_HEADER_TABLE_SIZE, DEFAULT_INITIAL_WINDOW_SIZE, SettingId, Settings};
pub use side::{Both, Side};
pub use stream_id::StreamId;
pub use window::{MAX_WINDOW, Overflow, Window};
