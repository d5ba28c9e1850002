//! One HTTP/2 connection to the target, as a client has it. Sans-io.
//!
//! Our own, and not a client library's, for what it costs: everything that one
//! read brings is answered with one write, header blocks are a few bytes that are
//! made once, and a message is copied once, into what is written.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::heads::{Heads, Origin};
use crate::grpc::{self, Code, PREFIX_LEN, Part, percent_decode};
use crate::http2::hpack::Decoder;
use crate::http2::{
    Deframer, ErrorCode, FRAME_HEADER_LEN, Flags, FrameHeader, FrameType, MAX_WINDOW, Offence,
    PREFACE, Piece, SettingId, Settings, Side, StreamId, Window, frame_encoder,
};
use crate::record::redact::scrub_text;

/// Bytes that wait to be written, beyond which nothing is begun.
const MOST_WAITING: usize = 1 << 20;

/// Streams that are open at a time, whatever the target allows.
const MOST_STREAMS: usize = 10_000;

/// An answer of more bytes is counted, and not kept.
const MOST_KEPT: usize = 64 << 20;

/// What is reserved for an answer at once, whatever length it says.
const FIRST_RESERVED: usize = 64 << 10;

/// What the target may send before it is given more.
const OUR_WINDOW: u32 = MAX_WINDOW;

/// A connection. `T` is what its user calls a stream by.
#[derive(Debug)]
pub struct Wire<T> {
    deframer: Deframer,
    core: Core<T>,
}

#[derive(Debug)]
struct Core<T> {
    decoder: Decoder,
    heads: Heads,
    peer: Settings,
    next_stream: u32,
    streams: FxHashMap<u32, Open<T>>,
    window: Window,
    /// DATA that came since the connection's window was opened last.
    taken: u32,
    /// Streams that have something to send and may not.
    blocked: VecDeque<u32>,
    out: Vec<u8>,
    written: usize,
}

/// An open stream.
#[derive(Debug)]
struct Open<T> {
    tag: T,
    window: Window,
    pending: VecDeque<Pending>,
    taken: u32,
    got: u64,
    keeping: Option<Keeping>,
    http_status: u16,
    status: Option<Code>,
    message: String,
}

/// Messages that are put together.
#[derive(Debug, Default)]
struct Keeping {
    cutter: grpc::Deframer,
    message: Vec<u8>,
    too_much: bool,
}

/// A message that is not written as a whole yet.
#[derive(Debug)]
struct Pending {
    prefix: [u8; PREFIX_LEN],
    message: Bytes,
    /// Of prefix and message.
    sent: usize,
    last: bool,
}

/// What a connection tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// A message of a stream that is kept.
    Message(T, Bytes),
    /// A stream is over.
    Ended(T, End),
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Its status.
    pub code: Code,
    /// gRPC's message.
    pub message: String,
    /// Bytes of content that it brought.
    pub got: u64,
}

/// Why a connection is of no further use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The target does not keep to the protocol.
    Offence(Offence),
    /// The target sent GOAWAY.
    GoAway(ErrorCode, String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Offence(offence) => offence.fmt(f),
            Broken::GoAway(code, debug) if debug.is_empty() => write!(f, "it sent GOAWAY {code}"),
            Broken::GoAway(code, debug) => write!(f, "it sent GOAWAY {code}, {debug:?}"),
        }
    }
}

impl From<Offence> for Broken {
    fn from(offence: Offence) -> Broken {
        Broken::Offence(offence)
    }
}

impl<T: Copy> Wire<T> {
    /// A connection to this origin, that has its preface to write.
    pub fn new(origin: impl Into<Origin>) -> Wire<T> {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(PREFACE);
        let ours = [
            (SettingId::ENABLE_PUSH, 0),
            (SettingId::INITIAL_WINDOW_SIZE, OUR_WINDOW),
        ];
        frame_encoder::settings(&mut out, &ours);
        let more = OUR_WINDOW - Settings::default().initial_window_size;
        frame_encoder::window_update(&mut out, StreamId::CONNECTION, more);
        Wire {
            deframer: Deframer::new(Side::Server),
            core: Core {
                decoder: Decoder::new(),
                heads: Heads::new(origin.into()),
                peer: Settings::default(),
                next_stream: 1,
                streams: FxHashMap::default(),
                window: Window::new(),
                taken: 0,
                blocked: VecDeque::new(),
                out,
                written: 0,
            },
        }
    }

