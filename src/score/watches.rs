//! The watches of all clients: where each stands, what it was given, what it
//! was not.
//!
//! A *watch* here is what a client watches: it goes on when the client creates
//! it anew after an end. What it has to be given is every change in its range
//! from its first revision on; how far that must be complete is known from what
//! it was given and told since.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::commits::{COMMITS_MAX, Commit, Ranges, hash_of};
use super::fact::{Ended, Moment, Range, WatchAt};
use super::slot::{Given, Lost, Recreated, Slot, State, Wish};

/// Events that are remembered of one watch.
const GIVEN_MAX: usize = 512;

/// Watches that are followed.
const SLOTS_MAX: usize = 131_072;

/// Re-creations that are kept one by one, of each watch; more are counted.
pub(super) const RECREATIONS_MAX: usize = 16;

/// From when on a watch that was not given a change counts as behind.
pub(super) const BEHIND: u64 = 1_000_000;

/// Ended watches whose last events may still come.
const ENDED_MAX: usize = 4096;

/// An event as it passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed<'a> {
    pub key: &'a [u8],
    pub revision: i64,
    pub lag: Option<i64>,
    pub held: u64,
    pub delivered: bool,
    /// A fault had to do with it.
    pub struck: bool,
    pub at: Moment,
}

/// What a fact meant to a client's watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    Nothing,
    /// A watch of this client was created anew, against whose wish it ended:
    /// until now there was trouble.
    Recreated(usize),
    /// A watch of this client caught up after it was late.
    Restored(usize),
}

/// Where an open watch is followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub slot: usize,
    /// Which creation it is.
    pub turn: u32,
    /// When it ended; etcd may go on sending what nobody waits for.
    ended: Option<Moment>,
}

/// All watches.
#[derive(Debug, Clone, Default)]
pub(super) struct Watches {
    pub ranges: Ranges,
    pub slots: Vec<Slot>,
    /// Those of them that are nobody's.
    pub free: Vec<usize>,
    /// Where each open watch is followed; those that ended lately, too.
    pub placed: FxHashMap<(u64, WatchAt), Placed>,
    ended: VecDeque<(u64, WatchAt)>,
    /// The watches on each stream, also ended ones until the stream's own end is
    /// told.
    pub streams: FxHashMap<(u64, u32), FxHashSet<usize>>,
    pub by_client: FxHashMap<(usize, usize), Vec<usize>>,
    /// Watches that were not followed because there were too many, or that
    /// began before the facts did.
    pub unknown: u64,
    found: Vec<usize>,
}

impl Watches {
    /// A watch was created. `caught_up` is how far it had come already, where
    /// that is known from before.
    pub fn created(
        &mut self,
        (client, conn): (usize, u64),
        at: WatchAt,
        range: &Range<'_>,
        (start, revision): (i64, i64),
        when: Moment,
    ) -> Note {
        let Some(range) = self.ranges.of(range) else {
            self.unknown += 1;
            return Note::Nothing;
        };
        let first = match start {
            ..=0 => revision.saturating_add(1),
            start => start,
        };
        let here = self.by_client.get(&(client, range));
        let here = here.map_or(&[][..], |here| &here[..]);
        let older = self.older(here, (conn, at), start);
        let away = here.iter().filter_map(|&one| match self.slots[one].state {
            State::Away { since, wish, .. } => Some((wish == Wish::Client, since, one)),
            State::Open { .. } | State::Joined => None,
        });
        let away = away.min().filter(|(by_wish, _, one)| {
            // One that the client left is not what it goes on with, if that would
            // leave changes out, and another fits.
            let skips = start > self.slots[*one].last_revision.saturating_add(1);
            !(*by_wish && skips && older.is_some_and(|older| self.follows(older, start)))
        });
        let away = away.map(|(_, _, one)| one);
        let (slot, note) = match away {
            Some(slot) => (slot, self.recreate(slot, (conn, at), first, start, when)),
            None if self.free.is_empty() && self.slots.len() >= SLOTS_MAX => {
                self.unknown += 1;
                return Note::Nothing;
            }
            None => {
                let state = State::Open { conn, at };
                let new = Slot::new((client, range), state, first, when);
                let slot = self.put(new);
                let here = self.by_client.entry((client, range)).or_default();
                here.push(slot);
                self.ranges.all[range].slots.push(slot);
                if let Some(older) = older {
                    self.put_beside(older, slot, start, when);
                }
                (slot, Note::Nothing)
            }
        };
        let turn = self.slots[slot].turn;
        let ended = None;
        self.placed.insert((conn, at), Placed { slot, turn, ended });
        self.placed_beside(slot, (conn, at));
        self.streams
            .entry((conn, at.stream))
            .or_default()
            .insert(slot);
        note
    }

