//! A watch that goes on elsewhere before its old end is seen.
//!
//! A client that finds its connection dead opens its watches anew on another, and
//! the dead one is seen to end later. So a watch that begins beside an open one
//! of the same client and range, and goes on from where that one may have come
//! to, is remembered as beside it. When the old one then ends with its
//! connection, or with its stream by the client's wish, both were one watch.

use super::fact::{Moment, WatchAt};
use super::slot::{Lost, Recreated, Slot, State, Wish};
use super::watches::{BEHIND, RECREATIONS_MAX, Watches};

/// Creations that are remembered of a watch that began beside another.
const PLACES_MAX: usize = 64;

/// For how long a client that leaves its watch for another one keeps both, where
/// no failure hides the end of the first from us; in microseconds.
const SIDE_BY_SIDE: u64 = 10_000_000;

/// How a watch began beside an older one that was open.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    /// The older one, and which creation of it.
    old: usize,
    turn: u32,
    /// When, and from which revision on.
    pub at: Moment,
    start: i64,
    /// What the older one had been given by then.
    had: i64,
    /// The client listed the range, and goes on behind that.
    listed: bool,
    /// How long the older one had been behind at most.
    behind: Option<u64>,
    /// How long it had not been given a change that was there.
    away: Option<u64>,
    /// When the older one was first given something afterwards.
    pub alive: Option<Moment>,
    /// Where the watch is, and was.
    places: Vec<(u64, WatchAt)>,
}

impl Watches {
    /// The open watch among `here` beside which one may begin that was asked to
    /// start from `start`. One from now on follows nothing.
    pub(super) fn older(
        &self,
        here: &[usize],
        (conn, at): (u64, WatchAt),
        start: i64,
    ) -> Option<usize> {
        if start <= 0 {
            return None;
        }
        let elsewhere = |slot: &Slot| match slot.state {
            State::Open { conn: on, at: of } => (on, of.stream) != (conn, at.stream),
            State::Away { .. } | State::Joined => false,
        };
        let mut open = here.iter().copied().filter(|&one| {
            let slot = &self.slots[one];
            elsewhere(slot) && slot.next.is_none()
        });
        open.next()
    }

    /// Whether a watch from `start` on leaves out nothing that the client was not
    /// given, told of, or shown by a list.
    pub(super) fn follows(&self, old: usize, start: i64) -> bool {
        let old = &self.slots[old];
        start
            <= old
                .last_revision
                .max(old.told)
                .max(old.shown)
                .saturating_add(1)
    }

    /// A watch began beside an older one.
    pub(super) fn put_beside(&mut self, old: usize, new: usize, start: i64, when: Moment) {
        let older = &mut self.slots[old];
        older.next = Some(new);
        let beside = Beside {
            old,
            turn: older.turn,
            at: when,
            start,
            had: older.last_revision,
            listed: older.listed == Some(start.saturating_sub(1)),
            behind: older.behind,
            away: older.pending.map(|since| when.since(since)),
            alive: None,
            places: Vec::new(),
        };
        self.slots[new].beside = Some(Box::new(beside));
    }

    /// A watch that began beside another is now here.
    pub(super) fn placed_beside(&mut self, number: usize, place: (u64, WatchAt)) {
        let Some(beside) = &mut self.slots[number].beside else {
            return;
        };
        match beside.places.len() < PLACES_MAX {
            true => beside.places.push(place),
            false => self.part(number),
        }
    }

    /// A watch stands for itself, whatever it began beside.
    pub(super) fn part(&mut self, number: usize) {
        if let Some(beside) = self.slots[number].beside.take()
            && self.slots[beside.old].next == Some(number)
        {
            self.slots[beside.old].next = None;
        }
    }

    /// Nothing follows a watch.
    pub(super) fn part_next(&mut self, number: usize) {
        if let Some(next) = self.slots[number].next.take() {
            self.slots[next].beside = None;
        }
    }

    /// A watch has ended with its connection or stream: if another began beside
    /// it, it goes on as that. Says whose it is and when it was created anew, if
    /// its end was not the client's wish.
    pub(super) fn join(
        &mut self,
        number: usize,
        failure: Option<Moment>,
    ) -> Option<(usize, Moment)> {
        let next = self.slots[number].next?;
        let beside = self.slots[next].beside.clone()?;
        let State::Away { since, wish, .. } = self.slots[number].state else {
            return None;
        };
        let is_wanted = match self.slots[next].state {
            State::Open { .. } => true,
            State::Away { wish, .. } => wish != Wish::Client,
            State::Joined => false,
        };
        // Whoever was given events on both for long, and then left one that was
        // well, had two.
        let had_two =
            wish == Wish::Client && beside.alive.is_some_and(|at| since.since(at) > BEHIND);
        // Where nothing fails two that stood side by side for long were two.
        let in_failure = failure.is_some_and(|began| beside.at >= began);
        let had_two = had_two || !in_failure && since.since(beside.at) > SIDE_BY_SIDE;
        let is_same = beside.turn == self.slots[number].turn;
        if !is_wanted || had_two || !is_same || !self.follows(number, beside.start) {
            self.part_next(number);
            return None;
        }
        let new = std::mem::replace(&mut self.slots[next], Slot::joined());
        self.settle_old(number, &new, &beside);
        self.go_on_as(number, new, &beside);
        self.move_places(next, number, &beside.places);
        // Whatever this one turns out to be in its turn, it is at those places.
        for place in &beside.places {
            self.placed_beside(number, *place);
        }
        self.free.push(next);
        (wish != Wish::Client).then_some((self.slots[number].client, beside.at))
    }

