//! An endpoint that does not act: it stands beside a real peer of a capture,
//! hears what that one says, and judges what reaches it.

use std::time::Instant;

use etcdtap::http2::Side;

use super::endpoint::{Endpoint, Taste};
use super::frame::{self, Cutter, Frame};
use super::random::Random;
use super::stream::Stream;
use super::violation::Violation;

/// It credits nothing and asks for nothing by itself.
pub const STILL: Taste = Taste {
    oddities: 0,
    window_target: 65_535,
    window_step: i64::MAX,
    stream_share: 1,
    bandwidth: false,
    appetite: 0,
    restless: 0,
    limits_streams: false,
    sip: false,
    late_credit: false,
};

#[derive(Debug)]
pub struct Bystander {
    pub end: Endpoint,
    cutter: Cutter,
    greeted: bool,
    /// How often a PING of the peer's may be acknowledged: a core may answer in
    /// the place of a recorded peer, whose own answer comes all the same.
    pub echoes: usize,
}

impl Bystander {
    pub fn beside(side: Side, now: Instant) -> Bystander {
        Bystander {
            end: Endpoint::new(side, STILL, Random::new(0), now),
            cutter: Cutter::default(),
            greeted: side == Side::Server,
            echoes: 1,
        }
    }

    /// The peer says something.
    pub fn says(&mut self, bytes: &[u8], now: Instant) {
        self.end.now = now;
        self.cutter.feed(bytes);
        if !self.greeted {
            if self.cutter.rest().len() < frame::PREFACE.len() {
                return;
            }
            self.cutter.skip(frame::PREFACE.len());
            self.greeted = true;
        }
        while let Ok(Some(frame)) = self.cutter.next(u32::MAX) {
            self.sent(&frame, now);
        }
    }

    fn sent(&mut self, frame: &Frame, now: Instant) {
        let (end, id) = (&mut self.end, frame.stream);
        let opens = frame.kind == frame::HEADERS && end.side == Side::Client;
        if opens && !end.streams.contains_key(&id) {
            let stream = Stream::new(end.theirs.initial_window, end.own.initial_window);
            end.streams.insert(id, stream);
        }
        let number = frame.number().unwrap_or_default();
        let stream = end.streams.get_mut(&id);
        match frame.kind {
            frame::SETTINGS if !frame.has(frame::ACK) => {
                let (settings, _) = frame.payload.as_chunks::<6>();
                let settings = settings.iter().map(|[a, b, c, d, e, f]| {
                    (
                        u16::from_be_bytes([*a, *b]),
                        u32::from_be_bytes([*c, *d, *e, *f]),
                    )
                });
                end.unacknowledged.push_back(settings.collect());
            }
            frame::PING if !frame.has(frame::ACK) => {
                let payload = frame.payload.first_chunk().copied();
                let pings = std::iter::repeat_n(payload.unwrap_or_default(), self.echoes);
                end.pings.extend(pings);
            }
            frame::WINDOW_UPDATE if id == 0 => end.recv_window += i64::from(number),
            frame::WINDOW_UPDATE => {
                if let Some(stream) = stream {
                    stream.recv_window += i64::from(number);
                }
            }
            frame::RST_STREAM => {
                if let Some(stream) = stream {
                    stream.sent.reset.get_or_insert((number, now));
                }
            }
            frame::DATA | frame::HEADERS => {
                let Some(stream) = stream else {
                    return;
                };
                if frame.kind == frame::DATA {
                    stream.send_window -= frame.payload.len() as i64;
                    end.send_window -= frame.payload.len() as i64;
                }
                if frame.has(frame::END_STREAM) {
                    stream.sent.ended = Some(now);
                }
            }
            _ => {}
        }
    }

    /// Something reaches the peer.
    pub fn gets(&mut self, bytes: &[u8], now: Instant) -> Result<(), Violation> {
        self.end.receive(bytes, now)?;
        self.end.out.clear();
        self.end.heard.clear();
        Ok(())
    }
}
