//! What a bad line does to bytes, whatever they mean: they stand still, pass
//! slowly, arrive late. Sans-io: it says how much may be read from a side now,
//! keeps what is under way, and says when to ask again.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::http2::{Both, Side};

/// Bytes of one direction that may be under way, as a TCP window bounds them.
/// While there are so many its sender is not read.
pub const MOST_UNDER_WAY: usize = 1 << 20;

/// At a bounded speed bytes pass in portions of so many in a second.
const PORTIONS_A_SECOND: u64 = 20;

/// Room that nobody took is kept for so long: a timer may be late.
const SAVED_UP: Duration = Duration::from_millis(50);

/// How long something waits, drawn anew each time.
pub struct Waits(Box<dyn FnMut() -> Duration + Send>);

impl Waits {
    /// Waits that `draw` draws.
    pub fn new(draw: impl FnMut() -> Duration + Send + 'static) -> Waits {
        Waits(Box::new(draw))
    }

    /// The next one.
    pub fn draw(&mut self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waits")
    }
}

/// What is done to the bytes of one side from now on.
#[derive(Debug, Default)]
pub struct Sky {
    /// They stand still.
    pub frozen: bool,
    /// So many pass a second.
    pub speed: Option<u64>,
    /// They arrive so late, in order.
    pub latency: Option<Waits>,
}

/// The line between two peers.
#[derive(Debug, Default)]
pub struct Weather {
    /// By sender.
    lanes: Both<Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    sky: Sky,
    /// From when on there is room at the speed.
    free_from: Option<Instant>,
    /// What is under way, and when it arrives.
    under_way: VecDeque<(Instant, Parcel)>,
    bytes: usize,
}

/// Something that arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    /// Bytes that were sent.
    Bytes(Vec<u8>),
    /// The sender's end.
    End,
}

impl Weather {
    /// From now on this is done. What is under way arrives at once where nothing
    /// delays it any more.
    pub fn change(&mut self, skies: Both<Sky>, now: Instant) {
        let Both { client, server } = skies;
        self.lanes.client.change(client, now);
        self.lanes.server.change(server, now);
    }

    /// Whether nothing is done, and nothing under way.
    pub fn is_calm(&self) -> bool {
        let calm = |lane: &Lane| {
            let sky = &lane.sky;
            !sky.frozen && sky.speed.is_none() && sky.latency.is_none() && lane.under_way.is_empty()
        };
        calm(&self.lanes.client) && calm(&self.lanes.server)
    }

    /// Whether what `from` sends stands still.
    pub fn is_frozen(&self, from: Side) -> bool {
        self.lanes[from].sky.frozen
    }

    /// How many bytes may be read from `from` now; 0 is none for the moment.
    pub fn room(&self, from: Side, now: Instant) -> usize {
        let lane = &self.lanes[from];
        if lane.sky.frozen || lane.free_from.is_some_and(|at| at > now) {
            return 0;
        }
        let under_way = MOST_UNDER_WAY.saturating_sub(lane.bytes);
        match lane.sky.speed {
            None => under_way,
            Some(speed) => {
                let portion = (speed / PORTIONS_A_SECOND).max(1);
                under_way.min(usize::try_from(portion).unwrap_or(usize::MAX))
            }
        }
    }

    /// `from` sent `bytes`. Gives whether they pass at once; otherwise they are
    /// under way.
    pub fn enter(&mut self, from: Side, bytes: &[u8], now: Instant) -> bool {
        let lane = &mut self.lanes[from];
        if let Some(speed) = lane.sky.speed {
            let least = now.checked_sub(SAVED_UP).unwrap_or(now);
            let began = lane.free_from.map_or(now, |at| at.max(least));
            let takes = Duration::from_secs_f64(bytes.len() as f64 / speed.max(1) as f64);
            lane.free_from = began.checked_add(takes);
        }
        if lane.goes_through() {
            return true;
        }
        lane.bytes += bytes.len();
        lane.send(Parcel::Bytes(bytes.to_vec()), now);
        false
    }

    /// `from` will send no more. Gives whether that is known at once.
    pub fn end(&mut self, from: Side, now: Instant) -> bool {
        let lane = &mut self.lanes[from];
        if lane.goes_through() {
            return true;
        }
        lane.send(Parcel::End, now);
        false
    }

    /// What arrives of what `from` sent.
    pub fn leave(&mut self, from: Side, now: Instant) -> Option<Parcel> {
        let lane = &mut self.lanes[from];
        if lane.sky.frozen || lane.under_way.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, parcel) = lane.under_way.pop_front()?;
        if let Parcel::Bytes(bytes) = &parcel {
            lane.bytes -= bytes.len();
        }
        Some(parcel)
    }

    /// When after `now` there will be something to do though nothing new comes.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let of = |lane: &Lane| {
            let arrives = lane.under_way.front().map(|(at, _)| *at);
            let next = arrives.into_iter().chain(lane.free_from);
            next.filter(|at| *at > now && !lane.sky.frozen).min()
        };
        let next = [of(&self.lanes.client), of(&self.lanes.server)];
        next.into_iter().flatten().min()
    }
}

impl Lane {
    fn change(&mut self, sky: Sky, now: Instant) {
        if sky.speed.is_none() {
            self.free_from = None;
        }
        if sky.latency.is_none() {
            for (at, _) in &mut self.under_way {
                *at = now;
            }
        }
        self.sky = sky;
    }

    fn goes_through(&self) -> bool {
        self.sky.latency.is_none() && self.under_way.is_empty()
    }

    fn send(&mut self, parcel: Parcel, now: Instant) {
        let wait = self
            .sky
            .latency
            .as_mut()
            .map_or(Duration::ZERO, Waits::draw);
        let at = now.checked_add(wait).unwrap_or(now);
        // None overtakes another.
        let last = self.under_way.back().map_or(at, |(last, _)| *last);
        self.under_way.push_back((at.max(last), parcel));
    }
}

#[cfg(test)]
mod tests;
