//! Recordings: what passed, written down so that it can be looked into, asked
//! and driven again. `docs/recording.md` states the format.
//!
//! | file | what it is about |
//! |---|---|
//! | [`schema`] | the channels of a recording and the schemas they carry |
//! | [`container`] | records into the bytes of an MCAP file, chunk by chunk |
//! | [`index`] | what a chunk is about, so that a question can pass it by |
//! | [`batch`] | what the connections hand over: header blocks, pieces of messages |
//! | [`scribe`] | a connection's end of it, on the relay's thread |
//! | [`tray`] | where it leaves what it hands over |
//! | [`queue`] | the way from the connections to the recorder, and its bound |
//! | [`assembly`] | from pieces to whole messages, redacted |
//! | `contents` | contents of plain HTTP: length and hash |
//! | [`line`] | a line of the log as a record, from the trace |
//! | [`recall`] | the line again, from the record |
//! | [`observer`] | the trace's end of it |
//! | [`recorder`], [`writer`] | a recording that is being made, and the thread that makes it |
//! | [`files`] | what its files are called, and which are kept |
//! | [`redact`] | what may stand in a file |
//! | [`reader`] | a recording, as far as it is whole |
//! | [`export`] | a recording in other people's formats |
//! | [`objects`] | the objects that lines are about |
//! | [`stats`] | who did what, counted |
//! | [`traffic`] | calls and streams, for those who drive them again |
//!
//! The relay fails open, the recorder fails closed: a call passes whatever
//! happens here, and what cannot be understood is not written down.

pub mod assembly;
pub mod batch;
pub mod container;
mod contents;
pub mod export;
pub mod files;
pub mod format;
pub mod index;
pub mod line;
pub mod objects;
pub mod observer;
pub mod queue;
pub mod reader;
pub mod recall;
pub mod recorder;
pub mod redact;
pub mod schema;
pub mod scribe;
pub mod stats;
pub mod traffic;
pub mod tray;
mod writer;
