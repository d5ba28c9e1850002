//! What cannot be followed still passes; it is said once, by name.

use etcdtap::etcd::schema::etcdserverpb::RangeRequest;
use etcdtap::etcd::{Ending, Event};
use etcdtap::http2::{ErrorCode, Flags, FrameType, PREFACE, Side, frame_encoder};
use etcdtap::relay::{EndOfBytes, Transmit};

use super::script::{RANGE, Script, id};

/// After the offence everything passes in both directions, whatever it is.
fn still_passes(script: &mut Script) {
    for n in 0..50 {
        script.send(Side::Client, &[n; 1000]);
        script.send(Side::Server, b"PRI * nonsense \xff\xfe");
    }
    assert_eq!(script.offences().len(), 1, "{:?}", script.offences());
    script.close(Side::Client, EndOfBytes::Closed);
    assert!(
        matches!(script.events.last(), Some(Event::ConnectionEnded(ended))
        if ended.bytes.client >= 50_000)
    );
}

fn offence(script: &mut Script, by: &str, words: &str) {
    let offences = script.offences();
    assert_eq!(offences.len(), 1, "{offences:?}");
    assert!(
        offences[0].starts_with(by) && offences[0].contains(words),
        "{}",
        offences[0]
    );
    still_passes(script);
}

#[test]
fn garbage_instead_of_a_preface() {
    let mut script = Script::silent();
    script.send(Side::Client, b"\x00\x01\x02\x03 what is this");
    offence(&mut script, "client", "neither an HTTP/2 preface nor");
}

#[test]
fn tls_on_a_plaintext_listener() {
    let mut script = Script::silent();
    script.send(Side::Client, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    offence(&mut script, "client", "TLS");
}

#[test]
fn a_preface_that_never_comes() {
    let mut script = Script::silent();
    script.send(Side::Client, &PREFACE[..10]);
    script.wait(9_000);
    assert!(script.offences().is_empty());
    script.wait(2_000);
    offence(&mut script, "client", "10 bytes");

    // A server that speaks while the client is silent.
    let mut script = Script::silent();
    script.frames(Side::Server, |out| frame_encoder::settings(out, &[]));
    script.wait(11_000);
    offence(&mut script, "client", "no HTTP/2 preface");
}

#[test]
fn a_preface_in_pieces_behind_the_servers_settings() {
    let mut script = Script::silent();
    script.send(Side::Client, &PREFACE[..3]);
    script.frames(Side::Server, |out| frame_encoder::settings(out, &[]));
    script.send(Side::Client, &PREFACE[3..]);
    script.frames(Side::Client, |out| frame_encoder::settings(out, &[]));
    script.open(1, RANGE);
    script.wait(60_000);
    script.reset(Side::Client, 1, ErrorCode::CANCEL);
    assert!(script.offences().is_empty());
    assert_eq!(script.calls().len(), 1);
}

#[test]
fn a_frame_larger_than_allowed() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.message(
        Side::Client,
        1,
        &RangeRequest {
            key: "/k".into(),
            ..Default::default()
        },
        true,
    );
    script.frames(Side::Server, |out| {
        frame_encoder::raw(out, FrameType::DATA, Flags(0), id(1), &[0; 20_000]);
    });
    // The call that was open is told with what is known of it.
    assert_eq!(script.calls().len(), 1);
    assert_eq!(script.calls()[0].status.ending, Ending::TracingStopped);
    offence(&mut script, "server", "20000");
}

#[test]
fn an_hpack_bomb() {
    let mut script = Script::greeted();
    // One large entry, then references to it: 4 KB each for one byte.
    let mut block = vec![0x40, 1, b'a', 0x7f, 0xe1, 0x1e];
    block.extend([b'x'; 4000]);
    block.extend([0xbe; 12_000]);
    script.frames(Side::Client, |out| {
        frame_encoder::headers(out, id(1), &block, true, 16384)
    });
    offence(&mut script, "client", "stream 1");
}

#[test]
fn a_header_block_without_end() {
    let mut script = Script::greeted();
    let mut flood = Vec::new();
    frame_encoder::raw(&mut flood, FrameType::HEADERS, Flags(0), id(1), &[0; 1000]);
    script.send(Side::Client, &flood);
    let mut more = Vec::new();
    frame_encoder::raw(
        &mut more,
        FrameType::CONTINUATION,
        Flags(0),
        id(1),
        &[0; 16_000],
    );
    for _ in 0..40 {
        script.send(Side::Client, &more);
    }
    offence(&mut script, "client", "stream 1");
}

#[test]
fn a_window_overrun() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.accept(1);
    for _ in 0..5 {
        script.data(Side::Server, 1, &[0; 16_000], false);
    }
    offence(&mut script, "server", "window");
}

#[test]
fn data_on_a_stream_that_nobody_opened() {
    let mut script = Script::greeted();
    script.data(Side::Server, 9, b"surprise", false);
    offence(&mut script, "server", "stream 9");
}

#[test]
fn http1_passes_and_is_told_a_line_a_request() {
    let mut script = Script::silent();
    script.send(Side::Client, b"GET /hea");
    script.send(Side::Client, b"lth HTTP/1.1\r\nHost: e\r\n\r\n");
    script.send(
        Side::Server,
        b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"health\":\"true\"}",
    );
    script.wait(60_000);
    assert!(script.offences().is_empty());
    let told = script
        .events
        .iter()
        .filter(|event| matches!(event, Event::Http1 { .. }))
        .count();
    assert_eq!(told, 1);
}

#[test]
fn a_fault_of_our_own_costs_the_reading_and_not_a_byte() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    assert!(!script.session.is_at_rest());
    // What the proxy does when reading these bytes panics.
    script
        .session
        .handle_bytes(Side::Client, &[0; 5], script.now);
    script.session.give_up(Side::Client, 5, script.now);
    script.session.give_up(Side::Client, 5, script.now);
    assert_eq!(
        script.session.poll_transmit(Side::Client),
        Some(Transmit::AsCame(0..5))
    );
    assert_eq!(script.session.poll_transmit(Side::Client), None);
    assert!(!script.session.is_at_rest());
    // More comes.
    script.send(Side::Server, b"\0");
    offence(&mut script, "client", "a bug of its own");
}
