//! Faults on connections, as far as they are done with frames: GOAWAY, PINGs, a
//! limit on streams.

use std::time::Duration;

use etcdtap::etcd::verdict::{Delays, FaultId, Hit};
use etcdtap::etcd::warden::{Conditions, Farewell, Outlook, Pings, Strike};
use etcdtap::etcd::{Ends, Event, SessionOptions};
use etcdtap::http2::{Both, ErrorCode, SettingId, Side, frame_encoder};

use super::script::{PUT, WATCH, id};
use super::stand::Stand;

fn stand() -> Stand {
    Stand::new(|_| None)
}

fn hit() -> Hit {
    Hit {
        fault: FaultId(9),
        name: "told".into(),
        did: "what it was told".into(),
    }
}

fn goaway(code: ErrorCode, debug: &str, graceful: bool) -> Outlook {
    let farewell = Farewell {
        code,
        debug: debug.into(),
        graceful,
    };
    Outlook {
        hits: vec![hit()],
        strikes: vec![Strike::Goaway(FaultId(9), farewell)],
        ..Outlook::default()
    }
}

fn under(conditions: Conditions) -> Outlook {
    Outlook {
        conditions: Some(conditions),
        ..Outlook::default()
    }
}

fn with_pings(pings: Pings) -> Outlook {
    under(Conditions {
        pings,
        ..Conditions::default()
    })
}

fn with_streams(most: u32) -> Outlook {
    under(Conditions {
        most_streams: Some(most),
        ..Conditions::default()
    })
}

fn calm() -> Outlook {
    under(Conditions::default())
}

#[derive(Debug)]
struct Always(u64);

impl Delays for Always {
    fn next(&mut self) -> Duration {
        Duration::from_millis(self.0)
    }
}

fn ping(stand: &mut Stand, from: Side, ack: bool, payload: &[u8; 8]) {
    let payload = *payload;
    stand.frames(from, |out| frame_encoder::ping(out, ack, payload));
}

const NONE: [&str; 0] = [];
const MOST: u32 = (1 << 31) - 1;

#[test]
fn a_graceful_goaway_warns_first_and_names_the_last_stream_after_a_round_trip() {
    let mut stand = stand();
    stand.open(1, WATCH);
    stand.server_got();
    stand.meets(goaway(ErrorCode::NO_ERROR, "drains", true));
    assert_eq!(stand.client_got(), ["GOAWAY NO_ERROR", "PING"]);
    assert_eq!(stand.last_goaway(), Some(MOST));
    // What the client sends before it has read that is served.
    stand.ask(3, PUT);
    ping(&mut stand, Side::Client, true, b"etcdtap!");
    assert_eq!(stand.client_got(), ["GOAWAY NO_ERROR"]);
    assert_eq!(stand.last_goaway(), Some(3));
    let got = stand.server_got();
    assert!(got[0].starts_with("HEADERS 3 "), "{got:?}");
    assert_eq!(got[1..], ["DATA 3 15 END"], "and no acknowledgement");
    stand.answer(3, 10);
    assert_eq!(stand.client_got().len(), 3);

    // Streams that are open live on.
    stand.message(Side::Client, 1, 20, false);
    assert_eq!(stand.server_got(), ["DATA 1 25"]);
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    stand.message(Side::Server, 1, 20, false);
    assert_eq!(stand.client_got(), ["HEADERS 1 :status=200", "DATA 1 25"]);
    let told = stand
        .events
        .iter()
        .any(|event| matches!(event, Event::Fault { hits, .. } if *hits == [hit()]));
    assert!(told);
    assert!(stand.session.is_interposed());
}

#[test]
fn a_client_that_does_not_answer_is_told_the_last_stream_all_the_same() {
    let mut stand = stand();
    stand.ask(1, PUT);
    stand.meets(goaway(ErrorCode::ENHANCE_YOUR_CALM, "", true));
    assert_eq!(stand.client_got(), ["GOAWAY NO_ERROR", "PING"]);
    stand.wait(4_999);
    assert_eq!(stand.client_got(), NONE);
    stand.wait(1);
    assert_eq!(stand.client_got(), ["GOAWAY ENHANCE_YOUR_CALM"]);
    assert_eq!(stand.last_goaway(), Some(1));
}

