//! What waits of one watch, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::etcd::verdict::{FaultId, Hit};
use crate::etcd::watch_verdict::Stamp;
use crate::relay::Hold;

use super::Note;

/// A message, or several that belong together, on its way to the client.
#[derive(Debug)]
pub(super) struct Unit {
    /// With gRPC's prefixes.
    pub bytes: Bytes,
    /// What the log is told when it is given.
    pub notes: Vec<Note>,
    /// When etcd sent it.
    pub came: Instant,
    /// It says only that the watch is up to date.
    pub progress: bool,
    /// Its bytes count as held while it waits.
    #[expect(dead_code, reason = "it is there to be dropped with the unit")]
    pub hold: Hold,
}

impl Unit {
    /// What etcd sent just now.
    pub fn new(bytes: Bytes, notes: Vec<Note>, now: Instant, hold: Hold) -> Unit {
        Unit {
            bytes,
            notes,
            came: now,
            progress: false,
            hold,
        }
    }

    /// How many events it has.
    fn events(&self) -> u32 {
        match self.progress {
            true => 0,
            false => u32::try_from(self.notes.len()).unwrap_or(u32::MAX),
        }
    }
}

/// What is done to one watch, and what waits of it.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The faults' windows that have struck it standing.
    pub struck: Vec<Stamp>,
    /// It ended by our doing; what etcd still says of it is swallowed.
    pub dead: bool,
    stalls: Vec<Stall>,
    queue: VecDeque<Waiting>,
    /// Units in the queue that are progress.
    progresses: usize,
    aside: Vec<Aside>,
}

#[derive(Debug)]
struct Stall {
    hit: Hit,
    until: Option<Instant>,
}

/// A unit that waits for its time, or behind one that does.
#[derive(Debug)]
struct Waiting {
    unit: Unit,
    /// When it may pass, were it alone.
    own_due: Instant,
    /// The same, behind those before it.
    due: Instant,
    /// It waits of its own, and not merely behind another.
    late: bool,
}

/// An event that others overtake.
#[derive(Debug)]
struct Aside {
    unit: Unit,
    /// So many more may.
    overtaken_by: u32,
    until: Instant,
}

impl Watch {
    /// Nothing passes from now on.
    pub fn stall(&mut self, hit: Hit, until: Option<Instant>) {
        self.stalls.push(Stall { hit, until });
    }

    /// Whether a unit would have to wait.
    pub fn holds(&self) -> bool {
        !self.stalls.is_empty() || !self.queue.is_empty() || !self.aside.is_empty()
    }

    /// Whether anything is known of it that must not be forgotten.
    pub fn is_idle(&self) -> bool {
        !self.dead && !self.holds()
    }

    /// Takes in what etcd sent, which may pass after `late`. Gives what is of no
    /// use any more: progress that waits and is overtaken by an event.
    pub fn push(
        &mut self,
        mut unit: Unit,
        late: Duration,
        at_most: Option<Instant>,
        now: Instant,
    ) -> Vec<Unit> {
        let mut moot = Vec::new();
        if !unit.progress && self.progresses > 0 {
            let waits = |waiting: &Waiting| waiting.late || !self.aside.is_empty();
            let of_use = |waiting: &Waiting| !(waiting.unit.progress && waits(waiting));
            let (kept, gone) = std::mem::take(&mut self.queue)
                .into_iter()
                .partition(of_use);
            let gone: VecDeque<Waiting> = gone;
            self.queue = kept;
            self.progresses -= gone.len();
            moot.extend(gone.into_iter().map(|waiting| waiting.unit));
        }
        for stall in &self.stalls {
            for note in &mut unit.notes {
                note.add_fault(&stall.hit);
            }
        }
        let own_due = now + late;
        let own_due = at_most.map_or(own_due, |most| own_due.min(most.max(now)));
        let due = (self.queue.back()).map_or(own_due, |last| own_due.max(last.due));
        self.progresses += usize::from(unit.progress);
        self.queue.push_back(Waiting {
            unit,
            own_due,
            due,
            late: late > Duration::ZERO,
        });
        moot
    }

    /// Takes in an event that later ones are to overtake.
    pub fn put_aside(&mut self, unit: Unit, overtaken_by: u32, until: Instant) {
        self.aside.push(Aside {
            unit,
            overtaken_by,
            until,
        });
    }

    /// The next unit that may pass by now.
    pub fn pop(&mut self, now: Instant) -> Option<Unit> {
        (self.stalls).retain(|stall| stall.until.is_none_or(|until| now < until));
        if !self.stalls.is_empty() {
            return None;
        }
        let ready = |aside: &Aside| aside.overtaken_by == 0 || aside.until <= now;
        if let Some(at) = self.aside.iter().position(ready) {
            return Some(self.aside.remove(at).unit);
        }
        let next = self.queue.front()?;
        // Progress must not overtake an event.
        if next.due > now || next.unit.progress && !self.aside.is_empty() {
            return None;
        }
        let unit = self.queue.pop_front()?.unit;
        self.progresses -= usize::from(unit.progress);
        let events = unit.events();
        for aside in &mut self.aside {
            aside.overtaken_by = aside.overtaken_by.saturating_sub(events);
        }
        Some(unit)
    }

    /// All that waits, in order, whatever it waits for.
    pub fn drain(&mut self) -> Vec<Unit> {
        self.stalls.clear();
        self.progresses = 0;
        let aside = self.aside.drain(..).map(|aside| aside.unit);
        let mut all: Vec<Unit> = aside.collect();
        all.extend(self.queue.drain(..).map(|waiting| waiting.unit));
        all
    }

    /// Lets go what faults hold that were taken away.
    pub fn lift(&mut self, is_lifted: impl Fn(FaultId) -> bool, now: Instant) {
        self.stalls.retain(|stall| !is_lifted(stall.hit.fault));
        let lifted = |unit: &Unit| {
            let mut hits = unit.notes.iter().flat_map(|note| note.faults.iter());
            hits.any(|hit| is_lifted(hit.fault))
        };
        for aside in &mut self.aside {
            if lifted(&aside.unit) {
                aside.overtaken_by = 0;
            }
        }
        let mut before = None;
        for waiting in &mut self.queue {
            if lifted(&waiting.unit) {
                waiting.own_due = now;
            }
            let due = waiting.own_due;
            waiting.due = before.map_or(due, |before: Instant| due.max(before));
            before = Some(waiting.due);
        }
    }

    /// Faults that hold something of it.
    pub fn faults(&self) -> impl Iterator<Item = FaultId> + '_ {
        let queued = self.queue.iter().map(|waiting| &waiting.unit);
        let units = queued.chain(self.aside.iter().map(|aside| &aside.unit));
        let hits = units.flat_map(|unit| unit.notes.iter().flat_map(|note| note.faults.iter()));
        let stall = self.stalls.iter().map(|stall| stall.hit.fault);
        hits.map(|hit| hit.fault).chain(stall)
    }

    /// When something may pass.
    pub fn next(&self) -> Option<Instant> {
        if !self.stalls.is_empty() {
            // The last one to end counts, if all of them do.
            let ends = self.stalls.iter().map(|stall| stall.until);
            return ends.collect::<Option<Vec<_>>>()?.into_iter().max();
        }
        let asides = self.aside.iter().map(|aside| aside.until).min();
        let next = self.queue.front();
        let next = next.filter(|next| !next.unit.progress || self.aside.is_empty());
        let next = next.map(|waiting| waiting.due);
        match (asides, next) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}
