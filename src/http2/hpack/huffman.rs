//! Huffman-coded strings (RFC 7541, section 5.2 and appendix B).
//!
//! The RFC's code is canonical: within one length, codes count up with the
//! symbol, and each length goes on where the one before ended. So the lengths
//! alone are stated, and everything else is worked out at compile time.

use super::HpackError;

/// The length in bits of each symbol's code; the last one is end-of-string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The end-of-string symbol, which may not occur in a string.
const EOS: u16 = 256;

/// The longest code.
const MAX_LEN: usize = 30;

/// How many bits one look-up decides. Nine cover everything that paths, methods
/// and metadata are made of; longer codes take the slow way.
const FAST_BITS: u32 = 9;

/// A code of one symbol, in the low bits.
#[derive(Clone, Copy)]
struct Code {
    bits: u32,
    len: u8,
}

/// What the decoder knows of one code length.
#[derive(Clone, Copy)]
struct Length {
    /// The first 64-bit word, the code at its top, that is beyond the codes of
    /// this length and of all shorter ones.
    end: u64,
    /// The first code of this length.
    first_code: u32,
    /// Where its symbol stands in `BY_CODE`.
    first_symbol: u16,
}

const CODES: [Code; 257] = codes();
const BY_CODE: [u16; 257] = symbols_by_code();
static LONG: [Length; MAX_LEN + 1] = lengths();
static FAST: [Fast; 1 << FAST_BITS] = fast();
static ENCODE: [Code; 257] = CODES;
static SYMBOLS: [u16; 257] = BY_CODE;

/// The symbol that begins a word, and its code's length; 0 for a longer code.
#[derive(Clone, Copy)]
struct Fast {
    symbol: u8,
    len: u8,
}

const fn symbols_by_code() -> [u16; 257] {
    let mut order = [0; 257];
    let mut next = 0;
    let mut len = 1;
    while len <= MAX_LEN {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == len {
                order[next] = symbol as u16;
                next += 1;
            }
            symbol += 1;
        }
        len += 1;
    }
    order
}

const fn codes() -> [Code; 257] {
    let order = symbols_by_code();
    let mut codes = [Code { bits: 0, len: 0 }; 257];
    let mut bits = 0_u32;
    let mut len = 0_u8;
    let mut at = 0;
    while at < order.len() {
        let symbol = order[at] as usize;
        bits <<= LENGTHS[symbol] - len;
        len = LENGTHS[symbol];
        codes[symbol] = Code { bits, len };
        bits += 1;
        at += 1;
    }
    codes
}

const fn lengths() -> [Length; MAX_LEN + 1] {
    let mut lengths = [Length {
        end: 0,
        first_code: 0,
        first_symbol: 0,
    }; MAX_LEN + 1];
    let mut at = 0;
    let mut len = 1;
    while len <= MAX_LEN {
        lengths[len].first_symbol = at as u16;
        lengths[len].end = lengths[len - 1].end;
        if at < BY_CODE.len() && CODES[BY_CODE[at] as usize].len as usize == len {
            lengths[len].first_code = CODES[BY_CODE[at] as usize].bits;
        }
        while at < BY_CODE.len() && CODES[BY_CODE[at] as usize].len as usize == len {
            let past = CODES[BY_CODE[at] as usize].bits as u64 + 1;
            // The last code is all ones: one beyond it does not fit the word.
            lengths[len].end = if past == 1 << len {
                u64::MAX
            } else {
                past << (64 - len)
            };
            at += 1;
        }
        len += 1;
    }
    lengths
}

const fn fast() -> [Fast; 1 << FAST_BITS] {
    let mut table = [Fast { symbol: 0, len: 0 }; 1 << FAST_BITS];
    let mut symbol = 0;
    while symbol < 256 {
        let Code { bits, len } = CODES[symbol];
        if (len as u32) <= FAST_BITS {
            let free = FAST_BITS - len as u32;
            let mut low = 0;
            while low < 1 << free {
                table[((bits << free) | low) as usize] = Fast {
                    symbol: symbol as u8,
                    len,
                };
                low += 1;
            }
        }
        symbol += 1;
    }
    table
}

/// Appends what `coded` stands for to `out`.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    // Five bits is the shortest code, so this is the most that can come out.
    out.reserve(coded.len() * 8 / 5);
    let mut input = coded;
    // The bits at hand stand at the top of the word; below them are zeros.
    let mut word = 0_u64;
    let mut have = 0_u32;
    loop {
        if have <= 32 {
            if let Some((four, rest)) = input.split_first_chunk::<4>() {
                word |= u64::from(u32::from_be_bytes(*four)) << (32 - have);
                have += 32;
                input = rest;
            } else {
                for &byte in input {
                    word |= u64::from(byte) << (56 - have);
                    have += 8;
                }
                input = &[];
            }
        }
        let Fast { symbol, len } = FAST[(word >> (64 - FAST_BITS)) as usize];
        let (symbol, len) = if len > 0 {
            (u16::from(symbol), u32::from(len))
        } else {
            long_code(word)
        };
        // At least 30 bits are at hand unless the input is used up: then what
        // remains is padding, or the string is cut.
        if len > have {
            return check_padding(word, have);
        }
        if symbol == EOS {
            return Err(HpackError::HuffmanEndOfString);
        }
        out.push(symbol as u8);
        word <<= len;
        have -= len;
    }
}