    fn put(&mut self, slot: Slot) -> usize {
        if let Some(number) = self.free.pop() {
            self.slots[number] = slot;
            return number;
        }
        self.slots.push(slot);
        self.slots.len() - 1
    }

    fn recreate(
        &mut self,
        number: usize,
        (conn, at): (u64, WatchAt),
        first: i64,
        start: i64,
        when: Moment,
    ) -> Note {
        let range = self.slots[number].range;
        self.part_next(number);
        self.judge(number, self.slots[number].told);
        let slot = &mut self.slots[number];
        let State::Away { since, wish, .. } = slot.state else {
            return Note::Nothing;
        };
        let had = slot.last_revision;
        let relisted = slot.listed.is_some();
        if let Some(listed) = slot.listed.take() {
            slot.checked = slot.checked.max(listed);
        }
        // What lies between what the client has and where it goes on is not to
        // come any more.
        slot.told = slot.told.max(first.saturating_sub(1));
        let gap = self.ranges.all[range]
            .beyond(slot.checked)
            .any(|one| one.revision < first && !slot.has(one.revision, one.hash));
        self.judge(number, first.saturating_sub(1));
        let slot = &mut self.slots[number];
        let away = when.since(since);
        slot.turn += 1;
        slot.state = State::Open { conn, at };
        slot.highest = (0, when);
        slot.progress = None;
        slot.recreated += 1;
        slot.away = slot.away.max(Some(away));
        slot.gaps += u64::from(gap);
        slot.overlaps += u64::from(first <= had);
        if slot.recreations.len() < RECREATIONS_MAX {
            slot.recreations.push(Recreated {
                at: when,
                start_revision: start,
                last_revision: had,
                away: Some(away),
                gap,
                relisted,
            });
        }
        self.settle_pending(number, when);
        match wish {
            Wish::Client => Note::Nothing,
            Wish::ClientClosed | Wish::Other => Note::Recreated(self.slots[number].client),
        }
    }

    /// A watch goes on that was open before the facts began; all up to
    /// `revision` it had been given.
    pub fn standing(
        &mut self,
        from: (usize, u64),
        at: WatchAt,
        range: &Range<'_>,
        revision: i64,
        when: Moment,
    ) {
        self.created(
            from,
            at,
            range,
            (revision.saturating_add(1), revision),
            when,
        );
    }

