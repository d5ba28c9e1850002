//! What the records of a recording say.

use std::borrow::Cow;

use bytes::Bytes;
use mcap::records::MessageHeader;
use prost::Message as _;

use crate::http2::Side;
use crate::record::container::Times;
use crate::record::schema::v1::{self, Headers, LogLine, Loss, Meta};
use crate::record::schema::{Channel, ChannelId, Channels, Envelope};

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A line of the log.
    Line(Box<Line>),
    /// A message that stands on its method's channel.
    Message(Box<Message>),
    /// A message without an envelope, or a part of a great one.
    Part(Box<Part>),
    /// A header block.
    Headers {
        /// When it was whole.
        at: u64,
        /// What it says.
        headers: Box<Headers>,
    },
    /// The content of a plain HTTP request or answer was seen.
    Content {
        /// When it was whole, and when it began.
        times: Times,
        /// What is known of it.
        content: Box<v1::Content>,
    },
    /// Something could not be recorded.
    Loss {
        /// When that was said.
        at: u64,
        /// What.
        loss: Box<Loss>,
    },
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its `ts`, in nanoseconds since 1970.
    pub at: u64,
    /// The line.
    pub line: LogLine,
}

/// A message that passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// When it was whole, and when it began.
    pub times: Times,
    /// Where it stood.
    pub meta: Meta,
    /// The path of its call.
    pub path: Path,
    /// Its bytes; those that were hidden are stars (`meta.hidden`), or are missing
    /// altogether if the message was hidden as a whole.
    pub data: Bytes,
}

/// The path of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// A method that we know.
    Known(ChannelId),
    /// Another one.
    Other(Box<str>),
}

/// A message without an envelope, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// When it was whole, and when it began.
    pub times: Times,
    /// Where it stood; complete in the last part only.
    pub meta: Meta,
    /// The path of its call.
    pub path: Box<str>,
    /// Where the part begins in the message.
    pub offset: u64,
    /// Its bytes.
    pub data: Bytes,
    /// Whether it is the message's last.
    pub last: bool,
}

impl Path {
    /// `/etcdserverpb.KV/Range`
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Path::Known(_) => self
                .channel()
                .and_then(Channel::path)
                .unwrap_or(Cow::Borrowed("")),
            Path::Other(path) => Cow::Borrowed(path),
        }
    }

    /// The method's channel, where there is one.
    pub fn channel(&self) -> Option<&'static Channel> {
        match self {
            Path::Known(id) => Channels::all().channel(*id),
            Path::Other(_) => None,
        }
    }
}

impl Message {
    /// Who sent it.
    pub fn from(&self) -> Option<Side> {
        self.meta.from().side()
    }
}

impl Item {
    /// Its time: when what it tells was whole, in nanoseconds since 1970.
    pub fn at(&self) -> u64 {
        match self {
            Item::Line(line) => line.at,
            Item::Message(message) => message.times.whole,
            Item::Part(part) => part.times.whole,
            Item::Content { times, .. } => times.whole,
            Item::Headers { at, .. } | Item::Loss { at, .. } => *at,
        }
    }
}

/// Reads a record; `None` if it cannot be read as what its channel says.
pub(super) fn read(channel: ChannelId, header: &MessageHeader, data: Bytes) -> Option<Item> {
    let times = Times {
        whole: header.log_time,
        began: header.publish_time,
    };
    let at = times.whole;
    Some(match channel {
        ChannelId::LOG => Item::Line(Box::new(Line {
            at,
            line: LogLine::decode(data).ok()?,
        })),
        ChannelId::HEADERS => Item::Headers {
            at,
            headers: Box::new(Headers::decode(data).ok()?),
        },
        ChannelId::CONTENTS => Item::Content {
            times,
            content: Box::new(v1::Content::decode(data).ok()?),
        },
        ChannelId::LOSSES => Item::Loss {
            at,
            loss: Box::new(Loss::decode(data).ok()?),
        },
        ChannelId::PARTS => {
            let v1::Part {
                meta,
                path,
                offset,
                data,
                last,
            } = v1::Part::decode(data).ok()?;
            Item::Part(Box::new(Part {
                times,
                meta: meta?,
                path: path.into(),
                offset,
                data,
                last,
            }))
        }
        method => {
            let envelope = Envelope::decode(data).ok()?;
            Item::Message(Box::new(Message {
                times,
                meta: envelope.meta?,
                path: Path::Known(method),
                data: envelope.message,
            }))
        }
    })
}
