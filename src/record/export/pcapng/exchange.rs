//! A connection's HTTP/2, from deeds to bytes.
//!
//! Frames hold at most 16 KiB, the default. Windows are as large as they can be
//! and topped up in time, so that nobody who counts them finds them overrun.

use std::io;

use rustc_hash::{FxHashMap, FxHashSet};

use super::deed::{Closing, Deed, Ending, Fields, How, Piece};
use crate::etcd::schema::descriptor_pool;
use crate::grpc::percent_encode;
use crate::http2::frame_encoder as frame;
use crate::http2::hpack::{Encoder, Indexing};
use crate::http2::{Both, DEFAULT_INITIAL_WINDOW_SIZE, PREFACE, SettingId, Side, StreamId};

/// DATA of one frame at most.
const FRAME: usize = 16_384;

/// The greatest window there is.
const WINDOW: u32 = i32::MAX as u32;

/// So much is sent before its window is topped up.
const TOP_UP: u32 = 1 << 29;

/// The HTTP/2 of one connection.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// What `:authority` says where nothing was recorded.
    pub authority: Box<str>,
    begun: bool,
    streams: FxHashMap<StreamId, Stream>,
    /// Streams that are over: what comes late for them is no new call.
    over: FxHashSet<StreamId>,
    /// The number of the last stream, as it stands in the packets.
    last: u32,
    sent: Both<u32>,
    scratch: Vec<u8>,
}

/// A call.
#[derive(Debug)]
struct Stream {
    /// Its number in the packets: the recorded one, unless a later call's was
    /// known first.
    id: StreamId,
    /// The client sends one message only.
    unary: bool,
    asked_all: bool,
    answered: bool,
    sent: Both<u32>,
    /// Bytes of the message at hand that have passed.
    passed: Both<u64>,
    /// Its size, as its prefix has it.
    size: Both<u64>,
}

/// Why a deed cannot be carried out, for a count of those.
type Refused = &'static str;

const LATE: Refused = "messages that came after their call's end";

impl Exchange {
    /// Carries a deed out; what a side sends is given to `send`.
    pub fn carry_out(
        &mut self,
        deed: Deed,
        mut send: impl FnMut(Side, &[u8]) -> io::Result<()>,
    ) -> io::Result<Result<(), Refused>> {
        let send = &mut send;
        match deed {
            Deed::Open => {}
            Deed::Asked {
                stream,
                path,
                agent,
            } => {
                if !self.over.contains(&stream) {
                    self.ask(stream, &path, None, agent.as_deref(), send)?;
                }
            }
            Deed::Request {
                stream,
                path,
                block,
            } => {
                if !self.over.contains(&stream) {
                    self.ask(stream, &path, block.as_ref(), None, send)?;
                }
            }
            Deed::Response {
                stream,
                path,
                block,
            } => {
                if !self.over.contains(&stream) {
                    self.answer(stream, &path, block.as_ref(), send)?;
                }
            }
            Deed::Piece(piece) => return self.piece(&piece, send),
            Deed::End(ending) => self.end(&ending, send)?,
            Deed::Close(closing) => self.close(&closing, send)?,
        }
        Ok(Ok(()))
    }