    /// An event passed, or was kept from the client.
    pub fn event(&mut self, conn: u64, at: WatchAt, event: &Passed<'_>) -> Note {
        let Some(&placed) = self.placed.get(&(conn, at)) else {
            self.unknown += 1;
            self.committed(event.key, event.revision, event.at.before(event.held));
            return Note::Nothing;
        };
        let (number, turn) = (placed.slot, placed.turn);
        let hash = hash_of(event.key);
        let range = self.slots[number].range;
        let was_known = self.ranges.all[range].find(event.revision, hash).is_some();
        self.committed(event.key, event.revision, event.at.before(event.held));
        let written = self.ranges.all[range]
            .find(event.revision, hash)
            .map(|commit| commit.at);
        let slot = &mut self.slots[number];
        if !event.delivered {
            // Whoever has no watch any more is not given anything by it. The change
            // is still to come, by the next creation or a list, and is judged like
            // all others; unless that was done when nobody knew of it.
            let is_lost = match placed.ended.is_some_and(|ended| event.at >= ended) {
                false => true,
                true => {
                    let is_news = !was_known && written.is_some();
                    is_news && event.revision <= slot.checked && event.revision > slot.shown
                }
            };
            if is_lost && !slot.has(event.revision, hash) {
                slot.lose(event.revision, hash, &Arc::from(event.key));
            }
            return Note::Nothing;
        }
        slot.events += 1;
        let again = event.revision <= slot.highest.0 && slot.had_in(turn, event.revision, hash);
        if again {
            slot.duplicated += 1;
            return Note::Nothing;
        }
        if turn == slot.turn {
            let (highest, then) = slot.highest;
            // The log may tell two events of a watch in the other order while
            // one waits for the answer to its write; their times do not lie.
            let later = event.at > then || (event.at == then && event.struck);
            slot.disordered += u64::from(event.revision < highest && later);
            if let Some((said, when)) = slot.progress
                && event.revision <= said
                && event.at > when
            {
                slot.progress_ahead += 1;
            }
            if event.revision >= highest {
                slot.highest = (event.revision, event.at);
            }
        }
        slot.lost.remove(&(event.revision, hash));
        slot.told = slot.told.max(event.revision.saturating_sub(1));
        slot.last_revision = slot.last_revision.max(event.revision);
        let mine = written.map(|at| event.at.since(at));
        let lag = event.lag.and_then(|lag| u64::try_from(lag).ok());
        let behind = lag.or(mine).max(Some(event.held).filter(|held| *held > 0));
        slot.behind = slot.behind.max(behind);
        slot.given.push_back(Given {
            revision: event.revision,
            hash,
            turn,
        });
        let next = slot.next.filter(|_| turn == slot.turn);
        self.bound_given(number);
        let note = self.settle_pending(number, event.at);
        let Some(next) = next.map(|next| &mut self.slots[next]) else {
            return note;
        };
        if let Some(beside) = &mut next.beside
            && event.at > beside.at
        {
            beside.alive = beside.alive.or(Some(event.at));
        }
        // What the client has by a watch beside this one is not late here.
        match next.last_revision >= event.revision {
            true => Note::Nothing,
            false => note,
        }
    }

    pub fn bound_given(&mut self, number: usize) {
        while self.slots[number].given.len() > GIVEN_MAX {
            self.forget_oldest(number);
        }
    }

    /// Before what was given is forgotten, all up to there is judged.
    fn forget_oldest(&mut self, number: usize) {
        let slot = &self.slots[number];
        if let Some(oldest) = slot.given.front().copied()
            && oldest.revision > slot.checked
        {
            self.judge(number, oldest.revision.min(self.slots[number].told));
        }
        self.slots[number].given.pop_front();
    }

    /// etcd said (or was made to say) that a watch is up to date.
    pub fn progress(&mut self, conn: u64, at: WatchAt, revision: i64, when: Moment) -> Vec<Note> {
        let numbers: Vec<usize> = match at.id {
            -1 => {
                let all = self.streams.get(&(conn, at.stream));
                all.into_iter().flatten().copied().collect()
            }
            _ => {
                let one = self.placed.get(&(conn, at));
                let one = one.filter(|one| one.turn == self.slots[one.slot].turn);
                one.map(|one| one.slot).into_iter().collect()
            }
        };
        let mut notes = Vec::new();
        for number in numbers {
            let slot = &mut self.slots[number];
            slot.told = slot.told.max(revision);
            if slot.progress.is_none_or(|(said, _)| revision > said) {
                slot.progress = Some((revision, when));
            }
            notes.push(self.settle_pending(number, when));
        }
        notes
    }

