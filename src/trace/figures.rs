//! Figures for people: durations and sizes in a few characters.

/// `640µs`, `1.21ms`, `12.3s`, `5m03s`, `2h05m`, `3d04h`: six characters at
/// most until a thousand days have gone.
pub(crate) fn duration(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..999_500 => three_digits(micros as f64 / 1e3, "ms"),
        999_500..59_950_000 => three_digits(micros as f64 / 1e6, "s"),
        _ => match seconds.max(60) {
            seconds @ 0..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
            seconds @ 3_600..86_400 => {
                format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60)
            }
            seconds => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
        },
    }
}

/// `+640µs`, `-1.2ms`.
pub(crate) fn signed_duration(micros: i64) -> String {
    let sign = if micros < 0 { '-' } else { '+' };
    format!("{sign}{}", duration(micros.unsigned_abs()))
}

/// `28B`, `1.6K`, `933K`, `2.23M`: by 1024.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes}B");
    }
    let mut size = bytes as f64 / 1024.0;
    for unit in ["K", "M", "G"] {
        if size < 999.5 {
            return three_digits(size, unit);
        }
        size /= 1024.0;
    }
    three_digits(size, "T")
}

/// `1,866`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn three_digits(number: f64, unit: &str) -> String {
    let decimals = match number {
        _ if number < 9.995 => 2,
        _ if number < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_round_over() {
        let cases = [
            (0, "0µs"),
            (999, "999µs"),
            (1_000, "1.00ms"),
            (1_214, "1.21ms"),
            (9_990, "9.99ms"),
            (9_996, "10.0ms"),
            (99_960, "100ms"),
            (999_499, "999ms"),
            (999_500, "1.00s"),
            (12_340_000, "12.3s"),
            (59_960_000, "1m00s"),
            (303_000_000, "5m03s"),
            (7_500_000_000, "2h05m"),
            (273_600_000_000, "3d04h"),
        ];
        for (micros, text) in cases {
            assert_eq!(duration(micros), text);
            assert!(duration(micros).chars().count() <= 6);
        }
        assert_eq!(signed_duration(-1_214), "-1.21ms");
        assert_eq!(signed_duration(3), "+3µs");
    }

    #[test]
    fn sizes_are_short() {
        let cases = [
            (0, "0B"),
            (999, "999B"),
            (1_000, "0.98K"),
            (1_640, "1.60K"),
            (933_612, "912K"),
            (1_023_990, "0.98M"),
            (2_336_873, "2.23M"),
            (500 << 20, "500M"),
            (3 << 40, "3.00T"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_866), "1,866");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
