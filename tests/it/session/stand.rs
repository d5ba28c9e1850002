//! Two scripted peers around a session whose judge is told what to say. What
//! reaches a peer is written down frame by frame.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::{Asked, FaultId, Hit, Judge, Refreshed, Suspicion, Verdict};
use etcdtap::etcd::warden::{Admitted, Outlook, Warden};
use etcdtap::etcd::watch_verdict::{AskedWatch, Moment, Stamp, Strike, WatchAct};
use etcdtap::etcd::{Call, Event, Session, SessionOptions};
use etcdtap::http2::hpack::{Decoder, Encoder, Indexing};
use etcdtap::http2::{Both, Deframer, PREFACE, Piece, SettingId, Side, frame_encoder};
use etcdtap::relay::{EndOfBytes, Peers, Transmit};

use super::script::{id, peers, prefixed};

/// Gives each call its verdict, by its path.
type Decide = dyn FnMut(&Asked<'_>) -> Option<Verdict> + Send;

/// Says what strikes a watch at a moment.
pub type StrikeWatch = dyn FnMut(&AskedWatch<'_>, Moment<'_>) -> Vec<WatchAct> + Send;

/// What a test and its judge share.
#[derive(Default)]
pub struct Bench {
    /// Where there is one, watches are touched.
    pub watches: Option<Box<StrikeWatch>>,
    /// Until when what strikes a watch holds.
    pub until: Option<Instant>,
    pub lifted: bool,
    pub changed: bool,
    pub disarmed: bool,
    pub gave_up: Vec<String>,
    pub asked: Vec<String>,
    /// What the warden says at each look, and nothing then.
    pub outlooks: VecDeque<Outlook>,
}

/// A warden who is told what to say.
struct Foretold(Arc<Mutex<Bench>>);

impl std::fmt::Debug for Foretold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a warden who is told what to say")
    }
}

impl Warden for Foretold {
    fn admit(&mut self, _: Instant) -> Admitted {
        Admitted::default()
    }

    fn stands(&mut self, _: &Arc<Peers>) {}

    fn look(&mut self, _: Instant) -> Outlook {
        let told = self.0.lock().unwrap().outlooks.pop_front();
        told.unwrap_or_default()
    }

    fn gave_up(&mut self, _: FaultId, why: &str) {
        self.0.lock().unwrap().gave_up.push(why.to_owned());
    }
}

struct Told {
    bench: Arc<Mutex<Bench>>,
    decide: Box<Decide>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a judge who is told what to say")
    }
}

impl Judge for Told {
    fn refresh(&mut self, _: Instant) -> Refreshed {
        let mut bench = self.bench.lock().unwrap();
        Refreshed {
            armed: !bench.disarmed,
            changed: std::mem::take(&mut bench.changed),
            keeps: true,
            watches: bench.watches.is_some(),
            next: None,
        }
    }

    fn suspects(&mut self, _: &Asked<'_>, _: Instant) -> Suspicion {
        Suspicion::JudgeAndKeep
    }

    fn judge(&mut self, call: &Asked<'_>, _: Instant) -> Option<Box<Verdict>> {
        let mut bench = self.bench.lock().unwrap();
        bench
            .asked
            .push(format!("{} {}", call.stream, call.name.method));
        let mut verdict = (self.decide)(call)?;
        verdict.hits = vec![Hit {
            fault: FaultId(1),
            name: "told".into(),
            did: "what it was told".into(),
        }];
        Some(Box::new(verdict))
    }

    fn touches_watches(&mut self, _: &Asked<'_>, _: Instant) -> bool {
        self.bench.lock().unwrap().watches.is_some()
    }

    fn judge_watch(
        &mut self,
        watch: &AskedWatch<'_>,
        moment: Moment<'_>,
        _: Instant,
    ) -> Vec<Strike> {
        let mut bench = self.bench.lock().unwrap();
        let until = bench.until;
        let stamp = Stamp {
            fault: 1,
            window: 0,
        };
        if let Moment::Standing { struck, .. } = moment
            && struck.contains(&stamp)
        {
            return Vec::new();
        }
        let acts = bench.watches.as_mut().map(|say| say(watch, moment));
        let strike = |act| Strike {
            hit: Hit {
                fault: FaultId(1),
                name: "told".into(),
                did: "what it was told".into(),
            },
            stamp,
            until,
            act,
        };
        acts.unwrap_or_default().into_iter().map(strike).collect()
    }

    fn is_lifted(&self, _: FaultId) -> bool {
        self.bench.lock().unwrap().lifted
    }

    fn gave_up(&mut self, _: FaultId, why: &str) {
        self.bench.lock().unwrap().gave_up.push(why.to_owned());
    }
}

/// What reaches one peer.
struct Reader {
    deframer: Deframer,
    decoder: Decoder,
    frames: Vec<String>,
    raw: Vec<u8>,
    /// The content of each stream.
    content: BTreeMap<u32, Vec<u8>>,
    last_goaway: Option<u32>,
}

