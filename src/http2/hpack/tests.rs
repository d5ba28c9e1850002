//! Bounds and errors of the decoder, and what it makes of blocks by our encoder
//! and by `httlib-hpack`.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    BlockSummary, Decoder, Encoder, HpackError, Indexing, MAX_FIELD_LIST_SIZE, MAX_TABLE_SIZE,
};
use crate::http2::ErrorCode;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<(Fields, BlockSummary), HpackError> {
    let mut fields = Vec::new();
    let summary = decoder.decode(block, |field| {
        fields.push((field.name.to_vec(), field.value.to_vec()));
    })?;
    Ok((fields, summary))
}

fn error(block: &[u8]) -> HpackError {
    decode(&mut Decoder::new(), block).unwrap_err()
}

#[test]
fn empty_block() {
    let (fields, summary) = decode(&mut Decoder::new(), &[]).unwrap();
    assert_eq!((fields.len(), summary), (0, BlockSummary::default()));
}

#[test]
fn indices_beyond_the_tables() {
    assert_eq!(
        error(&[0x80]),
        HpackError::NoSuchIndex { index: 0, last: 61 }
    );
    assert_eq!(
        error(&[0xbe]),
        HpackError::NoSuchIndex {
            index: 62,
            last: 61
        }
    );
    assert_eq!(
        error(&[0x7e, 0x00]),
        HpackError::NoSuchIndex {
            index: 62,
            last: 61
        }
    );
    assert_eq!(
        error(&[0xff, 0x80, 0xff, 0xff, 0xff, 0x0f]),
        HpackError::NoSuchIndex {
            index: u32::MAX,
            last: 61
        }
    );
}

#[test]
fn blocks_cut_short() {
    let mut block = Vec::new();
    let mut encoder = Encoder::new().with_huffman();
    encoder.field(
        b"custom-name",
        b"a value",
        Indexing::Incremental,
        &mut block,
    );
    for cut in 1..block.len() {
        assert_eq!(error(&block[..cut]), HpackError::Truncated, "{cut} bytes");
    }
    // A length far beyond the block costs nothing.
    assert_eq!(
        error(&[0x00, 0x7f, 0x80, 0xff, 0xff, 0xff, 0x07]),
        HpackError::Truncated
    );
}

