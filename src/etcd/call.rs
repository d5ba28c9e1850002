//! One finished call and the facts that were read from it as it passed.

use std::sync::Arc;
use std::time::Instant;

use super::verdict::Hit;
use super::{Method, MethodName};
use crate::grpc::Code;
use crate::http2::{ErrorCode, Side, StreamId};
use crate::relay::Peers;

/// One gRPC call, from the client's HEADERS to its end.
#[derive(Debug, Clone)]
pub struct Call {
    /// The connection it ran on.
    pub peers: Arc<Peers>,
    /// Its stream there.
    pub stream: StreamId,
    /// The client's `user-agent`.
    pub user_agent: Option<Arc<str>>,
    /// Which method, for the program.
    pub method: Method,
    /// Which method, for people.
    pub name: MethodName,
    /// When the client's HEADERS passed.
    pub started: Instant,
    /// When the first frame of the response passed.
    pub first_byte: Option<Instant>,
    /// When the last message of the response that carried an answer had passed
    /// whole; what a watch event's lag is measured from.
    pub answered: Option<Instant>,
    /// When the call ended.
    pub ended: Instant,
    /// The client's messages.
    pub sent: Traffic,
    /// The server's messages.
    pub received: Traffic,
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub response: Response,
    /// The header of the last answer that had one.
    pub header: Option<Header>,
    /// How it ended, as the client saw it.
    pub status: Status,
    /// The faults that struck it.
    pub faults: Box<[Hit]>,
}

/// gRPC messages in one direction of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Whole messages.
    pub messages: u64,
    /// Their bytes as they stood on the wire (compressed, if they were),
    /// without the 5-byte prefix; a message that was cut counts as far as it
    /// came.
    pub bytes: u64,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// gRPC's code; derived where the call ended without trailers.
    pub code: Code,
    /// `grpc-message`, decoded.
    pub message: Option<Box<str>>,
    /// Who or what ended it.
    pub ending: Ending,
}

/// Who or what ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The server's trailers.
    Trailers,
    /// The server ended the stream without a gRPC status.
    NoTrailers,
    /// RST_STREAM.
    Reset {
        /// Who sent it.
        by: Side,
        /// Why, in its own words.
        code: ErrorCode,
    },
    /// The connection ended under it.
    ConnectionLost {
        /// Whose end went away first; `None` if a fault ended both.
        by: Option<Side>,
    },
    /// Tracing of the connection stopped; the call itself may go on.
    TracingStopped,
    /// A fault of ours, with trailers or an end that etcd did not send.
    Injected,
    /// A fault of ours, with RST_STREAM towards the client.
    InjectedReset {
        /// The code that the client was given.
        code: ErrorCode,
    },
}

/// The header that every etcd response carries
/// (`etcdserverpb.ResponseHeader`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header {
    /// The cluster that answered.
    pub cluster_id: u64,
    /// The member that answered.
    pub member_id: u64,
    /// The store's revision when it answered.
    pub revision: i64,
    /// The member's raft term.
    pub raft_term: u64,
}

/// A stored value: its size and the first bytes, which say what it is. Never
/// printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// At most [`Value::HEAD`] bytes from the front.
    pub head: Box<[u8]>,
    /// The whole value's bytes.
    pub len: u64,
}

impl Value {
    /// How much of a value is kept: enough for the envelope of a stored
    /// Kubernetes object.
    pub const HEAD: usize = 256;
}

/// What a Range asks for (`etcdserverpb.RangeRequest`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeAsked {
    /// First key.
    pub key: Box<[u8]>,
    /// First key after the range; empty for a single key.
    pub range_end: Box<[u8]>,
    /// Most keys to answer; 0 for all.
    pub limit: i64,
    /// At which revision; 0 for now.
    pub revision: i64,
    /// Only count.
    pub count_only: bool,
    /// Only keys.
    pub keys_only: bool,
    /// From the member's own state, without asking the leader.
    pub serializable: bool,
}

/// One operation of a Txn's branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A Range.
    Range(RangeAsked),
    /// A Put.
    Put {
        /// Its key.
        key: Box<[u8]>,
        /// Its value.
        value: Value,
        /// The lease it hangs on; 0 for none.
        lease: i64,
    },
    /// A DeleteRange.
    DeleteRange {
        /// First key.
        key: Box<[u8]>,
        /// First key after the range; empty for a single key.
        range_end: Box<[u8]>,
    },
    /// A nested Txn, not read further.
    Txn,
}

/// What a Txn's guard looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareTarget {
    /// The key's version.
    Version,
    /// The revision it was created at.
    CreateRevision,
    /// The revision it was last changed at.
    ModRevision,
    /// Its value.
    Value,
    /// Its lease.
    Lease,
    /// A number that etcd did not have when this was written.
    Unknown(i64),
}

