//! The end of a side, while faults are loaded: what is left over then.

use etcdtap::etcd::SessionOptions;
use etcdtap::etcd::verdict::Verdict;
use etcdtap::http2::{Side, frame_encoder};
use etcdtap::relay::{EndOfBytes, HoldBudget};

use super::script::{PUT, id};
use super::stand::Stand;

#[test]
fn half_a_frame_still_leaves_when_its_sender_ends() {
    for side in [Side::Client, Side::Server] {
        let mut stand = Stand::new(|_| None);
        let before = stand.left(side).len();
        let mut ping = Vec::new();
        frame_encoder::ping(&mut ping, false, *b"12345678");
        stand.send(side, &ping[..12]);
        assert_eq!(stand.left(side).len(), before, "it waits for its end");
        stand.end(side, EndOfBytes::Closed);
        assert_eq!(&stand.left(side)[before..], &ping[..12]);
    }
}

#[test]
fn nothing_follows_the_farewell_of_a_connection_that_is_torn() {
    let mut stand = Stand::new(|_| {
        Some(Verdict {
            request_delay: std::time::Duration::from_secs(1),
            ..Verdict::default()
        })
    });
    stand.ask(1, PUT);
    stand.server_got();
    // Half a frame waits, and credit is due for what is held.
    let before = stand.left(Side::Client).len();
    stand.frames(Side::Client, |out| {
        frame_encoder::data(out, id(1), &[], false);
        out.truncate(3);
    });
    // A frame that may not be, behind DATA that is swallowed.
    stand.frames(Side::Server, |out| {
        frame_encoder::window_update(out, id(0), 0);
    });
    assert_eq!(stand.server_got(), ["GOAWAY PROTOCOL_ERROR"]);
    let goaway = 9 + 8 + "etcdtap cannot follow this connection any more".len();
    assert_eq!(stand.left(Side::Client).len(), before + goaway);
}

#[test]
fn what_is_dropped_with_a_lost_connection_is_not_held() {
    let hold = HoldBudget::default();
    let options = SessionOptions {
        hold: hold.clone(),
        ..SessionOptions::default()
    };
    let mut stand = Stand::with(options, |_| {
        Some(Verdict {
            response_delay: std::time::Duration::from_secs(1),
            ..Verdict::default()
        })
    });
    stand.ask(1, PUT);
    stand.answer(1, 100);
    // Head and trailers count by RFC 9113's measure: 32 bytes more a field.
    assert_eq!(hold.held(), (7 + 3 + 32) + 105 + (11 + 1 + 32));
    stand.end(Side::Server, EndOfBytes::Closed);
    assert_eq!(hold.held(), 0);
    // What still comes for it is of no use to anybody.
    stand.frames(Side::Client, |out| {
        frame_encoder::window_update(out, id(1), 5);
    });
}
