//! One direction of a connection: whatever comes, there is no panic, memory is
//! bounded, and the portions it comes in change nothing of what is read.
//!
//! The first octet says who sends, whether a proper opening goes before the
//! input, and in what portions the input is read the second time.

#![no_main]

use etcdtap::http2::{Deframer, MAX_HEADER_BLOCK, PREFACE, Piece, Side, frame_encoder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&how, input)) = input.split_first() else {
        return;
    };
    let sender = match how & 1 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let mut bytes = Vec::new();
    if how & 2 == 0 {
        if sender == Side::Client {
            bytes.extend_from_slice(PREFACE);
        }
        frame_encoder::settings(&mut bytes, &[]);
    }
    bytes.extend_from_slice(input);

    let portion = usize::from(how >> 2) + 1;
    assert_eq!(
        read(sender, &bytes, bytes.len().max(1)),
        read(sender, &bytes, portion)
    );
});

/// Everything read in words; the pieces of a DATA frame are joined.
fn read(sender: Side, bytes: &[u8], portion: usize) -> Vec<String> {
    let mut deframer = Deframer::new(sender);
    let mut facts = Vec::new();
    let mut payload = Vec::new();
    let mut sum = 0;
    for mut input in bytes.chunks(portion) {
        loop {
            let piece = match deframer.next(&mut input) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(offence) => {
                    facts.push(offence.to_string());
                    return facts;
                }
            };
            if let Piece::Data {
                stream,
                chunk,
                flow_controlled,
                frame_start,
                frame_end,
                end_stream,
            } = piece
            {
                if frame_start {
                    payload.clear();
                    sum = 0;
                    facts.push(format!("data on {stream}"));
                }
                payload.extend_from_slice(chunk);
                sum += flow_controlled;
                if frame_end {
                    facts.push(format!("{sum} {end_stream} {payload:?}"));
                }
            } else {
                facts.push(format!("{piece:?}"));
            }
        }
        assert!(input.is_empty());
        assert!(deframer.buffered_bytes() <= 2 * MAX_HEADER_BLOCK as usize);
    }
    facts
}
