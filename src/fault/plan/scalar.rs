//! The small values of a plan: names, times, sizes, chances, texts with `*`.
//!
//! Each is shown, and written back to JSON, the way it may be read again.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Writes a type to JSON as the text that it shows itself as.
macro_rules! as_text {
    ($($name:ty),* $(,)?) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}
pub(super) use as_text;

as_text!(FaultName, Span, Size, Glob, KeyText);

/// A fault's name: lower-case letters, digits and hyphens, at most 63.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("pattern" = "^[a-z0-9-]{1,63}$")))]
pub struct FaultName(#[cfg_attr(test, schemars(with = "String"))] Arc<str>);

impl FaultName {
    /// The longest name's length.
    pub const LONGEST: usize = 63;

    /// A name, if `text` is one.
    pub fn new(text: &str) -> Option<FaultName> {
        let fits = (1..=FaultName::LONGEST).contains(&text.len());
        let spelled = text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        (fits && spelled).then(|| FaultName(text.into()))
    }

    /// The name, to be shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Deref for FaultName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A length of time: `250us`, `100ms`, `1.5s`, `1m30s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("pattern" = r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$")))]
pub struct Span(#[cfg_attr(test, schemars(with = "String"))] pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanos();
        let seconds = self.0.as_secs();
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        match (seconds, rest, nanos) {
            (0, _, 0) => f.write_str("0s"),
            (_, 0, 0) => Ok(()),
            (_, rest, 0) => write!(f, "{rest}s"),
            (0, _, nanos) if nanos % 1_000_000 == 0 => write!(f, "{}ms", nanos / 1_000_000),
            (0, _, nanos) if nanos % 1_000 == 0 => write!(f, "{}us", nanos / 1_000),
            (0, _, nanos) if nanos < 1_000_000 => write!(f, "{nanos}ns"),
            (_, rest, nanos) => {
                let fraction = format!("{nanos:09}");
                write!(f, "{rest}.{}s", fraction.trim_end_matches('0'))
            }
        }
    }
}

/// A number of bytes: `65536`, `64KiB`, `1MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
            .into_iter()
            .find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale));
        match unit {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// How likely a match is to be struck: more than 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("exclusiveMinimum" = 0, "maximum" = 1)))]
#[serde(transparent)]
pub struct Probability(f64);

impl Probability {
    /// A probability, if `value` is one.
    pub fn new(value: f64) -> Option<Probability> {
        (value > 0.0 && value <= 1.0).then_some(Probability(value))
    }

    /// The number.
    pub const fn value(self) -> f64 {
        self.0
    }
}

/// A text in which `*` stands for any letters, or none. Case matters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minLength" = 1)))]
pub struct Glob(#[cfg_attr(test, schemars(with = "String"))] Box<str>);

impl Glob {
    /// A pattern, if there is any text.
    pub fn new(text: &str) -> Option<Glob> {
        (!text.is_empty()).then(|| Glob(text.into()))
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether `text` is one of those meant.
    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        // The shortest find of each middle part leaves most to those after it.
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key of etcd, or the beginning of one, as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minLength" = 1)))]
pub struct KeyText(#[cfg_attr(test, schemars(with = "String"))] Box<str>);

impl KeyText {
    /// A key, if there is any text.
    pub fn new(text: &str) -> Option<KeyText> {
        (!text.is_empty()).then(|| KeyText(text.into()))
    }

    /// The key's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The values of a term, any of which will do; none means that the term was not
/// given. One value may be written without a list around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyOf<T>(Vec<T>);

impl<T> AnyOf<T> {
    /// These values.
    pub fn new(values: Vec<T>) -> AnyOf<T> {
        AnyOf(values)
    }

    /// Whether the term asks for nothing, or one of its values fits.
    pub fn holds(&self, fits: impl FnMut(&T) -> bool) -> bool {
        self.0.is_empty() || self.0.iter().any(fits)
    }

    /// Whether the term was not given.
    pub fn is_absent(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for AnyOf<T> {
    fn default() -> Self {
        AnyOf(Vec::new())
    }
}

impl<T> Deref for AnyOf<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize> Serialize for AnyOf<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(to),
            many => many.serialize(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::{parse_duration, parse_size};

    #[test]
    fn times_and_sizes_are_shown_as_they_are_read() {
        for text in [
            "0s",
            "7ns",
            "250us",
            "100ms",
            "5s",
            "1.5s",
            "1m",
            "1m30s",
            "2h",
            "2h0.25s",
            "1h1m1s",
            "1000001ns",
        ] {
            let nanos = parse_duration(text).expect("a duration");
            let shown = Span(nanos).to_string();
            assert_eq!(parse_duration(&shown), Ok(nanos), "{text}: {shown}");
        }
        assert_eq!(Span(Duration::from_millis(1500)).to_string(), "1.5s");
        assert_eq!(Span(Duration::from_secs(90)).to_string(), "1m30s");
        for (bytes, shown) in [
            (0, "0B"),
            (1000, "1000B"),
            (65536, "64KiB"),
            (1 << 21, "2MiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
            assert_eq!(parse_size(shown).map(|size| size as u64), Ok(bytes));
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, fits) in [
            ("coredns*", "coredns-5d78", true),
            ("coredns*", "my-coredns", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("*.internal", "db.internal", true),
            ("a*a", "a", false),
            ("web", "web", true),
            ("web", "web-1", false),
            ("w*b*", "wb", true),
        ] {
            let glob = Glob::new(pattern).expect("a pattern");
            assert_eq!(glob.fits(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn names_are_labels() {
        assert!(FaultName::new("slow-lists-2").is_some());
        for wrong in ["", "Slow", "a b", "ü", &"a".repeat(64)] {
            assert!(FaultName::new(wrong).is_none(), "{wrong}");
        }
    }
}
