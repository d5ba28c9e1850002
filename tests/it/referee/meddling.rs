//! Faults of a relay, put into a wire on purpose: each is found, and named.

use std::fmt;
use std::time::Instant;

use etcdtap::http2::{Both, Side};

use super::frame::{self, Cutter, Frame};
use super::violation::Rule;
use super::wire::Wire;
use super::world::{Setup, World};

/// What is done to a frame that passes: frames to send in its place.
type Meddle = fn(&mut State, Side, &Frame) -> Option<Vec<Frame>>;

/// What a meddler may remember.
#[derive(Debug, Default)]
struct State {
    /// Frames that it might have struck at.
    chances: usize,
    /// At which of them it strikes.
    at: usize,
    struck: bool,
    ended: Vec<u32>,
}

impl State {
    /// Whether it is this chance.
    fn now(&mut self) -> bool {
        self.chances += 1;
        let now = self.chances == self.at && !self.struck;
        self.struck |= now;
        now
    }
}

struct Meddler {
    cutters: Both<Cutter>,
    state: State,
    meddle: Meddle,
    preface: bool,
}

impl fmt::Debug for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

impl Wire for Meddler {
    fn bytes(&mut self, from: Side, bytes: &[u8], _: Instant, to: &mut Both<Vec<u8>>) {
        let (cutter, out) = (&mut self.cutters[from], &mut to[from.peer()]);
        cutter.feed(bytes);
        if from == Side::Client && !self.preface {
            if cutter.rest().len() < frame::PREFACE.len() {
                return;
            }
            cutter.skip(frame::PREFACE.len());
            out.extend_from_slice(frame::PREFACE);
            self.preface = true;
        }
        while let Ok(Some(frame)) = cutter.next(u32::MAX) {
            let instead = (self.meddle)(&mut self.state, from, &frame);
            for frame in instead.unwrap_or_else(|| vec![frame]) {
                frame::write(out, frame.kind, frame.flags, frame.stream, &frame.payload);
            }
        }
    }
}

fn made(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
    Frame {
        kind,
        flags,
        stream,
        payload: payload.to_vec(),
        at: 0,
    }
}

/// Runs a fault over many seeds: wherever it struck it is found as one of
/// `rules`, but for those that a run may happen to hide.
fn found(meddle: Meddle, rules: &[Rule], hidden_percent: usize) {
    let (mut struck, mut hidden) = (0, 0);
    for seed in 0..150 {
        let wire = |_| Meddler {
            cutters: Both::default(),
            state: State {
                at: 1 + seed as usize % 3,
                ..State::default()
            },
            meddle,
            preface: false,
        };
        let mut setup = Setup::random(seed);
        (setup.client.bandwidth, setup.server.bandwidth) = (true, true);
        (setup.client.oddities, setup.server.oddities) = (0, 0);
        let mut world = World::new(setup, wire);
        let mut result = world.run();
        if result.is_ok() {
            result = world.exact();
        }
        match result {
            Err(failure) => {
                assert!(world.wire.state.struck, "{failure}");
                assert!(rules.contains(&failure.violation.rule), "{failure}");
                struck += 1;
            }
            Ok(()) if world.wire.state.struck => (struck, hidden) = (struck + 1, hidden + 1),
            Ok(()) => {}
        }
    }
    assert!(struck > 20, "it struck {struck} times only");
    assert!(
        hidden * 100 <= struck * hidden_percent,
        "{hidden} of {struck} were not found"
    );
}

#[test]
fn a_window_update_of_nothing() {
    found(
        |state, _, frame| {
            let hit = frame.kind == frame::WINDOW_UPDATE && state.now();
            hit.then(|| vec![made(frame::WINDOW_UPDATE, 0, frame.stream, &[0; 4])])
        },
        &[Rule::ZeroIncrement],
        0,
    );
}

#[test]
fn a_lost_window_update_of_the_connection() {
    found(
        |state, _, frame| {
            let update = frame.kind == frame::WINDOW_UPDATE && frame.stream == 0;
            (update && state.now()).then(Vec::new)
        },
        &[Rule::Leak, Rule::Stuck],
        0,
    );
}

#[test]
fn credit_twice() {
    found(
        |state, _, frame| {
            let update = frame.kind == frame::WINDOW_UPDATE && frame.stream == 0;
            (update && state.now()).then(|| vec![frame.clone(), frame.clone()])
        },
        &[Rule::Leak, Rule::ConnectionWindow],
        0,
    );
}

#[test]
fn a_lost_window_update_of_a_stream() {
    // Seen only where the stream stays open, or starves.
    found(
        |state, _, frame| {
            let update = frame.kind == frame::WINDOW_UPDATE && frame.stream != 0;
            (update && state.now()).then(Vec::new)
        },
        &[Rule::Leak, Rule::Stuck],
        95,
    );
}

