//! That an endpoint is no rubber stamp: frames by hand, and what it says to them.

use std::time::Instant;

use etcdtap::http2::Side;

use super::endpoint::{
    BANDWIDTH_PING, Endpoint, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE,
};
use super::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, write,
};
use super::hpack::Field;
use super::overhear::STILL;
use super::random::Random;
use super::violation::Rule;

/// A client with streams 1 and 3 open and the server's SETTINGS seen.
fn client() -> Endpoint {
    let mut end = Endpoint::new(Side::Client, STILL, Random::new(1), Instant::now());
    assert_eq!(said(&mut end, SETTINGS, 0, 0, &[]), None);
    end.open_stream(vec![Field::new(":path", "/a/b")]);
    end.open_stream(vec![Field::new(":path", "/a/b")]);
    end
}

/// What it says to a frame.
fn said(end: &mut Endpoint, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Option<Rule> {
    let mut bytes = Vec::new();
    write(&mut bytes, kind, flags, stream, payload);
    let judged = end.receive(&bytes, Instant::now());
    judged.err().map(|violation| violation.rule)
}

const HEAD: &[u8] = &[0x88];
/// `grpc-status: 0` without indexing.
const TRAILERS: &[u8] = b"\x00\x0bgrpc-status\x010";

/// A client whose stream 1 has its response's head.
fn answered() -> Endpoint {
    let mut end = client();
    assert_eq!(said(&mut end, HEADERS, END_HEADERS, 1, HEAD), None);
    end
}

fn data(end: &mut Endpoint, n: usize) -> Option<Rule> {
    let zeros = vec![0; n];
    for part in zeros.chunks(16_384) {
        let rule = said(end, DATA, 0, 1, part);
        if rule.is_some() {
            return rule;
        }
    }
    None
}

#[test]
fn windows_are_exact() {
    let mut end = answered();
    end.recv_window += 1;
    assert_eq!(data(&mut end, 65_535), None);
    assert_eq!(data(&mut end, 1), Some(Rule::StreamWindow));
    let mut end = answered();
    end.streams.get_mut(&1).unwrap().recv_window += 10;
    assert_eq!(data(&mut end, 65_535), None);
    assert_eq!(
        said(&mut end, DATA, 0, 1, &[]),
        None,
        "nothing is always allowed"
    );
    assert_eq!(data(&mut end, 1), Some(Rule::ConnectionWindow));
}

#[test]
fn a_smaller_window_holds_once_acknowledged() {
    let mut end = answered();
    assert_eq!(data(&mut end, 50), None);
    end.send_settings(&[(INITIAL_WINDOW_SIZE, 100)]);
    assert_eq!(data(&mut end, 100), None, "it is not acknowledged");
    assert_eq!(said(&mut end, SETTINGS, ACK, 0, &[]), None);
    assert_eq!(end.streams[&1].recv_window, -50);
    assert_eq!(said(&mut end, DATA, 0, 1, &[]), None);
    end.streams.get_mut(&1).unwrap().recv_window += 51;
    assert_eq!(data(&mut end, 1), None);
    assert_eq!(data(&mut end, 1), Some(Rule::StreamWindow));
}

#[test]
fn the_peers_window_follows_its_settings() {
    let mut end = client();
    let smaller = [0, 4, 0, 0, 0, 10];
    end.streams.get_mut(&1).unwrap().send_window = 5;
    assert_eq!(said(&mut end, SETTINGS, 0, 0, &smaller), None);
    assert_eq!(end.streams[&1].send_window, 5 + 10 - 65_535);
    assert_eq!(end.streams[&3].send_window, 10);
    let larger = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    assert_eq!(said(&mut end, WINDOW_UPDATE, 0, 3, &[0, 0, 0, 1]), None);
    assert_eq!(
        said(&mut end, SETTINGS, 0, 0, &larger),
        Some(Rule::WindowOverflow)
    );
}

#[test]
fn padding_counts() {
    let mut end = answered();
    end.streams.get_mut(&1).unwrap().recv_window = 10;
    assert_eq!(
        said(&mut end, DATA, PADDED, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        None
    );
    assert_eq!(
        said(&mut end, DATA, PADDED, 1, &[0]),
        Some(Rule::StreamWindow)
    );
    let mut end = answered();
    assert_eq!(
        said(&mut end, DATA, PADDED, 1, &[2, 0]),
        Some(Rule::Padding)
    );
}

type Frame<'a> = (u8, u8, u32, &'a [u8]);

/// A case: what came before, the offending frame, the complaint.
fn case(before: &[Frame<'_>], last: Frame<'_>, rule: Rule) {
    let mut end = answered();
    for (kind, flags, stream, payload) in before {
        assert_eq!(said(&mut end, *kind, *flags, *stream, payload), None);
    }
    let (kind, flags, stream, payload) = last;
    let answer = said(&mut end, kind, flags, stream, payload);
    assert_eq!(answer, Some(rule), "{before:02x?}, {last:02x?}");
}

#[test]
fn frames_that_have_no_place() {
    let cancel = &[0, 0, 0, 8][..];
    let one = &[0, 0, 0, 1][..];
    let whole = END_HEADERS | END_STREAM;
    let ended: Frame<'_> = (HEADERS, whole, 1, TRAILERS);
    let reset: Frame<'_> = (RST_STREAM, 0, 1, cancel);
    let cases: &[(&[Frame<'_>], Frame<'_>, Rule)] = &[
        (&[], (WINDOW_UPDATE, 0, 0, &[0; 4]), Rule::ZeroIncrement),
        (&[], (WINDOW_UPDATE, 0, 1, &[0; 4]), Rule::ZeroIncrement),
        (
            &[],
            (WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Rule::WindowOverflow,
        ),
        (
            &[],
            (WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff]),
            Rule::WindowOverflow,
        ),
        (&[], (WINDOW_UPDATE, 0, 5, one), Rule::IdleStream),
        (&[], (DATA, 0, 5, b"x"), Rule::IdleStream),
        (&[], (DATA, 0, 2, b"x"), Rule::IdleStream),
        (&[], (RST_STREAM, 0, 5, cancel), Rule::IdleStream),
        (&[], (HEADERS, END_HEADERS, 5, HEAD), Rule::IdleStream),
        (
            &[],
            (PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Rule::StreamId,
        ),
        (&[], (PRIORITY, 0, 1, &[0, 0, 0, 1, 3]), Rule::Priority),
        (&[], (DATA, 0, 0, b"x"), Rule::StreamId),
        (&[], (SETTINGS, 0, 1, &[]), Rule::StreamId),
        (&[], (PING, 0, 0, &[0; 7]), Rule::FrameSize),
        (&[], (RST_STREAM, 0, 1, &[0; 5]), Rule::FrameSize),
        (&[], (SETTINGS, 0, 0, &[0; 5]), Rule::FrameSize),
        (&[], (SETTINGS, ACK, 0, &[]), Rule::SettingsAck),
        (&[], (PING, ACK, 0, &[0; 8]), Rule::PingAck),
        (&[], (SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]), Rule::Settings),
        (&[ended], (DATA, 0, 1, b"x"), Rule::EndedStream),
        (&[ended], (DATA, END_STREAM, 1, &[]), Rule::EndedStream),
        (&[ended], (HEADERS, whole, 1, TRAILERS), Rule::EndedStream),
        (&[reset], (DATA, 0, 1, b"x"), Rule::ClosedStream),
        (&[reset], (WINDOW_UPDATE, 0, 1, one), Rule::ClosedStream),
        (&[reset], reset, Rule::ClosedStream),
        (&[], (HEADERS, END_HEADERS, 1, TRAILERS), Rule::Fields),
        (&[], (HEADERS, whole, 1, HEAD), Rule::Fields),
        (&[], (HEADERS, END_HEADERS, 3, TRAILERS), Rule::Fields),
        (&[], (DATA, 0, 3, b"x"), Rule::Fields),
        (&[], (HEADERS, whole, 1, &[0xff, 0xff]), Rule::Compression),
        (&[], (HEADERS, whole, 1, &[0xbe]), Rule::Compression),
        (
            &[(HEADERS, 0, 3, HEAD)],
            (DATA, 0, 1, b"x"),
            Rule::HeaderBlock,
        ),
        (
            &[(HEADERS, 0, 3, HEAD)],
            (CONTINUATION, 4, 1, &[]),
            Rule::HeaderBlock,
        ),
        (
            &[(HEADERS, 0, 3, HEAD)],
            (0x77, 0, 0, &[]),
            Rule::HeaderBlock,
        ),
        (&[], (CONTINUATION, END_HEADERS, 1, &[]), Rule::HeaderBlock),
        (
            &[(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0])],
            (GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]),
            Rule::Goaway,
        ),
        (&[], (GOAWAY, 0, 0, &[0; 7]), Rule::FrameSize),
    ];
    for (before, last, rule) in cases {
        case(before, *last, *rule);
    }
}

#[test]
fn what_is_forgiven_is_what_the_rfc_forgives() {
    let mut end = answered();
    // In flight when we reset: content is passed over, windows hold.
    end.reset(1, 8);
    assert_eq!(data(&mut end, 1000), None);
    assert_eq!(end.recv_window, 65_535 - 1000);
    assert_eq!(said(&mut end, WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), None);
    assert_eq!(
        said(&mut end, HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS),
        None
    );
    assert!(
        end.heard
            .iter()
            .all(|heard| !matches!(heard, super::endpoint::Heard::Ended(_)))
    );
    // The peer closed it meanwhile, and has to know.
    assert_eq!(data(&mut end, 1), Some(Rule::EndedStream));
    // Credit and resets may cross END_STREAM.
    let mut end = answered();
    let whole = END_HEADERS | END_STREAM;
    assert_eq!(said(&mut end, HEADERS, whole, 1, TRAILERS), None);
    assert_eq!(said(&mut end, WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), None);
    assert_eq!(said(&mut end, RST_STREAM, 0, 1, &[0; 4]), None);
    assert_eq!(said(&mut end, PRIORITY, 0, 99, &[0, 0, 0, 0, 3]), None);
}

#[test]
fn limits_hold_once_acknowledged() {
    let mut end = answered();
    assert_eq!(
        said(&mut end, 0x77, 0, 0, &[0; 16_385]),
        Some(Rule::FrameSize)
    );
    let mut end = answered();
    end.send_settings(&[(MAX_FRAME_SIZE, 16_385), (HEADER_TABLE_SIZE, 0)]);
    assert_eq!(said(&mut end, SETTINGS, ACK, 0, &[]), None);
    assert_eq!(said(&mut end, 0x77, 0, 0, &[0; 16_385]), None);
    assert_eq!(
        said(&mut end, HEADERS, END_HEADERS, 3, HEAD),
        Some(Rule::TableSize)
    );
    let mut end = answered();
    end.send_ping(BANDWIDTH_PING);
    assert_eq!(said(&mut end, PING, ACK, 0, &BANDWIDTH_PING), None);
    assert_eq!(
        said(&mut end, PING, ACK, 0, &BANDWIDTH_PING),
        Some(Rule::PingAck)
    );
}

/// A server that was greeted.
fn server() -> Endpoint {
    let mut end = Endpoint::new(Side::Server, STILL, Random::new(1), Instant::now());
    let greeting = super::frame::PREFACE;
    assert!(end.receive(greeting, Instant::now()).is_ok());
    assert_eq!(said(&mut end, SETTINGS, 0, 0, &[]), None);
    end
}

#[test]
fn a_server_judges_how_streams_are_opened() {
    // POST, http, /
    let head = &[0x83, 0x86, 0x84][..];
    let open = |end: &mut Endpoint, id| said(end, HEADERS, END_HEADERS, id, head);
    let mut end = server();
    assert_eq!(open(&mut end, 3), None);
    assert_eq!(open(&mut end, 1), Some(Rule::StreamId));
    assert_eq!(open(&mut server(), 2), Some(Rule::StreamId));
    let mut end = server();
    assert_eq!(
        said(&mut end, HEADERS, END_HEADERS, 1, HEAD),
        Some(Rule::Fields)
    );
    let mut end = server();
    end.send_settings(&[(super::endpoint::MAX_CONCURRENT_STREAMS, 1)]);
    assert_eq!(said(&mut end, SETTINGS, ACK, 0, &[]), None);
    assert_eq!(open(&mut end, 1), None);
    assert_eq!(open(&mut end, 3), Some(Rule::ConcurrentStreams));
    let mut end = Endpoint::new(Side::Server, STILL, Random::new(1), Instant::now());
    let judged = end.receive(b"GET / HTTP/1.1\r\n", Instant::now());
    assert_eq!(judged.unwrap_err().rule, Rule::Preface);
    let mut end = Endpoint::new(Side::Client, STILL, Random::new(1), Instant::now());
    assert_eq!(said(&mut end, PING, 0, 0, &[0; 8]), Some(Rule::Preface));
}
