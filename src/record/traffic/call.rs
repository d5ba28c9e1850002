//! A call, a message of it, and how it ended.

use std::borrow::Cow;

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::etcd::Method;
use crate::etcd::MethodName;
use crate::etcd::schema::descriptor_pool;
use crate::etcd::schema::etcdserverpb::ResponseHeader;
use crate::record::container::Times;
use crate::record::reader::item::Path;
use crate::record::schema::v1::{Hidden, LogLine, Meta};

/// A call's number in the recording: in the order in which the first that is
/// known of each stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNumber(pub u64);

/// Which stream of which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// The connection's number in the recording (`conn` of the log).
    pub connection: u64,
    /// The HTTP/2 stream on it.
    pub stream: u32,
}

/// How many messages the sides of a method's calls send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One each.
    Unary,
    /// `Watch.Watch`.
    Watch,
    /// `Lease.LeaseKeepAlive`.
    KeepAlive,
    /// Another method whose sides send any number: a Snapshot, an Observe.
    OtherStream,
}

/// One message of a call, as the recording has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// When it began and when it was whole, in nanoseconds since 1970.
    pub times: Times,
    /// Its bytes: a message of the method's type where the condition is
    /// [`Condition::Whole`]. They may be a part of a greater buffer.
    pub data: Bytes,
    /// How many bytes it had on the wire.
    pub size: u64,
    /// The places whose bytes are not those that passed.
    pub hidden: Vec<Hidden>,
    /// More places were hidden than are listed.
    pub more_hidden: u64,
    /// Whether it can be read.
    pub condition: Condition,
}

/// Whether a message can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// It is there from its first byte to its last.
    Whole,
    /// It ended before it was whole, on the wire or in the recording.
    Cut,
    /// It is compressed, and was not unpacked.
    Compressed,
    /// Only its length was kept: it was hidden as a whole.
    HiddenWhole,
}

/// A unary call that is over, as far as the recording knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its number.
    pub number: CallNumber,
    /// Where it was made.
    pub lane: Lane,
    /// Its method's path.
    pub path: Path,
    /// What was asked; `None` if the recording does not have it.
    pub request: Option<Said>,
    /// What the server answered, whatever became of that on its way to the
    /// client; `None` if it answered nothing, or the recording does not have it.
    pub response: Option<Said>,
    /// How it ended.
    pub ending: Ending,
}

/// How a call or a stream ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// As the log's line says.
    Ended(Ended),
    /// The recording has no line of it: it ends before the call did, or the line
    /// was lost.
    NotRecorded,
}

/// What a line says of a call's end.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// When it began and when it ended, in nanoseconds since 1970.
    pub times: Times,
    /// gRPC's name of the status that the client saw: `OK`.
    pub status: Box<str>,
    /// gRPC's message.
    pub message: Option<Box<str>>,
    /// What ended it, unless the server's trailers did: `reset`,
    /// `connection_lost`, ... as in the log.
    pub without_trailers: Option<Box<str>>,
    /// Faults struck it: what the client saw need not be what the server said.
    pub struck: bool,
    /// The revision of the answer's header.
    pub revision: Option<i64>,
}

impl Shape {
    /// Of a path.
    pub fn of(path: &Path) -> Shape {
        let text = path.text();
        let (method, name) = MethodName::parse(text.as_bytes());
        match method {
            Method::Watch => return Shape::Watch,
            Method::LeaseKeepAlive => return Shape::KeepAlive,
            Method::RangeStream => return Shape::OtherStream,
            Method::Other => {}
            _ => return Shape::Unary,
        }
        let service = descriptor_pool().get_service_by_name(&name.service);
        let streams = service.is_some_and(|service| {
            let mut methods = service.methods();
            methods.any(|method| {
                method.name() == name.method
                    && (method.is_client_streaming() || method.is_server_streaming())
            })
        });
        match streams {
            true => Shape::OtherStream,
            false => Shape::Unary,
        }
    }
}

