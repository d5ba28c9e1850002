//! What an endpoint sends: always within what it was granted.

use std::time::Instant;

use super::endpoint::{
    BANDWIDTH_PING, Endpoint, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE,
};
use super::frame;
use super::hpack::Field;
use super::stream::{Piece, Stream};

/// Above this the bandwidth is not estimated any further, as in grpc-go.
const BANDWIDTH_LIMIT: i64 = 16 << 20;

impl Endpoint {
    pub fn send_settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        self.put(frame::SETTINGS, 0, 0, &payload);
        self.unacknowledged.push_back(settings.to_vec());
    }

    /// Settings as chance has them; `windows`: the initial window, too.
    pub fn random_settings(&mut self, windows: bool) -> Vec<(u16, u32)> {
        let mut settings = Vec::new();
        let random = &mut self.random;
        if windows && random.chance(60) {
            let sizes = [0, 1, 10, 100, 1000, 20_000, 65_535, 100_000];
            settings.push((INITIAL_WINDOW_SIZE, random.pick(&sizes)));
        }
        if random.chance(30) {
            settings.push((
                MAX_FRAME_SIZE,
                random.pick(&[16_384, 16_385, 40_000, 0xff_ffff]),
            ));
        }
        if random.chance(40) {
            settings.push((HEADER_TABLE_SIZE, random.pick(&[0, 64, 200, 4096, 10_000])));
        }
        if self.taste.limits_streams && random.chance(20) {
            settings.push((MAX_CONCURRENT_STREAMS, random.pick(&[3, 10, 100])));
        }
        if random.chance(20) {
            settings.push((MAX_HEADER_LIST_SIZE, 1 << 20));
        }
        if random.chance(10) {
            settings.push((0x1234, 7));
        }
        settings
    }

    pub fn send_ping(&mut self, payload: [u8; 8]) {
        self.put(frame::PING, 0, 0, &payload);
        self.pings.push(payload);
    }

    pub fn send_goaway(&mut self, last: u32, code: u32, words: &[u8]) {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(words);
        self.put(frame::GOAWAY, 0, 0, &payload);
        self.goaways_sent.push((last, code));
    }

    pub fn may_open(&self) -> bool {
        self.goaways_received.is_empty() && self.open_streams() < self.theirs.max_streams as usize
    }

    /// The client opens a stream.
    pub fn open_stream(&mut self, head: Vec<Field>) -> u32 {
        self.last_stream = match self.last_stream {
            0 => 1,
            last => last + 2,
        };
        let id = self.last_stream;
        let stream = Stream::new(self.theirs.initial_window, self.own.initial_window);
        self.streams.insert(id, stream);
        self.send_block(id, head, false, false);
        id
    }

    fn send_block(&mut self, id: u32, fields: Vec<Field>, trailers: bool, end: bool) {
        self.oddity(id);
        let block = self.encoder.encode(&fields, &mut self.random);
        let stream = self.streams.get_mut(&id).expect("it is open");
        if trailers {
            stream.sent.trailers = Some(fields);
        } else {
            stream.sent.head = Some(fields);
            stream.sent.head_at = Some(self.now);
        }
        if end {
            stream.sent.ended = Some(self.now);
        }
        let odd = self.random.chance(self.taste.oddities);
        let mut rest = &block[..];
        let mut flags = if end { frame::END_STREAM } else { 0 };
        let mut payload = Vec::new();
        let mut padding = 0;
        if odd && self.random.chance(40) {
            padding = self.random.below(40);
            payload.push(padding as u8);
            flags |= frame::PADDED;
        }
        if odd && self.random.chance(40) {
            flags |= frame::WITH_PRIORITY;
            payload.extend_from_slice(&[0, 0, 0, 0, 15]);
        }
        let room = self.theirs.max_frame as usize - payload.len() - padding;
        let mut kind = frame::HEADERS;
        loop {
            let limit = if kind == frame::HEADERS {
                room
            } else {
                self.theirs.max_frame as usize
            };
            let mut n = rest.len().min(limit);
            if odd && self.random.chance(60) {
                n = self.random.below(n + 1);
            }
            let (part, later) = rest.split_at(n);
            rest = later;
            payload.extend_from_slice(part);
            payload.resize(payload.len() + std::mem::take(&mut padding), 0);
            if rest.is_empty() {
                flags |= frame::END_HEADERS;
            }
            self.put(kind, flags, id, &payload);
            if rest.is_empty() {
                return;
            }
            (kind, flags) = (frame::CONTINUATION, 0);
            payload.clear();
        }
    }

    /// Something that changes nothing.
    fn oddity(&mut self, id: u32) {
        if !self.random.chance(self.taste.oddities) {
            return;
        }
        match self.random.below(4) {
            0 => self.put(frame::PRIORITY, 0, id, &[0, 0, 0, 0, 3]),
            1 => self.put(0x77, 0xff, id, b"unknown"),
            2 => self.put(0x0f, 1, 0, &[]),
            _ => {
                let unheard = self.streams.get(&id).is_some_and(|s| s.sent.head.is_none());
                let over = self.streams.get(&id).is_none_or(|s| !s.may_send());
                if !unheard && !over {
                    self.put(frame::DATA, 0, id, &[]);
                }
            }
        }
    }

    pub fn queue(&mut self, id: u32, piece: Piece) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|s| s.may_send()) {
            stream.waiting.push_back(piece);
        }
    }

    /// RST_STREAM, at once.
    pub fn reset(&mut self, id: u32, code: u32) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id).filter(|s| !s.is_closed()) else {
            return;
        };
        stream.sent.reset = Some((code, now));
        stream.waiting.clear();
        self.put(frame::RST_STREAM, 0, id, &code.to_be_bytes());
    }

    /// Sends up to so many portions of what waits, where windows allow.
    pub fn flush(&mut self, portions: usize, now: Instant) -> bool {
        self.now = now;
        let mut progress = false;
        for _ in 0..portions {
            let room = self.send_window;
            let ready: Vec<u32> = self
                .streams
                .iter()
                .filter(|(_, stream)| match stream.waiting.front() {
                    None => false,
                    Some(Piece::Data(..)) => room > 0 && stream.send_window > 0,
                    Some(_) => true,
                })
                .map(|(id, _)| *id)
                .collect();
            if ready.is_empty() {
                if self
                    .streams
                    .values()
                    .any(|stream| !stream.waiting.is_empty())
                {
                    self.starved[usize::from(room > 0)] += 1;
                }
                break;
            }
            let id = self.random.pick(&ready);
            self.portion(id);
            progress = true;
        }
        progress
    }

    fn portion(&mut self, id: u32) {
        let stream = self.streams.get_mut(&id).expect("it is ready");
        let piece = stream.waiting.pop_front().expect("it is ready");
        let last = matches!(stream.waiting.front(), Some(Piece::End));
        match piece {
            Piece::Head(fields) => {
                if last {
                    stream.waiting.pop_front();
                }
                self.send_block(id, fields, false, last);
            }
            Piece::Trailers(fields) => self.send_block(id, fields, true, true),
            Piece::Reset(code) => self.reset(id, code),
            Piece::End => {
                stream.sent.ended = Some(self.now);
                self.put(frame::DATA, frame::END_STREAM, id, &[]);
            }
            Piece::Data(bytes, sent) => self.send_data(id, bytes, sent, last),
        }
    }

    fn send_data(&mut self, id: u32, bytes: Vec<u8>, sent: usize, last: bool) {
        self.oddity(id);
        let stream = self.streams.get_mut(&id).expect("it is ready");
        let window = self.send_window.min(stream.send_window) as usize;
        let room = window.min(self.theirs.max_frame as usize);
        let odd = self.random.chance(self.taste.oddities);
        let mut payload = Vec::new();
        let mut padding = 0;
        if odd && room > 10 && self.random.chance(50) {
            padding = self.random.below((room - 1).min(200));
            payload.push(padding as u8);
        }
        let mut n = (bytes.len() - sent).min(room - payload.len() - padding);
        if odd && self.random.chance(70) {
            n = self.random.within(1.min(n), n);
        }
        let part = &bytes[sent..sent + n];
        let mut flags = if payload.is_empty() { 0 } else { frame::PADDED };
        payload.extend_from_slice(part);
        payload.resize(payload.len() + padding, 0);
        stream.sent.push(part, self.now);
        stream.send_window -= payload.len() as i64;
        self.send_window -= payload.len() as i64;
        if sent + n < bytes.len() {
            stream.waiting.push_front(Piece::Data(bytes, sent + n));
        } else if last && self.random.chance(70) {
            stream.waiting.pop_front();
            stream.sent.ended = Some(self.now);
            flags |= frame::END_STREAM;
        }
        self.put(frame::DATA, flags, id, &payload);
    }

    fn window_update(&mut self, id: u32, increment: i64) {
        self.put(
            frame::WINDOW_UPDATE,
            0,
            id,
            &(increment as u32).to_be_bytes(),
        );
    }

    /// Credit on the connection, on receipt; and the bandwidth's PING.
    pub fn credit_connection(&mut self, n: i64) {
        self.uncredited += n;
        let measure = self.taste.bandwidth && self.sample.is_none();
        match &mut self.sample {
            Some(sample) => *sample += n,
            None if measure => self.sample = Some(n),
            None => {}
        }
        if self.frames[0] > 3000 {
            // A window of a few bytes would make the run endless.
            self.taste.window_target = self.taste.window_target.max(1000);
        }
        let spent = self.taste.window_target - self.recv_window;
        if spent > 0 && (spent >= self.taste.window_step || measure) {
            self.recv_window += spent;
            // What goes beyond is growth.
            self.uncredited = (self.uncredited - spent).max(0);
            self.window_update(0, spent);
        }
        if measure {
            self.send_ping(BANDWIDTH_PING);
        }
    }

    /// The bandwidth's PING came back.
    pub fn estimate(&mut self) {
        let sample = self.sample.take().unwrap_or_default();
        if self.bandwidth >= BANDWIDTH_LIMIT || sample * 100 < self.bandwidth * 66 {
            return;
        }
        self.bandwidth = (sample * 2).min(BANDWIDTH_LIMIT);
        let more = self.bandwidth - self.taste.window_target;
        if more > 0 {
            self.taste.window_target = self.bandwidth;
            self.recv_window += more;
            self.window_update(0, more);
        }
        self.send_settings(&[(INITIAL_WINDOW_SIZE, self.bandwidth as u32)]);
    }

    /// Gives back every credit, so that windows can be compared: a relay that
    /// credited early waits for them.
    pub fn give_back(&mut self) {
        let due = std::mem::take(&mut self.uncredited);
        if due > 0 {
            self.recv_window += due;
            self.window_update(0, due);
        }
        let open = self.streams.iter_mut().filter(|(_, s)| s.may_receive());
        let owed: Vec<(u32, i64)> = open
            .filter(|(_, stream)| stream.reader.owed > 0)
            .map(|(id, stream)| {
                let owed = std::mem::take(&mut stream.reader.owed);
                stream.recv_window += owed;
                (*id, owed)
            })
            .collect();
        for (id, owed) in owed {
            self.window_update(id, owed);
        }
    }

    /// The application reads all that is there on a stream; whole messages are
    /// counted in `reader.messages`.
    pub fn read(&mut self, id: u32, now: Instant) {
        self.now = now;
        loop {
            let Some(stream) = self.streams.get_mut(&id) else {
                return;
            };
            let reader = &mut stream.reader;
            if reader.wanted == reader.has {
                (reader.wanted, reader.has) = match reader.prefix {
                    None => (5, 0),
                    Some([_, a, b, c, d]) => (u32::from_be_bytes([a, b, c, d]) as usize, 0),
                };
            }
            let there = &stream.received.data[reader.taken..];
            let n = there.len().min(reader.wanted - reader.has);
            reader.has += n;
            reader.taken += n;
            let done = reader.has == reader.wanted;
            if done {
                match reader.prefix.take() {
                    Some(_) => reader.messages += 1,
                    None => {
                        let prefix = &stream.received.data[reader.taken - 5..reader.taken];
                        reader.prefix = prefix.first_chunk().copied();
                    }
                }
                (reader.wanted, reader.has) = (0, 0);
            }
            self.credit_stream(id, n as i64);
            if !done {
                self.ask(id);
                return;
            }
        }
    }

    /// The application took `n` bytes.
    fn credit_stream(&mut self, id: u32, n: i64) {
        let (share, late) = (self.taste.stream_share, self.taste.late_credit);
        let limit = self.own.initial_window;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let reader = &mut stream.reader;
        let paid = n.min(reader.delta);
        reader.delta -= paid;
        reader.owed += n - paid;
        let reset = stream.sent.reset.is_some() || stream.received.reset.is_some();
        let owed = stream.reader.owed;
        let due = owed > 0 && (share == 0 || owed >= limit / share);
        if due && !reset && (late || stream.may_receive()) {
            stream.reader.owed = 0;
            stream.recv_window += owed;
            self.window_update(id, owed);
        }
    }

    /// Gives window where the application waits for more than the window lets
    /// come (grpc-go's `maybeAdjust`).
    fn ask(&mut self, id: u32) {
        let sip = self.random.within(1, 40) as i64;
        let Some(stream) = self.streams.get_mut(&id).filter(|s| s.may_receive()) else {
            return;
        };
        let reader = &mut stream.reader;
        let there = stream.received.data.len() - reader.taken;
        let missing = (reader.wanted - reader.has) as i64 - there as i64;
        if missing <= stream.recv_window || missing <= 0 {
            return;
        }
        let more = if !self.taste.sip {
            missing - stream.recv_window.min(0)
        } else if stream.recv_window <= 0 {
            sip - stream.recv_window
        } else {
            return;
        };
        reader.delta += more;
        stream.recv_window += more;
        self.window_update(id, more);
    }

    /// Windows may have fallen under what the applications wait for.
    pub fn ask_again(&mut self) {
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            if self.streams[&id].reader.wanted > 0 {
                self.ask(id);
            }
        }
    }
}
