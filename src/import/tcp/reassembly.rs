//! Both directions of a connection, and the order between them.

use super::half::Half;
use super::{MAX_AHEAD, MAX_HELD, PATIENCE, STRAYS};
use crate::http2::{Both, Side};
use crate::import::packet::Segment;
use crate::relay::EndOfBytes;

/// What is known next of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::import) enum Told<'a> {
    /// `from` sent these bytes.
    Bytes {
        /// Who.
        from: Side,
        /// What; never empty.
        bytes: &'a [u8],
    },
    /// `from` sent bytes here that the capture does not have.
    Missing {
        /// Who.
        from: Side,
        /// How many.
        bytes: u64,
    },
    /// `from` sends no more.
    End {
        /// Who.
        from: Side,
        /// With FIN or with RST.
        how: EndOfBytes,
    },
}

/// Puts both directions of a connection in order.
///
/// A segment is given out when all before it in its direction was, and all that
/// its sender had received by then (its acknowledgement number says so): so no
/// answer comes before its request, in whatever order packets were captured. What
/// a retransmission repeats is left out.
#[derive(Debug)]
pub(in crate::import) struct Reassembly {
    halves: Both<Half>,
    /// Packets so far.
    packets: u64,
    /// What both directions hold.
    held: usize,
    /// Who sent RST. What was sent before it may be late in the file.
    reset: Option<Side>,
    over: bool,
}

impl Reassembly {
    /// A connection whose first bytes have these sequence numbers, as far as they are
    /// known.
    pub fn new(first: Both<Option<u32>>) -> Reassembly {
        Reassembly {
            halves: Both {
                client: Half::new(first.client),
                server: Half::new(first.server),
            },
            packets: 0,
            held: 0,
            reset: None,
            over: false,
        }
    }

    /// What waits for a segment that is missing, in bytes of memory.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Whether it has ended on both sides.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether a side has ended it with RST. Call [`Reassembly::settle`] when
    /// packets that were sent before will not follow any more.
    pub fn is_reset(&self) -> bool {
        self.reset.is_some()
    }

