//! Field blocks of one direction: no panic, bounded memory and output; and what
//! was decoded survives our own encoder.
//!
//! The input is a row of blocks, each behind an octet with its length. An octet
//! of 255 instead announces a new table size in the two octets behind it.

#![no_main]

use etcdtap::http2::hpack::{Decoder, Encoder, Indexing, MAX_FIELD_LIST_SIZE, MAX_TABLE_SIZE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let mut decoder = Decoder::new();
    let mut encoder = Encoder::new().with_huffman();
    let mut second = Decoder::new();
    while let Some((&length, rest)) = input.split_first() {
        input = rest;
        if length == 255 {
            let Some((size, rest)) = input.split_first_chunk() else {
                return;
            };
            input = rest;
            decoder.set_max_table_size(u32::from(u16::from_be_bytes(*size)));
            continue;
        }
        let (block, rest) = input.split_at(usize::from(length).min(input.len()));
        input = rest;

        let mut fields = Vec::new();
        let decoded = decoder.decode(block, |field| {
            fields.push((
                field.name.to_vec(),
                field.value.to_vec(),
                field.never_indexed,
            ));
        });
        assert!(decoder.memory() <= 8 * MAX_TABLE_SIZE as usize);
        let Ok(summary) = decoded else {
            return;
        };
        assert!(summary.list_size <= MAX_FIELD_LIST_SIZE);
        assert_eq!(summary.fields as usize, fields.len());

        let mut again = Vec::new();
        for (name, value, never_indexed) in &fields {
            let indexing = match never_indexed {
                true => Indexing::Never,
                false => Indexing::Incremental,
            };
            encoder.field(name, value, indexing, &mut again);
        }
        let mut expected = fields.iter();
        let result = second.decode(&again, |field| {
            let (name, value, never_indexed) = expected.next().expect("as many fields");
            assert_eq!((field.name, field.value), (&name[..], &value[..]));
            assert_eq!(field.never_indexed, *never_indexed);
        });
        assert_eq!(result.map(|again| again.list_size), Ok(summary.list_size));
    }
});
