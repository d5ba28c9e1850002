//! Watches that faults touch.
//!
//! A Watch stream that a fault could touch is *diverted* in both directions: its
//! messages do not pass by themselves, each is read whole, and what leaves is
//! written in its place: the same bytes where nothing strikes. What waits of a
//! watch waits here, so that its neighbours on the stream go on.
//!
//! | file | concern |
//! |---|---|
//! | `taking` | messages taken out of diverted content |
//! | `response`, `request` | what they say on the wire |
//! | `held` | what waits of one watch, in order |
//! | `answers` | what etcd sends, and what becomes of it |
//! | `standing` | what is done to a watch at any moment |

mod answers;
mod held;
mod request;
mod response;
mod standing;
mod taking;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use super::method::Method;
use super::open_call::{Kind, OpenCall};
use super::tracker::Tracker;
use super::verdict::{FaultId, Hit};
use super::watch_verdict::{AskedWatch, Moment, Strike};
use super::{Event, Request};
use crate::http2::{Both, Side};
use crate::relay::{Hold, HoldAccount, Order};
use held::{Unit, Watch};
use taking::Taking;

/// A note as the log takes it.
type Note = Box<super::WatchNote>;

/// The largest message that is read whole; a larger one passes as it comes.
const MOST_TAKEN: u32 = 16 << 20;

/// What is kept of a Watch stream while faults touch it.
#[derive(Debug)]
pub(super) struct Watching {
    taking: Both<Taking>,
    /// Creations that were asked for and not answered, in order: clientv3 pairs
    /// them so.
    creations: VecDeque<Creation>,
    watches: BTreeMap<i64, Watch>,
    /// The last header that etcd sent.
    header: Box<[u8]>,
    /// The fragments of an answer that is not whole, and of which watch.
    run: (i64, Vec<(Vec<u8>, Hold)>),
    /// What struck the stream as a whole.
    hits: Vec<Hit>,
    /// No rule is about it any more; when nothing waits it passes by itself again.
    leaving: bool,
    timer: Option<Instant>,
    /// It has ended by our doing.
    over: bool,
}

/// A creation that was asked for.
#[derive(Debug)]
enum Creation {
    /// etcd answers it.
    Asked,
    /// We do, when it is its turn.
    Refused { reason: Box<str>, note: Note },
}

/// Where orders go, and the time.
pub(super) struct Doing<'a> {
    pub orders: &'a mut Vec<Order>,
    pub now: Instant,
}

impl Watching {
    fn new(asked: usize) -> Watching {
        Watching {
            taking: Both::default(),
            creations: (0..asked).map(|_| Creation::Asked).collect(),
            watches: BTreeMap::new(),
            header: Box::default(),
            run: (0, Vec::new()),
            hits: Vec::new(),
            leaving: false,
            timer: None,
            over: false,
        }
    }

    /// Content leaves in what `side` sent.
    fn insert(&self, side: Side, bytes: Bytes, orders: &mut Vec<Order>) {
        let at = self.taking[side].at;
        orders.push(Order::Insert { side, at, bytes });
    }

    /// Whether it could pass by itself again at once.
    fn is_idle(&self) -> bool {
        self.run.1.is_empty()
            && self.watches.values().all(Watch::is_idle)
            && self.taking.client.is_idle()
            && self.taking.server.is_idle()
            && (self.creations.iter()).all(|creation| matches!(creation, Creation::Asked))
    }
}

impl Tracker {
    /// Begins to touch a Watch stream, or stops, as the rules are now.
    pub(super) fn consider_watching(&mut self, call: &mut OpenCall, doing: &mut Doing<'_>) {
        if call.over || call.method != Method::Watch {
            return;
        }
        let wanted = self.bench.touches_watches(call, &self.peers, doing.now);
        let Kind::Watch(stream) = &mut call.kind else {
            return;
        };
        if let Some(watching) = &mut stream.watching {
            watching.leaving = !wanted;
            let divert = wanted || !watching.is_idle();
            self.divert(divert, doing.orders);
            if !divert {
                stream.watching = None;
                self.bench.trials -= 1;
            }
        } else if wanted {
            stream.watching = Some(Box::new(Watching::new(stream.unanswered())));
            self.bench.trials += 1;
            self.divert(true, doing.orders);
        }
    }

    fn divert(&self, divert: bool, orders: &mut Vec<Order>) {
        for side in [Side::Client, Side::Server] {
            orders.push(Order::Divert(side, divert));
        }
    }

    /// Asks about a watch at a moment. `id` is its number, if it has one.
    fn strikes(
        &mut self,
        call: &OpenCall,
        id: Option<i64>,
        moment: Moment<'_>,
        now: Instant,
    ) -> Vec<Strike> {
        let Kind::Watch(stream) = &call.kind else {
            return Vec::new();
        };
        let (key, range_end, start_revision) = match id {
            Some(id) => stream.watched(id),
            None => stream.asked_last(),
        };
        let watch = AskedWatch {
            call: call.asked(&self.peers, &Request::Unread, 0),
            key,
            range_end,
            start_revision,
            watch_id: id,
        };
        self.bench.judge_watch(&watch, moment, now)
    }

    /// Runs `work` on what is kept of a touched Watch stream.
    fn with_watching<T>(
        &mut self,
        call: &mut OpenCall,
        work: impl FnOnce(&mut Tracker, &mut OpenCall, &mut Watching) -> T,
    ) -> Option<T> {
        let Kind::Watch(stream) = &mut call.kind else {
            return None;
        };
        let mut watching = stream.watching.take()?;
        let outcome = work(self, call, &mut watching);
        if let Kind::Watch(stream) = &mut call.kind {
            stream.watching = Some(watching);
        }
        Some(outcome)
    }

