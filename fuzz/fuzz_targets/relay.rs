//! A whole connection's core under any bytes of either side, in any order: what
//! leaves is what came, nothing panics, and the summary comes last and once.
//!
//! Input: the first byte's lowest bit says whether the peers greet each other
//! first; then records of a byte (bit 7: whose turn, bits 0 to 6: how many
//! bytes) and so many bytes.

#![no_main]

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use etcdtap::etcd::{Event, Session, SessionOptions};
use etcdtap::http2::{PREFACE, Side, frame_encoder};
use etcdtap::relay::{ConnectionId, EndOfBytes, Peers, Transmit};
use libfuzzer_sys::fuzz_target;

static OPTIONS: LazyLock<Arc<SessionOptions>> = LazyLock::new(Arc::default);

fn send(session: &mut Session, from: Side, bytes: &[u8], now: Instant, ended: &mut usize) {
    session.handle_bytes(from, bytes, now);
    let mut left = 0;
    while let Some(Transmit::AsCame(range)) = session.poll_transmit(from) {
        assert_eq!(range.start, left, "in order, and nothing left out");
        left = range.end;
    }
    assert_eq!(left, bytes.len());
    drain(session, ended);
}

fn drain(session: &mut Session, ended: &mut usize) {
    while let Some(event) = session.poll_event() {
        *ended += usize::from(matches!(event, Event::ConnectionEnded(_)));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, mut data)) = data.split_first() else {
        return;
    };
    let mut now = Instant::now();
    let peers = Arc::new(Peers {
        id: ConnectionId(1),
        client: ([127, 0, 0, 1], 1).into(),
        listener: ([127, 0, 0, 1], 2).into(),
        upstream: "etcd:2379".into(),
        tls: None,
    });
    let mut session = Session::new(peers, &OPTIONS, now);
    let mut ended = 0;
    if first & 1 == 1 {
        let mut hello = PREFACE.to_vec();
        frame_encoder::settings(&mut hello, &[]);
        send(&mut session, Side::Client, &hello, now, &mut ended);
        let mut answer = Vec::new();
        frame_encoder::settings(&mut answer, &[]);
        frame_encoder::settings_ack(&mut answer);
        send(&mut session, Side::Server, &answer, now, &mut ended);
    }
    while let Some((&turn, rest)) = data.split_first() {
        let n = usize::from(turn & 0x7f).min(rest.len());
        let from = if turn & 0x80 == 0 {
            Side::Client
        } else {
            Side::Server
        };
        let (bytes, rest) = rest.split_at(n);
        data = rest;
        now += Duration::from_millis(u64::from(turn));
        send(&mut session, from, bytes, now, &mut ended);
        if session
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            session.handle_timeout(now);
            drain(&mut session, &mut ended);
        }
    }
    assert_eq!(ended, 0);
    session.handle_end(Side::Server, EndOfBytes::Lost, now);
    session.finish("the input ended", now);
    drain(&mut session, &mut ended);
    assert_eq!(ended, 1);
    assert_eq!(session.open_calls(), 0);
});