impl Reader {
    fn new(sender: Side) -> Reader {
        Reader {
            deframer: Deframer::new(sender),
            decoder: Decoder::new(),
            frames: Vec::new(),
            raw: Vec::new(),
            content: BTreeMap::new(),
            last_goaway: None,
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        self.raw.extend(bytes);
        let mut input = bytes;
        while let Some(piece) = self.deframer.next(&mut input).expect("legal frames") {
            let line = match piece {
                Piece::Preface => continue,
                Piece::Data {
                    stream,
                    chunk,
                    end_stream,
                    ..
                } => {
                    let content = self.content.entry(stream.number()).or_default();
                    content.extend(chunk);
                    format!("DATA {stream} {}{}", chunk.len(), end(end_stream))
                }
                Piece::HeaderBlock {
                    stream,
                    block,
                    end_stream,
                    ..
                } => {
                    let mut fields = String::new();
                    self.decoder
                        .decode(block, |field| {
                            let name = String::from_utf8_lossy(field.name);
                            let value = String::from_utf8_lossy(field.value);
                            let never = if field.never_indexed { "!" } else { "" };
                            fields += &format!(" {name}={value}{never}");
                        })
                        .expect("a block that can be decoded");
                    format!("HEADERS {stream}{fields}{}", end(end_stream))
                }
                Piece::RstStream { stream, code } => format!("RST {stream} {code}"),
                Piece::Settings(frame) if frame.is_ack() => "SETTINGS ACK".to_owned(),
                Piece::Settings(frame) => {
                    let limit = SettingId::MAX_CONCURRENT_STREAMS;
                    match frame.iter().find(|(id, _)| *id == limit) {
                        Some((_, most)) => format!("SETTINGS {most} streams"),
                        None => "SETTINGS".to_owned(),
                    }
                }
                Piece::Ping { ack: true, .. } => "PING ACK".to_owned(),
                Piece::Ping { .. } => "PING".to_owned(),
                Piece::GoAway {
                    last_stream, code, ..
                } => {
                    self.last_goaway = Some(last_stream.number());
                    format!("GOAWAY {code}")
                }
                Piece::WindowUpdate { stream, increment } => format!("CREDIT {stream} {increment}"),
                Piece::Priority { stream } => format!("PRIORITY {stream}"),
                Piece::Unknown { length, .. } => format!("UNKNOWN {length}"),
            };
            self.frames.push(line);
        }
    }
}

fn end(end_stream: bool) -> &'static str {
    if end_stream { " END" } else { "" }
}

/// Two scripted peers around a session whose judge is told what to say.
pub struct Stand {
    pub session: Session,
    pub now: Instant,
    pub events: Vec<Event>,
    pub bench: Arc<Mutex<Bench>>,
    encoders: Both<Encoder>,
    /// By the sender whose direction it is.
    readers: Both<Reader>,
}

