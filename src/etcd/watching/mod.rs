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

/// Creations that etcd may have to answer when a stream begins to be touched: with
/// more of them, who else would pair them?
const MOST_CREATIONS: usize = 65_536;

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
    /// It does so from the next frame of each direction on.
    undiverting: bool,
    /// In which directions whole messages may be put in now.
    free: Both<bool>,
    /// Whole messages that wait until they may be.
    owed: Both<Vec<Bytes>>,
    /// The rules as they were when its watches were looked at last.
    turn: Option<u64>,
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
            undiverting: false,
            free: Both::default(),
            owed: Both::default(),
            turn: None,
            timer: None,
            over: false,
        }
    }

    /// Whole messages leave in what `side` sent, as soon as they may.
    fn insert(&mut self, side: Side, bytes: Bytes, orders: &mut Vec<Order>) {
        if !self.free[side] {
            return self.owed[side].push(bytes);
        }
        self.pay(side, orders);
        self.insert_part(side, bytes, orders);
    }

    /// What had to wait leaves.
    fn pay(&mut self, side: Side, orders: &mut Vec<Order>) {
        for owed in std::mem::take(&mut self.owed[side]) {
            self.insert_part(side, owed, orders);
        }
    }

    /// A part of a message leaves, behind the one before it.
    fn insert_part(&self, side: Side, bytes: Bytes, orders: &mut Vec<Order>) {
        let at = self.taking[side].at;
        orders.push(Order::Insert { side, at, bytes });
    }

    /// Looks where whole messages may be put in: between two of the sender's. What
    /// is taken whole has not left yet. `clear` says where no frame is passing in
    /// pieces, if that is known.
    fn look_free(&mut self, call: &OpenCall, clear: Option<Both<bool>>, orders: &mut Vec<Order>) {
        for side in [Side::Client, Side::Server] {
            let direction = &call.directions[side];
            let taking = &self.taking[side];
            let between = !direction.deframer.in_message() || !taking.is_idle();
            let untouched = taking.at == 0 && direction.traffic.messages == 0;
            let clear = clear.is_some_and(|clear| clear[side]);
            self.free[side] = between && (taking.is_diverted() || untouched || clear);
            if self.free[side] {
                self.pay(side, orders);
            }
        }
    }

    /// A creation has passed that was not taken whole.
    pub fn creation_passed(&mut self) {
        self.creations.push_back(Creation::Asked);
    }

    /// So has an answer to one.
    pub fn answer_passed(&mut self) {
        self.creations.pop_front();
    }

    /// Whether anything waits until it may be put in.
    fn owes(&self) -> bool {
        !self.owed.client.is_empty() || !self.owed.server.is_empty()
    }

    /// Whether it could pass by itself again at once.
    fn is_idle(&self) -> bool {
        self.run.1.is_empty()
            && !self.owes()
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
            if wanted && std::mem::take(&mut watching.undiverting) {
                self.divert(true, doing.orders);
            }
        } else if wanted && stream.unanswered() <= MOST_CREATIONS {
            stream.watching = Some(Box::new(Watching::new(stream.unanswered())));
            self.bench.trials += 1;
            self.divert(true, doing.orders);
            // Its watches stand already, if there are any.
            self.bench.look_again(doing.now, call.id);
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
    fn release(&mut self, call: &OpenCall, watching: &mut Watching, doing: &mut Doing<'_>) {
        let ids: Vec<i64> = watching.watches.keys().copied().collect();
        watching.timer = None;
        for id in ids {
            self.release_one(call, id, watching, doing);
        }
    }

    /// The same, of one watch.
    fn release_one(
        &mut self,
        call: &OpenCall,
        id: i64,
        watching: &mut Watching,
        doing: &mut Doing<'_>,
    ) {
        while let Some(watch) = watching.watches.get_mut(&id)
            && let Some(unit) = watch.pop(doing.now)
        {
            self.give(unit, watching, doing);
        }
        let Some(watch) = watching.watches.get(&id) else {
            return;
        };
        if let Some(at) = watch.next().map(|next| next.max(doing.now))
            && watching.timer.is_none_or(|timer| at < timer)
        {
            watching.timer = Some(at);
            self.bench.look_again(at, call.id);
        }
        if watch.is_idle() && watch.struck.is_empty() {
            watching.watches.remove(&id);
        }
    }

    /// The client gets a unit.
    fn give(&mut self, unit: Unit, watching: &mut Watching, doing: &mut Doing<'_>) {
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

    /// Lets go all that is held of the stream, fragments of an answer that is not
    /// whole as well.
    fn let_watches_go(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        doing: &mut Doing<'_>,
    ) {
        let all: Vec<Unit> = (watching.watches.values_mut())
            .flat_map(Watch::drain)
            .collect();
        for unit in all {
            self.give(unit, watching, doing);
        }
        for unit in self.run_so_far(call, watching, doing.now) {
            self.give(unit, watching, doing);
        }
    }

    /// What has come of an answer in fragments that is not whole, and will not be.
    fn run_so_far(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        now: Instant,
    ) -> Vec<Unit> {
        let (_, parts) = std::mem::take(&mut watching.run);
        let unit = |(body, hold): (Vec<u8>, Hold)| {
            let bytes = response::prefixed(false, &body);
            let taken = taking::Taken::plain(body, hold);
            let notes = self.notes_of(call, &taken, now);
            Unit::new(bytes, notes, now, taken.hold)
        };
        parts.into_iter().map(unit).collect()
    }

    /// Why what is held has to be let go, and `faults` wanted it held.
    fn hold_no_more(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        why: &str,
        doing: &mut Doing<'_>,
    ) {
        let faults = watching.watches.values().flat_map(Watch::faults);
        let mut faults: Vec<FaultId> = faults.collect();
        faults.sort_unstable();
        faults.dedup();
        self.bench.faults_gave_up(&faults, why);
        self.let_watches_go(call, watching, doing);
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
            watching.look_free(call, Some(clear), doing.orders);
            if let Some(is_lifted) = tracker.bench.lifting() {
                for watch in watching.watches.values_mut() {
                    watch.lift(&is_lifted, doing.now);
                }
            }
            if !watching.leaving && watching.turn != Some(tracker.bench.turns) {
                watching.turn = Some(tracker.bench.turns);
                tracker.stand_all(call, watching, doing);
            }
            tracker.answer_refused(watching, doing);
            tracker.release(call, watching, doing);
            for side in [Side::Client, Side::Server] {
                if watching.undiverting && clear[side] {
                    tracker.pass_by_itself(call, side, watching, doing);
                }
            }
        });
        self.settle_watching(call, doing);
    }

    /// Nothing that is diverted comes any more in a direction.
    fn pass_by_itself(
        &mut self,
        call: &OpenCall,
        side: Side,
        watching: &mut Watching,
        doing: &mut Doing<'_>,
    ) {
        // Of a prefix that is not whole its beginning was diverted.
        let begun = call.directions[side].deframer.partial_prefix();
        if let Some(rest) = watching.taking[side].pass_by_itself(begun) {
            watching.insert_part(side, rest, doing.orders);
        }
    }

    /// Something has been done: where the rules want no more of it and nothing
    /// waits, the stream passes by itself again; what may not be put in yet is
    /// tried again.
    pub(super) fn settle_watching(&mut self, call: &mut OpenCall, doing: &mut Doing<'_>) {
        let (id, over) = (call.id, call.over);
        let Kind::Watch(stream) = &mut call.kind else {
            return;
        };
        let Some(watching) = &mut stream.watching else {
            return;
        };
        if over {
            return;
        }
        if watching.owes() {
            self.bench.look_again(doing.now + taking::SOON, id);
        }
        if !watching.leaving || !watching.is_idle() {
            return;
        }
        if !std::mem::replace(&mut watching.undiverting, true) {
            self.divert(false, doing.orders);
            self.bench.look_again(doing.now, id);
        } else if !watching.taking.client.is_diverted() && !watching.taking.server.is_diverted() {
            stream.watching = None;
            self.bench.trials -= 1;
        }
    }

    /// The stream has ended: what was held of it is lost, if it was not given.
    pub(super) fn end_watching(&mut self, call: &mut OpenCall, now: Instant) {
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
        for unit in self.run_so_far(call, &mut watching, now) {
            self.lose(unit);
        }
        self.bench
            .strike_stream(call, std::mem::take(&mut watching.hits));
    }

    /// etcd ends the stream in order: what is held of it comes before that.
    pub(super) fn flush_watching(&mut self, call: &mut OpenCall, doing: &mut Doing<'_>) {
        self.with_watching(call, |tracker, call, watching| {
            // Behind etcd's last frame.
            let clear = Both {
                client: false,
                server: true,
            };
            watching.look_free(call, Some(clear), doing.orders);
            tracker.let_watches_go(call, watching, doing);
        });
    }
}

/// A hold for a message of `bytes`, if there is room.
fn hold_of(held: &HoldAccount, bytes: u64) -> Option<Hold> {
    let mut hold = Hold::new(held);
    hold.grow(bytes).then_some(hold)
}
