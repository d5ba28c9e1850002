//! Judging what reaches an endpoint.

use std::time::Instant;

use etcdtap::http2::Side;

use super::endpoint::{
    BANDWIDTH_PING, Block, ENABLE_PUSH, Endpoint, HEADER_TABLE_SIZE, Heard, INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, keep,
};
use super::fields;
use super::frame::{self, Frame};
use super::stream::Stream;
use super::violation::{Rule, Violation};

type Judged = Result<(), Violation>;

const MAX_WINDOW: i64 = 0x7fff_ffff;

impl Endpoint {
    /// Bytes arrived.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Judged {
        self.now = now;
        self.cutter.feed(bytes);
        if self.preface_due {
            let rest = self.cutter.rest();
            let n = rest.len().min(frame::PREFACE.len());
            if rest[..n] != frame::PREFACE[..n] {
                return Err(self.wrong(Rule::Preface, 0, 0, "no preface"));
            }
            if n < frame::PREFACE.len() {
                return Ok(());
            }
            self.cutter.skip(n);
            self.preface_due = false;
        }
        loop {
            let at = self.cutter.position;
            match self.cutter.next(self.own.max_frame) {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => self.judge(&frame)?,
                Err((rule, what)) => return Err(self.wrong(rule, 0, at, what)),
            }
        }
    }

    fn judge(&mut self, frame: &Frame) -> Judged {
        let seen = self.seen(frame.kind, frame.flags, frame.stream, &frame.payload);
        keep(&mut self.history_in, seen);
        self.frames[0] += 1;
        let wrong = |rule, words: &str| Err(self.wrong(rule, frame.stream, frame.at, words));
        if !self.settings_seen && (frame.kind != frame::SETTINGS || frame.has(frame::ACK)) {
            return wrong(Rule::Preface, "the first frame is not SETTINGS");
        }
        if let Some(block) = &self.block {
            if frame.kind != frame::CONTINUATION || frame.stream != block.stream {
                return wrong(Rule::HeaderBlock, "a frame within another's header block");
            }
        } else if frame.kind == frame::CONTINUATION {
            return wrong(Rule::HeaderBlock, "CONTINUATION without a header block");
        }
        let of_stream = frame.stream != 0;
        let right = match frame.kind {
            frame::DATA | frame::HEADERS | frame::PRIORITY | frame::RST_STREAM => of_stream,
            frame::SETTINGS | frame::PING | frame::GOAWAY => !of_stream,
            _ => true,
        };
        if !right {
            return wrong(Rule::StreamId, "a frame on a stream where it has no place");
        }
        let exact = match frame.kind {
            frame::PRIORITY => Some(5),
            frame::RST_STREAM | frame::WINDOW_UPDATE => Some(4),
            frame::PING => Some(8),
            _ => None,
        };
        if exact.is_some_and(|exact| exact != frame.payload.len()) {
            return wrong(Rule::FrameSize, "a frame of the wrong size");
        }
        match frame.kind {
            frame::DATA => self.data(frame),
            frame::HEADERS => self.headers(frame),
            frame::CONTINUATION => self.continuation(frame),
            frame::PRIORITY if depends_on(&frame.payload) == frame.stream => {
                wrong(Rule::Priority, "a stream that depends on itself")
            }
            frame::PRIORITY if frame.stream.is_multiple_of(2) => {
                wrong(Rule::StreamId, "PRIORITY for a stream of the server's")
            }
            frame::RST_STREAM => self.rst_stream(frame),
            frame::SETTINGS => self.settings(frame),
            frame::PUSH_PROMISE => wrong(Rule::StreamId, "PUSH_PROMISE was not allowed"),
            frame::PING => self.ping(frame),
            frame::GOAWAY => self.goaway(frame),
            frame::WINDOW_UPDATE => self.credited(frame),
            // PRIORITY says nothing here, and unknown types are ignored.
            _ => Ok(()),
        }
    }

    /// A stream that the peer wants to add content to, if it may.
    fn receiving(&self, frame: &Frame, what: &str) -> Result<&Stream, Violation> {
        let wrong = |rule, words| Err(self.wrong(rule, frame.stream, frame.at, words));
        let Some(stream) = self.streams.get(&frame.stream) else {
            return wrong(Rule::IdleStream, format!("{what} on an idle stream"));
        };
        // What the peer itself closed is judged first: our reset changes nothing
        // about it.
        if stream.received.reset.is_some() {
            return wrong(
                Rule::ClosedStream,
                format!("{what} after the peer's RST_STREAM"),
            );
        }
        if stream.received.ended.is_some() {
            return wrong(Rule::EndedStream, format!("{what} after END_STREAM"));
        }
        Ok(stream)
    }

    fn content<'a>(&self, frame: &'a Frame) -> Result<&'a [u8], Violation> {
        let mut content = &frame.payload[..];
        if frame.has(frame::PADDED) {
            let padding = content.split_off_first().copied().map(usize::from);
            let length = padding.and_then(|padding| content.len().checked_sub(padding));
            let Some(length) = length else {
                let words = "more padding than there is room";
                return Err(self.wrong(Rule::Padding, frame.stream, frame.at, words));
            };
            content = &content[..length];
        }
        Ok(content)
    }

    fn data(&mut self, frame: &Frame) -> Judged {
        let content = self.content(frame)?;
        let n = frame.payload.len() as i64;
        let headless = self.receiving(frame, "DATA")?.received.head.is_none();
        self.recv_window -= n;
        if self.recv_window < 0 {
            let words = format!("{} bytes too much DATA", -self.recv_window);
            return Err(self.wrong(Rule::ConnectionWindow, frame.stream, frame.at, words));
        }
        if headless {
            let words = "DATA before HEADERS";
            return Err(self.wrong(Rule::Fields, frame.stream, frame.at, words));
        }
        let (now, id) = (self.now, frame.stream);
        let stream = self.streams.get_mut(&id).expect("it was just found");
        let live = stream.sent.reset.is_none();
        // After our own RST_STREAM nobody reads it any more, but its sender cannot
        // know, and goes by the same rules.
        stream.recv_window -= n;
        let overrun = Some(-stream.recv_window).filter(|over| *over > 0 && n > 0);
        stream.received.push(content, now);
        // Padding is read by nobody.
        stream.reader.owed += n - content.len() as i64;
        if live {
            self.heard.push_back(Heard::Data(id));
        }
        if frame.has(frame::END_STREAM) {
            stream.received.ended = Some(now);
            if live {
                self.heard.push_back(Heard::Ended(id));
            }
        }
        if let Some(over) = overrun {
            let words = format!("{over} bytes too much DATA");
            return Err(self.wrong(Rule::StreamWindow, id, frame.at, words));
        }
        self.credit_connection(n);
        Ok(())
    }

    fn headers(&mut self, frame: &Frame) -> Judged {
        let mut content = self.content(frame)?;
        if frame.has(frame::WITH_PRIORITY) {
            if content.len() < 5 {
                let words = "HEADERS without room for its priority";
                return Err(self.wrong(Rule::FrameSize, frame.stream, frame.at, words));
            }
            if depends_on(content) == frame.stream {
                let words = "a stream that depends on itself";
                return Err(self.wrong(Rule::Priority, frame.stream, frame.at, words));
            }
            content = &content[5..];
        }
        let known = self.streams.contains_key(&frame.stream);
        if known {
            self.receiving(frame, "HEADERS")?;
        } else if self.side == Side::Client {
            let words = "HEADERS on a stream that was never opened";
            return Err(self.wrong(Rule::IdleStream, frame.stream, frame.at, words));
        } else {
            self.open(frame)?;
        }
        self.block = Some(Block {
            stream: frame.stream,
            end: frame.has(frame::END_STREAM),
            bytes: content.to_vec(),
        });
        self.close_block(frame)
    }

    /// The client opens a stream.
    fn open(&mut self, frame: &Frame) -> Judged {
        let wrong = |rule, words: &str| Err(self.wrong(rule, frame.stream, frame.at, words));
        if frame.stream.is_multiple_of(2) {
            return wrong(Rule::StreamId, "a client opened a stream of an even number");
        }
        if frame.stream <= self.last_stream {
            return wrong(
                Rule::StreamId,
                "a stream's number is not above the last one's",
            );
        }
        if self.open_streams() >= self.own.max_streams as usize {
            return wrong(Rule::ConcurrentStreams, "more streams than were allowed");
        }
        self.last_stream = frame.stream;
        let stream = Stream::new(self.theirs.initial_window, self.own.initial_window);
        self.streams.insert(frame.stream, stream);
        Ok(())
    }

    fn continuation(&mut self, frame: &Frame) -> Judged {
        if let Some(block) = &mut self.block {
            block.bytes.extend_from_slice(&frame.payload);
        }
        self.close_block(frame)
    }

    fn close_block(&mut self, frame: &Frame) -> Judged {
        if !frame.has(frame::END_HEADERS) {
            return Ok(());
        }
        let Some(block) = self.block.take() else {
            return Ok(());
        };
        let (id, now, server) = (block.stream, self.now, self.side == Side::Server);
        let fields = self.decoder.decode(&block.bytes);
        let fields = fields.map_err(|(rule, words)| self.wrong(rule, id, frame.at, words))?;
        let stream = self.streams.get_mut(&id).expect("it is open");
        let first = stream.received.head.is_none();
        let judged = fields::judge(&fields, server, first, block.end);
        if first {
            stream.received.head = Some(fields);
            stream.received.head_at = Some(now);
        } else {
            stream.received.trailers = Some(fields);
        }
        let live = stream.sent.reset.is_none();
        if block.end {
            stream.received.ended = Some(now);
        }
        if live {
            if first {
                self.heard.push_back(Heard::Head(id));
            }
            if block.end {
                self.heard.push_back(Heard::Ended(id));
            }
        }
        judged.map_err(|words| self.wrong(Rule::Fields, id, frame.at, words))
    }

    fn rst_stream(&mut self, frame: &Frame) -> Judged {
        let code = frame.number().unwrap_or_default();
        let (now, id) = (self.now, frame.stream);
        let Some(stream) = self.streams.get_mut(&id) else {
            let words = "RST_STREAM on an idle stream";
            return Err(self.wrong(Rule::IdleStream, id, frame.at, words));
        };
        if stream.received.reset.is_some() {
            let words = "a second RST_STREAM";
            return Err(self.wrong(Rule::ClosedStream, id, frame.at, words));
        }
        let live = !stream.is_closed();
        stream.received.reset = Some((code, now));
        stream.waiting.clear();
        if live {
            self.heard.push_back(Heard::Reset(id, code));
        }
        Ok(())
    }

    fn settings(&mut self, frame: &Frame) -> Judged {
        let (side, at) = (self.side, frame.at);
        let wrong = |rule, words: &str| Err(Violation::new(rule, side, 0, at, words));
        if frame.has(frame::ACK) {
            if !frame.payload.is_empty() {
                return wrong(Rule::FrameSize, "an acknowledgement with settings");
            }
            let Some(settings) = self.unacknowledged.pop_front() else {
                return wrong(
                    Rule::SettingsAck,
                    "SETTINGS were acknowledged that nobody sent",
                );
            };
            self.acknowledged(&settings);
            return Ok(());
        }
        let (settings, []) = frame.payload.as_chunks::<6>() else {
            return wrong(Rule::FrameSize, "half a setting");
        };
        self.settings_seen = true;
        for [a, b, c, d, e, f] in settings {
            let (id, value) = (
                u16::from_be_bytes([*a, *b]),
                u32::from_be_bytes([*c, *d, *e, *f]),
            );
            match id {
                HEADER_TABLE_SIZE => self.encoder.allow(value as usize),
                ENABLE_PUSH if value > 1 || (value == 1 && self.side == Side::Client) => {
                    return Err(self.wrong(Rule::Settings, 0, frame.at, "ENABLE_PUSH"));
                }
                MAX_CONCURRENT_STREAMS => self.theirs.max_streams = value,
                INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.theirs.initial_window;
                    self.theirs.initial_window = i64::from(value);
                    let mut streams = self.streams.values_mut();
                    let over = streams.any(|stream| {
                        stream.send_window += change;
                        stream.send_window > MAX_WINDOW
                    });
                    if over || i64::from(value) > MAX_WINDOW {
                        let words = "SETTINGS take a window above 2^31-1";
                        return Err(self.wrong(Rule::WindowOverflow, 0, frame.at, words));
                    }
                }
                MAX_FRAME_SIZE if !(16_384..=0xff_ffff).contains(&value) => {
                    return Err(self.wrong(Rule::Settings, 0, frame.at, "MAX_FRAME_SIZE"));
                }
                MAX_FRAME_SIZE => self.theirs.max_frame = value,
                _ => {}
            }
        }
        self.put(frame::SETTINGS, frame::ACK, 0, &[]);
        Ok(())
    }

    /// From here on the peer goes by what it acknowledged.
    fn acknowledged(&mut self, settings: &[(u16, u32)]) {
        for (id, value) in settings {
            match *id {
                HEADER_TABLE_SIZE => self.decoder.allow(*value as usize),
                MAX_CONCURRENT_STREAMS => self.own.max_streams = *value,
                MAX_FRAME_SIZE => self.own.max_frame = *value,
                INITIAL_WINDOW_SIZE => {
                    let change = i64::from(*value) - self.own.initial_window;
                    self.own.initial_window = i64::from(*value);
                    for stream in self.streams.values_mut() {
                        stream.recv_window += change;
                    }
                }
                _ => {}
            }
        }
        self.ask_again();
    }

    fn ping(&mut self, frame: &Frame) -> Judged {
        let payload: [u8; 8] = frame.payload[..].try_into().expect("8 bytes");
        if !frame.has(frame::ACK) {
            self.put(frame::PING, frame::ACK, 0, &payload);
            self.heard.push_back(Heard::Ping);
            return Ok(());
        }
        let Some(place) = self.pings.iter().position(|sent| *sent == payload) else {
            let words = format!("PING {payload:02x?} was acknowledged, which nobody waits for");
            return Err(self.wrong(Rule::PingAck, 0, frame.at, words));
        };
        self.pings.remove(place);
        if payload == BANDWIDTH_PING {
            self.estimate();
        }
        self.heard.push_back(Heard::PingAck(payload));
        Ok(())
    }

    fn goaway(&mut self, frame: &Frame) -> Judged {
        let Some(([a, b, c, d, e, f, g, h], _)) = frame.payload.split_first_chunk::<8>() else {
            return Err(self.wrong(Rule::FrameSize, 0, frame.at, "a short GOAWAY"));
        };
        let last = u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff;
        let code = u32::from_be_bytes([*e, *f, *g, *h]);
        if self.goaway_limit().is_some_and(|before| last > before) {
            let words = "the last stream of a second GOAWAY is above the first one's";
            return Err(self.wrong(Rule::Goaway, 0, frame.at, words));
        }
        self.goaways_received.push((last, code));
        self.heard.push_back(Heard::Goaway { last, code });
        Ok(())
    }

    fn credited(&mut self, frame: &Frame) -> Judged {
        let increment = i64::from(frame.number().unwrap_or_default() & 0x7fff_ffff);
        let id = frame.stream;
        let (side, at) = (self.side, frame.at);
        let wrong = |rule, words: &str| Err(Violation::new(rule, side, id, at, words));
        if increment == 0 {
            return wrong(Rule::ZeroIncrement, "WINDOW_UPDATE of 0");
        }
        if id == 0 {
            self.send_window += increment;
            if self.send_window > MAX_WINDOW {
                let words = "the connection's window above 2^31-1";
                return Err(self.wrong(Rule::WindowOverflow, 0, frame.at, words));
            }
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            return wrong(Rule::IdleStream, "WINDOW_UPDATE on an idle stream");
        };
        if stream.received.reset.is_some() {
            return wrong(
                Rule::ClosedStream,
                "WINDOW_UPDATE after the peer's RST_STREAM",
            );
        }
        stream.send_window += increment;
        if stream.send_window > MAX_WINDOW {
            return wrong(Rule::WindowOverflow, "the stream's window above 2^31-1");
        }
        Ok(())
    }
}

/// The stream that a priority names.
fn depends_on(priority: &[u8]) -> u32 {
    let first = priority.first_chunk::<4>().copied().unwrap_or_default();
    u32::from_be_bytes(first) & 0x7fff_ffff
}
