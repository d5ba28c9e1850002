//! What header blocks say: of a request, and of its answer.
//!
//! The blocks that come again are known by the numbers that the relay gives them
//! ([`Tap::again`](crate::relay::Tap::again)); what they said is remembered here.

use std::sync::Arc;

use super::method::{Method, MethodName};
use super::open_call::{Encoding, OpenCall};
use crate::grpc::{Code, percent_decode};
use crate::http2::Side;
use crate::relay::{BlockNumber, HeaderField};

/// `:path` is kept up to this many bytes.
const MAX_PATH: usize = 1024;

/// `grpc-message` is kept up to this many bytes, as encoded.
const MAX_MESSAGE: usize = 8192;

/// What is kept of a request's header fields until the block is whole.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub method: Vec<u8>,
    pub path: Vec<u8>,
    pub grpc: bool,
    pub encoding: Encoding,
    pub user_agent: Option<Arc<str>>,
    /// What `path` says, once it was read.
    called: Option<(Method, MethodName)>,
    /// Faults can strike it.
    pub touchable: bool,
    /// All fields, where they may be needed again.
    pub fields: Vec<HeaderField>,
    /// Bytes of their values.
    pub kept: usize,
}

impl Head {
    /// Another one begins.
    pub fn begin(&mut self, touchable: bool) {
        self.touchable = touchable;
        self.fields.clear();
        self.kept = 0;
        self.method.clear();
        self.path.clear();
        self.grpc = false;
        self.encoding = Encoding::Identity;
        self.user_agent = None;
        self.called = None;
    }

    /// Takes in a field; not `user-agent`, which is the connection's.
    #[inline]
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":method" => self.method.extend_from_slice(cut(value, 32)),
            b":path" => self.path.extend_from_slice(cut(value, MAX_PATH)),
            b"content-type" => self.grpc = value.starts_with(b"application/grpc"),
            b"grpc-encoding" => self.encoding = Encoding::of(value),
            _ => {}
        }
    }

    /// Which method is called.
    pub fn called(&mut self) -> (Method, MethodName) {
        let called = self.called.take();
        called.unwrap_or_else(|| MethodName::parse(&self.path))
    }
}

/// What a header block of the server says.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// `:status`, if there is one.
    pub status: Option<Option<u16>>,
    encoding: Option<Encoding>,
    code: Option<Code>,
    message: Option<Box<str>>,
}

impl Said {
    /// Takes in a field.
    #[inline]
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":status" => self.status = Some(ascii_number(value)),
            b"grpc-encoding" => self.encoding = Some(Encoding::of(value)),
            b"grpc-status" => self.code = Some(Code::parse(value).unwrap_or(Code::UNKNOWN)),
            b"grpc-message" if !value.is_empty() => {
                self.message = Some(percent_decode(cut(value, MAX_MESSAGE)).into());
            }
            _ => {}
        }
    }

    /// It is said of `call`.
    pub fn of(self, call: &mut OpenCall) {
        if let Some(status) = self.status {
            call.http_status = status;
        }
        if let Some(encoding) = self.encoding {
            call.directions.server.encoding = encoding;
        }
        if self.code.is_some() {
            call.code = self.code;
        }
        if self.message.is_some() {
            call.message = self.message;
        }
    }
}

/// A gRPC request's head that came before.
#[derive(Debug, Clone)]
struct Asked {
    method: Method,
    name: MethodName,
    encoding: Encoding,
    user_agent: Option<Arc<str>>,
}

/// What the blocks said that may come again.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    asked: Vec<Option<Asked>>,
    said: Vec<Option<Said>>,
}

impl Remembered {
    /// `head` was in a block of this number.
    pub fn ask(&mut self, number: BlockNumber, head: &mut Head) {
        let asked = head.grpc.then(|| {
            let called = head.called();
            let (method, name) = called.clone();
            head.called = Some(called);
            Asked {
                method,
                name,
                encoding: head.encoding,
                user_agent: head.user_agent.clone(),
            }
        });
        put(&mut self.asked, number, asked);
    }

    /// `said` was in a block of this number.
    pub fn say(&mut self, number: BlockNumber, said: &Said) {
        put(&mut self.said, number, Some(said.clone()));
    }

    /// A block of this number says nothing that is of use again.
    pub fn forget(&mut self, from: Side, number: BlockNumber) {
        match from {
            Side::Client => put(&mut self.asked, number, None),
            Side::Server => put(&mut self.said, number, None),
        }
    }

    /// Fills in what a block said of a request; whether it is known.
    pub fn asked(&self, number: BlockNumber, head: &mut Head) -> bool {
        let Some(Some(asked)) = self.asked.get(number.index()) else {
            return false;
        };
        head.grpc = true;
        head.encoding = asked.encoding;
        head.user_agent = asked.user_agent.clone();
        head.called = Some((asked.method, asked.name.clone()));
        true
    }

    /// What a block of the server said.
    pub fn said(&self, number: BlockNumber) -> Option<&Said> {
        self.said.get(number.index())?.as_ref()
    }
}

fn put<T: Clone>(known: &mut Vec<Option<T>>, number: BlockNumber, what: Option<T>) {
    if known.len() <= number.index() {
        known.resize(number.index() + 1, None);
    }
    known[number.index()] = what;
}

fn cut(value: &[u8], most: usize) -> &[u8] {
    &value[..value.len().min(most)]
}

fn ascii_number(value: &[u8]) -> Option<u16> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
