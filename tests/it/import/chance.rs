//! The captures' packets shuffled, doubled, split and lost by chance.
//! `ETCDTAP_SEEDS=500` tries more.

use std::sync::LazyLock;
use std::time::Duration;

use etcdtap::import::{Options, Report};

use super::gist::{Gist, Gists, gists};
use super::import;
use super::packets::{Order, pcap_records};
use crate::pcap::{NAME_0_36, unpacked};
use crate::referee::random::Random;

/// A frame of the capture.
type Frame = (Duration, Vec<u8>);

/// The beginning of the capture: every kind of call, in a tenth of the time.
static FRAMES: LazyLock<Vec<Frame>> = LazyLock::new(|| {
    let mut frames = pcap_records(&unpacked(NAME_0_36));
    frames.truncate(6000);
    frames
});

fn seeds() -> std::ops::RangeInclusive<u64> {
    let asked = std::env::var("ETCDTAP_SEEDS").ok();
    1..=asked.and_then(|text| text.parse().ok()).unwrap_or(6)
}

fn imported(frames: &[Frame]) -> (Report, Gists) {
    let file = super::packets::pcap_frames(frames, Order { big: false });
    let (report, given) = import(&file, &Options::default(), b"", 1 << 16).unwrap();
    (report, gists(&given.events))
}

/// Where a frame's TCP header and its payload begin: Ethernet, IPv4, no options of
/// IP.
fn payload(frame: &[u8]) -> Option<(usize, usize)> {
    let tcp = 14 + 20;
    let begin = tcp + usize::from(frame.get(tcp + 12)? >> 4) * 4;
    (frame[12..14] == [8, 0] && frame[23] == 6 && begin < frame.len()).then_some((tcp, begin))
}

/// One packet as two.
fn split(frame: &[u8], random: &mut Random) -> Option<[Vec<u8>; 2]> {
    let (tcp, begin) = payload(frame)?;
    let length = frame.len() - begin;
    let at = begin + (length > 1).then(|| 1 + random.below(length - 1))?;
    let mut first = frame[..at].to_vec();
    first[tcp + 13] &= !0x01; // the FIN is the second one's
    let mut second = [&frame[..begin], &frame[at..]].concat();
    let sequence = u32::from_be_bytes(frame[tcp + 4..tcp + 8].try_into().unwrap());
    let later = sequence.wrapping_add((at - begin) as u32);
    second[tcp + 4..tcp + 8].copy_from_slice(&later.to_be_bytes());
    for part in [&mut first, &mut second] {
        let length = (part.len() - 14) as u16;
        part[16..18].copy_from_slice(&length.to_be_bytes());
    }
    Some([first, second])
}

/// Swaps, doubles and splits packets, within what a capture on several queues does.
fn shaken(frames: &[Frame], random: &mut Random) -> Vec<Frame> {
    let mut out: Vec<(usize, Frame)> = Vec::new();
    for (index, (at, frame)) in frames.iter().enumerate() {
        let place = |random: &mut Random| match random.below(3) {
            0 => index + random.below(12),
            _ => index,
        };
        match random.below(10) {
            0 => {
                out.push((place(random), (*at, frame.clone())));
                out.push((place(random) + random.below(40), (*at, frame.clone())));
            }
            1 | 2 => match split(frame, random) {
                Some(parts) => {
                    for part in parts {
                        out.push((place(random), (*at, part)));
                    }
                }
                None => out.push((place(random), (*at, frame.clone()))),
            },
            _ => out.push((place(random), (*at, frame.clone()))),
        }
    }
    out.sort_by_key(|(place, _)| *place);
    out.into_iter().map(|(_, frame)| frame).collect()
}

/// Says what differs in a few lines.
fn assert_alike(seen: &Gist, expected: &Gist, seed: u64) {
    for (stream, call) in &expected.calls {
        assert_eq!(seen.calls.get(stream), Some(call), "seed {seed}");
    }
    for (stream, notes) in &expected.watches {
        let seen = seen.watches.get(stream);
        assert_eq!(seen, Some(notes), "seed {seed}");
    }
    let rest = |gist: &Gist| Gist {
        calls: Default::default(),
        watches: Default::default(),
        how: gist.how.replace("upstream closed", "client closed"),
        ..gist.clone()
    };
    assert_eq!(rest(seen), rest(expected), "seed {seed}");
}

#[test]
fn order_and_repetition_change_nothing() {
    let (report, expected) = imported(&FRAMES);
    assert!(report.is_whole() && report.calls() > 300, "{report:?}");
    for seed in seeds() {
        let frames = shaken(&FRAMES, &mut Random::new(seed));
        let (report, seen) = imported(&frames);
        assert!(report.is_whole(), "seed {seed}: {report:?}");
        assert_eq!(seen.len(), expected.len(), "seed {seed}");
        for (client, gist) in &expected {
            assert_alike(&seen[client], gist, seed);
        }
    }
}

#[test]
fn what_is_lost_is_noted_and_nothing_is_made_up() {
    let (_, expected) = imported(&FRAMES);
    for seed in seeds() {
        let mut random = Random::new(seed ^ 0xbeef);
        let mut frames = shaken(&FRAMES, &mut random);
        let rate = [20, 300, 3000][random.below(3)];
        frames.retain(|_| random.below(rate) != 0);
        let (report, seen) = imported(&frames);
        let stopped = seen.values().filter(|gist| gist.stopped.is_some()).count();
        assert_eq!(report.is_whole(), stopped == 0, "seed {seed}: {report:?}");
        for (client, gist) in &seen {
            let whole = expected.get(client);
            let whole = whole.unwrap_or_else(|| panic!("seed {seed}: {client:?} {gist:?}"));
            for (stream, (text, is_whole)) in &gist.calls {
                let (expected, _) = &whole.calls[stream];
                assert!(
                    !is_whole || text == expected,
                    "seed {seed}: {client:?} {stream}"
                );
            }
            for (stream, notes) in &gist.watches {
                // Events come from the front, without a hole; what follows them
                // is the end of the reading.
                let ended = |note: &&String| note.contains("Canceled");
                let (ends, seen): (Vec<_>, Vec<_>) = notes.iter().partition(ended);
                let expected: Vec<_> = whole.watches[stream].iter().collect();
                assert!(
                    expected.starts_with(&seen),
                    "seed {seed}: {client:?} {stream}"
                );
                assert!(ends.len() <= 1);
            }
            if gist.stopped.is_none() {
                assert_eq!(gist.calls, whole.calls, "seed {seed}: {client:?}");
            }
        }
    }
}
