//! An HTTP/2 endpoint that keeps every rule and forgives nothing: what is common
//! to the client and the server model. `receive` judges, `send` obeys.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use etcdtap::http2::Side;

use super::frame::{self, Cutter, Seen};
use super::hpack::{Decoder, Encoder};
use super::random::Random;
use super::stream::Stream;
use super::violation::{Rule, Violation};

pub const HEADER_TABLE_SIZE: u16 = 1;
pub const ENABLE_PUSH: u16 = 2;
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;
pub const MAX_FRAME_SIZE: u16 = 5;
pub const MAX_HEADER_LIST_SIZE: u16 = 6;

/// grpc-go's payload of every bandwidth PING.
pub const BANDWIDTH_PING: [u8; 8] = [2, 4, 16, 16, 9, 14, 7, 7];

/// How many frames of each leg are kept for a failure's history.
const KEPT: usize = 40;

/// The settings that one end goes by.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub initial_window: i64,
    pub max_frame: u32,
    pub max_streams: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            initial_window: 65_535,
            max_frame: 16_384,
            max_streams: u32::MAX,
        }
    }
}

/// How an endpoint likes to do things; drawn once.
#[derive(Debug, Clone, Copy)]
pub struct Taste {
    /// Percent of frames that are padded, split or preceded by PRIORITY and
    /// frames of unknown types.
    pub oddities: usize,
    /// The connection window is topped up to this...
    pub window_target: i64,
    /// ...when it has fallen by so much.
    pub window_step: i64,
    /// Stream credit is given when a 1/n of the window is owed; 0: at once.
    pub stream_share: i64,
    /// Whether the bandwidth is estimated by PINGs.
    pub bandwidth: bool,
    /// Percent of chances at which the application reads.
    pub appetite: usize,
    /// Percent of acts in which settings change.
    pub restless: usize,
    /// Whether the number of streams is limited now and then.
    pub limits_streams: bool,
    /// A message larger than the window gets its window in sips.
    pub sip: bool,
    /// Credit is given for streams whose peer has ended, as grpc-go does.
    pub late_credit: bool,
}

/// What an endpoint's application is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Head(u32),
    Data(u32),
    Ended(u32),
    Reset(u32, u32),
    Ping,
    PingAck([u8; 8]),
    Goaway { last: u32, code: u32 },
}

/// A header block whose CONTINUATION is awaited.
#[derive(Debug)]
pub struct Block {
    pub stream: u32,
    pub end: bool,
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub struct Endpoint {
    pub side: Side,
    pub random: Random,
    pub taste: Taste,
    pub out: Vec<u8>,
    pub heard: VecDeque<Heard>,
    pub streams: BTreeMap<u32, Stream>,
    pub began: Instant,
    pub now: Instant,

    // What was said in settings: `own` holds for the peer once acknowledged.
    pub own: Limits,
    pub unacknowledged: VecDeque<Vec<(u16, u32)>>,
    pub theirs: Limits,
    pub settings_seen: bool,

    pub send_window: i64,
    pub recv_window: i64,
    /// DATA received on the connection that was not credited.
    pub uncredited: i64,
    /// Sum of DATA received since the bandwidth PING left, if one is under way.
    pub sample: Option<i64>,
    pub bandwidth: i64,

    pub cutter: Cutter,
    pub preface_due: bool,
    pub block: Option<Block>,
    pub decoder: Decoder,
    pub encoder: Encoder,
    pub pings: Vec<[u8; 8]>,
    pub goaways_sent: Vec<(u32, u32)>,
    pub goaways_received: Vec<(u32, u32)>,
    /// Highest stream the client opened, as seen here.
    pub last_stream: u32,

    pub history_in: VecDeque<Seen>,
    pub history_out: VecDeque<Seen>,
    pub frames: [u64; 2],
    /// HEADERS and DATA frames sent.
    pub content_frames: u64,
    /// Chances at which DATA had to wait for the connection's window, and for a
    /// stream's.
    pub starved: [u64; 2],
}

impl Endpoint {
    pub fn new(side: Side, taste: Taste, random: Random, now: Instant) -> Endpoint {
        Endpoint {
            side,
            random,
            taste,
            out: Vec::new(),
            heard: VecDeque::new(),
            streams: BTreeMap::new(),
            began: now,
            now,
            own: Limits::default(),
            unacknowledged: VecDeque::new(),
            theirs: Limits::default(),
            settings_seen: false,
            send_window: 65_535,
            recv_window: 65_535,
            uncredited: 0,
            sample: None,
            bandwidth: 65_535,
            cutter: Cutter::default(),
            preface_due: side == Side::Server,
            block: None,
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            pings: Vec::new(),
            goaways_sent: Vec::new(),
            goaways_received: Vec::new(),
            last_stream: 0,
            history_in: VecDeque::new(),
            history_out: VecDeque::new(),
            frames: [0; 2],
            content_frames: 0,
            starved: [0; 2],
        }
    }

    /// A violation of what came last.
    pub fn wrong(&self, rule: Rule, stream: u32, at: u64, words: impl Into<String>) -> Violation {
        Violation::new(rule, self.side, stream, at, words)
    }

    /// Puts a frame out.
    pub fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let seen = self.seen(kind, flags, stream, payload);
        keep(&mut self.history_out, seen);
        self.frames[1] += 1;
        self.content_frames += u64::from(kind <= frame::HEADERS);
        frame::write(&mut self.out, kind, flags, stream, payload);
    }

    pub fn seen(&self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Seen {
        let milliseconds = self.now.duration_since(self.began).as_millis() as u64;
        Seen::new(kind, flags, stream, payload, milliseconds)
    }

    /// Streams that count against SETTINGS_MAX_CONCURRENT_STREAMS.
    pub fn open_streams(&self) -> usize {
        let open = self.streams.values().filter(|stream| !stream.is_closed());
        open.count()
    }

    /// The highest stream that a GOAWAY lets the client use.
    pub fn goaway_limit(&self) -> Option<u32> {
        let received = self.goaways_received.last();
        received.map(|(last, _)| *last)
    }
}

pub fn keep(history: &mut VecDeque<Seen>, seen: Seen) {
    if history.len() == KEPT {
        history.pop_front();
    }
    history.push_back(seen);
}