#[test]
fn streams_above_the_last_one_never_reach_etcd_and_are_paid_back() {
    let mut stand = stand();
    stand.meets(goaway(
        ErrorCode::ENHANCE_YOUR_CALM,
        "too_many_pings",
        false,
    ));
    assert_eq!(stand.client_got(), ["GOAWAY ENHANCE_YOUR_CALM"]);
    assert_eq!(stand.last_goaway(), Some(0));
    stand.ask(1, PUT);
    stand.frames(Side::Client, |out| {
        frame_encoder::rst_stream(out, id(1), ErrorCode::CANCEL);
    });
    assert_eq!(stand.server_got(), NONE);
    assert_eq!(stand.client_got(), ["CREDIT 0 15"]);
    assert_eq!(stand.calls().len(), 0);
    // etcd's own numbers never rise above ours.
    stand.frames(Side::Server, |out| {
        frame_encoder::goaway(out, id(MOST), ErrorCode::NO_ERROR, b"graceful_stop");
    });
    assert_eq!(stand.client_got(), ["GOAWAY NO_ERROR"]);
    assert_eq!(stand.last_goaway(), Some(0));
}

#[test]
fn what_etcd_said_before_bounds_what_is_said() {
    let mut stand = stand();
    stand.ask(1, PUT);
    stand.ask(3, PUT);
    stand.frames(Side::Server, |out| {
        frame_encoder::goaway(out, id(1), ErrorCode::NO_ERROR, b"");
    });
    stand.client_got();
    stand.meets(goaway(ErrorCode::NO_ERROR, "", true));
    assert_eq!(stand.last_goaway(), Some(1));
    stand.wait(5_000);
    assert_eq!(stand.last_goaway(), Some(1));
    assert_eq!(stand.client_got().len(), 3);
}

#[test]
fn a_stream_that_is_being_opened_counts() {
    let mut stand = stand();
    // Nothing could touch calls: bytes pass as they come, also half a frame.
    stand.bench.lock().unwrap().disarmed = true;
    stand.change();
    stand.frames(Side::Client, |out| {
        frame_encoder::window_update(out, id(0), 1)
    });
    stand.server_got();
    let mut head = Vec::new();
    let mut encoder = etcdtap::http2::hpack::Encoder::new();
    let mut block = Vec::new();
    let without = etcdtap::http2::hpack::Indexing::Without;
    for (name, value) in [
        (":method", "POST"),
        (":path", PUT),
        ("content-type", "application/grpc"),
    ] {
        encoder.field(name.as_bytes(), value.as_bytes(), without, &mut block);
    }
    frame_encoder::headers(&mut head, id(1), &block, false, 16384);
    let (first, rest) = head.split_at(head.len() / 2);
    stand.send(Side::Client, first);
    let left = stand.left(Side::Client).len();
    stand.meets(goaway(ErrorCode::NO_ERROR, "", false));
    assert_eq!(
        stand.client_got(),
        NONE,
        "not while it is open which is the last"
    );
    stand.send(Side::Client, rest);
    assert_eq!(stand.left(Side::Client).len(), left + rest.len());
    assert_eq!(stand.client_got(), ["GOAWAY NO_ERROR"]);
    assert_eq!(stand.last_goaway(), Some(1));
}

#[test]
fn a_goaway_waits_until_the_server_has_greeted() {
    let mut stand = Stand::ungreeted(SessionOptions::default(), |_| None);
    stand.meets(goaway(ErrorCode::NO_ERROR, "", false));
    assert_eq!(stand.client_got(), NONE);
    stand.greet();
    assert_eq!(
        stand.client_got(),
        ["SETTINGS", "GOAWAY NO_ERROR", "SETTINGS ACK"]
    );
}

#[test]
fn a_connection_without_frames_cannot_be_said_goodbye_to() {
    let mut stand = Stand::ungreeted(SessionOptions::default(), |_| None);
    // The stand reads frames only.
    let request = b"GET /health HTTP/1.1\r\n\r\n";
    stand.session.handle_bytes(Side::Client, request, stand.now);
    while stand.session.poll_transmit(Side::Client).is_some() {}
    stand.meets(goaway(ErrorCode::NO_ERROR, "", false));
    assert_eq!(stand.client_got(), NONE);
    assert_eq!(stand.bench.lock().unwrap().gave_up.len(), 1);
}

#[test]
fn pings_are_not_answered_until_that_ends() {
    let mut stand = stand();
    stand.open(1, WATCH);
    stand.server_got();
    stand.meets(with_pings(Pings::Unanswered));
    ping(&mut stand, Side::Client, false, b"keepaliv");
    ping(&mut stand, Side::Client, false, b"bandwidt");
    stand.wait(60_000);
    assert_eq!(stand.server_got(), NONE);
    assert_eq!(stand.client_got(), NONE);
    // etcd's own are not meant.
    ping(&mut stand, Side::Server, false, b"of etcd!");
    ping(&mut stand, Side::Client, true, b"of etcd!");
    assert_eq!(stand.client_got(), ["PING"]);
    assert_eq!(stand.server_got(), ["PING ACK"]);
    stand.meets(calm());
    // The first is etcd's to answer; so soon after it the second is not.
    assert_eq!(stand.server_got(), ["PING"]);
    ping(&mut stand, Side::Server, true, b"keepaliv");
    assert_eq!(stand.client_got().len(), 2);
}

