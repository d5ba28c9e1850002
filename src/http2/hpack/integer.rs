//! Prefixed integers (RFC 7541, section 5.1).

use super::HpackError;

/// Reads an integer whose first octet shares `PREFIX` low bits with it, and
/// takes its octets from the front of `input`.
///
/// Values beyond 32 bits are refused, and so are zero-padded ones longer than
/// a 32-bit value ever needs: without that bound one integer could be endless.
#[inline]
pub(super) fn decode<const PREFIX: u32>(input: &mut &[u8]) -> Result<u32, HpackError> {
    let (&first, rest) = input.split_first().ok_or(HpackError::Truncated)?;
    *input = rest;
    let mask = (1_u32 << PREFIX) - 1;
    let value = u32::from(first) & mask;
    if value < mask {
        return Ok(value);
    }
    decode_rest(mask, input)
}

/// The octets after a full prefix: seven bits each, the lowest first.
fn decode_rest(prefix: u32, input: &mut &[u8]) -> Result<u32, HpackError> {
    let mut value = u64::from(prefix);
    for shift in [0, 7, 14, 21, 28] {
        let (&octet, rest) = input.split_first().ok_or(HpackError::Truncated)?;
        *input = rest;
        value += u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| HpackError::IntegerTooLarge);
        }
    }
    Err(HpackError::IntegerTooLarge)
}

/// Writes `value` behind the representation bits `high` of its first octet.
pub(super) fn encode(out: &mut Vec<u8>, high: u8, prefix: u32, value: usize) {
    let mask = (1_u8 << prefix).wrapping_sub(1);
    if value < usize::from(mask) {
        out.push(high | value as u8);
        return;
    }
    out.push(high | mask);
    let mut rest = value - usize::from(mask);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn appendix_c_1() {
        let mut out = Vec::new();
        encode(&mut out, 0, 5, 10);
        encode(&mut out, 0, 5, 1337);
        assert_eq!(out, [0x0a, 0x1f, 0x9a, 0x0a]);
        let mut input = &out[..];
        assert_eq!(decode::<5>(&mut input), Ok(10));
        assert_eq!(decode::<5>(&mut input), Ok(1337));
        assert_eq!(decode::<8>(&mut &[42][..]), Ok(42));
    }

    #[test]
    fn bounds() {
        let decode = |mut input: &[u8]| decode::<7>(&mut input);
        assert_eq!(decode(&[]), Err(HpackError::Truncated));
        assert_eq!(decode(&[0x7f, 0x80]), Err(HpackError::Truncated));
        assert_eq!(decode(&[0x7f, 0x80, 0x00]), Ok(127));
        assert_eq!(decode(&[0x7f, 0x80, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(
            decode(&[0x7f, 0x81, 0xff, 0xff, 0xff, 0x0f]),
            Err(HpackError::IntegerTooLarge)
        );
        assert_eq!(
            decode(&[0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
            Err(HpackError::IntegerTooLarge)
        );
    }

    proptest! {
        #[test]
        fn round_trip(value: u32) {
            let mut out = Vec::new();
            encode(&mut out, 0x80, 7, value as usize);
            encode(&mut out, 0x20, 5, value as usize);
            let mut input = &out[..];
            prop_assert_eq!(decode::<7>(&mut input), Ok(value));
            prop_assert_eq!(decode::<5>(&mut input), Ok(value));
            prop_assert!(input.is_empty());
        }
    }
}
