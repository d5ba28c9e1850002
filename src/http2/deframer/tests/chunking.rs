//! Any chunking gives the same pieces, and memory stays bounded.

use proptest::prelude::*;

use super::*;
use crate::http2::frame_encoder::HeaderBlock;

/// A frame, or the frames of one header block, as a peer may send it.
#[derive(Debug, Clone)]
enum Sent {
    Data {
        on: u32,
        payload: Vec<u8>,
        padding: Option<u8>,
        end_stream: bool,
    },
    Block {
        on: u32,
        block: Vec<u8>,
        end_stream: bool,
        padding: Option<u8>,
        priority: bool,
        promised: Option<u32>,
        cut: usize,
    },
    Priority(u32),
    Reset(u32, u32),
    Settings(Vec<(u16, u32)>),
    SettingsAck,
    Ping(bool, [u8; 8]),
    GoAway(u32, u32, Vec<u8>),
    Window(u32, u32),
    Unknown(u8, u8, u32, Vec<u8>),
}

impl Sent {
    /// Writes it, and says what is to be read.
    fn encode(&self, out: &mut Vec<u8>) -> Fact {
        match self {
            Sent::Data {
                on,
                payload,
                padding,
                end_stream,
            } => {
                frame_encoder::padded_data(out, stream(*on), payload, *padding, *end_stream);
                let flow_controlled =
                    payload.len() + padding.map_or(0, |padding| 1 + usize::from(padding));
                Fact::Data {
                    stream: *on,
                    payload: payload.clone(),
                    flow_controlled: flow_controlled as u32,
                    end_stream: *end_stream,
                }
            }
            Sent::Block {
                on,
                block,
                end_stream,
                padding,
                priority,
                promised,
                cut,
            } => {
                let encoder = HeaderBlock {
                    block,
                    end_stream: *end_stream,
                    padding: *padding,
                    priority: priority.then_some((0x8000_0001, 16)),
                    promised: promised.map(stream),
                };
                encoder.encode(out, stream(*on), *cut);
                Fact::Block {
                    stream: *on,
                    block: block.clone(),
                    end_stream: *end_stream && promised.is_none(),
                    promised: *promised,
                    priority: priority
                        .then_some((0x8000_0001, 16))
                        .filter(|_| promised.is_none()),
                }
            }
            Sent::Priority(on) => {
                frame_encoder::priority(out, stream(*on), 3, 200);
                Fact::Priority(*on)
            }
            Sent::Reset(on, code) => {
                frame_encoder::rst_stream(out, stream(*on), ErrorCode(*code));
                Fact::Reset(*on, ErrorCode(*code))
            }
            Sent::Settings(values) => {
                let values: Vec<_> = values.iter().map(|(id, v)| (SettingId(*id), *v)).collect();
                frame_encoder::settings(out, &values);
                Fact::Settings { ack: false, values }
            }
            Sent::SettingsAck => {
                frame_encoder::settings_ack(out);
                Fact::Settings {
                    ack: true,
                    values: Vec::new(),
                }
            }
            Sent::Ping(ack, payload) => {
                frame_encoder::ping(out, *ack, *payload);
                Fact::Ping(*ack, *payload)
            }
            Sent::GoAway(last, code, debug) => {
                frame_encoder::goaway(out, stream(*last), ErrorCode(*code), debug);
                let kept = debug.len().min(MAX_GOAWAY_DEBUG);
                Fact::GoAway(*last, ErrorCode(*code), debug[..kept].to_vec())
            }
            Sent::Window(on, increment) => {
                frame_encoder::window_update(out, stream(*on), *increment);
                Fact::Window(*on, *increment)
            }
            Sent::Unknown(kind, flags, on, payload) => {
                let kind = FrameType(*kind);
                frame_encoder::raw(out, kind, Flags(*flags), stream(*on), payload);
                Fact::Unknown(kind, *on, payload.len() as u32)
            }
        }
    }
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => Just(Vec::new()),
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 0..most),
    ]
}

fn padding() -> impl Strategy<Value = Option<u8>> {
    prop::option::weighted(0.3, prop_oneof![Just(0), any::<u8>()])
}

