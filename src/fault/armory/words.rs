//! What was done to a call, in words for the log.

use std::time::Duration;

use crate::etcd::verdict::{Refusal, Sees};
use crate::fault::plan::{CutShort, End};

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
