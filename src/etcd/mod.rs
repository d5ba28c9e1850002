//! etcd: its schema, its methods, its calls and its watches.

mod call;
mod course;
pub mod dictionary;
mod event;
mod heads;
mod message;
mod method;
mod open_call;
mod pacing;
mod plain_request;
mod read;
mod reading;
pub mod schema;
pub mod scribe;
mod session;
mod tracker;
mod trial;
pub mod verdict;
pub mod warden;
mod watch;
mod watch_stream;
pub mod watch_verdict;
mod watching;
pub mod wire;

pub use call::{
    Call, Compare, CompareTarget, Ending, Header, KeyValue, Op, RangeAsked, Request, Response,
    Status, Traffic, TxnAsked, Value,
};
pub use event::{ConnectionEnded, Event};
pub use method::{Method, MethodName};
pub use session::{DEFAULT_CAPTURE_BYTES, Ends, OPENING_TIMEOUT, Session, SessionOptions};
pub use watch::{CancelCause, EventKind, WatchNote, Watched};
