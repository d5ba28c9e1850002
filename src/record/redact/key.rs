//! The key of a recording, and the hashes it makes.

use std::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// What a range is filled with.
pub(super) const FILL: u8 = b'*';

/// What stands before the hash at the end of a range.
const TAG: &[u8; 9] = b"redacted:";

/// Hexadecimal digits of a hash.
const DIGITS: usize = 32;

/// How long the text at the end of a range is.
pub(super) const TAG_LEN: usize = TAG.len() + DIGITS;

/// Below this many bytes a hash says more about a value than that it is equal to
/// another: there are too few values.
const LEAST_HASHED: u64 = 4;

/// The key of a recording: 32 random bytes that never stand in the recording
/// itself. Who has it can tell whether a value that he knows is the one that was
/// replaced. Cloning is cheap.
#[derive(Clone)]
pub struct RecordingKey(Arc<Keyed>);

struct Keyed {
    bytes: [u8; 32],
    hmac: hmac::Key,
}

impl RecordingKey {
    /// A new key from the system's random numbers.
    pub fn generate() -> Result<RecordingKey, RecordingKeyError> {
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| RecordingKeyError::NoRandom)?;
        Ok(RecordingKey::from_bytes(bytes))
    }

    /// The key that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> RecordingKey {
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        RecordingKey(Arc::new(Keyed { bytes, hmac }))
    }

    /// Reads the text of a key file: 64 hexadecimal digits; space around them
    /// does not matter.
    pub fn from_text(text: &str) -> Result<RecordingKey, RecordingKeyError> {
        let digits = text.trim_ascii().to_ascii_lowercase();
        let bytes = HEXLOWER
            .decode(digits.as_bytes())
            .map_err(|_| RecordingKeyError::NoKey)?;
        let bytes = bytes.try_into().map_err(|_| RecordingKeyError::NoKey)?;
        Ok(RecordingKey::from_bytes(bytes))
    }

    /// The text for a key file, which only its owner may read.
    pub fn to_text(&self) -> String {
        HEXLOWER.encode(&self.0.bytes)
    }

    /// The hash of a value.
    pub fn hash(&self, value: &[u8]) -> Hash {
        let mut hashing = self.hashing();
        hashing.update(value);
        hashing.finish()
    }

    pub(super) fn hashing(&self) -> Hashing {
        Hashing(hmac::Context::with_key(&self.0.hmac))
    }
}

impl fmt::Debug for RecordingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordingKey(hidden)")
    }
}

/// A hash whose value comes in pieces.
#[derive(Clone)]
pub(super) struct Hashing(hmac::Context);

impl Hashing {
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub fn finish(self) -> Hash {
        let tag = self.0.sign();
        // HMAC-SHA256 gives 32 bytes.
        Hash(tag.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashing(hidden)")
    }
}

/// The first 128 bits of a value's HMAC-SHA256 (RFC 2104) with the recording's
/// key. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 16]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash that may stand for a value of `length` bytes.
pub(super) fn told(hash: Hash, length: u64) -> Option<Hash> {
    (length >= LEAST_HASHED).then_some(hash)
}

/// Writes the hash to the end of a range of stars; of a range that is too short
/// for it, the last digits.
pub(super) fn tag(end: &mut [u8], hash: Hash) {
    let mut text = [0; TAG_LEN];
    text[..TAG.len()].copy_from_slice(TAG);
    HEXLOWER.encode_mut(&hash.0, &mut text[TAG.len()..]);
    let length = end.len().min(TAG_LEN);
    let start = end.len() - length;
    end[start..].copy_from_slice(&text[TAG_LEN - length..]);
}

/// The hash of a value that was replaced as a whole: `None` for any other value,
/// and for one of fewer than 41 bytes, of which only the message's findings can
/// tell.
pub fn redacted_hash(value: &[u8]) -> Option<Hash> {
    let (rest, digits) = value.split_at_checked(value.len().checked_sub(DIGITS)?)?;
    let stars = rest.strip_suffix(TAG)?;
    if stars.iter().any(|byte| *byte != FILL) {
        return None;
    }
    let bytes = HEXLOWER.decode(digits).ok()?;
    bytes.try_into().ok().map(Hash)
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingKeyError {
    /// The system gives no random numbers.
    NoRandom,
    /// The text is no key.
    NoKey,
}

impl fmt::Display for RecordingKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordingKeyError::NoRandom => {
                "the system gives no random numbers, and without a key of its own a recording \
                 cannot hide values"
            }
            RecordingKeyError::NoKey => {
                "this is not the key of a recording, which is 64 hexadecimal digits"
            }
        })
    }
}

impl std::error::Error for RecordingKeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text_and_shows_nowhere_else() {
        let key = RecordingKey::generate().unwrap();
        let text = key.to_text();
        let again = RecordingKey::from_text(&format!(" {}\n", text.to_uppercase())).unwrap();
        assert_eq!(key.hash(b"value"), again.hash(b"value"));
        assert_eq!(format!("{key:?}"), "RecordingKey(hidden)");
        assert_ne!(text, RecordingKey::generate().unwrap().to_text());
        for bad in ["", "00", &text[1..], &format!("{text}00"), "g0"] {
            assert_eq!(
                RecordingKey::from_text(bad).unwrap_err(),
                RecordingKeyError::NoKey
            );
        }
    }

    #[test]
    fn the_hash_is_hmac_sha256() {
        // RFC 4231's second case has a short key; ring pads keys, as HMAC does.
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(b"Jefe");
        let hash = RecordingKey::from_bytes(bytes).hash(b"what do ya want for nothing?");
        assert_eq!(hash.to_string(), "5bdcc146bf60754e6a042426089575c7");
    }

    #[test]
    fn a_redacted_value_shows_its_hash() {
        let hash = RecordingKey::from_bytes([7; 32]).hash(b"value");
        for length in 0..100 {
            let mut value = vec![FILL; length];
            tag(&mut value, hash);
            let shown = redacted_hash(&value);
            assert_eq!(shown, (length >= TAG_LEN).then_some(hash), "{length}");
            let text = format!("{TAG}{hash}", TAG = "redacted:");
            assert!(text.ends_with(str::from_utf8(&value).unwrap().trim_start_matches('*')));
        }
        assert_eq!(redacted_hash(format!("x redacted:{hash}").as_bytes()), None);
    }
}
