//! HPACK's Huffman code (RFC 7541, appendix B). It is canonical, so the lengths
//! say all.

use std::sync::LazyLock;

/// The length of each symbol's code; 256 is EOS.
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

struct Code {
    /// Each symbol's code.
    codes: [u32; 257],
    /// For each length: its first code, and where its symbols begin in `order`.
    first: [(u32, usize, usize); 31],
    order: Vec<u16>,
}

static CODE: LazyLock<Code> = LazyLock::new(|| {
    let mut order: Vec<u16> = (0..257).collect();
    order.sort_by_key(|symbol| (LENGTHS[usize::from(*symbol)], *symbol));
    let (mut codes, mut first) = ([0; 257], [(0, 0, 0); 31]);
    let (mut code, mut length) = (0u32, 0);
    for (place, symbol) in order.iter().enumerate() {
        let own = LENGTHS[usize::from(*symbol)];
        code <<= own - length;
        let row = &mut first[usize::from(own)];
        if row.2 == 0 {
            (row.0, row.1) = (code, place);
        }
        row.2 += 1;
        codes[usize::from(*symbol)] = code;
        (code, length) = (code + 1, own);
    }
    Code {
        codes,
        first,
        order,
    }
});

pub fn encode(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0u64, 0);
    for byte in bytes {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        bits = bits << length | u64::from(CODE.codes[usize::from(*byte)]);
        held += length;
        while held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    if held > 0 {
        out.push((bits << (8 - held)) as u8 | (0xff >> held));
    }
    out
}

/// Decodes strictly: no EOS, at most 7 bits of padding, and those are ones.
pub fn decode(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let (mut code, mut length, mut ones) = (0u32, 0usize, true);
    for bit in bytes
        .iter()
        .flat_map(|b| (0..8).rev().map(move |i| b >> i & 1))
    {
        code = code << 1 | u32::from(bit);
        ones &= bit == 1;
        length += 1;
        let Some((first, place, count)) = CODE.first.get(length) else {
            return Err("a Huffman code that does not exist".into());
        };
        if *count > 0 && code >= *first && ((code - first) as usize) < *count {
            let symbol = CODE.order[place + (code - first) as usize];
            let Ok(byte) = u8::try_from(symbol) else {
                return Err("EOS in a Huffman string".into());
            };
            out.push(byte);
            (code, length, ones) = (0, 0, true);
        }
    }
    if length > 7 || !ones {
        return Err("wrong padding of a Huffman string".into());
    }
    Ok(out)
}

#[test]
fn the_examples_of_appendix_c() {
    let wire = [
        0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    assert_eq!(encode(b"www.example.com"), wire);
    assert_eq!(decode(&wire).unwrap(), b"www.example.com");
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(decode(&encode(&all)).unwrap(), all);
    assert!(decode(&[0xff]).is_err(), "8 bits of padding");
    assert!(decode(&[0x00]).is_err(), "padding of zeros");
}