    fn begin(&mut self, send: &mut impl FnMut(Side, &[u8]) -> io::Result<()>) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let settings = [(SettingId::INITIAL_WINDOW_SIZE, WINDOW)];
        let room = WINDOW - DEFAULT_INITIAL_WINDOW_SIZE;
        let mut bytes = PREFACE.to_vec();
        frame::settings(&mut bytes, &settings);
        frame::window_update(&mut bytes, StreamId::CONNECTION, room);
        send(Side::Client, &bytes)?;
        bytes.clear();
        frame::settings(&mut bytes, &settings);
        frame::settings_ack(&mut bytes);
        frame::window_update(&mut bytes, StreamId::CONNECTION, room);
        send(Side::Server, &bytes)?;
        bytes.clear();
        frame::settings_ack(&mut bytes);
        send(Side::Client, &bytes)
    }

    /// The client's HEADERS, if they were not sent yet.
    fn ask(
        &mut self,
        stream: StreamId,
        path: &str,
        block: Option<&Fields>,
        agent: Option<&str>,
        send: &mut impl FnMut(Side, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.streams.contains_key(&stream) {
            return Ok(());
        }
        self.begin(send)?;
        // Numbers of a connection's streams only grow (RFC 9113, section 5.1.1).
        let number = stream
            .number()
            .max(self.last + if self.last == 0 { 1 } else { 2 })
            | 1;
        self.last = number;
        let id = StreamId::from_bits(number);
        let known = Stream {
            id,
            unary: unary(path),
            asked_all: false,
            answered: false,
            sent: Both::default(),
            passed: Both::default(),
            size: Both::default(),
        };
        self.streams.insert(stream, known);
        let encoded = match block {
            Some(fields) => encoded(fields.iter().map(|(name, value)| (&**name, &**value))),
            None => {
                let usual = [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", path),
                    (":authority", &*self.authority),
                    ("content-type", "application/grpc"),
                    ("te", "trailers"),
                ];
                encoded(
                    usual
                        .into_iter()
                        .chain(agent.map(|agent| ("user-agent", agent))),
                )
            }
        };
        self.scratch.clear();
        frame::headers(&mut self.scratch, id, &encoded, false, FRAME);
        send(Side::Client, &self.scratch)
    }

    /// The server's HEADERS, if they were not sent yet.
    fn answer(
        &mut self,
        stream: StreamId,
        path: &str,
        block: Option<&Fields>,
        send: &mut impl FnMut(Side, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.ask(stream, path, None, None, send)?;
        let Some(known) = self.streams.get_mut(&stream) else {
            return Ok(());
        };
        if std::mem::replace(&mut known.answered, true) {
            return Ok(());
        }
        let usual = [(":status", "200"), ("content-type", "application/grpc")];
        let encoded = match block {
            Some(fields) => encoded(fields.iter().map(|(name, value)| (&**name, &**value))),
            None => encoded(usual.into_iter()),
        };
        self.scratch.clear();
        frame::headers(&mut self.scratch, known.id, &encoded, false, FRAME);
        send(Side::Server, &self.scratch)
    }

    fn piece(
        &mut self,
        piece: &Piece,
        send: &mut impl FnMut(Side, &[u8]) -> io::Result<()>,
    ) -> io::Result<Result<(), Refused>> {
        let Piece {
            stream, path, from, ..
        } = piece;
        if self.over.contains(stream) {
            return Ok(Err(LATE));
        }
        match from {
            Side::Client => self.ask(*stream, path, None, None, send)?,
            Side::Server => self.answer(*stream, path, None, send)?,
        }
        let Some(known) = self.streams.get_mut(stream) else {
            return Ok(Err(LATE));
        };
        if *from == Side::Client && known.asked_all {
            return Ok(Err("messages beyond the only one of their call"));
        }
        let mut out = Vec::new();
        if piece.offset == 0 {
            known.passed[*from] = 0;
            let held = piece.data.len() as u64;
            // A message that was cut announced more than came.
            let size = piece.size.max(held) + u64::from(piece.cut);
            known.size[*from] = size.min(u32::MAX.into());
            out.push(u8::from(piece.compressed));
            out.extend_from_slice(&(known.size[*from] as u32).to_be_bytes());
        } else if known.passed[*from] != piece.offset {
            return Ok(Err("parts of messages whose beginning is not there"));
        }
        let room = known.size[*from].saturating_sub(known.passed[*from]);
        let data = &piece.data[..piece
            .data
            .len()
            .min(usize::try_from(room).unwrap_or(usize::MAX))];
        known.passed[*from] += data.len() as u64;
        out.extend_from_slice(data);
        // What was hidden as a whole is as long as it was.
        let mut missing = match (piece.last, piece.cut) {
            (true, false) => known.size[*from] - known.passed[*from],
            (true, true) => (known.size[*from] - known.passed[*from]).saturating_sub(1),
            (false, _) => 0,
        };
        let ends = piece.last && *from == Side::Client && known.unary && !piece.cut;
        known.asked_all |= ends;
        loop {
            let stars = missing.min(1 << 20) as usize;
            missing -= stars as u64;
            out.resize(out.len() + stars, b'*');
            self.data(*stream, *from, &out, ends && missing == 0, send)?;
            out.clear();
            if missing == 0 {
                return Ok(Ok(()));
            }
        }
    }

    /// DATA frames, and WINDOW_UPDATE in time.
    fn data(
        &mut self,
        stream: StreamId,
        from: Side,
        bytes: &[u8],
        ends: bool,
        send: &mut impl FnMut(Side, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(known) = self.streams.get_mut(&stream) else {
            return Ok(());
        };
        let out = &mut self.scratch;
        out.clear();
        let mut chunks = bytes.chunks(FRAME).peekable();
        while let Some(chunk) = chunks.next() {
            frame::data(out, known.id, chunk, ends && chunks.peek().is_none());
        }
        if !out.is_empty() {
            send(from, out)?;
        }
        out.clear();
        // No caller brings more than a record, which is far from a window.
        let length = u32::try_from(bytes.len()).unwrap_or(TOP_UP);
        for (sent, id) in [
            (&mut self.sent[from], StreamId::CONNECTION),
            (&mut known.sent[from], known.id),
        ] {
            *sent = sent.saturating_add(length);
            if *sent >= TOP_UP {
                frame::window_update(out, id, std::mem::take(sent));
            }
        }
        if !out.is_empty() {
            send(from.peer(), out)?;
        }
        Ok(())
    }

    fn end(
        &mut self,
        ending: &Ending,
        send: &mut impl FnMut(Side, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let stream = ending.stream;
        if self.over.contains(&stream) {
            return Ok(());
        }
        self.ask(stream, &ending.path, None, None, send)?;
        let Some(mut known) = self.streams.remove(&stream) else {
            return Ok(());
        };
        self.over.insert(stream);
        let out = &mut self.scratch;
        out.clear();
        if !known.asked_all && matches!(ending.how, How::Trailers { .. } | How::NoTrailers) {
            known.asked_all = true;
            frame::data(out, known.id, &[], true);
            send(Side::Client, out)?;
            out.clear();
        }
        match &ending.how {
            How::Trailers { code, message } => {
                let status = code.0.to_string();
                let message = message.as_deref().map(percent_encode);
                let head = [(":status", "200"), ("content-type", "application/grpc")];
                let head = head.into_iter().filter(|_| !known.answered);
                let message = message.as_deref().map(|text| ("grpc-message", text));
                let fields = head.chain([("grpc-status", &*status)]).chain(message);
                frame::headers(out, known.id, &encoded(fields), true, FRAME);
                send(Side::Server, out)
            }
            How::NoTrailers if known.answered => {
                frame::data(out, known.id, &[], true);
                send(Side::Server, out)
            }
            How::NoTrailers => {
                let fields = [(":status", "200"), ("content-type", "application/grpc")];
                frame::headers(out, known.id, &encoded(fields.into_iter()), false, FRAME);
                // A block that ended the stream would be taken for trailers.
                frame::data(out, known.id, &[], true);
                send(Side::Server, out)
            }
            How::Reset { by, code } => {
                frame::rst_stream(out, known.id, *code);
                send(*by, out)
            }
            How::Lost => Ok(()),
        }
    }

    fn close(
        &mut self,
        closing: &Closing,
        send: &mut impl FnMut(Side, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.begun {
            return Ok(());
        }
        for (side, last, code, debug) in &closing.goaways {
            self.scratch.clear();
            let last = StreamId::from_bits(*last);
            frame::goaway(&mut self.scratch, last, *code, debug.as_bytes());
            send(*side, &self.scratch)?;
        }
        Ok(())
    }
}

/// A block of literals: no table to keep.
fn encoded<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut block = Vec::new();
    for (name, value) in fields {
        encoder.field(
            name.as_bytes(),
            value.as_bytes(),
            Indexing::Without,
            &mut block,
        );
    }
    block
}

/// Whether the client sends one message only, as far as the method is known.
fn unary(path: &str) -> bool {
    let (service, method) = match path.strip_prefix('/').and_then(|path| path.split_once('/')) {
        Some(names) => names,
        None => return false,
    };
    let service = descriptor_pool().get_service_by_name(service);
    let method = service.and_then(|service| service.methods().find(|known| known.name() == method));
    method.is_some_and(|method| !method.is_client_streaming())
}
