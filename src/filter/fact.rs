//! What a filter is asked about.

use std::fmt::{self, Write as _};

use super::name::Name;

/// Something that has facts: a call, a line, a record. Facts are borrowed, so
/// that asking costs nothing but the look.
pub trait Facts {
    /// The fact of this name; `None` where there is none (not asked, not
    /// answered, not seen). Of the kind that [`Name::kind`] says; one of another
    /// kind counts as absent.
    fn fact(&self, name: Name) -> Option<Fact<'_>>;

    /// Whether any fault that struck has a name for which `holds`. This is how
    /// [`Name::Fault`] is asked.
    fn any_fault(&self, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        let _ = holds;
        false
    }
}

/// A fact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact<'f> {
    /// Text.
    Text(&'f str),
    /// Bytes that nearly always are text: a key.
    Bytes(&'f [u8]),
    /// Text that stood nowhere yet.
    Made(Made),
    /// A whole number.
    Number(i64),
    /// A length of time in nanoseconds; a lag may be negative.
    Duration(i64),
    /// A moment in nanoseconds since 1970.
    Time(i64),
    /// Yes or no.
    Flag(bool),
}

impl Fact<'_> {
    /// A number that may be too large for one here.
    pub fn count(number: u64) -> Fact<'static> {
        Fact::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// A duration in microseconds.
    pub fn micros(micros: i64) -> Fact<'static> {
        Fact::Duration(micros.saturating_mul(1_000))
    }

    /// A duration in seconds.
    pub fn seconds(seconds: i64) -> Fact<'static> {
        Fact::Duration(seconds.saturating_mul(1_000_000_000))
    }
}

/// Short text made for the moment, without an allocation: an address, a number in
/// hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Made {
    bytes: [u8; Made::MOST],
    len: u8,
}

impl Made {
    /// Bytes that have room. The longest address is `[…%4294967295]:65535`.
    pub const MOST: usize = 64;

    /// The text of `shown`, cut where it has no room.
    pub fn of(shown: impl fmt::Display) -> Made {
        let mut made = Made {
            bytes: [0; Made::MOST],
            len: 0,
        };
        // It says so when it is full; what has found room stands.
        let _ = write!(made, "{shown}");
        made
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Write for Made {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let used = usize::from(self.len);
        let room = text.len().min(Made::MOST - used);
        self.bytes[used..used + room].copy_from_slice(&text.as_bytes()[..room]);
        // At most 64.
        self.len += room as u8;
        match room < text.len() {
            true => Err(fmt::Error),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}
