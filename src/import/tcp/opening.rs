//! The first packets of a connection, until it is known where its directions
//! begin and who called whom.

use std::net::SocketAddr;

use crate::http2::{Both, Opening as Spoken, sniff};
use crate::import::packet::Segment;

/// Packets that are waited for when the handshake was not seen: its SYN may be
/// late in the file.
const PATIENCE: usize = 16;

/// The first packets of a connection. Its two ends are told apart by their
/// addresses: `low` is the smaller one.
#[derive(Debug, Default)]
pub(in crate::import) struct Opening {
    held: Vec<Held>,
    bytes: usize,
    low: Seen,
    high: Seen,
}

/// What one end sent so far.
#[derive(Debug, Default)]
struct Seen {
    /// Its SYN's sequence number, and what that acknowledged.
    syn: Option<(u32, Option<u32>)>,
    /// The smallest sequence number of a payload, and that payload's first bytes.
    first: Option<(u32, Box<[u8]>)>,
    /// The largest sequence number of a packet without payload.
    bare: Option<u32>,
    /// The smallest and the largest acknowledgement.
    acked: Option<(u32, u32)>,
}

/// A packet that waits.
#[derive(Debug)]
pub(in crate::import) struct Held {
    /// When it was captured.
    pub at: u64,
    /// Whether the end with the smaller address sent it.
    pub low: bool,
    sequence: u32,
    ack: Option<u32>,
    syn: bool,
    fin: bool,
    rst: bool,
    payload: Box<[u8]>,
    cut: bool,
}

/// Where a direction begins.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::import) struct Begin {
    /// The sequence number of its first byte, if anything tells.
    pub first: Option<u32>,
    /// Whether the handshake says so, or only what was captured first.
    exact: bool,
}

/// How far in front of the first byte that was captured a SYN may be that is late in
/// the file.
const MAX_UNSEEN: u32 = 64 << 10;

impl Begin {
    /// Whether a SYN with this number is the one in front of it.
    pub fn is_behind(self, syn: u32) -> bool {
        let unseen = self
            .first
            .map(|first| first.wrapping_sub(syn.wrapping_add(1)));
        match self.exact {
            true => unseen == Some(0),
            false => unseen.is_some_and(|unseen| unseen <= MAX_UNSEEN),
        }
    }
}

/// How much of a payload says what it begins.
const HEAD: usize = 24;

impl Opening {
    /// Another packet.
    pub fn push(&mut self, low: bool, segment: &Segment<'_>, at: u64) {
        let seen = match low {
            true => &mut self.low,
            false => &mut self.high,
        };
        seen.take(segment);
        self.bytes += segment.payload.len();
        self.held.push(Held {
            at,
            low,
            sequence: segment.sequence,
            ack: segment.ack,
            syn: segment.syn,
            fin: segment.fin,
            rst: segment.rst,
            payload: segment.payload.into(),
            cut: segment.cut,
        });
    }

    /// Where the direction of one end begins, as far as that is known.
    pub fn begin(&self, low: bool) -> Begin {
        let (seen, peer) = match low {
            true => (&self.low, &self.high),
            false => (&self.high, &self.low),
        };
        Begin {
            first: seen.start(peer),
            exact: seen.syn.is_some() || matches!(peer.syn, Some((_, Some(_)))),
        }
    }

    /// Where the direction of the end that called begins, if its SYN was seen.
    pub fn begin_of_caller(&self) -> Begin {
        let called = |seen: &Seen| matches!(seen.syn, Some((_, None)));
        match (called(&self.low), called(&self.high)) {
            (true, _) => self.begin(true),
            (false, true) => self.begin(false),
            (false, false) => Begin::default(),
        }
    }

    /// What waits, in bytes of memory.
    pub fn held(&self) -> usize {
        self.bytes + self.held.len() * size_of::<Held>()
    }

    /// Whether both ends' beginnings are known, or will not be known any better.
    pub fn is_ready(&self) -> bool {
        let answered = |seen: &Seen| matches!(seen.syn, Some((_, Some(_))));
        answered(&self.low) || answered(&self.high) || self.held.len() >= PATIENCE
    }

    /// Whether the connection's beginning is in the capture.
    pub fn was_seen(&self) -> bool {
        self.low.syn.is_some() || self.high.syn.is_some()
    }