    /// A watch ended; says whether the client has to have it again.
    pub fn canceled(&mut self, conn: u64, at: WatchAt, cause: Ended, when: Moment) {
        let Some(placed) = self.placed.get_mut(&(conn, at)) else {
            return;
        };
        placed.ended = placed.ended.or(Some(when));
        let (number, turn) = (placed.slot, placed.turn);
        // The end of the stream itself will say whose wish it was.
        if cause != Ended::StreamEnded
            && let Some(here) = self.streams.get_mut(&(conn, at.stream))
        {
            here.remove(&number);
            if here.is_empty() {
                self.streams.remove(&(conn, at.stream));
            }
        }
        self.ended.push_back((conn, at));
        if self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front()
            && self
                .placed
                .get(&oldest)
                .is_some_and(|one| one.ended.is_some())
        {
            self.placed.remove(&oldest);
        }
        let slot = &mut self.slots[number];
        if slot.turn != turn || !matches!(slot.state, State::Open { .. }) {
            return;
        }
        let wish = match cause {
            Ended::Requested => Wish::Client,
            _ => Wish::Other,
        };
        slot.ends += u64::from(wish == Wish::Other);
        slot.state = State::Away {
            since: when,
            conn,
            stream: at.stream,
            wish,
        };
        slot.listed = None;
        if wish == Wish::Client {
            slot.pending = None;
            self.part(number);
            self.part_next(number);
        }
    }

    /// A connection is no longer read, or its number is another one's now: what
    /// becomes of its watches is not known, and nobody asks for them.
    pub fn let_go(&mut self, conn: u64, when: Moment) {
        for slot in &mut self.slots {
            if let State::Open { conn: on, at } = slot.state
                && on == conn
            {
                slot.pending = None;
                slot.listed = None;
                slot.state = State::Away {
                    since: when,
                    conn,
                    stream: at.stream,
                    wish: Wish::Client,
                };
            }
        }
    }

    /// The stream of watches ended, by whose wish, and whether it went with its
    /// connection: told after the ends of its watches. `failure` is when one began.
    /// Says of which clients one
    /// had been created anew by then, and when.
    pub fn stream_ended(
        &mut self,
        (conn, stream): (u64, u32),
        wish: Wish,
        with_connection: bool,
        failure: Option<Moment>,
    ) -> Vec<(usize, Moment)> {
        let mut joined = Vec::new();
        let ended = self.streams.remove(&(conn, stream));
        for number in ended.into_iter().flatten() {
            let slot = &mut self.slots[number];
            if let State::Away {
                conn: last,
                stream: of,
                wish: known @ Wish::Other,
                ..
            } = &mut slot.state
                && (*last, *of) == (conn, stream)
            {
                *known = wish;
                if wish != Wish::Other {
                    slot.ends = slot.ends.saturating_sub(1);
                }
                if wish == Wish::Client {
                    slot.pending = None;
                }
                if with_connection || wish == Wish::Client {
                    joined.extend(self.join(number, failure));
                }
            }
            if let State::Away {
                wish: Wish::Client, ..
            } = self.slots[number].state
            {
                self.part(number);
            }
        }
        joined
    }

    /// The client read a whole range at a revision: what it holds is no longer
    /// to come by events to a watch that is away. Says whether it is one that
    /// the client watches, and since when.
    pub fn listed(
        &mut self,
        client: usize,
        range: &Range<'_>,
        revision: i64,
        when: Moment,
    ) -> Option<Moment> {
        let number = self.ranges.find(range)?;
        let slots = self.by_client.get(&(client, number))?.clone();
        let mut since: Option<Moment> = None;
        for slot in slots {
            self.judge(slot, self.slots[slot].told);
            let one = &mut self.slots[slot];
            one.shown = one.shown.max(revision);
            one.listed = one.listed.max(Some(revision));
            since = Some(since.map_or(one.since, |since| since.min(one.since)));
            for (_, lost) in one.lost.range_mut(..=(revision, u64::MAX)) {
                lost.relisted = true;
            }
            if let State::Away { .. } = one.state {
                // What it had to be given is settled; what a list shows it is not.
                one.last_revision = one.last_revision.max(revision);
                one.checked = one.checked.max(revision);
                self.settle_pending(slot, when);
            }
        }
        since
    }