impl Said {
    /// Of a message that is not in parts.
    pub(super) fn new(times: Times, meta: &Meta, data: Bytes) -> Said {
        let condition = if meta.cut {
            Condition::Cut
        } else if meta.compressed {
            Condition::Compressed
        } else if data.len() as u64 != meta.size {
            match data.is_empty() {
                true => Condition::HiddenWhole,
                false => Condition::Cut,
            }
        } else {
            Condition::Whole
        };
        Said {
            times,
            data,
            size: meta.size,
            hidden: meta.hidden.clone(),
            more_hidden: meta.more_hidden,
            condition,
        }
    }

    /// Its bytes, if all of them are there.
    pub fn whole(&self) -> Option<&Bytes> {
        (self.condition == Condition::Whole).then_some(&self.data)
    }

    /// Reads it; `None` if it is not whole, or no message of that type.
    pub fn decode<M: prost::Message + Default>(&self) -> Option<M> {
        M::decode(self.whole()?.clone()).ok()
    }
}

impl Call {
    /// Its method, as far as it is one of those that are read field by field.
    pub fn method(&self) -> Method {
        MethodName::parse(self.path.text().as_bytes()).0
    }

    /// `/etcdserverpb.KV/Range`
    pub fn path(&self) -> Cow<'_, str> {
        self.path.text()
    }

    /// The revision of the answer's header: of the message, or as the line has it.
    pub fn revision(&self) -> Option<i64> {
        let said = self.response.as_ref().and_then(Said::whole);
        said.and_then(|data| revision_of(data))
            .or(match &self.ending {
                Ending::Ended(ended) => ended.revision,
                Ending::NotRecorded => None,
            })
    }

    /// When it began: when its request's first byte passed, or as the line says.
    pub fn began(&self) -> u64 {
        let said = self.request.as_ref().or(self.response.as_ref());
        match (said, &self.ending) {
            (Some(said), _) => said.times.began,
            (None, Ending::Ended(ended)) => ended.times.began,
            (None, Ending::NotRecorded) => 0,
        }
    }

    /// When it ended: as the line says, or when the last known byte of it passed.
    pub fn ended(&self) -> u64 {
        let said = self.response.as_ref().or(self.request.as_ref());
        match (&self.ending, said) {
            (Ending::Ended(ended), _) => ended.times.whole,
            (Ending::NotRecorded, Some(said)) => said.times.whole,
            (Ending::NotRecorded, None) => 0,
        }
    }

    /// Whether the server answered it and the client saw that.
    pub fn is_ok(&self) -> bool {
        matches!(&self.ending, Ending::Ended(ended) if &*ended.status == "OK")
    }
}

impl Ended {
    pub(super) fn of(at: u64, line: &LogLine) -> Ended {
        let lasted = line.duration_us.unwrap_or(0).saturating_mul(1000);
        Ended {
            times: Times {
                whole: at,
                began: at.saturating_sub(lasted),
            },
            status: line.status.as_deref().unwrap_or("UNKNOWN").into(),
            message: line.message.as_deref().map(Box::from),
            without_trailers: line.ending.as_deref().map(Box::from),
            struck: !line.fault.is_empty(),
            revision: line.revision,
        }
    }
}

/// The revision in the header of an answer. All of etcd's answers have their header
/// in field 1; `None` for what cannot be read.
pub fn revision_of(mut answer: &[u8]) -> Option<i64> {
    while !answer.is_empty() {
        let (tag, wire) = decode_key(&mut answer).ok()?;
        if tag == 1 && wire == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut answer).ok()?).ok()?;
            let header = ResponseHeader::decode(answer.get(..length)?).ok()?;
            return (header.revision != 0).then_some(header.revision);
        }
        skip_field(wire, tag, &mut answer, DecodeContext::default()).ok()?;
    }
    None
}

impl Lane {
    pub(super) fn of(meta: &Meta) -> Lane {
        Lane {
            connection: meta.connection,
            stream: meta.stream,
        }
    }
}
