//! Times as people name them, beside a recording.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{Timestamp, Unit};

use crate::notation::parse_duration;

/// A time that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Moment {
    /// In nanoseconds since 1970.
    At(u64),
    /// Nanoseconds since midnight, UTC.
    OfDay(u64),
    /// So many nanoseconds before the recording's end.
    BeforeEnd(u64),
}

const DAY: u64 = 86_400_000_000_000;

/// Reads `2026-11-03T08:05:32Z`, `2026-11-03T08:05` and `2026-11-03` (UTC, as
/// the log is), `08:05:32`, and `-10m`.
pub(in crate::cli) fn parse(text: &str) -> Result<Moment, String> {
    let wrong = || {
        format!(
            "\"{text}\" is no time; write it such as 2026-11-03T08:05:32Z, 08:05, or -10m (before \
             the recording's end)"
        )
    };
    let at = |timestamp: Timestamp| {
        u64::try_from(timestamp.as_nanosecond())
            .map(Moment::At)
            .map_err(|_| wrong())
    };
    if let Some(before) = text.strip_prefix('-') {
        let before = parse_duration(before).map_err(|_| wrong())?;
        let nanos = u64::try_from(before.as_nanos()).unwrap_or(u64::MAX);
        return Ok(Moment::BeforeEnd(nanos));
    }
    // No form is longer.
    if text.len() > 64 {
        return Err(wrong());
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return at(timestamp);
    }
    if text.as_bytes().get(2) == Some(&b':') {
        let time: Time = text.parse().map_err(|_| wrong())?;
        let since = time - Time::midnight();
        let nanos = since.total(Unit::Nanosecond).map_err(|_| wrong())?;
        return Ok(Moment::OfDay(nanos as u64));
    }
    let datetime = match text.parse::<DateTime>() {
        Ok(datetime) => datetime,
        Err(_) => text.parse::<Date>().map_err(|_| wrong())?.at(0, 0, 0, 0),
    };
    at(Offset::UTC.to_timestamp(datetime).map_err(|_| wrong())?)
}

impl Moment {
    /// Whether one has to know the recording to know the time.
    pub fn is_relative(self) -> bool {
        !matches!(self, Moment::At(_))
    }

    /// The time, in nanoseconds since 1970, in a recording that reaches from when
    /// to when. A time of day is the first one that is not before its beginning.
    pub fn within(self, (from, to): (u64, u64)) -> u64 {
        match self {
            Moment::At(at) => at,
            Moment::BeforeEnd(before) => to.saturating_sub(before),
            Moment::OfDay(since_midnight) => {
                let at = (from / DAY * DAY).saturating_add(since_midnight);
                // To the second, in which people read it.
                match at / 1_000_000_000 < from / 1_000_000_000 {
                    true => at.saturating_add(DAY),
                    false => at,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIGHT: u64 = 1_793_693_132_000_000_000; // 2026-11-03T08:05:32Z

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, moment) in [
            ("2026-11-03T08:05:32Z", Moment::At(EIGHT)),
            ("2026-11-03T09:05:32+01:00", Moment::At(EIGHT)),
            ("2026-11-03T08:05:32", Moment::At(EIGHT)),
            ("2026-11-03", Moment::At(EIGHT / DAY * DAY)),
            ("08:05:32", Moment::OfDay(EIGHT % DAY)),
            ("08:05", Moment::OfDay(EIGHT % DAY - 32_000_000_000)),
            ("-10m", Moment::BeforeEnd(600_000_000_000)),
        ] {
            assert_eq!(parse(text), Ok(moment), "{text}");
        }
        for text in ["", "soon", "25:00", "-", "-x", "2026-13-01"] {
            assert!(parse(text).unwrap_err().contains("is no time"), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_the_recordings_own() {
        let span = (EIGHT, EIGHT + DAY / 2);
        assert_eq!(parse("08:05:32").unwrap().within(span), EIGHT);
        let early = parse("08:05:31").unwrap().within(span);
        assert_eq!(early, EIGHT + DAY - 1_000_000_000);
        assert_eq!(
            parse("-10s").unwrap().within(span),
            EIGHT + DAY / 2 - 10_000_000_000
        );
    }
}