    /// Whether another stream may be opened.
    pub fn has_room(&self) -> bool {
        let core = &self.core;
        let most = core.peer.max_concurrent_streams;
        let most = most.map_or(MOST_STREAMS, |most| MOST_STREAMS.min(most as usize));
        core.streams.len() < most
            && core.out.len() - core.written < MOST_WAITING
            && core.next_stream < MAX_WINDOW
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> usize {
        self.core.streams.len()
    }

    /// Opens a stream for the method of this path, which is always given with the
    /// same `number`. Answers are told if `keep` says so, and counted in any case.
    pub fn open(&mut self, tag: T, number: usize, path: &str, keep: bool) -> StreamId {
        let core = &mut self.core;
        let id = core.next_stream;
        core.next_stream += 2;
        let stream = StreamId::from_bits(id);
        let block = core.heads.block(number, path);
        let most = core.peer.max_frame_size as usize;
        frame_encoder::headers(&mut core.out, stream, block, false, most);
        core.streams.insert(
            id,
            Open {
                tag,
                window: Window::new(),
                pending: VecDeque::new(),
                taken: 0,
                got: 0,
                keeping: keep.then(Keeping::default),
                http_status: 200,
                status: None,
                message: String::new(),
            },
        );
        stream
    }

    /// Sends a message; with the last one the client's side of the stream ends.
    pub fn send(&mut self, stream: StreamId, message: Bytes, last: bool) {
        let core = &mut self.core;
        let id = stream.number();
        let Some(open) = core.streams.get_mut(&id) else {
            return;
        };
        let [l0, l1, l2, l3] = (message.len() as u32).to_be_bytes();
        let prefix = [0, l0, l1, l2, l3];
        let length = PREFIX_LEN + message.len();
        let initial = core.peer.initial_window_size;
        let free = core
            .window
            .available(Settings::default().initial_window_size);
        if open.pending.is_empty()
            && length <= core.peer.max_frame_size as usize
            && length as i64 <= open.window.available(initial).min(free)
        {
            data_head(&mut core.out, stream, length, last);
            core.out.extend_from_slice(&prefix);
            core.out.extend_from_slice(&message);
            open.window.spend(length as u32);
            core.window.spend(length as u32);
            return;
        }
        open.pending.push_back(Pending {
            prefix,
            message,
            sent: 0,
            last,
        });
        if !core.blocked.contains(&id) {
            core.blocked.push_back(id);
        }
        core.send_pending();
    }

    /// Ends a stream from this side. It is forgotten, and nothing is told of it any
    /// more.
    pub fn cancel(&mut self, stream: StreamId) {
        let id = stream.number();
        if self.core.streams.remove(&id).is_some() {
            self.core.blocked.retain(|blocked| *blocked != id);
            frame_encoder::rst_stream(&mut self.core.out, stream, ErrorCode::CANCEL);
        }
    }

    /// What is to be written.
    pub fn transmit(&self) -> &[u8] {
        &self.core.out[self.core.written..]
    }

    /// So much of it was written.
    pub fn written(&mut self, bytes: usize) {
        let core = &mut self.core;
        core.written += bytes;
        if core.written == core.out.len() {
            core.out.clear();
            core.written = 0;
            // One great message does not cost its room for ever.
            if core.out.capacity() > MOST_WAITING {
                core.out = Vec::new();
            }
            core.send_pending();
        }
    }

    /// Takes what came.
    ///
    /// # Errors
    /// If the connection is of no use any more.
    pub fn take(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Told<T>)) -> Result<(), Broken> {
        let Wire { deframer, core } = self;
        while let Some(piece) = deframer.next(&mut bytes)? {
            core.piece(piece, &mut tell)?;
        }
        Ok(())
    }
}

