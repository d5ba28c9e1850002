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
//! | [`queue`] | the way from the connections to the recorder, and its bound |
//! | [`assembly`] | from pieces to whole messages, redacted |
//! | [`line`] | a line of the log as a record, from the trace |
//! | [`recall`] | the line again, from the record |
//! | [`observer`] | the trace's end of it |
//! | [`recorder`], [`files`] | the thread that writes files, and what they are called |
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
pub mod export;
pub mod files;
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
