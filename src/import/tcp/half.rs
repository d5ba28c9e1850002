//! One direction of a connection.

use std::collections::BTreeMap;

use super::{MAX_AHEAD, OVERHEAD};

/// One direction of a connection: what was given to its reader, and what came
/// before its turn. Places are counted from the direction's first byte.
#[derive(Debug)]
pub(super) struct Half {
    /// The sequence number of the next byte in order, once it is known.
    next: Option<u32>,
    /// How many bytes have been given out, or are missing.
    pub delivered: u64,
    early: BTreeMap<u64, Early>,
    /// Where it ends.
    pub fin: Option<u64>,
    /// How much of the peer's direction its sender had received by then, and the
    /// number of the packet that said so.
    pub fin_by: (u64, u64),
    /// How far the peer says it has received.
    acked: u64,
    /// The number of the packet that acknowledged what is missing now.
    pub missed_at: Option<u64>,
    /// Segments in a row that were too far ahead.
    pub strays: u32,
    pub ended: bool,
}

/// A segment that waits.
#[derive(Debug)]
pub(super) struct Early {
    pub bytes: Box<[u8]>,
    /// How much of the peer's direction its sender had received.
    pub needs: u64,
    /// The number of the packet.
    pub packet: u64,
}

impl Half {
    /// A direction whose first byte has this sequence number; if that is not known,
    /// the first number that is heard of begins it.
    pub fn new(first: Option<u32>) -> Half {
        Half {
            next: first,
            delivered: 0,
            early: BTreeMap::new(),
            fin: None,
            fin_by: (0, 0),
            acked: 0,
            missed_at: None,
            strays: 0,
            ended: false,
        }
    }

    /// How far a sequence number is ahead of the next byte, or behind it. Half of
    /// all numbers lie either way.
    pub fn distance(&mut self, sequence: u32) -> i64 {
        let next = *self.next.get_or_insert(sequence);
        i64::from(sequence.wrapping_sub(next).cast_signed())
    }

    /// The peer has received all before `ack`. Returns that place, if it can be.
    pub fn acknowledge(&mut self, ack: u32) -> Option<u64> {
        let distance = self.distance(ack);
        if distance.unsigned_abs() > u64::from(MAX_AHEAD) {
            return None;
        }
        let place = self.delivered.saturating_add_signed(distance);
        self.acked = self.acked.max(place);
        Some(place)
    }

    /// The place up to which the peer has received bytes: a FIN counts as one to
    /// TCP, and is none.
    pub fn received(&self) -> u64 {
        self.fin.map_or(self.acked, |fin| self.acked.min(fin))
    }

    /// Whether the reader has all that `needs` counts.
    pub fn has(&self, needs: u64) -> bool {
        self.delivered >= self.fin.map_or(needs, |fin| needs.min(fin))
    }

    /// So many bytes were given out, or are missing.
    pub fn advance(&mut self, bytes: u64) {
        self.delivered += bytes;
        self.next = self.next.map(|next| next.wrapping_add(bytes as u32));
        self.missed_at = None;
    }

    /// Keeps a segment until its turn. Returns how much more is held.
    pub fn keep(&mut self, place: u64, bytes: &[u8], needs: u64, packet: u64) -> usize {
        let early = Early {
            bytes: bytes.into(),
            needs,
            packet,
        };
        match self.early.get_mut(&place) {
            Some(kept) if kept.bytes.len() >= bytes.len() => 0,
            Some(kept) => {
                let more = bytes.len() - kept.bytes.len();
                *kept = early;
                more
            }
            None => {
                self.early.insert(place, early);
                bytes.len() + OVERHEAD
            }
        }
    }

    pub fn is_waiting(&self) -> bool {
        !self.early.is_empty()
    }

    /// The segment whose turn it is, as far as this direction goes. Those that
    /// bring nothing new are dropped; `held` goes down by what they took.
    pub fn ready(&mut self, held: &mut usize) -> Option<&Early> {
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.delivered {
                return None;
            }
            if *entry.key() + entry.get().bytes.len() as u64 > self.delivered {
                break;
            }
            *held -= entry.remove().bytes.len() + OVERHEAD;
        }
        self.early.first_key_value().map(|(_, early)| early)
    }

    /// Takes the segment that [`Half::ready`] gave, and how much of it repeats.
    pub fn take(&mut self, held: &mut usize) -> Option<(usize, Early)> {
        let (place, early) = self.early.pop_first()?;
        *held -= early.bytes.len() + OVERHEAD;
        Some(((self.delivered - place) as usize, early))
    }

    /// Whether bytes are missing in front of what is known to follow.
    pub fn has_hole(&self) -> bool {
        match self.early.first_key_value() {
            Some((place, _)) => *place > self.delivered,
            None => self.received() > self.delivered,
        }
    }

    /// Where the hole ends: at what came too early, or where the peer says that it
    /// has received all.
    pub fn behind_the_hole(&self) -> u64 {
        match self.early.first_key_value() {
            Some((place, _)) => *place,
            None => self.received(),
        }
    }

    /// Forgets what waits.
    pub fn forget(&mut self) {
        self.early = BTreeMap::new();
    }
}