#[test]
fn pings_are_answered_late() {
    let mut stand = stand();
    stand.open(1, WATCH);
    stand.server_got();
    stand.meets(with_pings(Pings::Late(Box::new(Always(3_000)))));
    ping(&mut stand, Side::Client, false, b"keepaliv");
    stand.wait(2_999);
    assert_eq!(stand.server_got(), NONE);
    stand.wait(1);
    assert_eq!(stand.server_got(), ["PING"]);
    ping(&mut stand, Side::Server, true, b"keepaliv");
    assert_eq!(stand.client_got(), ["PING ACK"]);
}

#[test]
fn fewer_streams_are_announced_and_that_is_nobodys_business_at_etcd() {
    let mut stand = stand();
    stand.meets(with_streams(2));
    assert_eq!(stand.client_got(), ["SETTINGS 2 streams"]);
    stand.frames(Side::Client, frame_encoder::settings_ack);
    assert_eq!(stand.server_got(), NONE);
    // What etcd announces meanwhile says the same, and its acknowledgement is
    // etcd's.
    let limit = SettingId::MAX_CONCURRENT_STREAMS;
    for (own, told) in [(100, 2), (1, 1)] {
        stand.frames(Side::Server, |out| {
            frame_encoder::settings(out, &[(SettingId::MAX_FRAME_SIZE, 32768), (limit, own)]);
        });
        assert_eq!(stand.client_got(), [format!("SETTINGS {told} streams")]);
        stand.frames(Side::Client, frame_encoder::settings_ack);
        assert_eq!(stand.server_got(), ["SETTINGS ACK"]);
    }
    // In the end etcd's own word holds.
    stand.meets(calm());
    assert_eq!(stand.client_got(), ["SETTINGS 1 streams"]);
    stand.frames(Side::Client, frame_encoder::settings_ack);
    assert_eq!(stand.server_got(), NONE);
}

#[test]
fn acknowledgements_are_told_apart_by_their_order() {
    let mut stand = stand();
    // etcd's, ours, etcd's.
    stand.frames(Side::Server, |out| frame_encoder::settings(out, &[]));
    stand.meets(with_streams(2));
    stand.frames(Side::Server, |out| frame_encoder::settings(out, &[]));
    assert_eq!(
        stand.client_got(),
        ["SETTINGS", "SETTINGS 2 streams", "SETTINGS 2 streams"]
    );
    for expected in [&["SETTINGS ACK"][..], &[], &["SETTINGS ACK"]] {
        stand.frames(Side::Client, frame_encoder::settings_ack);
        assert_eq!(stand.server_got(), expected);
    }
}

#[test]
fn the_first_settings_carry_the_limit() {
    let mut stand = Stand::ungreeted(SessionOptions::default(), |_| None);
    stand.meets(with_streams(5));
    stand.greet();
    assert_eq!(stand.client_got(), ["SETTINGS 5 streams", "SETTINGS ACK"]);
    assert_eq!(stand.server_got(), ["SETTINGS", "SETTINGS ACK"]);
    stand.meets(calm());
    assert_eq!(
        stand.client_got(),
        [format!("SETTINGS {} streams", u32::MAX)],
        "etcd had set none"
    );
}

#[test]
fn an_end_is_asked_for_and_the_summary_names_the_fault() {
    let mut stand = stand();
    assert_eq!(stand.session.must_end(), None);
    stand.meets(Outlook {
        hits: vec![hit()],
        strikes: vec![Strike::Reset],
        ..Outlook::default()
    });
    assert_eq!(stand.session.must_end(), Some(Ends::ByReset));
    stand
        .session
        .finish("a fault reset the connection", stand.now);
    let Some(Event::ConnectionEnded(ended)) = stand.session.poll_event() else {
        panic!("no summary");
    };
    assert_eq!(ended.faults, [hit()]);
    assert!(!ended.interposed, "no byte was touched");
}

#[test]
fn the_weather_is_there_while_something_is_done_to_bytes() {
    let mut stand = stand();
    assert!(stand.session.weather().is_none());
    stand.meets(under(Conditions {
        frozen: Both {
            client: false,
            server: true,
        },
        ..Conditions::default()
    }));
    let weather = stand.session.weather().expect("weather");
    assert!(weather.is_frozen(Side::Server) && !weather.is_frozen(Side::Client));
    stand.meets(calm());
    stand.session.clear_up();
    assert!(stand.session.weather().is_none());
    assert!(!stand.session.is_interposed());
}
