//! Sizes as people write them: `65536`, `64KiB`, `1MiB`.

const UNITS: [(&str, usize); 7] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
];

/// Reads a number of bytes.
///
/// # Errors
/// The rest of a sentence that begins with the place the text was given at.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let wrong = |why: &str| {
        format!("\"{text}\" {why}; write a number of bytes such as 65536, 64KiB or 1MiB")
    };
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(wrong("is no size"));
    }
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(wrong(&format!("has the unit \"{unit}\", which is unknown")));
    };
    number
        .parse::<usize>()
        .ok()
        .and_then(|n| n.checked_mul(*scale))
        .ok_or_else(|| wrong("is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("0", 0),
            ("10B", 10),
            ("2kB", 2_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_in_words() {
        for (text, why) in [
            ("", "is no size"),
            ("KiB", "is no size"),
            ("64K", "the unit \"K\", which is unknown"),
            ("99999999999999999999", "is too large"),
            ("18446744073709551615GiB", "is too large"),
        ] {
            let sentence = parse_size(text).unwrap_err();
            assert!(sentence.contains(why), "{text}: {sentence}");
            assert!(
                sentence.ends_with("such as 65536, 64KiB or 1MiB"),
                "{sentence}"
            );
        }
    }
}