/// The symbol that begins `word`, if its code is longer than `FAST_BITS`.
#[cold]
fn long_code(word: u64) -> (u16, u32) {
    let mut len = FAST_BITS as usize + 1;
    // All ones never compares below the last end: the longest length it is.
    while len < MAX_LEN && word >= LONG[len].end {
        len += 1;
    }
    let Length {
        first_code,
        first_symbol,
        ..
    } = LONG[len];
    let offset = (word >> (64 - len)) as u32 - first_code;
    let symbol = SYMBOLS[first_symbol as usize + offset as usize];
    (symbol, len as u32)
}

/// The rest of a string: fewer than eight bits, the first of end-of-string's.
fn check_padding(word: u64, have: u32) -> Result<(), HpackError> {
    let ones = !(u64::MAX >> have);
    if have < 8 && word == ones {
        Ok(())
    } else {
        Err(HpackError::HuffmanPadding)
    }
}

/// How many bytes `plain` takes when coded.
pub(super) fn encoded_len(plain: &[u8]) -> usize {
    let bits: usize = plain
        .iter()
        .map(|byte| usize::from(ENCODE[usize::from(*byte)].len))
        .sum();
    bits.div_ceil(8)
}

/// Appends the code of `plain` to `out`.
pub(super) fn encode(plain: &[u8], out: &mut Vec<u8>) {
    let mut word = 0_u64;
    let mut have = 0_u32;
    for &byte in plain {
        let Code { bits, len } = ENCODE[usize::from(byte)];
        word = (word << len) | u64::from(bits);
        have += u32::from(len);
        while have >= 8 {
            have -= 8;
            out.push((word >> have) as u8);
        }
    }
    if have > 0 {
        let padding = 8 - have;
        out.push(((word << padding) as u8) | (0xff >> have));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn codes_are_appendix_b() {
        // Samples of every region: the derivation is right if the ends are.
        for (symbol, bits, len) in [
            (b'0' as usize, 0x0, 5),
            (b't' as usize, 0x9, 5),
            (b' ' as usize, 0x14, 6),
            (b':' as usize, 0x5c, 7),
            (b'Z' as usize, 0xfd, 8),
            (b'~' as usize, 0x1ffd, 13),
            (b'<' as usize, 0x7ffc, 15),
            (b'\\' as usize, 0x7fff0, 19),
            (0, 0x1ff8, 13),
            (9, 0xffffea, 24),
            (249, 0xffffffe, 28),
            (10, 0x3ffffffc, 30),
            (256, 0x3fffffff, 30),
        ] {
            assert_eq!(
                (CODES[symbol].bits, CODES[symbol].len),
                (bits, len),
                "{symbol}"
            );
        }
        // A complete prefix code: its lengths fill the space exactly.
        let space: u64 = LENGTHS
            .iter()
            .map(|len| 1_u64 << (MAX_LEN - *len as usize))
            .sum();
        assert_eq!(space, 1 << MAX_LEN);
    }

    #[test]
    fn padding_must_be_up_to_seven_ones() {
        assert_eq!(decoded(&[]).unwrap(), b"");
        assert_eq!(decoded(&[0x1f]).unwrap(), b"a");
        assert_eq!(decoded(&[0x1e]), Err(HpackError::HuffmanPadding));
        assert_eq!(decoded(&[0x18]), Err(HpackError::HuffmanPadding));
        assert_eq!(decoded(&[0x1f, 0xff]), Err(HpackError::HuffmanPadding));
        assert_eq!(decoded(&[0xff]), Err(HpackError::HuffmanPadding));
        // Cut in the middle of a symbol of 30 bits.
        assert_eq!(
            decoded(&[0xff, 0xff, 0xff]),
            Err(HpackError::HuffmanPadding)
        );
    }

    #[test]
    fn end_of_string_is_refused() {
        assert_eq!(
            decoded(&[0xff, 0xff, 0xff, 0xff]),
            Err(HpackError::HuffmanEndOfString)
        );
        assert_eq!(
            decoded(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Err(HpackError::HuffmanEndOfString)
        );
    }

    #[test]
    fn every_symbol_agrees_with_httlib() {
        for symbol in 0..=255_u8 {
            let plain = [symbol, b'a', symbol];
            let mut ours = Vec::new();
            encode(&plain, &mut ours);
            let mut theirs = Vec::new();
            httlib_huffman_encode(&plain, &mut theirs);
            assert_eq!(ours, theirs);
            assert_eq!(ours.len(), encoded_len(&plain));
            assert_eq!(decoded(&ours).unwrap(), plain);
        }
    }

    /// `httlib-huffman` is not a dependency by itself: its code comes out of a
    /// literal that `httlib-hpack` encodes.
    fn httlib_huffman_encode(plain: &[u8], out: &mut Vec<u8>) {
        let mut block = Vec::new();
        httlib_hpack::Encoder::default()
            .encode(
                (
                    b"x".to_vec(),
                    plain.to_vec(),
                    httlib_hpack::Encoder::HUFFMAN_VALUE,
                ),
                &mut block,
            )
            .unwrap();
        // 0x00, the name's length and octet, the value's length.
        out.extend_from_slice(&block[4..]);
    }

    proptest! {
        #[test]
        fn round_trip(plain: Vec<u8>) {
            let mut coded = Vec::new();
            encode(&plain, &mut coded);
            prop_assert_eq!(coded.len(), encoded_len(&plain));
            prop_assert_eq!(decoded(&coded).unwrap(), plain);
        }

        /// There is one way to code a string, so what decodes codes back.
        #[test]
        fn arbitrary_bytes_decode_uniquely_or_not_at_all(coded: Vec<u8>) {
            if let Ok(plain) = decoded(&coded) {
                let mut again = Vec::new();
                encode(&plain, &mut again);
                prop_assert_eq!(again, coded);
            }
        }
    }
}
