//! The log that is printed from records is the log that was printed as it
//! happened: both captures, line by line.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use etcdtap::etcd::verdict::Hit;
use etcdtap::etcd::{Call, ConnectionEnded, Session, SessionOptions, WatchNote};
use etcdtap::http2::{Offence, Side};
use etcdtap::kube::operation::Operation;
use etcdtap::record::line::{LineWriter, Told};
use etcdtap::record::reader::Line;
use etcdtap::record::recall::Recall;
use etcdtap::record::schema::v1::LogLine;
use etcdtap::relay::{ConnectionId, EndOfBytes, Peers};
use etcdtap::trace::{Anchor, Colour, Format, Observer, Options, Pipeline, Printer};
use prost::Message;

use crate::pcap::{self, Connection};

/// Writes every line down as a record.
#[derive(Debug)]
struct Recorder {
    writer: LineWriter,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Recorder {
    fn put(&mut self, write: impl FnOnce(&mut LineWriter, &mut Vec<u8>) -> Told) {
        // As it comes out of a file.
        let mut bytes = Vec::new();
        let Told { at, .. } = write(&mut self.writer, &mut bytes);
        let line = LogLine::decode(bytes.as_slice()).unwrap();
        self.lines.lock().unwrap().push(Line { at, line });
    }
}

impl Observer for Recorder {
    fn anchor(&mut self, anchor: Anchor) {
        self.writer.anchor(anchor);
    }

    fn call(&mut self, call: &Call, operation: &Operation<'_>) {
        self.put(|writer, out| writer.call(call, operation, false, out));
    }

    fn watch(&mut self, note: &WatchNote, operation: &Operation<'_>, lag: Option<i64>) {
        self.put(|writer, out| writer.watch(note, operation, lag, out));
    }

    fn opened(&mut self, peers: &Peers, at: Instant) {
        self.put(|writer, out| writer.opened(peers, at, out));
    }

    fn fault(&mut self, peers: &Peers, at: Instant, hits: &[Hit]) {
        self.put(|writer, out| writer.fault(peers, at, hits, out));
    }

    fn ping(&mut self, peers: &Peers, at: Instant) {
        self.put(|writer, out| writer.ping(peers, at, out));
    }

    fn stopped(&mut self, _: &Peers, _: Instant, _: &Offence) {
        panic!("the captures are sound");
    }

    fn ended(&mut self, ended: &ConnectionEnded, failed: bool) {
        self.put(|writer, out| writer.ended(ended, failed, out));
    }

    fn settled(&mut self, _now: Instant, _waiting_since: Option<Instant>, _dropped: u64) {}
}

/// All segments of a capture in the order of time, through the core and the trace.
fn drive(capture: &[Connection], pipeline: &mut Pipeline, start: Instant) {
    let options = Arc::new(SessionOptions::default());
    let mut sessions: Vec<Session> = capture
        .iter()
        .enumerate()
        .map(|(number, connection)| {
            let peers = Arc::new(Peers {
                id: ConnectionId(number as u64 + 1),
                client: connection.client,
                listener: connection.server,
                upstream: connection.server.to_string().into(),
                tls: None,
            });
            Session::new(peers, &options, start)
        })
        .collect();
    let mut segments: Vec<_> = capture
        .iter()
        .enumerate()
        .flat_map(|(number, connection)| {
            let segments = connection.segments.iter();
            segments.map(move |segment| (segment.at, number, segment))
        })
        .collect();
    segments.sort_by_key(|(at, number, _)| (*at, *number));
    let mut now = start;
    let out = |session: &mut Session, pipeline: &mut Pipeline| {
        for side in [Side::Client, Side::Server] {
            while session.poll_transmit(side).is_some() {}
        }
        while let Some(event) = session.poll_event() {
            pipeline.handle_event(event);
        }
    };
    for (at, number, segment) in segments {
        now = start + at;
        pipeline.handle_timeout(now);
        let session = &mut sessions[number];
        session.handle_bytes(segment.side, &segment.bytes, now);
        out(session, pipeline);
    }
    for session in &mut sessions {
        session.handle_end(Side::Client, EndOfBytes::Closed, now);
        session.finish("the capture ended", now);
        out(session, pipeline);
    }
    pipeline.finish();
}

fn same(capture: &[Connection]) {
    let start = Instant::now();
    let anchor = Anchor {
        at: start,
        ..Anchor::now()
    };
    let pretty = Format::Pretty {
        colour: Colour::Always,
        width: Some(160),
    };
    for format in [Format::Json, pretty] {
        let mut pipeline = Pipeline::new(Options::new(format), anchor);
        let lines = Arc::default();
        pipeline.observe(Box::new(Recorder {
            writer: LineWriter::new(anchor),
            lines: Arc::clone(&lines),
        }));
        drive(capture, &mut pipeline, start);
        let live = std::mem::take(pipeline.output());
        let mut recall = Recall::new(Instant::now());
        let mut printer = Printer::new(format, None, recall.anchor());
        let lines = lines.lock().unwrap();
        for line in lines.iter() {
            recall.line(line).unwrap().print(&mut printer);
        }
        let told = std::mem::take(printer.output());
        assert!(lines.len() > 4000, "{}", lines.len());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for (told, live) in text(&told).lines().zip(text(&live).lines()) {
            assert_eq!(told, live);
        }
        assert_eq!(told.len(), live.len());
        let answered = lines.iter().filter(|line| line.line.cluster_id.is_some());
        assert!(answered.count() > 4000, "clusters are kept");
    }
}

#[test]
fn api_server_1_20_is_printed_from_records_as_it_was_live() {
    same(&pcap::APISERVER_1_20);
}

#[test]
fn api_server_0_36_is_printed_from_records_as_it_was_live() {
    same(&pcap::APISERVER_0_36);
}
