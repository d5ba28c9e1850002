//! What was done to a call, in words for the log.

use std::time::Duration;

use crate::etcd::verdict::{Refusal, Sees};
use crate::fault::plan::{
    ConnectionAction, CutShort, Direction, End, PingFault, TlsFault, Towards,
};

pub(super) fn request_delayed(by: Duration) -> String {
    format!("request delayed by {}", time(by))
}

pub(super) fn response_delayed(by: Duration) -> String {
    format!("response delayed by {}", time(by))
}

pub(super) fn waited_for_its_turn(by: Duration) -> String {
    format!("request waited {} for its turn", time(by))
}

pub(super) fn answered(refusal: &Refusal) -> String {
    format!("answered {} {:?}", refusal.code, refusal.message)
}

pub(super) fn executed_twice(sees: Sees) -> String {
    let which = match sees {
        Sees::First => "first",
        Sees::Second => "second",
    };
    format!("to be executed twice, the client sees the {which} answer")
}

pub(super) fn cut_short(cut: &CutShort) -> String {
    let end = match cut.end {
        End::Trailers => "ended with trailers that say OK",
        End::EndStream => "ended without trailers",
    };
    format!("response cut short after {}, {end}", cut.after)
}

/// What was done to a connection.
pub(super) fn done_to_connection(action: &ConnectionAction) -> String {
    let where_to = |direction| match direction {
        Direction::Both => "in both directions",
        Direction::ToClient => "towards the client",
        Direction::ToEtcd => "towards etcd",
    };
    match action {
        ConnectionAction::Refuse(_) => "connection refused".to_owned(),
        ConnectionAction::Silent(_) => "accepted, and nothing said".to_owned(),
        ConnectionAction::Close(_) => "connection closed".to_owned(),
        ConnectionAction::Reset(_) => "connection reset".to_owned(),
        ConnectionAction::Goaway(goaway) => {
            let mut did = format!("GOAWAY {}", goaway.code);
            if !goaway.debug.is_empty() {
                did += &format!(" {:?}", goaway.debug);
            }
            if goaway.graceful {
                did += ", after a warning";
            }
            did
        }
        ConnectionAction::HalfOpen(half) => match half.dead {
            Towards::ToClient => "nothing passes towards the client".to_owned(),
            Towards::ToEtcd => "nothing passes towards etcd".to_owned(),
        },
        ConnectionAction::Blackhole(_) => "nothing passes in either direction".to_owned(),
        ConnectionAction::Bandwidth(width) => {
            let (speed, way) = (width.bytes_per_second, where_to(width.direction));
            format!("slowed to {speed} a second {way}")
        }
        ConnectionAction::Latency(latency) => {
            format!("bytes delayed {}", where_to(latency.direction))
        }
        ConnectionAction::Ping(PingFault::Unanswered) => "PINGs unanswered".to_owned(),
        ConnectionAction::Ping(PingFault::Delay(_)) => "PINGs delayed".to_owned(),
        ConnectionAction::MaxConcurrentStreams(streams) => {
            format!("at most {streams} streams at a time")
        }
        ConnectionAction::Tls(TlsFault::Stall) => "TLS handshake stalled".to_owned(),
        ConnectionAction::Tls(TlsFault::Fail) => "TLS handshake failed".to_owned(),
    }
}

/// `250 us`, `212 ms`, `1.5 s`.
pub(super) fn time(duration: Duration) -> String {
    if duration >= Duration::from_secs(1) {
        let seconds = format!("{:.3}", duration.as_secs_f64());
        format!("{} s", seconds.trim_end_matches('0').trim_end_matches('.'))
    } else if duration >= Duration::from_millis(1) || duration.is_zero() {
        format!("{} ms", (duration.as_secs_f64() * 1e3).round())
    } else {
        format!("{} us", (duration.as_secs_f64() * 1e6).round())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        for (micros, told) in [
            (0, "0 ms"),
            (250, "250 us"),
            (212_400, "212 ms"),
            (1_500_000, "1.5 s"),
            (10_000_000, "10 s"),
            (60_000_000, "60 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), told);
        }
    }
}
