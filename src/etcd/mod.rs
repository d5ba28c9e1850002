//! etcd: its schema, its methods, its calls and its watches.

mod call;
mod event;
mod method;
mod session;
mod watch;

pub use call::{
    Call, Compare, CompareTarget, Ending, Header, KeyValue, Op, RangeAsked, Request, Response,
    Status, Traffic, TxnAsked, Value,
};
pub use event::{ConnectionEnded, Event, FlowStalls, PingRoundTrips, Resets};
pub use method::{Method, MethodName};
pub use session::{Session, SessionOptions};
pub use watch::{CancelCause, EventKind, WatchNote, Watched};
