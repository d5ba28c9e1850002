//! Settings, windows, PINGs and what the connection's summary says of them.

use std::time::Duration;

use etcdtap::etcd::{ConnectionEnded, Event};
use etcdtap::http2::{ErrorCode, SettingId, Side, frame_encoder};
use etcdtap::relay::EndOfBytes;

use super::script::{RANGE, Script, id};

fn ended(script: &mut Script) -> ConnectionEnded {
    script.close(Side::Client, EndOfBytes::Closed);
    match script.events.last() {
        Some(Event::ConnectionEnded(ended)) => (**ended).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn larger_limits_hold_at_once_and_smaller_ones_when_acknowledged() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.accept(1);
    // The client allows more: the server may use it before it acknowledges.
    script.frames(Side::Client, |out| {
        frame_encoder::settings(
            out,
            &[
                (SettingId::INITIAL_WINDOW_SIZE, 1 << 20),
                (SettingId::MAX_FRAME_SIZE, 1 << 17),
            ],
        );
        frame_encoder::window_update(out, id(0), 1 << 24);
    });
    script.data(Side::Server, 1, &[0; 100_000], false);
    script.frames(Side::Server, frame_encoder::settings_ack);
    // It allows less again: what the server sent before it knew is legal.
    script.frames(Side::Client, |out| {
        frame_encoder::settings(
            out,
            &[
                (SettingId::INITIAL_WINDOW_SIZE, 10),
                (SettingId::MAX_FRAME_SIZE, 16_384),
            ],
        );
    });
    script.data(Side::Server, 1, &[0; 100_000], false);
    script.frames(Side::Server, frame_encoder::settings_ack);
    assert_eq!(script.offences(), Vec::<String>::new());
    // From here on it is not: the window is far below zero.
    script.data(Side::Server, 1, &[0; 1], false);
    assert_eq!(script.offences().len(), 1);
}

#[test]
fn table_sizes_are_followed() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.frames(Side::Server, |out| {
        frame_encoder::settings(out, &[(SettingId::HEADER_TABLE_SIZE, 0)]);
    });
    script.frames(Side::Client, frame_encoder::settings_ack);
    // A block without the size update that is now due.
    script.open(3, RANGE);
    let offences = script.offences();
    assert!(offences[0].starts_with("client"), "{offences:?}");
}

#[test]
fn pings_resets_goaway_and_stalls_are_summed_up() {
    let mut script = Script::greeted();
    let payload = *b"\x02\x04\x10\x10\x09\x0e\x07\x07";
    for wait in [4, 8] {
        script.frames(Side::Client, |out| frame_encoder::ping(out, false, payload));
        script.wait(wait);
        script.frames(Side::Server, |out| frame_encoder::ping(out, true, payload));
    }
    script.open(1, RANGE);
    script.accept(1);
    for _ in 0..3 {
        script.data(Side::Server, 1, &[0; 16_384], false);
    }
    script.data(Side::Server, 1, &[0; 16_383], false);
    // Both windows stand at zero for 50 ms.
    script.wait(50);
    script.frames(Side::Client, |out| {
        frame_encoder::window_update(out, id(0), 1000);
        frame_encoder::window_update(out, id(1), 1000);
    });
    script.reset(Side::Client, 1, ErrorCode::CANCEL);
    script.frames(Side::Server, |out| {
        frame_encoder::goaway(out, id(1), ErrorCode::ENHANCE_YOUR_CALM, b"too_many_pings");
    });
    let ended = ended(&mut script);
    let client = &ended.reports[Side::Client];
    let server = &ended.reports[Side::Server];
    assert_eq!((client.pings, client.round_trips.count), (2, 2));
    assert_eq!(client.round_trips.longest, Duration::from_millis(8));
    assert_eq!(client.round_trips.total, Duration::from_millis(12));
    assert_eq!(
        (client.resets.count, client.resets.last),
        (1, Some(ErrorCode::CANCEL))
    );
    assert_eq!(
        (server.stalls.count, server.stalls.total),
        (2, Duration::from_millis(100))
    );
    let goaway = server.goaway.as_ref().expect("a GOAWAY");
    assert_eq!(
        (&*goaway.debug, goaway.code),
        ("too_many_pings", ErrorCode::ENHANCE_YOUR_CALM)
    );
    assert!(client.settings.is_some());
    assert_eq!(ended.streams, 1);
    assert!(ended.user_agent.is_some());
}

#[test]
fn many_streams_leave_nothing_behind() {
    let mut script = Script::greeted();
    for n in 0..5000 {
        let stream = 2 * n + 1;
        script.open(stream, RANGE);
        script.reset(Side::Client, stream, ErrorCode::CANCEL);
    }
    assert_eq!(script.session.open_calls(), 0);
    assert_eq!(script.calls().len(), 5000);
}

#[test]
fn an_empty_frame_needs_no_window() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.accept(1);
    script.data(Side::Server, 1, &[0; 1000], false);
    script.frames(Side::Client, |out| {
        frame_encoder::settings(out, &[(SettingId::INITIAL_WINDOW_SIZE, 10)]);
    });
    script.frames(Side::Server, frame_encoder::settings_ack);
    script.data(Side::Server, 1, &[], true);
    assert_eq!(script.offences(), Vec::<String>::new());
}

#[test]
fn a_ping_that_nobody_answers_is_told_once() {
    let told = |script: &Script| {
        let events = script.events.iter();
        let pings = events.filter_map(|event| match event {
            Event::Ping { at, .. } => Some(*at),
            _ => None,
        });
        pings.collect::<Vec<_>>()
    };
    let mut script = Script::greeted();
    let asked = script.now;
    script.frames(Side::Client, |out| frame_encoder::ping(out, false, [0; 8]));
    script.now += Duration::from_secs(3);
    assert!(told(&script).is_empty());
    for _ in 0..2 {
        script.frames(Side::Client, |out| frame_encoder::ping(out, false, [1; 8]));
        assert_eq!(told(&script), [asked]);
    }
    // One that is answered, however late, is followed by another silence.
    script.frames(Side::Server, |out| frame_encoder::ping(out, true, [1; 8]));
    script.now += Duration::from_secs(3);
    script.session.finish("client closed", script.now);
    while let Some(event) = script.session.poll_event() {
        script.events.push(event);
    }
    assert_eq!(told(&script).len(), 2);
}
