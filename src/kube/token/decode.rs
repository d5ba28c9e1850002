//! The encodings in which tokens are stored, undone character by character.
//! Each ends with the first character that does not belong to it.

/// What a character of base64 stands for, in either alphabet (RFC 4648).
pub(super) fn base64_value(char: u8) -> Option<u8> {
    match char {
        b'A'..=b'Z' => Some(char - b'A'),
        b'a'..=b'z' => Some(char - b'a' + 26),
        b'0'..=b'9' => Some(char - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// The characters of base64 that are the same whatever stands around `bytes`,
/// if so many bytes (modulo 3) stand before it.
pub(super) fn certain_base64(bytes: &[u8], alignment: u8) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut have) = (0u32, 0);
    // Bits of the first byte that share a character with the byte before.
    let mut shared = [0, 4, 2][usize::from(alignment)];
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        have += 8 - shared;
        shared = 0;
        while have >= 6 {
            have -= 6;
            out.push(ALPHABET[(bits >> have & 63) as usize]);
        }
    }
    out
}

/// Undoes base64 from a place in the middle.
#[derive(Debug)]
pub(super) struct Base64<I> {
    chars: I,
    bits: u32,
    have: u8,
    /// Space may follow the end of a line.
    broken: bool,
}

impl<I: Iterator<Item = u8>> Base64<I> {
    /// `first` is the first byte that will be decoded; the bits of it that stand
    /// in the character before are taken from it.
    pub fn new(chars: I, alignment: u8, first: u8) -> Base64<I> {
        let (bits, have) = match alignment {
            0 => (0, 0),
            1 => (first >> 4, 4),
            _ => (first >> 6, 2),
        };
        Base64 {
            chars,
            bits: u32::from(bits),
            have,
            broken: false,
        }
    }
}

impl<I: Iterator<Item = u8>> Iterator for Base64<I> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        while self.have < 8 {
            let value = match self.chars.next()? {
                b'\r' | b'\n' => {
                    self.broken = true;
                    continue;
                }
                b' ' | b'\t' if self.broken => continue,
                // As JSON escapes them.
                b'\\' => match self.chars.next()? {
                    b'n' | b'r' => {
                        self.broken = true;
                        continue;
                    }
                    b'/' => 63,
                    _ => return None,
                },
                char => base64_value(char)?,
            };
            self.broken = false;
            self.bits = (self.bits << 6 | u32::from(value)) & 0xffff;
            self.have += 6;
        }
        self.have -= 8;
        Some((self.bits >> self.have) as u8)
    }
}

/// Undoes hexadecimal.
#[derive(Debug)]
pub(super) struct Hex<I> {
    chars: I,
}

impl<I: Iterator<Item = u8>> Hex<I> {
    pub fn new(chars: I) -> Hex<I> {
        Hex { chars }
    }

    fn digit(&mut self) -> Option<u8> {
        let digit = char::from(self.chars.next()?).to_digit(16)?;
        u8::try_from(digit).ok()
    }
}

impl<I: Iterator<Item = u8>> Iterator for Hex<I> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        Some(self.digit()? << 4 | self.digit()?)
    }
}

/// Takes every other byte of UTF-16; those between must be zero.
#[derive(Debug)]
pub(super) struct Utf16<I> {
    bytes: I,
}

impl<I: Iterator<Item = u8>> Utf16<I> {
    pub fn new(bytes: I) -> Utf16<I> {
        Utf16 { bytes }
    }
}

impl<I: Iterator<Item = u8>> Iterator for Utf16<I> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let char = self.bytes.next()?;
        // The last one's other half may stand before it.
        match self.bytes.next() {
            None | Some(0) => Some(char),
            Some(_) => None,
        }
    }
}
