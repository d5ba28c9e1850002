//! One watch of a client: where it stands, what it was given, what it was not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::beside::Beside;
use super::fact::{Moment, WatchAt};

/// Lost events that are kept one by one, of each watch; more are counted.
const LOST_MAX: usize = 1000;

/// What a client watches.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub client: usize,
    pub range: usize,
    /// When it was first created.
    pub since: Moment,
    pub state: State,
    /// Which creation this is, from 0.
    pub turn: u32,
    /// All up to here is judged, or did not have to be given.
    pub checked: i64,
    /// All up to here must have been given.
    pub told: i64,
    /// All up to here a list showed, whenever it was, or was there before.
    pub shown: i64,
    /// The last change that the client was given, by an event or a list.
    pub last_revision: i64,
    /// Of this creation: the highest revision that was given, and when.
    pub highest: (i64, Moment),
    pub progress: Option<(i64, Moment)>,
    pub given: VecDeque<Given>,
    pub lost: BTreeMap<(i64, u64), Lost>,
    pub lost_more: u64,
    pub events: u64,
    pub duplicated: u64,
    pub disordered: u64,
    pub progress_ahead: u64,
    /// The longest time that it was behind, in microseconds; `None` while no
    /// event's age is known.
    pub behind: Option<u64>,
    /// Since when a change waits that it was not given.
    pub pending: Option<Moment>,
    /// The latest change in its range.
    pub newest: i64,
    pub recreations: Vec<Recreated>,
    pub recreated: u64,
    pub gaps: u64,
    pub overlaps: u64,
    /// The longest time it was away.
    pub away: Option<u64>,
    /// Ends that were not the client's wish.
    pub ends: u64,
    /// A list since it was created or ended showed all up to this revision.
    pub listed: Option<i64>,
    /// It fell so far behind that not all can be judged.
    pub unjudged: bool,
    /// How it began beside an older one, as long as it may turn out to be that.
    pub beside: Option<Box<Beside>>,
    /// The one that began beside this.
    pub next: Option<usize>,
}

/// How a watch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is open.
    Open { conn: u64, at: WatchAt },
    /// It ended.
    Away {
        since: Moment,
        conn: u64,
        stream: u32,
        wish: Wish,
    },
    /// It turned out to be another one, and is that now.
    Joined,
}

/// Whose wish a watch's end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// The client's: it cancelled the watch or reset its stream.
    Client,
    /// The client closed the whole connection.
    ClientClosed,
    /// Not the client's.
    Other,
}

/// An event that the client was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub revision: i64,
    pub hash: u64,
    pub turn: u32,
}

/// An event that the client was not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub key: Arc<[u8]>,
    /// A list showed the client what came of it.
    pub relisted: bool,
}

/// A watch was created anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recreated {
    pub at: Moment,
    pub start_revision: i64,
    /// The last revision that the client had before.
    pub last_revision: i64,
    /// How long it was away, in microseconds; `None` where that is not known.
    pub away: Option<u64>,
    /// Changes between the two that nothing showed to the client.
    pub gap: bool,
    pub relisted: bool,
}

impl Slot {
    pub fn new((client, range): (usize, usize), state: State, first: i64, when: Moment) -> Slot {
        Slot {
            client,
            range,
            since: when,
            state,
            turn: 0,
            checked: first.saturating_sub(1),
            told: first.saturating_sub(1),
            shown: first.saturating_sub(1),
            last_revision: first.saturating_sub(1),
            highest: (0, when),
            progress: None,
            given: VecDeque::new(),
            lost: BTreeMap::new(),
            lost_more: 0,
            events: 0,
            duplicated: 0,
            disordered: 0,
            progress_ahead: 0,
            behind: None,
            pending: None,
            newest: 0,
            recreations: Vec::new(),
            recreated: 0,
            gaps: 0,
            overlaps: 0,
            away: None,
            ends: 0,
            listed: None,
            unjudged: false,
            beside: None,
            next: None,
        }
    }

    /// One that turned out to be another, and nobody's.
    pub fn joined() -> Slot {
        let nobody = (usize::MAX, usize::MAX);
        Slot::new(nobody, State::Joined, 0, Moment::default())
    }

    /// Whether the client was given this change by an event.
    pub fn has(&self, revision: i64, hash: u64) -> bool {
        let is = |one: &Given| (one.revision, one.hash) == (revision, hash);
        // What is asked for is mostly the newest, or about to be forgotten.
        self.given.iter().take(4).any(is) || self.given.iter().rev().any(is)
    }

    pub fn had_in(&self, turn: u32, revision: i64, hash: u64) -> bool {
        let mut newest_first = self.given.iter().rev();
        newest_first.any(|one| (one.revision, one.hash, one.turn) == (revision, hash, turn))
    }

    /// Whether a change of this revision is yet to be given.
    pub fn waits_for(&self, revision: i64) -> bool {
        let is_wanted = !matches!(
            self.state,
            State::Away {
                wish: Wish::Client,
                ..
            }
        );
        is_wanted && revision > self.told.max(self.last_revision).max(self.checked)
    }

    pub fn lose(&mut self, revision: i64, hash: u64, key: &Arc<[u8]>) {
        if self.lost.contains_key(&(revision, hash)) {
            return;
        }
        if self.lost.len() >= LOST_MAX {
            self.lost_more += 1;
            return;
        }
        self.lost.insert(
            (revision, hash),
            Lost {
                key: Arc::clone(key),
                relisted: false,
            },
        );
    }
}