impl<T: Copy> Core<T> {
    fn piece(&mut self, piece: Piece<'_>, tell: &mut impl FnMut(Told<T>)) -> Result<(), Broken> {
        match piece {
            Piece::Data {
                stream,
                chunk,
                flow_controlled,
                end_stream,
                ..
            } => self.data(stream, chunk, flow_controlled, end_stream, tell),
            Piece::HeaderBlock {
                stream,
                block,
                end_stream,
                ..
            } => self.fields(stream, block, end_stream, tell)?,
            Piece::RstStream { stream, code } => {
                let code = Code::from_reset(code);
                let message = "the target reset the stream";
                self.end(stream, Some((code, message)), tell);
            }
            Piece::Settings(settings) if !settings.is_ack() => {
                for (id, value) in settings.iter() {
                    self.peer.apply(id, value);
                }
                self.heads.table_size(self.peer.header_table_size);
                frame_encoder::settings_ack(&mut self.out);
                self.send_pending();
            }
            Piece::Ping {
                ack: false,
                payload,
            } => frame_encoder::ping(&mut self.out, true, payload),
            Piece::GoAway { code, debug, .. } => {
                let debug = String::from_utf8_lossy(debug);
                return Err(Broken::GoAway(code, scrub_text(&debug).into_owned()));
            }
            Piece::WindowUpdate { stream, increment } => self.credit(stream, increment)?,
            Piece::Settings(_)
            | Piece::Ping { .. }
            | Piece::Preface
            | Piece::Priority { .. }
            | Piece::Unknown { .. } => {}
        }
        Ok(())
    }

    fn data(
        &mut self,
        stream: StreamId,
        chunk: &[u8],
        flow_controlled: u32,
        end_stream: bool,
        tell: &mut impl FnMut(Told<T>),
    ) {
        self.taken += flow_controlled;
        if self.taken > OUR_WINDOW / 2 {
            frame_encoder::window_update(&mut self.out, StreamId::CONNECTION, self.taken);
            self.taken = 0;
        }
        let Some(open) = self.streams.get_mut(&stream.number()) else {
            return;
        };
        open.got += chunk.len() as u64;
        open.taken += flow_controlled;
        if open.taken > OUR_WINDOW / 2 {
            frame_encoder::window_update(&mut self.out, stream, open.taken);
            open.taken = 0;
        }
        let tag = open.tag;
        if let Some(keeping) = &mut open.keeping {
            keeping.take(chunk, |message| tell(Told::Message(tag, message)));
        }
        if end_stream {
            self.end(stream, None, tell);
        }
    }

    fn fields(
        &mut self,
        stream: StreamId,
        block: &[u8],
        end_stream: bool,
        tell: &mut impl FnMut(Told<T>),
    ) -> Result<(), Broken> {
        let mut open = self.streams.get_mut(&stream.number());
        let decoded = self.decoder.decode(block, |field| {
            let Some(open) = &mut open else { return };
            match field.name {
                b"grpc-status" => open.status = Code::parse(field.value),
                b"grpc-message" => open.message = percent_decode(field.value),
                b":status" => {
                    let status = std::str::from_utf8(field.value).ok();
                    open.http_status = status.and_then(|text| text.parse().ok()).unwrap_or(0);
                }
                _ => {}
            }
        });
        decoded.map_err(|error| Offence::field_block(Side::Server, stream, &error))?;
        if end_stream {
            self.end(stream, None, tell);
        }
        Ok(())
    }

    /// The target has ended a stream: with a status, or as is said.
    fn end(
        &mut self,
        stream: StreamId,
        instead: Option<(Code, &str)>,
        tell: &mut impl FnMut(Told<T>),
    ) {
        let id = stream.number();
        let Some(open) = self.streams.remove(&id) else {
            return;
        };
        if !open.pending.is_empty() {
            // It answered before it had all of the request.
            self.blocked.retain(|blocked| *blocked != id);
            if instead.is_none() {
                frame_encoder::rst_stream(&mut self.out, stream, ErrorCode::NO_ERROR);
            }
        }
        let (code, message) = match (instead, open.status) {
            (Some((code, message)), _) => (code, message.to_owned()),
            (None, Some(code)) => (code, open.message),
            (None, None) => (
                Code::from_http(open.http_status),
                "the target ended the stream without a gRPC status".to_owned(),
            ),
        };
        let got = open.got;
        tell(Told::Ended(open.tag, End { code, message, got }));
    }