    /// Judges what the old watch owed before the new one took over.
    fn settle_old(&mut self, number: usize, new: &Slot, beside: &Beside) {
        let before = beside.start.saturating_sub(1);
        self.judge(number, self.slots[number].told.min(before));
        let old = &mut self.slots[number];
        if beside.listed {
            old.checked = old.checked.max(before);
        }
        let range = old.range;
        // An event's line may have come after that of the creation.
        let given = old.given.iter().map(|one| one.revision);
        let had = given.filter(|revision| *revision <= before);
        let had = had.max().map_or(beside.had, |had| had.max(beside.had));
        let old = &self.slots[number];
        let gap = self.ranges.all[range]
            .beyond(old.checked)
            .any(|one| one.revision <= before && !old.has(one.revision, one.hash));
        self.judge(number, before);
        let old = &mut self.slots[number];
        // From there on it is the new one that has to be given all.
        old.lost.retain(|(revision, _), _| *revision <= before);
        old.told = before.max(new.told);
        old.checked = new.checked.max(before);
        old.last_revision = had.max(new.last_revision);
        old.gaps += u64::from(gap);
        old.overlaps += u64::from(beside.start <= had);
        old.recreated += 1;
        old.away = old.away.max(beside.away);
        if old.recreations.len() < RECREATIONS_MAX {
            old.recreations.push(Recreated {
                at: beside.at,
                start_revision: beside.start,
                last_revision: had,
                away: beside.away,
                gap,
                relisted: beside.listed,
            });
        }
    }

    /// The old watch stands where the new one stands.
    fn go_on_as(&mut self, number: usize, new: Slot, beside: &Beside) {
        let old = &mut self.slots[number];
        let shift = old.turn.saturating_add(1);
        old.turn = shift.saturating_add(new.turn);
        old.state = new.state;
        old.shown = old.shown.max(new.shown);
        old.highest = new.highest;
        old.progress = new.progress;
        let lost: Vec<((i64, u64), Lost)> = new.lost.into_iter().collect();
        for (which, lost) in lost {
            if !old.has(which.0, which.1) {
                old.lost.insert(which, lost);
            }
        }
        old.lost_more += new.lost_more;
        old.given.extend(new.given.into_iter().map(|mut one| {
            one.turn = one.turn.saturating_add(shift);
            one
        }));
        old.events += new.events;
        old.duplicated += new.duplicated;
        old.disordered += new.disordered;
        old.progress_ahead += new.progress_ahead;
        // What it was given afterwards the client had already.
        old.behind = beside.behind.max(new.behind);
        old.pending = new.pending;
        old.newest = old.newest.max(new.newest);
        old.recreated += new.recreated;
        old.gaps += new.gaps;
        old.overlaps += new.overlaps;
        old.away = old.away.max(new.away);
        old.ends += new.ends;
        old.listed = new.listed;
        old.unjudged |= new.unjudged;
        let room = RECREATIONS_MAX.saturating_sub(old.recreations.len());
        old.recreations
            .extend(new.recreations.into_iter().take(room));
        old.next = new.next;
        let turn = old.turn;
        if let Some(next) = old.next
            && let Some(beside) = &mut self.slots[next].beside
        {
            (beside.old, beside.turn) = (number, turn);
        }
        self.bound_given(number);
    }

    /// What is told of the new watch is told of the old one now.
    fn move_places(&mut self, from: usize, to: usize, places: &[(u64, WatchAt)]) {
        let turn = self.slots[to].turn;
        for (conn, at) in places {
            if let Some(placed) = self.placed.get_mut(&(*conn, *at))
                && placed.slot == from
            {
                placed.slot = to;
            }
            if let Some(here) = self.streams.get_mut(&(*conn, at.stream))
                && here.remove(&from)
            {
                here.insert(to);
            }
        }
        // The last is the creation that counts; each before it was one less.
        for (back, place) in (0_u32..).zip(places.iter().rev()) {
            if let Some(placed) = self.placed.get_mut(place)
                && placed.slot == to
            {
                placed.turn = turn.saturating_sub(back);
            }
        }
        let slot = &self.slots[to];
        let (client, range) = (slot.client, slot.range);
        self.ranges.all[range].slots.retain(|one| *one != from);
        if let Some(here) = self.by_client.get_mut(&(client, range)) {
            here.retain(|one| *one != from);
        }
    }
}