fn sent(sender: Side) -> impl Strategy<Value = Sent> {
    let on = 1..0x7fff_ffff_u32;
    let promised = prop::option::weighted(0.2, (1..1000_u32).prop_map(|half| half * 2))
        .prop_map(move |promised| promised.filter(|_| sender == Side::Server));
    let setting = prop_oneof![
        (7..=u16::MAX, any::<u32>()),
        (Just(0x4), 0..0x7fff_ffff_u32),
        (Just(0x5), 16_384..(1 << 24) - 1_u32),
        (Just(0x2), Just(0)),
    ];
    let data = (on.clone(), bytes(16_000), padding(), any::<bool>());
    let block = (
        on.clone(),
        bytes(40_000),
        any::<bool>(),
        padding(),
        any::<bool>(),
        promised,
        300..16_384_usize,
    );
    prop_oneof![
        4 => data.prop_map(|(on, payload, padding, end_stream)| {
            Sent::Data { on, payload, padding, end_stream }
        }),
        4 => block.prop_map(|(on, block, end_stream, padding, priority, promised, cut)| {
            Sent::Block { on, block, end_stream, padding, priority, promised, cut }
        }),
        1 => on.clone().prop_map(Sent::Priority),
        1 => (on.clone(), any::<u32>()).prop_map(|(on, code)| Sent::Reset(on, code)),
        1 => prop::collection::vec(setting, 0..8).prop_map(Sent::Settings),
        1 => Just(Sent::SettingsAck),
        1 => any::<(bool, [u8; 8])>().prop_map(|(ack, payload)| Sent::Ping(ack, payload)),
        1 => (on.clone(), any::<u32>(), bytes(3000))
            .prop_map(|(last, code, debug)| Sent::GoAway(last, code, debug)),
        1 => (on.clone(), 1..0x7fff_ffff_u32).prop_map(|(on, by)| Sent::Window(on, by)),
        1 => (10..=u8::MAX, any::<u8>(), 0..100_u32, bytes(16_384))
            .prop_map(|(kind, flags, on, payload)| Sent::Unknown(kind, flags, on, payload)),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Server)]
}

/// Sorted places to cut `length` bytes at.
fn cuts(length: usize, at: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<_> = at.iter().map(|at| at.index(length + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_pieces(
        (sender, frames) in side().prop_flat_map(|side| {
            (Just(side), prop::collection::vec(sent(side), 0..8))
        }),
        at: Vec<prop::sample::Index>,
    ) {
        let mut bytes = opening(sender);
        let mut expected = read(sender, &bytes, &[]).0;
        for frame in &frames {
            expected.push(frame.encode(&mut bytes));
        }
        for cuts in [vec![], every_byte(&bytes), cuts(bytes.len(), &at)] {
            let (facts, offence, reader) = read(sender, &bytes, &cuts);
            prop_assert_eq!(offence, None);
            prop_assert_eq!(&facts, &expected);
            prop_assert!(reader.deframer.at_frame_boundary());
            prop_assert!(!reader.deframer.header_in_progress());
            prop_assert_eq!(reader.deframer.buffered_bytes(), 0);
        }
    }

    /// One octet of a proper direction is replaced: whatever that does, it does
    /// the same at any chunking.
    #[test]
    fn damage_gives_the_same_facts(
        (sender, frames) in side().prop_flat_map(|side| {
            (Just(side), prop::collection::vec(sent(side), 0..5))
        }),
        damage: prop::sample::Index,
        octet: u8,
        at: Vec<prop::sample::Index>,
    ) {
        let mut bytes = opening(sender);
        for frame in &frames {
            frame.encode(&mut bytes);
        }
        let damaged = damage.index(bytes.len());
        bytes[damaged] = octet;
        let (facts, offence, _) = read(sender, &bytes, &[]);
        for cuts in [every_byte(&bytes), cuts(bytes.len(), &at)] {
            let (cut_facts, cut_offence, reader) = read(sender, &bytes, &cuts);
            prop_assert_eq!(&facts, &cut_facts);
            prop_assert_eq!(&offence, &cut_offence);
            prop_assert!(reader.most_memory <= 2 * MAX_HEADER_BLOCK as usize);
        }
    }

    /// Frames with arbitrary headers and payloads.
    #[test]
    fn arbitrary_frames_end_in_an_answer(
        sender in side(),
        frames in prop::collection::vec((0..12_u8, any::<u8>(), 0..4_u32, bytes(300)), 0..30),
        tail in bytes(40),
    ) {
        let mut bytes = opening(sender);
        for (kind, flags, on, payload) in frames {
            frame_encoder::raw(&mut bytes, FrameType(kind), Flags(flags), stream(on), &payload);
        }
        bytes.extend_from_slice(&tail);
        let (facts, offence, _) = read(sender, &bytes, &[]);
        let (cut_facts, cut_offence, reader) = read(sender, &bytes, &every_byte(&bytes));
        prop_assert_eq!(facts, cut_facts);
        prop_assert_eq!(offence, cut_offence);
        prop_assert!(reader.most_memory <= 32 * 1024);
    }
}