    fn credit(&mut self, stream: StreamId, increment: u32) -> Result<(), Broken> {
        let refused = || {
            let what = format!("raises the window of stream {stream} beyond its greatest size");
            let code = ErrorCode::FLOW_CONTROL_ERROR;
            Offence::new(Side::Server, code, stream, "RFC 9113 section 6.9.1", what)
        };
        if stream.is_connection() {
            let initial = Settings::default().initial_window_size;
            let credited = self.window.credit(increment, initial);
            credited.map_err(|_| refused())?;
        } else if let Some(open) = self.streams.get_mut(&stream.number()) {
            let credited = open.window.credit(increment, self.peer.initial_window_size);
            credited.map_err(|_| refused())?;
        }
        self.send_pending();
        Ok(())
    }

    /// Sends what waits, a frame of each stream in turn, as far as windows go.
    fn send_pending(&mut self) {
        let mut stuck = 0;
        while stuck < self.blocked.len() && self.out.len() - self.written < MOST_WAITING {
            let Some(id) = self.blocked.pop_front() else {
                return;
            };
            let Some(open) = self.streams.get_mut(&id) else {
                continue;
            };
            let Some(pending) = open.pending.front_mut() else {
                continue;
            };
            let initial = Settings::default().initial_window_size;
            let free = self.window.available(initial);
            let free = free.min(open.window.available(self.peer.initial_window_size));
            let left = PREFIX_LEN + pending.message.len() - pending.sent;
            let part = left.min(self.peer.max_frame_size as usize);
            let part = part.min(usize::try_from(free).unwrap_or(0));
            if part == 0 {
                self.blocked.push_back(id);
                stuck += 1;
                continue;
            }
            stuck = 0;
            let whole = part == left;
            let stream = StreamId::from_bits(id);
            data_head(&mut self.out, stream, part, whole && pending.last);
            let from = pending.sent;
            let of_prefix = &pending.prefix[from.min(PREFIX_LEN)..(from + part).min(PREFIX_LEN)];
            self.out.extend_from_slice(of_prefix);
            let begin = from.saturating_sub(PREFIX_LEN);
            let end = (from + part).saturating_sub(PREFIX_LEN);
            self.out.extend_from_slice(&pending.message[begin..end]);
            pending.sent += part;
            open.window.spend(part as u32);
            self.window.spend(part as u32);
            if whole {
                open.pending.pop_front();
            }
            if !open.pending.is_empty() {
                self.blocked.push_back(id);
            }
        }
    }
}

/// The head of a DATA frame.
fn data_head(out: &mut Vec<u8>, stream: StreamId, length: usize, last: bool) {
    let header = FrameHeader {
        length: length as u32,
        kind: FrameType::DATA,
        flags: Flags::NONE.with_if(Flags::END_STREAM, last),
        stream,
    };
    let octets: [u8; FRAME_HEADER_LEN] = header.encode();
    out.extend_from_slice(&octets);
}

impl Keeping {
    fn take(&mut self, mut chunk: &[u8], mut tell: impl FnMut(Bytes)) {
        while let Some(part) = self.cutter.next(&mut chunk) {
            match part {
                Part::Start { compressed, length } => {
                    self.message.clear();
                    // We said that we take no compressed ones.
                    self.too_much = compressed || length as usize > MOST_KEPT;
                    if !self.too_much {
                        self.message.reserve((length as usize).min(FIRST_RESERVED));
                    }
                }
                Part::Body(body) if !self.too_much => self.message.extend_from_slice(body),
                Part::Body(_) => {}
                Part::End if !self.too_much => tell(std::mem::take(&mut self.message).into()),
                Part::End => {}
            }
        }
    }
}