/// One guard of a Txn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// What it looks at.
    pub target: CompareTarget,
    /// The key.
    pub key: Box<[u8]>,
    /// The number compared with, for the numeric targets.
    pub number: i64,
}

/// What a Txn asks for. Branches keep their first operations; `omitted` counts
/// those beyond the capture bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxnAsked {
    /// The guards.
    pub compares: Vec<Compare>,
    /// What happens when all hold.
    pub success: Vec<Op>,
    /// What happens otherwise.
    pub failure: Vec<Op>,
    /// Guards and operations that were counted but not kept.
    pub omitted: u64,
}

/// What was read of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Request {
    /// Nothing (unknown method, compressed beyond reading, or never sent).
    #[default]
    Unread,
    /// KV/Range.
    Range(RangeAsked),
    /// KV/Put, KV/DeleteRange.
    Op(Op),
    /// KV/Txn.
    Txn(TxnAsked),
    /// KV/Compact.
    Compact {
        /// Up to which revision.
        revision: i64,
    },
    /// Lease methods.
    Lease {
        /// The lease; 0 when etcd shall choose.
        id: i64,
        /// Asked time to live in seconds; 0 where the method has none.
        ttl: i64,
    },
    /// A watch's creation. Only where a call is judged: the watches of a stream
    /// that ended were told one by one.
    Watch {
        /// First key.
        key: Box<[u8]>,
        /// First key after the range; empty for a single key.
        range_end: Box<[u8]>,
        /// From which revision on; 0 for now.
        start_revision: i64,
    },
    /// Read by the names of its fields.
    Named {
        /// A field called `key`, or what stands for it.
        key: Option<Box<[u8]>>,
        /// A field called `range_end`.
        range_end: Option<Box<[u8]>>,
        /// A field called `revision`.
        revision: Option<i64>,
        /// A user, role, lock or election name.
        name: Option<Box<str>>,
    },
}

/// A key as an answer or an event holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Box<[u8]>,
    /// When it was created.
    pub create_revision: i64,
    /// When it was last changed.
    pub mod_revision: i64,
    /// How often it was written since it was created.
    pub version: i64,
    /// Its value.
    pub value: Value,
    /// The lease it hangs on; 0 for none.
    pub lease: i64,
}

/// What was read of the response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Response {
    /// Nothing.
    #[default]
    Unread,
    /// KV/Range, all messages of a KV/RangeStream together.
    Range {
        /// How many keys the answer held.
        kvs: u64,
        /// How many there are in the range (`count`).
        count: i64,
        /// Whether `limit` cut it.
        more: bool,
        /// The first key of the answer.
        first: Option<Box<KeyValue>>,
    },
    /// KV/Put.
    Put,
    /// KV/DeleteRange.
    DeleteRange {
        /// How many keys went.
        deleted: i64,
    },
    /// KV/Txn.
    Txn {
        /// Whether the guards held.
        succeeded: bool,
        /// Puts that were executed.
        puts: u64,
        /// Keys that were deleted.
        deleted: u64,
        /// Keys that the Ranges of the branch answered.
        kvs: u64,
        /// The first of them.
        first: Option<Box<KeyValue>>,
    },
    /// Lease methods.
    Lease {
        /// The lease.
        id: i64,
        /// Its time to live in seconds.
        ttl: i64,
    },
    /// Read by the names of its fields.
    Named {
        /// A field called `count`.
        count: Option<i64>,
    },
}

impl Call {
    /// Whether it is a stream that lives as long as its client wants it to,
    /// told at its own end. A keepalive that was answered is an ordinary call;
    /// the end of the stream that carried it has no request left.
    pub fn is_stream(&self) -> bool {
        match self.method {
            Method::Watch => true,
            Method::LeaseKeepAlive => self.request == Request::Unread,
            _ => false,
        }
    }

    /// Whether it failed. A stream that was cancelled did not: that is how its
    /// client ends it.
    pub fn failed(&self) -> bool {
        match self.status.code {
            Code::OK => false,
            Code::CANCELLED => !self.is_stream(),
            _ => true,
        }
    }

    /// The revision that this call's write was committed at; `None` for a read,
    /// a failure, or a write that changed nothing.
    pub fn written_revision(&self) -> Option<i64> {
        self.executed_revision()
            .filter(|_| self.status.code == Code::OK)
    }

    /// The revision at which etcd committed this call's write, whatever its
    /// client was told of it.
    pub fn executed_revision(&self) -> Option<i64> {
        let wrote = match self.response {
            Response::Put => true,
            Response::DeleteRange { deleted } => deleted > 0,
            Response::Txn { puts, deleted, .. } => puts > 0 || deleted > 0,
            _ => false,
        };
        match self.header {
            Some(header) if wrote => Some(header.revision),
            _ => None,
        }
    }
}
