//! What the peers say: frames that are mostly in order, so that the fuzzer gets
//! beyond the first of them.

use std::collections::VecDeque;

use etcdtap::http2::hpack::{Encoder, Indexing};
use etcdtap::http2::{Both, ErrorCode, Flags, FrameType, SettingId, Side, StreamId, frame_encoder};

/// A method, and a request of it.
const METHODS: [(&str, &[u8]); 6] = [
    (
        "/etcdserverpb.KV/Range",
        b"\x0a\x12/registry/pods/a/b",
    ),
    (
        "/etcdserverpb.KV/Txn",
        b"\x0a\x1a\x10\x00\x18\x02\x1a\x12/registry/pods/a/b8\x07\x12\x1b\x12\x19\x0a\x12/registry/pods/a/b\x12\x03abc\x1a\x16\x0a\x14\x0a\x12/registry/pods/a/b",
    ),
    (
        "/etcdserverpb.KV/Put",
        b"\x0a\x12/registry/pods/a/b\x12\x03abc",
    ),
    (
        "/etcdserverpb.Watch/Watch",
        b"\x0a\x22\x0a\x0f/registry/pods/\x12\x0f/registry/pods0",
    ),
    ("/etcdserverpb.Lease/LeaseKeepAlive", b"\x08\x07"),
    ("/example.Test/Call", b"anything"),
];

/// Where the Watch stream stands among them.
const WATCH: usize = 3;

/// etcd's header of an answer.
const HEADER: &[u8] = b"\x0a\x08\x08\x07\x10\x08\x18\x29\x20\x02";

/// What a client asks on a Watch stream: a watch, its end, how far it is.
const WATCH_ASKS: [&[u8]; 4] = [
    METHODS[WATCH].1,
    b"\x12\x00",
    b"\x12\x02\x08\x01",
    b"\x1a\x00",
];

/// What etcd says there, behind a header: creations, events, a fragment, an end,
/// progress of one watch and of all.
const WATCH_SAYS: [&[u8]; 8] = [
    b"\x18\x01",
    b"\x10\x01\x18\x01",
    b"\x5a\x16\x12\x14\x0a\x12/registry/pods/a/b",
    b"\x10\x01\x5a\x18\x08\x01\x12\x14\x0a\x12/registry/pods/a/c",
    b"\x38\x01\x5a\x16\x12\x14\x0a\x12/registry/pods/a/b",
    b"\x20\x01",
    b"",
    b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
];

#[derive(Default)]
pub struct Speech {
    /// What was said and has not come yet.
    pub said: Both<Vec<u8>>,
    encoders: Both<Encoder>,
    calls: Vec<Call>,
    /// Table sizes that the other side has announced and this one has not
    /// acknowledged, and the one that its next block begins with.
    tables: Both<VecDeque<Option<u32>>>,
    owed: Both<Option<u32>>,
}

struct Call {
    id: StreamId,
    request: &'static [u8],
    watches: bool,
    lanes: Both<Lane>,
}

#[derive(Default)]
struct Lane {
    has_head: bool,
    /// Of the message at hand.
    rest: Vec<u8>,
    over: bool,
}

impl Speech {
    fn block(&mut self, side: Side, fields: &[(&str, &str)], indexing: Indexing) -> Vec<u8> {
        let mut block = Vec::new();
        if let Some(bytes) = self.owed[side].take() {
            self.encoders[side].size_update(bytes.min(4096), &mut block);
        }
        for (name, value) in fields {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            self.encoders[side].field(name, value, indexing, &mut block);
        }
        block
    }

    fn call(&self, which: u8) -> Option<usize> {
        // 0 is the youngest.
        let last = self.calls.len().checked_sub(1)?;
        Some(last - usize::from(which) % (last + 1))
    }

