//! How many requests were under way at a time.
//!
//! A call is told at its end, so that its beginning lies in the past: the ends
//! and beginnings of the last minute wait in a heap until nothing can come
//! before them any more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::fact::Moment;
use super::window::{Phase, Window};

/// How far back a call's beginning is taken at its word. One that took longer
/// counts from there on.
const HORIZON: u64 = 60_000_000;

/// Ends and beginnings that wait at most.
const EDGES_MAX: usize = 1 << 20;

/// The most requests at a time, before, during and after the failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Peaks {
    pub before: u64,
    pub during: u64,
    pub after: u64,
}

impl Peaks {
    fn raise(&mut self, phase: Phase, open: u64) {
        let peak = match phase {
            Phase::Before => &mut self.before,
            Phase::During => &mut self.during,
            Phase::After => &mut self.after,
        };
        *peak = open.max(*peak);
    }
}

/// Requests that are under way, of each client and of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Concurrency {
    /// When; ends before beginnings; whose.
    edges: BinaryHeap<Reverse<(Moment, bool, usize)>>,
    frontier: Moment,
    open: u64,
    peaks: Peaks,
    clients: Vec<(u64, Peaks)>,
}

impl Concurrency {
    /// A call of `client` was under way.
    pub fn add(&mut self, client: usize, started: Moment, ended: Moment, window: &Window) {
        if self.clients.len() <= client {
            self.clients.resize(client + 1, Default::default());
        }
        let started = started.max(self.frontier);
        // What ends as it begins was still there.
        let ended = ended.max(Moment(started.0.saturating_add(1)));
        self.edges.push(Reverse((started, true, client)));
        self.edges.push(Reverse((ended, false, client)));
        while let Some(Reverse((first, ..))) = self.edges.peek()
            && (ended.since(*first) > HORIZON || self.edges.len() > EDGES_MAX)
        {
            self.step(window);
        }
    }

    /// The failure's end has moved: what was after it was within it.
    pub fn window_moved(&mut self) {
        let all = self.clients.iter_mut().map(|(_, peaks)| peaks);
        for peaks in all.chain([&mut self.peaks]) {
            peaks.during = peaks.during.max(std::mem::take(&mut peaks.after));
        }
    }

    /// All peaks, and those of each client.
    pub fn peaks(&self, window: &Window) -> (Peaks, Vec<Peaks>) {
        let mut rest = self.clone();
        while !rest.edges.is_empty() {
            rest.step(window);
        }
        let clients = rest.clients.iter().map(|(_, peaks)| *peaks);
        (rest.peaks, clients.collect())
    }

    fn step(&mut self, window: &Window) {
        let Some(Reverse((at, begins, client))) = self.edges.pop() else {
            return;
        };
        self.frontier = at;
        let (open, peaks) = &mut self.clients[client];
        if begins {
            *open += 1;
            self.open += 1;
            let phase = window.phase(at);
            peaks.raise(phase, *open);
            self.peaks.raise(phase, self.open);
        } else {
            *open = open.saturating_sub(1);
            self.open = self.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_overlap_are_counted_whenever_they_are_told() {
        let window = Window::default();
        let mut all = Concurrency::default();
        // Told in the order of their ends; the last one hung all the while.
        for (client, from, to) in [(0, 10, 20), (1, 15, 30), (0, 20, 40), (0, 5, 50)] {
            all.add(client, Moment(from), Moment(to), &window);
        }
        let (peaks, clients) = all.peaks(&window);
        assert_eq!(peaks.before, 3);
        assert_eq!(clients[0].before, 2);
        assert_eq!(clients[1].before, 1);
    }
}