#[test]
fn data_that_is_lost() {
    found(
        |state, _, frame| {
            let data = frame.kind == frame::DATA && frame.payload.len() > 5;
            (data && !frame.has(frame::END_STREAM) && state.now()).then(Vec::new)
        },
        &[Rule::Leak, Rule::Stuck, Rule::Altered],
        0,
    );
}

#[test]
fn data_that_is_altered() {
    found(
        |state, _, frame| {
            let data = frame.kind == frame::DATA && frame.payload.len() > 20;
            (data && state.now()).then(|| {
                let mut frame = frame.clone();
                frame.payload[15] ^= 1;
                vec![frame]
            })
        },
        &[Rule::Altered],
        0,
    );
}

#[test]
fn data_after_the_end() {
    found(
        |state, _, frame| {
            let end = frame.kind == frame::DATA && frame.has(frame::END_STREAM);
            (end && state.now()).then(|| {
                let more = made(frame::DATA, 0, frame.stream, b"");
                vec![frame.clone(), more]
            })
        },
        &[Rule::EndedStream],
        0,
    );
}

#[test]
fn a_lost_end() {
    found(
        |state, side, frame| {
            let end = frame.kind == frame::DATA && frame.has(frame::END_STREAM);
            (end && side == Side::Client && state.now())
                .then(|| vec![made(frame::DATA, 0, frame.stream, &frame.payload)])
        },
        &[Rule::Altered, Rule::Leak],
        0,
    );
}

#[test]
fn a_header_block_that_is_lost() {
    // The table is out of step, or the stream was never opened.
    found(
        |state, _, frame| {
            let block = frame.kind == frame::HEADERS;
            (block && frame.has(frame::END_HEADERS) && state.now()).then(Vec::new)
        },
        &[
            Rule::Compression,
            Rule::IdleStream,
            Rule::Altered,
            Rule::Fields,
            Rule::TableSize,
            Rule::EndedStream,
            Rule::Stuck,
            Rule::Leak,
        ],
        0,
    );
}

#[test]
fn a_ping_acknowledged_twice() {
    found(
        |state, _, frame| {
            let ack = frame.kind == frame::PING && frame.has(frame::ACK);
            (ack && state.now()).then(|| vec![frame.clone(), frame.clone()])
        },
        &[Rule::PingAck],
        0,
    );
}

#[test]
fn a_ping_that_nobody_answers() {
    found(
        |state, _, frame| (frame.kind == frame::PING && state.now()).then(Vec::new),
        &[Rule::Unanswered],
        0,
    );
}

#[test]
fn settings_acknowledged_twice() {
    found(
        |state, _, frame| {
            let ack = frame.kind == frame::SETTINGS && frame.has(frame::ACK);
            (ack && state.now()).then(|| vec![frame.clone(), frame.clone()])
        },
        &[Rule::SettingsAck, Rule::StreamWindow, Rule::TableSize],
        0,
    );
}

#[test]
fn a_goaway_out_of_the_blue() {
    found(
        |state, side, frame| {
            let data = frame.kind == frame::DATA && side == Side::Server;
            (data && state.now()).then(|| {
                let goaway = made(frame::GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
                vec![goaway, frame.clone()]
            })
        },
        &[Rule::UnaskedGoaway, Rule::Goaway],
        0,
    );
}

#[test]
fn a_reset_that_is_swallowed() {
    found(
        |state, _, frame| (frame.kind == frame::RST_STREAM && state.now()).then(Vec::new),
        &[Rule::Altered, Rule::Leak, Rule::ConcurrentStreams],
        0,
    );
}

#[test]
fn a_reset_where_nothing_is_open() {
    found(
        |state, _, frame| {
            if frame.kind == frame::HEADERS && frame.has(frame::END_STREAM) {
                state.ended.push(frame.stream);
            }
            let data = frame.kind == frame::DATA && state.now();
            data.then(|| vec![frame.clone(), made(frame::RST_STREAM, 0, 99, &[0; 4])])
        },
        &[Rule::IdleStream],
        0,
    );
}

#[test]
fn a_request_that_was_doubled() {
    found(
        |state, side, frame| {
            let data = frame.kind == frame::DATA && side == Side::Client;
            (data && frame.payload.len() > 5 && !frame.has(frame::END_STREAM) && state.now())
                .then(|| vec![frame.clone(), frame.clone()])
        },
        &[
            Rule::Altered,
            Rule::Leak,
            Rule::StreamWindow,
            Rule::ConnectionWindow,
        ],
        0,
    );
}