    /// Whether either end sent anything.
    pub fn has_payload(&self) -> bool {
        self.low.first.is_some() || self.high.first.is_some()
    }

    /// The sequence numbers of both SYNs, `low`'s first, if both were seen.
    pub fn numbers(&self) -> Option<(u32, u32)> {
        Some((self.low.syn?.0, self.high.syn?.0))
    }

    /// Whether the end with the smaller address is the client: the SYN says so, or
    /// what was said first, or else the address.
    pub fn low_is_client(
        &self,
        low: SocketAddr,
        high: SocketAddr,
        serves: impl Fn(SocketAddr) -> bool,
    ) -> bool {
        let by_syn = |seen: &Seen| seen.syn.map(|(_, ack)| ack.is_none());
        if let Some(client) = by_syn(&self.low).or(by_syn(&self.high).map(|high| !high)) {
            return client;
        }
        let greets = |seen: &Seen| {
            let head = seen.first.as_ref().map(|(_, head)| sniff(head));
            matches!(head, Some(Spoken::Http2 | Spoken::Tls | Spoken::Http1))
        };
        match (greets(&self.low), greets(&self.high)) {
            (true, false) => return true,
            (false, true) => return false,
            _ => {}
        }
        match (serves(low), serves(high)) {
            (true, false) => false,
            (false, true) => true,
            _ => high.port() <= low.port(),
        }
    }

    /// The sequence numbers of both directions' first bytes, as far as they are known.
    pub fn starts(&self, low_is_client: bool) -> Both<Option<u32>> {
        let (low, high) = (self.low.start(&self.high), self.high.start(&self.low));
        match low_is_client {
            true => Both {
                client: low,
                server: high,
            },
            false => Both {
                client: high,
                server: low,
            },
        }
    }

    /// The packets, in the order of the capture.
    pub fn into_held(self) -> Vec<Held> {
        self.held
    }
}

impl Seen {
    fn take(&mut self, segment: &Segment<'_>) {
        if segment.syn {
            self.syn.get_or_insert((segment.sequence, segment.ack));
        }
        let sequence = segment.sequence.wrapping_add(segment.syn.into());
        if segment.payload.is_empty() {
            if !segment.rst && self.bare.is_none_or(|bare| is_before(bare, sequence)) {
                self.bare = Some(sequence);
            }
        } else if !matches!(&self.first, Some((first, _)) if !is_before(sequence, *first)) {
            let head = &segment.payload[..segment.payload.len().min(HEAD)];
            self.first = Some((sequence, head.into()));
        }
        if let Some(ack) = segment.ack {
            let (least, most) = self.acked.get_or_insert((ack, ack));
            if is_before(ack, *least) {
                *least = ack;
            }
            if is_before(*most, ack) {
                *most = ack;
            }
        }
    }

    /// Where its direction begins, as far as its own packets say.
    fn start_of_own(&self) -> Option<u32> {
        self.first.as_ref().map(|(first, _)| *first).or(self.bare)
    }

    /// Where its direction begins, if anything tells: its SYN, what the peer says of
    /// it, or the first byte that was captured.
    fn start(&self, peer: &Seen) -> Option<u32> {
        if let Some((sequence, _)) = self.syn {
            return Some(sequence.wrapping_add(1));
        }
        let own = self.start_of_own();
        match (peer.syn, peer.acked) {
            (Some((_, Some(ack))), _) => Some(ack),
            // The first that was acknowledged to the one who called is the SYN.
            (Some((_, None)), Some((least, _))) => match own {
                Some(own) if is_before(own, least) => Some(own),
                _ => Some(least),
            },
            (_, acked) => own.or(acked.map(|(_, most)| most)),
        }
    }
}

impl Held {
    /// The packet as it was, between two addresses.
    pub fn segment(&self, from: SocketAddr, to: SocketAddr) -> Segment<'_> {
        Segment {
            from,
            to,
            sequence: self.sequence,
            ack: self.ack,
            syn: self.syn,
            fin: self.fin,
            rst: self.rst,
            payload: &self.payload,
            cut: self.cut,
        }
    }
}

/// Whether a sequence number is before another one; they wrap around.
fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}