impl Stand {
    /// Peers that have greeted each other, and a judge who decides so.
    pub fn new(decide: impl FnMut(&Asked<'_>) -> Option<Verdict> + Send + 'static) -> Stand {
        Stand::with(SessionOptions::default(), decide)
    }

    pub fn with(
        options: SessionOptions,
        decide: impl FnMut(&Asked<'_>) -> Option<Verdict> + Send + 'static,
    ) -> Stand {
        let mut stand = Stand::ungreeted(options, decide);
        stand.greet();
        stand.client_got();
        stand.server_got();
        stand
    }

    /// Peers that have said nothing yet.
    pub fn ungreeted(
        options: SessionOptions,
        decide: impl FnMut(&Asked<'_>) -> Option<Verdict> + Send + 'static,
    ) -> Stand {
        let bench = Arc::new(Mutex::new(Bench::default()));
        let judge = Told {
            bench: Arc::clone(&bench),
            decide: Box::new(decide),
        };
        let now = Instant::now();
        let warden = Box::new(Foretold(Arc::clone(&bench)));
        let session = Session::with_judge(peers(), &Arc::new(options), Some(Box::new(judge)), now);
        let mut stand = Stand {
            session: session.with_warden(warden, Vec::new()),
            now,
            events: Vec::new(),
            bench,
            encoders: Both {
                client: Encoder::new(),
                server: Encoder::new(),
            },
            readers: Both {
                client: Reader::new(Side::Client),
                server: Reader::new(Side::Server),
            },
        };
        stand.drain(Side::Client, &[]);
        stand
    }

    /// The peers greet each other.
    pub fn greet(&mut self) {
        let mut hello = PREFACE.to_vec();
        frame_encoder::settings(&mut hello, &[]);
        self.send(Side::Client, &hello);
        self.frames(Side::Server, |out| {
            frame_encoder::settings(out, &[]);
            frame_encoder::settings_ack(out);
        });
        self.frames(Side::Client, frame_encoder::settings_ack);
    }

    /// The warden says so from now on.
    pub fn meets(&mut self, outlook: Outlook) {
        self.bench.lock().unwrap().outlooks.push_back(outlook);
        self.change();
    }

    /// The last stream that the client's last GOAWAY named.
    pub fn last_goaway(&self) -> Option<u32> {
        self.readers.server.last_goaway
    }

    pub fn send(&mut self, from: Side, bytes: &[u8]) {
        self.session.handle_bytes(from, bytes, self.now);
        self.drain(from, bytes);
    }

    fn drain(&mut self, from: Side, bytes: &[u8]) {
        for side in [Side::Client, Side::Server] {
            while let Some(transmit) = self.session.poll_transmit(side) {
                match transmit {
                    Transmit::AsCame(range) => {
                        assert_eq!(side, from, "what came leaves in its own direction");
                        self.readers[side].read(&bytes[range]);
                    }
                    Transmit::Own(own) => self.readers[side].read(&own),
                }
            }
        }
        while let Some(event) = self.session.poll_event() {
            self.events.push(event);
        }
    }

    /// Time passes, and timers fire when they are due.
    pub fn wait(&mut self, milliseconds: u64) {
        let until = self.now + Duration::from_millis(milliseconds);
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain(Side::Client, &[]);
        }
        self.now = until;
    }

    /// `side` says no more.
    pub fn end(&mut self, side: Side, how: EndOfBytes) {
        self.session.handle_end(side, how, self.now);
        self.drain(side, &[]);
    }

    /// The rules have changed.
    pub fn change(&mut self) {
        self.bench.lock().unwrap().changed = true;
        self.session.handle_change(self.now);
        self.drain(Side::Client, &[]);
    }

    pub fn answer_errand(&mut self, outcome: Result<(), String>) {
        let errand = self.session.poll_errand().expect("an errand");
        self.session
            .handle_errand(errand.stream, &errand.faults, &outcome, self.now);
        self.drain(Side::Client, &[]);
    }

    pub fn frames(&mut self, from: Side, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.send(from, &bytes);
    }

    pub fn headers(&mut self, from: Side, stream: u32, fields: &[(&str, &str)], end: bool) {
        self.headers_as(from, stream, fields, end, Indexing::Without);
    }

    pub fn headers_as(
        &mut self,
        from: Side,
        stream: u32,
        fields: &[(&str, &str)],
        end: bool,
        indexing: Indexing,
    ) {
        let mut block = Vec::new();
        for (name, value) in fields {
            self.encoders[from].field(name.as_bytes(), value.as_bytes(), indexing, &mut block);
        }
        self.frames(from, |out| {
            frame_encoder::headers(out, id(stream), &block, end, 16384);
        });
    }

    pub fn data(&mut self, from: Side, stream: u32, bytes: &[u8], end: bool) {
        self.frames(from, |out| frame_encoder::data(out, id(stream), bytes, end));
    }

    /// A gRPC message of `length` bytes, prefix apart.
    pub fn message(&mut self, from: Side, stream: u32, length: usize, end: bool) {
        self.data(from, stream, &prefixed(&vec![0x7a; length], false), end);
    }

    /// The client opens a call.
    pub fn open(&mut self, stream: u32, path: &str) {
        let fields = [
            (":method", "POST"),
            (":path", path),
            ("content-type", "application/grpc"),
        ];
        self.headers(Side::Client, stream, &fields, false);
    }

    /// The client asks, whole.
    pub fn ask(&mut self, stream: u32, path: &str) {
        self.open(stream, path);
        self.message(Side::Client, stream, 10, true);
    }

    /// The server answers, whole.
    pub fn answer(&mut self, stream: u32, length: usize) {
        self.headers(Side::Server, stream, &[(":status", "200")], false);
        self.message(Side::Server, stream, length, false);
        self.headers(Side::Server, stream, &[("grpc-status", "0")], true);
    }

    /// What has reached the client since it was asked last.
    pub fn client_got(&mut self) -> Vec<String> {
        std::mem::take(&mut self.readers.server.frames)
    }

    /// What has reached the server since it was asked last.
    pub fn server_got(&mut self) -> Vec<String> {
        std::mem::take(&mut self.readers.client.frames)
    }

    /// The content that has left on a stream in `from`'s direction.
    pub fn content(&self, from: Side, stream: u32) -> Vec<u8> {
        let content = self.readers[from].content.get(&stream);
        content.cloned().unwrap_or_default()
    }

    /// All bytes that have left in `from`'s direction.
    pub fn left(&self, from: Side) -> &[u8] {
        &self.readers[from].raw
    }

    pub fn calls(&self) -> Vec<&Call> {
        let calls = self.events.iter().filter_map(|event| match event {
            Event::Call(call) => Some(&**call),
            _ => None,
        });
        calls.collect()
    }
}