#[test]
fn size_updates() {
    let too_large = HpackError::SizeUpdateTooLarge {
        size: 4097,
        allowed: 4096,
    };
    assert_eq!(error(&[0x3f, 0xe2, 0x1f]), too_large);
    assert_eq!(error(&[0x82, 0x20]), HpackError::SizeUpdateAfterField);

    let mut decoder = Decoder::new();
    let (_, summary) = decode(&mut decoder, &[0x20, 0x3f, 0xe1, 0x1f, 0x82]).unwrap();
    assert!(summary.table_changed);

    // The receiver may allow more than is kept here.
    decoder.set_max_table_size(u32::MAX);
    let mut block = Vec::new();
    super::integer::encode(&mut block, 0x20, 5, MAX_TABLE_SIZE as usize + 1);
    let error = decode(&mut decoder, &block).unwrap_err();
    assert_eq!(
        error,
        HpackError::TableTooLarge {
            size: MAX_TABLE_SIZE + 1
        }
    );
    assert_eq!(error.code(), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn acknowledged_reduction_must_be_confirmed() {
    let missing = Err(HpackError::SizeUpdateMissing { allowed: 100 });
    let reduced = || {
        let mut decoder = Decoder::new();
        decoder.set_max_table_size(100);
        decoder
    };
    assert_eq!(decode(&mut reduced(), &[0x82]), missing);
    // 0x3f 0x45: to 100 bytes; 0x3e: to 30.
    assert!(decode(&mut reduced(), &[0x3f, 0x45, 0x82]).is_ok());
    assert!(decode(&mut reduced(), &[0x3e, 0x82]).is_ok());

    // Reduced and enlarged again in between: the smallest must be signalled.
    let mut decoder = reduced();
    decoder.set_max_table_size(4096);
    assert_eq!(decode(&mut decoder, &[0x3f, 0xe1, 0x1f, 0x82]), missing);
    let mut decoder = reduced();
    decoder.set_max_table_size(4096);
    assert!(decode(&mut decoder, &[0x3f, 0x45, 0x3f, 0xe1, 0x1f, 0x82]).is_ok());

    // Nothing is owed when the table is small enough already, nor twice.
    assert!(decode(&mut decoder, &[0x3e, 0x82]).is_ok());
    decoder.set_max_table_size(100);
    assert!(decode(&mut decoder, &[0x82]).is_ok());
}

/// A table-sized entry and a quarter million references to it: a gigabyte.
#[test]
fn bomb_ends_quickly() {
    let mut block = Vec::new();
    let value = vec![b'x'; 4096 - 32 - 1];
    Encoder::new().field(b"n", &value, Indexing::Incremental, &mut block);
    block.resize(256 * 1024, 0xbe);
    let mut seen = 0_u64;
    let begin = Instant::now();
    let error = Decoder::new()
        .decode(&block, |field| seen += field.value.len() as u64)
        .unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(error, HpackError::ListTooLarge);
    assert!(seen <= MAX_FIELD_LIST_SIZE);
    assert!(error.to_string().starts_with("HPACK bomb"));
}

#[test]
fn idle_decoder_holds_little() {
    let mut decoder = Decoder::new();
    assert_eq!(decoder.memory(), 0);
    let mut block = Vec::new();
    let mut encoder = Encoder::new().with_huffman();
    encoder.field(b"name", &[b'a'; 100_000], Indexing::Without, &mut block);
    decode(&mut decoder, &block).unwrap();
    assert_eq!(decoder.memory(), 0);
}

/// A step of a conversation: a size update, or a block of fields.
#[derive(Debug, Clone)]
enum Step {
    Resize(u32),
    Block(Vec<(Vec<u8>, Vec<u8>, Indexing)>),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Names of the static table, of gRPC, and any.
        prop::sample::select(vec![
            &b":path"[..],
            b":status",
            b"content-type",
            b"grpc-status",
            b"te"
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![&b"200"[..], b"/", b"application/grpc", b"0", b""])
            .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}

fn indexing() -> impl Strategy<Value = Indexing> {
    prop_oneof![
        3 => Just(Indexing::Incremental),
        1 => Just(Indexing::Without),
        1 => Just(Indexing::Never),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fields = prop::collection::vec((name(), value(), indexing()), 0..10);
    let step = prop_oneof![
        1 => (0..=4096_u32).prop_map(Step::Resize),
        5 => fields.prop_map(Step::Block),
    ];
    prop::collection::vec(step, 0..20)
}

/// What `httlib-hpack` makes of a block; it may refuse or panic.
fn httlib_decode(decoder: &mut httlib_hpack::Decoder<'_>, block: &[u8]) -> Option<Fields> {
    let mut block = block.to_vec();
    let mut fields = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| decoder.decode(&mut block, &mut fields)));
    result.ok()?.ok()?;
    Some(
        fields
            .into_iter()
            .map(|(name, value, _)| (name, value))
            .collect(),
    )
}

proptest! {
    #[test]
    fn our_blocks(steps in steps(), huffman: bool) {
        let mut encoder = match huffman {
            true => Encoder::new().with_huffman(),
            false => Encoder::new(),
        };
        let mut decoder = Decoder::new();
        let mut httlib = httlib_hpack::Decoder::with_dynamic_size(4096);
        let mut httlib_lost = false;
        let mut block = Vec::new();
        for step in steps {
            let fields = match step {
                Step::Resize(bytes) => {
                    encoder.size_update(bytes, &mut block);
                    continue;
                }
                Step::Block(fields) => fields,
            };
            for (name, value, indexing) in &fields {
                encoder.field(name, value, *indexing, &mut block);
            }
            let expected: Fields = fields.iter().map(|(n, v, _)| (n.clone(), v.clone())).collect();
            let mut never = Vec::new();
            let mut got = Vec::new();
            let summary = decoder.decode(&block, |field| {
                got.push((field.name.to_vec(), field.value.to_vec()));
                never.push(field.never_indexed);
            });
            prop_assert_eq!(&got, &expected);
            let size: usize = fields.iter().map(|(n, v, _)| n.len() + v.len() + 32).sum();
            let summary = summary.unwrap();
            prop_assert_eq!(summary.list_size, size as u64);
            for ((_, _, indexing), never) in fields.iter().zip(never) {
                prop_assert_eq!(never, *indexing == Indexing::Never);
            }
            let stateless = fields.iter().all(|(_, _, indexing)| *indexing != Indexing::Incremental);
            if stateless && block.first().is_none_or(|first| first & 0xe0 != 0x20) {
                prop_assert!(!summary.table_changed);
            }
            // Once it failed its table is no measure any more.
            if !httlib_lost {
                match httlib_decode(&mut httlib, &block) {
                    Some(theirs) => prop_assert_eq!(theirs, expected),
                    None => httlib_lost = true,
                }
            }
            block.clear();
        }
        prop_assert!(decoder.memory() < 64 * 1024);
    }

    #[test]
    fn blocks_by_httlib(
        blocks in prop::collection::vec(
            prop::collection::vec((name(), value(), 0..32_u8), 0..10), 0..10),
    ) {
        let mut encoder = httlib_hpack::Encoder::with_dynamic_size(4096);
        let mut decoder = Decoder::new();
        for fields in blocks {
            let mut block = Vec::new();
            for (name, value, flags) in &fields {
                // Indexed and never indexed at once is not a representation.
                let flags = if flags & 0x4 != 0 { flags & !0x8 } else { *flags };
                encoder.encode((name.clone(), value.clone(), flags), &mut block).unwrap();
            }
            let (got, _) = decode(&mut decoder, &block).unwrap();
            let expected: Fields = fields.into_iter().map(|(n, v, _)| (n, v)).collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn arbitrary_blocks_end_in_an_answer(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
    ) {
        let mut decoder = Decoder::new();
        for block in blocks {
            if let Err(error) = decode(&mut decoder, &block) {
                prop_assert!(!error.to_string().is_empty());
                break;
            }
        }
        prop_assert!(decoder.memory() < 64 * 1024);
    }

    /// Where both decode a damaged block, they decode the same.
    #[test]
    fn damaged_blocks_agree_with_httlib(
        fields in prop::collection::vec((name(), value(), indexing()), 1..6),
        at: prop::sample::Index,
        octet: u8,
    ) {
        let mut block = Vec::new();
        let mut encoder = Encoder::new().with_huffman();
        for (name, value, indexing) in &fields {
            encoder.field(name, value, *indexing, &mut block);
        }
        let at = at.index(block.len());
        block[at] = octet;
        let ours = decode(&mut Decoder::new(), &block);
        let theirs = httlib_decode(&mut httlib_hpack::Decoder::with_dynamic_size(4096), &block);
        if let (Ok((ours, _)), Some(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours, theirs);
        }
    }
}
