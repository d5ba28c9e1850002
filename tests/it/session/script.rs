//! Two scripted peers around a session. Everything they send is checked to leave
//! as it came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcdtap::etcd::{Call, Event, Session, SessionOptions, WatchNote};
use etcdtap::http2::hpack::{Encoder, Indexing};
use etcdtap::http2::{Both, ErrorCode, PREFACE, Side, StreamId, frame_encoder};
use etcdtap::relay::{ConnectionId, EndOfBytes, Peers, Transmit};
use prost::Message;

pub const RANGE: &str = "/etcdserverpb.KV/Range";
pub const PUT: &str = "/etcdserverpb.KV/Put";
pub const TXN: &str = "/etcdserverpb.KV/Txn";
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// The two peers, the session between them, and what it told.
pub struct Script {
    pub session: Session,
    pub now: Instant,
    pub events: Vec<Event>,
    encoders: Both<Encoder>,
}

pub fn id(stream: u32) -> StreamId {
    StreamId::from_bits(stream)
}

/// A message with gRPC's prefix.
pub fn prefixed(payload: &[u8], compressed: bool) -> Vec<u8> {
    let mut out = vec![u8::from(compressed)];
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend(payload);
    out
}

pub fn peers() -> Arc<Peers> {
    Arc::new(Peers {
        id: ConnectionId(1),
        client: ([127, 0, 0, 1], 40000).into(),
        listener: ([127, 0, 0, 1], 2381).into(),
        upstream: "127.0.0.1:2379".into(),
        tls: None,
    })
}

impl Script {
    /// A connection on which nothing was said.
    pub fn silent() -> Script {
        Script::with(SessionOptions::default())
    }

    pub fn with(options: SessionOptions) -> Script {
        let now = Instant::now();
        let mut script = Script {
            session: Session::new(peers(), &Arc::new(options), now),
            now,
            events: Vec::new(),
            encoders: Both {
                client: Encoder::new(),
                server: Encoder::new(),
            },
        };
        script.collect();
        script
    }

    /// A connection whose peers have greeted each other.
    pub fn greeted() -> Script {
        Script::silent().greet()
    }

    pub fn greet(mut self) -> Script {
        let mut hello = PREFACE.to_vec();
        frame_encoder::settings(&mut hello, &[]);
        self.send(Side::Client, &hello);
        let mut answer = Vec::new();
        frame_encoder::settings(&mut answer, &[]);
        frame_encoder::settings_ack(&mut answer);
        self.send(Side::Server, &answer);
        self.frames(Side::Client, frame_encoder::settings_ack);
        self
    }

    pub fn wait(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        if self
            .session
            .poll_timeout()
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.session.handle_timeout(self.now);
            self.collect();
        }
    }

    /// `from` sends `bytes`; they must leave as they came.
    pub fn send(&mut self, from: Side, bytes: &[u8]) {
        self.session.handle_bytes(from, bytes, self.now);
        let mut out = Vec::new();
        while let Some(transmit) = self.session.poll_transmit(from) {
            match transmit {
                Transmit::AsCame(range) => out.extend_from_slice(&bytes[range]),
                Transmit::Own(own) => panic!("nothing was armed, and yet {own:?}"),
            }
        }
        assert_eq!(out, bytes, "bytes out equal bytes in");
        assert_eq!(self.session.poll_transmit(from.peer()), None);
        self.collect();
    }

    pub fn frames(&mut self, from: Side, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.send(from, &bytes);
    }

    pub fn headers(&mut self, from: Side, stream: u32, fields: &[(&str, &str)], end: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            self.encoders[from].field(
                name.as_bytes(),
                value.as_bytes(),
                Indexing::Incremental,
                &mut block,
            );
        }
        self.frames(from, |out| {
            frame_encoder::headers(out, id(stream), &block, end, 16384);
        });
    }

    /// The client opens a gRPC call.
    pub fn open(&mut self, stream: u32, path: &str) {
        self.open_with(stream, path, &[]);
    }

    pub fn open_with(&mut self, stream: u32, path: &str, more: &[(&str, &str)]) {
        let mut fields = vec![
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "etcd"),
            ("content-type", "application/grpc"),
            ("user-agent", "kube-apiserver/v1.36 grpc-go/1.81"),
            ("te", "trailers"),
        ];
        fields.extend(more);
        self.headers(Side::Client, stream, &fields, false);
    }

    pub fn data(&mut self, from: Side, stream: u32, bytes: &[u8], end: bool) {
        self.frames(from, |out| frame_encoder::data(out, id(stream), bytes, end));
    }

    pub fn message(&mut self, from: Side, stream: u32, message: &impl Message, end: bool) {
        let wire = prefixed(&message.encode_to_vec(), false);
        self.data(from, stream, &wire, end);
    }

    /// The server's response headers.
    pub fn accept(&mut self, stream: u32) {
        let fields = [(":status", "200"), ("content-type", "application/grpc")];
        self.headers(Side::Server, stream, &fields, false);
    }

    /// The server's trailers.
    pub fn trailers(&mut self, stream: u32, status: &str) {
        self.headers(Side::Server, stream, &[("grpc-status", status)], true);
    }

    /// A whole unary call.
    pub fn unary(&mut self, stream: u32, path: &str, ask: &impl Message, answer: &impl Message) {
        self.open(stream, path);
        self.message(Side::Client, stream, ask, true);
        self.wait(2);
        self.accept(stream);
        self.message(Side::Server, stream, answer, false);
        self.trailers(stream, "0");
    }

    /// `from` credits the other side, on the connection and on the stream.
    pub fn credit(&mut self, from: Side, stream: u32, bytes: u32) {
        self.frames(from, |out| {
            frame_encoder::window_update(out, id(0), bytes);
            frame_encoder::window_update(out, id(stream), bytes);
        });
    }

    pub fn reset(&mut self, from: Side, stream: u32, code: ErrorCode) {
        self.frames(from, |out| frame_encoder::rst_stream(out, id(stream), code));
    }

    /// `by` goes away, then the other side.
    pub fn close(&mut self, by: Side, how: EndOfBytes) {
        self.session.handle_end(by, how, self.now);
        self.session.handle_end(by.peer(), how, self.now);
        self.session.finish("the script ended", self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.events.push(event);
        }
    }

    pub fn calls(&self) -> Vec<&Call> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Call(call) => Some(&**call),
                _ => None,
            })
            .collect()
    }

    pub fn notes(&self) -> Vec<&WatchNote> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Watch(note) => Some(&**note),
                _ => None,
            })
            .collect()
    }

    pub fn offences(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::TracingStopped { offence, .. } => Some(offence.to_string()),
                _ => None,
            })
            .collect()
    }
}