    /// The client opens a call.
    pub fn open(&mut self, how: u8) {
        let method = usize::from(how & 0x0f) % METHODS.len();
        let (path, request) = METHODS[method];
        let indexing = indexing(how);
        let value = format!("{how}");
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            ("content-type", "application/grpc"),
            ("user-agent", "fuzz/1"),
            ("x-own", &value),
        ];
        let id = StreamId::from_bits(2 * self.calls.len() as u32 + 1);
        let block = self.block(Side::Client, &fields, indexing);
        let out = &mut self.said.client;
        let most = if how & 0x40 == 0 { 16_384 } else { 20 };
        frame_encoder::headers(out, id, &block, false, most);
        let mut lanes: Both<Lane> = Both::default();
        lanes.client.has_head = true;
        let watches = method == WATCH;
        self.calls.push(Call {
            id,
            request,
            watches,
            lanes,
        });
    }

    /// A message begins: of `how & 7` sizes, whole or only its first bytes (bit
    /// 6), with END_STREAM (bit 7), padded (bit 5).
    pub fn message(&mut self, side: Side, which: u8, how: u8) {
        let Some(n) = self.call(which) else { return };
        if self.calls[n].lanes[side].over {
            return;
        }
        self.head(side, n, how);
        let call = &mut self.calls[n];
        let (one, other) = (usize::from(how >> 3 & 3), usize::from(how & 1));
        let own: Vec<u8> = match side {
            Side::Client if call.watches => WATCH_ASKS[one].into(),
            Side::Client => call.request.into(),
            Side::Server if call.watches => [HEADER, WATCH_SAYS[one | other << 2]].concat(),
            Side::Server => HEADER.into(),
        };
        // An unknown field makes it larger.
        let filler = [0, 0, 1, 300, 5000, 16_384, 30_000, 70_000][usize::from(how & 7)];
        let mut message = own;
        if filler > 0 {
            message.extend([0xfa, 0x7f]);
            let mut rest: u32 = filler;
            while rest >= 128 {
                message.push(rest as u8 | 128);
                rest >>= 7;
            }
            message.push(rest as u8);
            message.resize(message.len() + filler as usize, 0x7a);
        }
        let lane = &mut call.lanes[side];
        lane.rest.push(0);
        lane.rest.extend((message.len() as u32).to_be_bytes());
        lane.rest.extend(message);
        let now = match how & 0x40 {
            0 => lane.rest.len(),
            _ => 7,
        };
        self.data(side, n, now, how & 0x20 != 0, how & 0x80 != 0);
    }

    /// More of the message at hand.
    pub fn more(&mut self, side: Side, which: u8, bytes: usize) {
        if let Some(n) = self.call(which)
            && !self.calls[n].lanes[side].over
        {
            self.head(side, n, 0);
            self.data(side, n, bytes, false, false);
        }
    }

    fn head(&mut self, side: Side, n: usize, how: u8) {
        if self.calls[n].lanes[side].has_head {
            return;
        }
        self.calls[n].lanes[side].has_head = true;
        let fields = [(":status", "200"), ("content-type", "application/grpc")];
        let block = self.block(side, &fields, indexing(how));
        let id = self.calls[n].id;
        frame_encoder::headers(&mut self.said[side], id, &block, false, 16_384);
    }

    fn data(&mut self, side: Side, n: usize, bytes: usize, padded: bool, end: bool) {
        let Call { id, lanes, .. } = &mut self.calls[n];
        let lane = &mut lanes[side];
        let bytes = bytes.min(lane.rest.len());
        let now: Vec<u8> = lane.rest.drain(..bytes).collect();
        let end = end && lane.rest.is_empty();
        let out = &mut self.said[side];
        let mut parts = now.chunks(16_000).peekable();
        if parts.peek().is_none() {
            frame_encoder::padded_data(out, *id, &[], padded.then_some(3), end);
        }
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            frame_encoder::padded_data(out, *id, part, padded.then_some(3), end && last);
        }
        lane.over |= end;
    }

    /// The side ends the call, in order.
    pub fn end(&mut self, side: Side, which: u8) {
        let Some(n) = self.call(which) else { return };
        if self.calls[n].lanes[side].over {
            return;
        }
        match side {
            Side::Client => {
                self.calls[n].lanes.client.rest.clear();
                self.data(side, n, 0, false, true);
            }
            Side::Server => {
                let call = &mut self.calls[n];
                call.lanes.server.over = true;
                let id = call.id;
                let has_head = std::mem::replace(&mut call.lanes.server.has_head, true);
                let fields = [(":status", "200"), ("grpc-status", "0"), ("x", "y")];
                let fields = &fields[usize::from(has_head)..];
                let block = self.block(side, fields, indexing(which));
                frame_encoder::headers(&mut self.said.server, id, &block, true, 16_384);
            }
        }
    }

    /// Also of one that is over.
    pub fn reset(&mut self, side: Side, which: u8, code: ErrorCode) {
        if let Some(n) = self.call(which) {
            let Call { id, lanes, .. } = &mut self.calls[n];
            lanes[side].over = true;
            frame_encoder::rst_stream(&mut self.said[side], *id, code);
        }
    }

    pub fn credit(&mut self, side: Side, which: u8, how: u8) {
        let increment = [1, 1000, 16_384, 65_535][usize::from(how & 3)];
        let id = match self.call(which) {
            Some(n) if how & 0x80 == 0 => self.calls[n].id,
            _ => StreamId::CONNECTION,
        };
        frame_encoder::window_update(&mut self.said[side], id, increment);
    }

    pub fn settings(&mut self, side: Side, which: u8, value: u8) {
        let n = usize::from(value);
        let setting = match which % 5 {
            0 => (
                SettingId::INITIAL_WINDOW_SIZE,
                [0, 10, 1000, 65_535, 200_000][n % 5],
            ),
            1 => (
                SettingId::MAX_FRAME_SIZE,
                [16_384, 16_384, 20_000, 100_000][n % 4],
            ),
            2 => (SettingId::HEADER_TABLE_SIZE, [0, 100, 4096, 10_000][n % 4]),
            3 => (SettingId::MAX_CONCURRENT_STREAMS, u32::from(value)),
            _ => (SettingId(0x99), u32::from(value)),
        };
        let table = Some(setting.1).filter(|_| setting.0 == SettingId::HEADER_TABLE_SIZE);
        self.tables[side.peer()].push_back(table);
        frame_encoder::settings(&mut self.said[side], &[setting]);
    }

    /// The oldest SETTINGS of the other side, or none.
    pub fn acknowledge(&mut self, side: Side) {
        if let Some(Some(table)) = self.tables[side].pop_front() {
            self.owed[side] = Some(self.owed[side].map_or(table, |owed| owed.min(table)));
        }
        frame_encoder::settings_ack(&mut self.said[side]);
    }

    pub fn ping(&mut self, side: Side, payload: u8) {
        let ack = payload & 1 == 1;
        frame_encoder::ping(&mut self.said[side], ack, [payload >> 1; 8]);
    }

    /// What is left of frames.
    pub fn rest(&mut self, side: Side, how: u8) {
        let id = self
            .call(how >> 2)
            .map_or(StreamId::from_bits(1), |n| self.calls[n].id);
        let out = &mut self.said[side];
        match how & 3 {
            0 => frame_encoder::goaway(out, id, ErrorCode::NO_ERROR, b"bye"),
            1 => frame_encoder::priority(out, id, 0, 7),
            2 => frame_encoder::raw(out, FrameType(0x77), Flags::NONE, id, b"unknown"),
            _ => frame_encoder::data(out, id, b"", false),
        }
    }
}

fn indexing(how: u8) -> Indexing {
    match how >> 4 & 3 {
        0 | 1 => Indexing::Incremental,
        2 => Indexing::Without,
        _ => Indexing::Never,
    }
}