    /// The next packet of the capture, from `from`.
    pub fn handle(&mut self, from: Side, segment: &Segment<'_>, tell: &mut dyn FnMut(Told<'_>)) {
        if self.over {
            return;
        }
        self.packets += 1;
        if segment.rst {
            let distance = self.halves[from].distance(segment.sequence);
            // Anybody may send one that has nothing to do with the connection.
            if distance.unsigned_abs() <= u64::from(MAX_AHEAD) {
                self.reset.get_or_insert(from);
            }
            return;
        }
        let acknowledged = |half: &mut Half| segment.ack.and_then(|ack| half.acknowledge(ack));
        let needs = acknowledged(&mut self.halves[from.peer()]).unwrap_or_default();
        self.take(from, segment, needs, tell);
        self.drain(tell);
        self.lose_patience(tell);
    }

    fn take(
        &mut self,
        from: Side,
        segment: &Segment<'_>,
        needs: u64,
        tell: &mut dyn FnMut(Told<'_>),
    ) {
        let straight = !self.halves.client.is_waiting()
            && !self.halves.server.is_waiting()
            && self.halves[from.peer()].has(needs);
        let half = &mut self.halves[from];
        // The SYN uses up one number; data, if there is any, comes behind it.
        let first = segment.sequence.wrapping_add(segment.syn.into());
        let mut distance = half.distance(first);
        if distance > i64::from(MAX_AHEAD) {
            half.strays += 1;
            if half.strays < STRAYS {
                return;
            }
            // More was lost than any window holds.
            let bytes = distance.unsigned_abs();
            half.forget();
            half.advance(bytes);
            self.held = 0;
            self.halves[from.peer()].forget();
            tell(Told::Missing { from, bytes });
            distance = 0;
        }
        let half = &mut self.halves[from];
        half.strays = 0;
        let length = segment.payload.len() as i64;
        if segment.fin && half.fin.is_none() && distance + length >= 0 {
            half.fin = Some(half.delivered.saturating_add_signed(distance + length));
            half.fin_by = (needs, self.packets);
        }
        // Nothing comes behind the end.
        let room = half.fin.map_or(i64::MAX, |fin| {
            (fin.saturating_sub(half.delivered)).cast_signed() - distance
        });
        let kept = length.min(room).max(0) as usize;
        let repeated = usize::try_from(-distance).unwrap_or(0);
        let fresh = segment.payload[..kept].get(repeated..).unwrap_or_default();
        if fresh.is_empty() {
            return;
        }
        if straight && distance <= 0 {
            half.advance(fresh.len() as u64);
            tell(Told::Bytes { from, bytes: fresh });
        } else {
            let place = half.delivered + distance.max(0).unsigned_abs();
            self.held += half.keep(place, fresh, needs, self.packets);
        }
    }

    /// Gives out what has its turn.
    fn drain(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        while let Some(from) = self.next_in_turn() {
            let half = &mut self.halves[from];
            let Some((repeated, early)) = half.take(&mut self.held) else {
                break;
            };
            let bytes = early.bytes.get(repeated..).unwrap_or_default();
            half.advance(bytes.len() as u64);
            tell(Told::Bytes { from, bytes });
        }
        let mut sides = [Side::Client, Side::Server];
        sides.sort_by_key(|side| self.halves[*side].fin_by.1);
        for from in sides {
            let half = &self.halves[from];
            let complete = half.fin.is_some_and(|fin| half.delivered >= fin);
            if complete && !half.ended && self.halves[from.peer()].has(half.fin_by.0) {
                self.halves[from].ended = true;
                let how = EndOfBytes::Closed;
                tell(Told::End { from, how });
            }
        }
        self.over = self.halves.client.ended && self.halves.server.ended;
    }

    /// Whose segment is next, of those that could be.
    fn next_in_turn(&mut self) -> Option<Side> {
        let mut turns = [None, None];
        for (turn, side) in turns.iter_mut().zip([Side::Client, Side::Server]) {
            if let Some(early) = self.halves[side].ready(&mut self.held) {
                *turn = Some((early.packet, early.needs, side));
            }
        }
        let may = |turn: &Option<(u64, u64, Side)>| {
            turn.filter(|(_, needs, side)| self.halves[side.peer()].has(*needs))
        };
        let mut allowed: Vec<_> = turns.iter().filter_map(may).collect();
        if let ([], [Some(one), Some(other)]) = (&allowed[..], turns) {
            // Each has received the other: then nobody can be right.
            allowed = vec![one, other];
        }
        let next = allowed.into_iter().min_by_key(|(packet, ..)| *packet);
        next.map(|(.., side)| side)
    }

    /// Goes on without what will not come any more.
    fn lose_patience(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        loop {
            let mut given_up = None;
            for side in [Side::Client, Side::Server] {
                let half = &mut self.halves[side];
                if !half.has_hole() {
                    half.missed_at = None;
                } else if half.received() > half.delivered {
                    let since = *half.missed_at.get_or_insert(self.packets);
                    if self.packets - since >= PATIENCE {
                        given_up = Some(side);
                    }
                }
            }
            if given_up.is_none() && self.held > MAX_HELD {
                given_up = self.holed();
            }
            match given_up {
                Some(side) => self.skip(side, tell),
                None => return,
            }
        }
    }

    /// The first direction with a hole.
    fn holed(&self) -> Option<Side> {
        let sides = [Side::Client, Side::Server];
        sides.into_iter().find(|side| self.halves[*side].has_hole())
    }

    /// Memory is short: goes on without what is missing. Whether anything was.
    pub fn give_way(&mut self, tell: &mut dyn FnMut(Told<'_>)) -> bool {
        match self.holed() {
            Some(side) => {
                self.skip(side, tell);
                true
            }
            None => false,
        }
    }

    /// Goes on behind the hole of a direction.
    fn skip(&mut self, from: Side, tell: &mut dyn FnMut(Told<'_>)) {
        let half = &mut self.halves[from];
        let bytes = half.behind_the_hole().saturating_sub(half.delivered);
        if bytes == 1 && half.fin.is_none() && !half.is_waiting() {
            // What was acknowledged and is not there is a FIN: a single byte is
            // hardly ever sent alone, and nothing came behind it.
            half.fin = Some(half.delivered);
        } else {
            half.advance(bytes);
            tell(Told::Missing { from, bytes });
        }
        self.drain(tell);
    }

    /// No packet follows. What was received and is not in the capture is missing;
    /// what was sent behind a hole and never received is not told.
    pub fn settle(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        loop {
            let received = |half: &Half| half.has_hole() && half.received() > half.delivered;
            let sides = [Side::Client, Side::Server];
            let mut holed = sides
                .into_iter()
                .filter(|side| received(&self.halves[*side]));
            match holed.next() {
                Some(side) => self.skip(side, tell),
                None => break,
            }
        }
        for half in [&mut self.halves.client, &mut self.halves.server] {
            half.forget();
        }
        self.held = 0;
        if let (Some(from), false) = (self.reset, self.over) {
            let how = EndOfBytes::Lost;
            self.over = true;
            tell(Told::End { from, how });
        }
    }
}
