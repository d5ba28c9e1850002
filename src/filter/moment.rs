//! Moments as people write them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// In nanoseconds since 1970.
    At(i64),
    /// Of whatever day, in nanoseconds since midnight.
    OfDay(i64),
}

/// Nanoseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000_000;

/// Reads `2026-11-03T08:05:00Z`, `2026-11-03T08:05`, `2026-11-03` and `08:05`;
/// without an offset it is UTC, as the log is.
pub(super) fn parse(text: &str) -> Option<Moment> {
    let at = |datetime: DateTime| {
        let moment = Offset::UTC.to_timestamp(datetime).ok()?;
        nanos(moment).map(Moment::At)
    };
    // No form is longer, but for digits that are beyond nanoseconds.
    if text.len() > 64 {
        return None;
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return nanos(moment).map(Moment::At);
    }
    match text.as_bytes().get(2) {
        Some(b':') => {
            let time: Time = text.parse().ok()?;
            let since = time - Time::midnight();
            let nanos = since.total(jiff::Unit::Nanosecond).ok()?;
            Some(Moment::OfDay(nanos as i64))
        }
        _ => match text.parse::<DateTime>() {
            Ok(datetime) => at(datetime),
            Err(_) => at(text.parse::<Date>().ok()?.at(0, 0, 0, 0)),
        },
    }
}

fn nanos(moment: Timestamp) -> Option<i64> {
    i64::try_from(moment.as_nanosecond()).ok()
}