    /// A change was committed, or shown by an event for the first time.
    pub fn committed(&mut self, key: &[u8], revision: i64, at: Moment) {
        let mut found = std::mem::take(&mut self.found);
        self.ranges.holding(key, &mut found);
        let hash = hash_of(key);
        let mut shared: Option<Arc<[u8]>> = None;
        for &range in &found {
            let watched = &mut self.ranges.all[range];
            let key = shared.get_or_insert_with(|| Arc::from(key));
            let commit = Commit {
                revision,
                hash,
                key: Arc::clone(key),
                at,
            };
            let full = watched.commits.len() >= COMMITS_MAX;
            // One that is older than all that is remembered was judged long ago.
            if full
                && watched
                    .commits
                    .front()
                    .is_some_and(|one| one.revision > revision)
            {
                continue;
            }
            if !watched.insert(commit) {
                continue;
            }
            for i in 0..self.ranges.all[range].slots.len() {
                let slot = &mut self.slots[self.ranges.all[range].slots[i]];
                slot.newest = slot.newest.max(revision);
                if slot.waits_for(revision) {
                    slot.pending = Some(slot.pending.map_or(at, |since| since.min(at)));
                }
            }
            if full {
                self.forget_commit(range);
            }
        }
        self.found = found;
    }

    fn forget_commit(&mut self, range: usize) {
        let Some(oldest) = self.ranges.all[range].commits.front().cloned() else {
            return;
        };
        for i in 0..self.ranges.all[range].slots.len() {
            let number = self.ranges.all[range].slots[i];
            let slot = &self.slots[number];
            if slot.checked >= oldest.revision {
                continue;
            }
            if slot.told >= oldest.revision {
                self.judge(number, oldest.revision);
            } else if !slot.has(oldest.revision, oldest.hash) {
                self.slots[number].unjudged = true;
            }
        }
        self.ranges.all[range].commits.pop_front();
    }

    /// Whatever up to `until` was not given is lost.
    pub fn judge(&mut self, number: usize, until: i64) {
        let slot = &mut self.slots[number];
        if until <= slot.checked {
            return;
        }
        for commit in self.ranges.all[slot.range].beyond(slot.checked) {
            if commit.revision > until {
                break;
            }
            if !slot.has(commit.revision, commit.hash) {
                slot.lose(commit.revision, commit.hash, &commit.key);
            }
        }
        slot.checked = until;
    }

    /// Finds since when a watch is behind, after it was given or told something.
    fn settle_pending(&mut self, number: usize, now: Moment) -> Note {
        let slot = &mut self.slots[number];
        let Some(since) = slot.pending else {
            return Note::Nothing;
        };
        let known = slot.told.max(slot.last_revision).max(slot.checked);
        let next = match slot.newest > known {
            true => {
                let mut next = self.ranges.all[slot.range].beyond(known);
                next.next().map(|commit| commit.at)
            }
            false => None,
        };
        if next.is_some_and(|next| next <= since) {
            return Note::Nothing;
        }
        slot.pending = next;
        let was = now.since(since);
        slot.behind = slot.behind.max(Some(was));
        match was > BEHIND && next.is_none_or(|next| now.since(next) <= BEHIND) {
            true => Note::Restored(slot.client),
            false => Note::Nothing,
        }
    }

    /// What would be lost if nothing more came: what was judged, and what has to
    /// have been given by now.
    pub fn lost(&self, slot: &Slot) -> BTreeMap<(i64, u64), Lost> {
        let mut lost = slot.lost.clone();
        for commit in self.ranges.all[slot.range].beyond(slot.checked) {
            if commit.revision > slot.told {
                break;
            }
            if !slot.has(commit.revision, commit.hash) {
                let key = Arc::clone(&commit.key);
                let entry = lost.entry((commit.revision, commit.hash));
                entry.or_insert(Lost {
                    key,
                    relisted: false,
                });
            }
        }
        lost
    }

    /// How often progress claimed a revision that an event of it was yet to
    /// come, or never came.
    pub fn progress_ahead(slot: &Slot, lost: &BTreeMap<(i64, u64), Lost>) -> u64 {
        let said = slot.progress.map_or(0, |(said, _)| said);
        let claimed = lost.keys().filter(|(revision, _)| *revision <= said);
        slot.progress_ahead + claimed.count() as u64
    }
}
