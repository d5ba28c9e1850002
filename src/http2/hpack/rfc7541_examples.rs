//! Every example of RFC 7541, appendix C, through decoder and encoder: fields,
//! octets, and the dynamic table after each block. C.1 is with `integer`.

#![allow(clippy::unwrap_used)]

use super::{Decoder, Encoder, Indexing};

type Fields = &'static [(&'static str, &'static str)];

/// One block of an example.
struct Block {
    octets: &'static str,
    fields: Fields,
    /// The dynamic table after it, newest first, and its size.
    table: Fields,
    size: usize,
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
}

fn owned(fields: Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    let own = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    fields.iter().map(own).collect()
}

/// Runs a series of blocks through one decoder and one encoder.
fn check(table_limit: u32, mut encoder: Encoder, indexing: Indexing, blocks: &[Block]) {
    let mut decoder = Decoder::new();
    decoder.set_table_limit(table_limit);
    encoder.size_update(table_limit, &mut Vec::new());
    for block in blocks {
        let octets = hex(block.octets);
        let mut fields = Vec::new();
        let summary = decoder
            .decode(&octets, |field| {
                assert_eq!(field.never_indexed, indexing == Indexing::Never);
                fields.push((field.name.to_vec(), field.value.to_vec()));
            })
            .unwrap();
        assert_eq!(fields, owned(block.fields));
        assert_eq!(summary.fields as usize, fields.len());
        assert_eq!(summary.table_changed, indexing == Indexing::Incremental);
        let table: Vec<_> = (62..=decoder.table().last_index())
            .filter_map(|index| decoder.table().entry(index))
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        assert_eq!(table, owned(block.table));
        assert_eq!(decoder.table().size(), block.size);

        let mut encoded = Vec::new();
        for (name, value) in block.fields {
            encoder.field(name.as_bytes(), value.as_bytes(), indexing, &mut encoded);
        }
        assert_eq!(encoded, octets);
    }
}

#[test]
fn c_2_1_literal_with_indexing() {
    let block = Block {
        octets: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
        fields: &[("custom-key", "custom-header")],
        table: &[("custom-key", "custom-header")],
        size: 55,
    };
    check(4096, Encoder::new(), Indexing::Incremental, &[block]);
}

#[test]
fn c_2_2_literal_without_indexing() {
    let block = Block {
        octets: "040c 2f73 616d 706c 652f 7061 7468",
        fields: &[(":path", "/sample/path")],
        table: &[],
        size: 0,
    };
    check(4096, Encoder::new(), Indexing::Without, &[block]);
}

#[test]
fn c_2_3_literal_never_indexed() {
    let block = Block {
        octets: "1008 7061 7373 776f 7264 0673 6563 7265 74",
        fields: &[("password", "secret")],
        table: &[],
        size: 0,
    };
    check(4096, Encoder::new(), Indexing::Never, &[block]);
}

#[test]
fn c_2_4_indexed() {
    let block = Block {
        octets: "82",
        fields: &[(":method", "GET")],
        table: &[],
        size: 0,
    };
    check(4096, Encoder::new(), Indexing::Without, &[block]);
}

/// The requests of C.3 and C.4, which differ in their octets alone.
fn requests(octets: [&'static str; 3]) -> [Block; 3] {
    let [first, second, third] = octets;
    [
        Block {
            octets: first,
            fields: &[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "www.example.com"),
            ],
            table: &[(":authority", "www.example.com")],
            size: 57,
        },
        Block {
            octets: second,
            fields: &[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "www.example.com"),
                ("cache-control", "no-cache"),
            ],
            table: &[
                ("cache-control", "no-cache"),
                (":authority", "www.example.com"),
            ],
            size: 110,
        },
        Block {
            octets: third,
            fields: &[
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/index.html"),
                (":authority", "www.example.com"),
                ("custom-key", "custom-value"),
            ],
            table: &[
                ("custom-key", "custom-value"),
                ("cache-control", "no-cache"),
                (":authority", "www.example.com"),
            ],
            size: 164,
        },
    ]
}

/// Requests index nothing but what they add, so `table_changed` holds for all.
#[test]
fn c_3_requests() {
    let blocks = requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
    check(4096, Encoder::new(), Indexing::Incremental, &blocks);
}

#[test]
fn c_4_requests_in_huffman_code() {
    let blocks = requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
    let encoder = Encoder::new().with_huffman();
    check(4096, encoder, Indexing::Incremental, &blocks);
}

const DATE_21: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
const DATE_22: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
const LOCATION: (&str, &str) = ("location", "https://www.example.com");
const PRIVATE: (&str, &str) = ("cache-control", "private");
const COOKIE: (&str, &str) = (
    "set-cookie",
    "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
);

/// The responses of C.5 and C.6, whose table of 256 bytes evicts.
fn responses(octets: [&'static str; 3]) -> [Block; 3] {
    let [first, second, third] = octets;
    [
        Block {
            octets: first,
            fields: &[(":status", "302"), PRIVATE, DATE_21, LOCATION],
            table: &[LOCATION, DATE_21, PRIVATE, (":status", "302")],
            size: 222,
        },
        Block {
            octets: second,
            fields: &[(":status", "307"), PRIVATE, DATE_21, LOCATION],
            table: &[(":status", "307"), LOCATION, DATE_21, PRIVATE],
            size: 222,
        },
        Block {
            octets: third,
            fields: &[
                (":status", "200"),
                PRIVATE,
                DATE_22,
                LOCATION,
                ("content-encoding", "gzip"),
                COOKIE,
            ],
            table: &[COOKIE, ("content-encoding", "gzip"), DATE_22],
            size: 215,
        },
    ]
}

#[test]
fn c_5_responses() {
    let blocks = responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 \
         303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 \
         6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 \
         5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 \
         5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ]);
    check(256, Encoder::new(), Indexing::Incremental, &blocks);
}

#[test]
fn c_6_responses_in_huffman_code() {
    let blocks = responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b \
         ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad \
         94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 \
         65c0 03ed 4ee5 b106 3d50 07",
    ]);
    let encoder = Encoder::new().with_huffman();
    check(256, encoder, Indexing::Incremental, &blocks);
}