    /// Gives the client what may pass by now, of all watches of the stream.
    fn release(&mut self, call: &mut OpenCall, watching: &mut Watching, doing: &mut Doing<'_>) {
        let ids: Vec<i64> = watching.watches.keys().copied().collect();
        for id in ids {
            self.release_one(id, watching, doing);
        }
        self.set_timer(call, watching, doing.now);
    }

    fn release_one(&mut self, id: i64, watching: &mut Watching, doing: &mut Doing<'_>) {
        while let Some(watch) = watching.watches.get_mut(&id)
            && let Some(unit) = watch.pop(doing.now)
        {
            self.give(unit, watching, doing);
        }
        if (watching.watches.get(&id))
            .is_some_and(|watch| watch.is_idle() && watch.struck.is_empty())
        {
            watching.watches.remove(&id);
        }
    }

    /// The client gets a unit.
    fn give(&mut self, unit: Unit, watching: &Watching, doing: &mut Doing<'_>) {
        let held = doing.now.saturating_duration_since(unit.came);
        watching.insert(Side::Server, unit.bytes, doing.orders);
        for mut note in unit.notes {
            if !held.is_zero() {
                note.held = held;
                note.at = doing.now;
            }
            self.events.push_back(Event::Watch(note));
        }
    }

    /// The client does not get a unit.
    fn lose(&mut self, unit: Unit) {
        for mut note in unit.notes {
            note.delivered = false;
            self.events.push_back(Event::Watch(note));
        }
    }

    /// Lets go all that is held of the stream.
    fn let_watches_go(&mut self, watching: &mut Watching, doing: &mut Doing<'_>) {
        let all: Vec<Unit> = (watching.watches.values_mut())
            .flat_map(Watch::drain)
            .collect();
        for unit in all {
            self.give(unit, watching, doing);
        }
    }

    /// More was to be held than may be, and `faults` wanted it.
    fn hold_no_more(&mut self, watching: &mut Watching, doing: &mut Doing<'_>) {
        let faults = watching.watches.values().flat_map(Watch::faults);
        let mut faults: Vec<FaultId> = faults.collect();
        faults.sort_unstable();
        faults.dedup();
        self.bench
            .faults_gave_up(&faults, "more was held than may be: let go");
        self.let_watches_go(watching, doing);
    }

    fn set_timer(&mut self, call: &OpenCall, watching: &mut Watching, now: Instant) {
        let next = watching.watches.values().filter_map(Watch::next).min();
        let next = next.map(|next| next.max(now));
        if next != watching.timer {
            watching.timer = next;
            if let Some(at) = next {
                self.bench.look_again(at, call.id);
            }
        }
    }

    /// The time has come, or the rules have changed.
    pub(super) fn nudge_watching(
        &mut self,
        call: &mut OpenCall,
        clear: Both<bool>,
        doing: &mut Doing<'_>,
    ) {
        if !matches!(call.kind, Kind::Watch(_)) || call.over {
            return;
        }
        self.consider_watching(call, doing);
        self.with_watching(call, |tracker, call, watching| {
            for side in [Side::Client, Side::Server] {
                let taking = &watching.taking[side];
                // Of a message that is taken whole nothing has left yet.
                let between = !call.directions[side].deframer.in_message() || !taking.is_idle();
                let free = clear[side] || taking.is_diverted();
                if !(between && free) {
                    // In the middle of a message nothing may be put in.
                    tracker.bench.look_again(doing.now + taking::SOON, call.id);
                    return;
                }
            }
            if let Some(bench) = tracker.bench.lifting() {
                for watch in watching.watches.values_mut() {
                    watch.lift(&bench, doing.now);
                }
            }
            if !watching.leaving {
                tracker.stand_all(call, watching, doing);
            }
            watching.timer = None;
            tracker.release(call, watching, doing);
        });
        self.stop_watching_when_idle(call, doing);
    }

    /// The rules want it no more, and nothing waits: it passes by itself again.
    fn stop_watching_when_idle(&mut self, call: &mut OpenCall, doing: &mut Doing<'_>) {
        let Kind::Watch(stream) = &call.kind else {
            return;
        };
        if (stream.watching.as_ref()).is_some_and(|watching| watching.leaving && watching.is_idle())
        {
            self.consider_watching(call, doing);
        }
    }

    /// The stream has ended: what was held of it is lost, if it was not given.
    pub(super) fn end_watching(&mut self, call: &mut OpenCall) {
        let Kind::Watch(stream) = &mut call.kind else {
            return;
        };
        let Some(mut watching) = stream.watching.take() else {
            return;
        };
        self.bench.trials -= 1;
        for watch in watching.watches.values_mut() {
            for unit in watch.drain() {
                self.lose(unit);
            }
        }
        self.bench
            .strike_stream(call, std::mem::take(&mut watching.hits));
    }

    /// etcd ends the stream in order: what is held of it comes before that.
    pub(super) fn flush_watching(&mut self, call: &mut OpenCall, doing: &mut Doing<'_>) {
        self.with_watching(call, |tracker, _, watching| {
            tracker.let_watches_go(watching, doing);
        });
    }
}

/// A hold for a message of `bytes`, if there is room.
fn hold_of(held: &HoldAccount, bytes: u64) -> Option<Hold> {
    let mut hold = Hold::new(held);
    hold.grow(bytes).then_some(hold)
}
