//! The push reader of protobuf: any bytes, cut anywhere, give the same fields as
//! in one piece, and no more is kept than was asked for.
//!
//! Input: the first byte is the length of the chunks, the rest the message.

#![no_main]

use etcdtap::etcd::wire::{Reader, Visitor, Want};
use libfuzzer_sys::fuzz_target;

const KEPT: usize = 16;

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Field(u8, u32, u64),
    Varint(u8, u32, u64),
    Bytes(u8, u32, Vec<u8>, u64),
    Leave(u8),
}

#[derive(Default)]
struct Script(Vec<Told>);

impl Visitor for Script {
    fn field(&mut self, node: u8, field: u32, len: u64) -> Want {
        self.0.push(Told::Field(node, field, len));
        match field % 4 {
            0 => Want::Skip,
            1 => Want::Take(KEPT),
            _ => Want::Enter(node.wrapping_add(1)),
        }
    }

    fn varint(&mut self, node: u8, field: u32, value: u64) {
        self.0.push(Told::Varint(node, field, value));
    }

    fn bytes(&mut self, node: u8, field: u32, head: &[u8], len: u64) {
        assert!(head.len() <= KEPT && head.len() as u64 <= len);
        self.0.push(Told::Bytes(node, field, head.to_vec(), len));
    }

    fn leave(&mut self, node: u8) {
        self.0.push(Told::Leave(node));
    }
}

fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Told>, bool) {
    let mut script = Script::default();
    let mut reader = Reader::new(0);
    for chunk in chunks {
        reader.push(chunk, &mut script);
    }
    (script.0, reader.is_whole())
}

fuzz_target!(|data: &[u8]| {
    let Some((step, message)) = data.split_first() else {
        return;
    };
    let whole = read(std::iter::once(message));
    let cut = read(message.chunks(usize::from(*step).max(1)));
    assert_eq!(whole, cut);
});
