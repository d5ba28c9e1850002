//! What is done to a watch at any moment: the end of its stream, its own end, a
//! stall, a bookmark.

use super::held::Unit;
use super::response::{canceled, moved, progress, revision_of};
use super::{Doing, Watching, request};
use crate::etcd::Event;
use crate::etcd::call::{Ending, Header};
use crate::etcd::course::trailers;
use crate::etcd::open_call::{Kind, OpenCall};
use crate::etcd::read::WatchSeen;
use crate::etcd::tracker::Tracker;
use crate::etcd::verdict::Hit;
use crate::etcd::watch_verdict::{CancelAs, Moment, StreamEnding, WatchAct};
use crate::http2::{ErrorCode, Side};
use crate::relay::{Hold, Order};

impl Tracker {
    /// Asks about every watch of the stream that stands.
    pub(super) fn stand_all(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        doing: &mut Doing<'_>,
    ) {
        let ids = match &call.kind {
            Kind::Watch(stream) => stream.ids(),
            Kind::Plain | Kind::KeepAlive(_) => Vec::new(),
        };
        for id in ids {
            if watching.over {
                return;
            }
            self.stand(call, id, false, watching, doing);
        }
    }

    /// Asks about a watch that stands; `fresh`, if it was created just now.
    pub(super) fn stand(
        &mut self,
        call: &mut OpenCall,
        id: i64,
        fresh: bool,
        watching: &mut Watching,
        doing: &mut Doing<'_>,
    ) {
        let known = watching.watches.get(&id);
        if known.is_some_and(|watch| watch.dead) {
            return;
        }
        let struck = known.map(|watch| watch.struck.clone()).unwrap_or_default();
        let moment = Moment::Standing {
            struck: &struck,
            fresh,
        };
        for strike in self.strikes(call, Some(id), moment, doing.now) {
            let watch = watching.watches.entry(id).or_default();
            // Windows that are over come no more.
            let fault = strike.stamp.fault;
            watch.struck.retain(|known| known.fault != fault);
            watch.struck.push(strike.stamp);
            match strike.act {
                WatchAct::EndStream(how) => {
                    watching.hits.push(strike.hit);
                    return self.end_stream(call, watching, how, doing);
                }
                WatchAct::Cancel(told) => {
                    return self.cancel(call, id, watching, &told, &strike.hit, doing);
                }
                WatchAct::Stall => watch.stall(strike.hit, strike.until),
                WatchAct::Bookmark { ahead } => {
                    self.bookmark(call, id, watching, ahead, &strike.hit, doing);
                }
                _ => {}
            }
        }
    }

    /// The stream ends on both sides, and what was held of it is lost.
    fn end_stream(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        how: StreamEnding,
        doing: &mut Doing<'_>,
    ) {
        watching.over = true;
        for mut watch in std::mem::take(&mut watching.watches).into_values() {
            for unit in watch.drain() {
                self.lose(unit);
            }
        }
        for unit in self.run_so_far(call, watching, doing.now) {
            self.lose(unit);
        }
        self.bench
            .strike_stream(call, std::mem::take(&mut watching.hits));
        let ending = match how {
            StreamEnding::Reset(code) => {
                doing.orders.push(Order::Reset(Side::Client, code));
                (call.code, call.message) = (None, None);
                Ending::InjectedReset { code }
            }
            StreamEnding::Answer(refusal) => {
                let end = trailers(&refusal);
                doing.orders.push(Order::Finish(Side::Server, end));
                (call.code, call.message) = (Some(refusal.code), Some(refusal.message));
                Ending::Injected
            }
        };
        let back = Order::Reset(Side::Server, ErrorCode::CANCEL);
        doing.orders.push(back);
        self.finish(call, ending, doing.now);
    }

    /// One watch ends: the client is told so, and etcd that nobody wants it.
    fn cancel(
        &mut self,
        call: &mut OpenCall,
        id: i64,
        watching: &mut Watching,
        told: &CancelAs,
        hit: &Hit,
        doing: &mut Doing<'_>,
    ) {
        if watching.run.0 == id {
            watching.run.1.clear();
        }
        let watch = watching.watches.entry(id).or_default();
        watch.dead = true;
        for mut unit in watch.drain() {
            for note in &mut unit.notes {
                note.add_fault(hit);
            }
            self.lose(unit);
        }
        let header = self.header_of(call, watching);
        let (compact_revision, reason) = match told {
            CancelAs::Requested => (0, ""),
            CancelAs::Compacted(Some(revision)) => (*revision, ""),
            CancelAs::Compacted(None) => (revision_of(&header).max(1), ""),
            CancelAs::Server(reason) => (0, &**reason),
        };
        let bytes = canceled(&header, id, false, compact_revision, reason);
        watching.insert(Side::Server, bytes, doing.orders);
        watching.insert(Side::Client, request::cancel(id), doing.orders);
        let seen = WatchSeen {
            watch_id: id,
            canceled: true,
            compact_revision,
            cancel_reason: reason.as_bytes().into(),
            header: call.header.unwrap_or_default(),
            ..WatchSeen::default()
        };
        let origin = self.origin(call);
        let mut notes = Vec::new();
        if let Kind::Watch(stream) = &mut call.kind {
            if *told == CancelAs::Requested {
                stream.cancel_requested(id);
            }
            stream.answered(&seen, 0, &origin, doing.now, &mut |event| notes.push(event));
        }
        for event in notes {
            if let Event::Watch(mut note) = event {
                note.add_fault(hit);
                self.events.push_back(Event::Watch(note));
            }
        }
    }

    /// The client is told that the watch is up to date, though etcd did not say so.
    fn bookmark(
        &mut self,
        call: &OpenCall,
        id: i64,
        watching: &mut Watching,
        ahead: i64,
        hit: &Hit,
        doing: &mut Doing<'_>,
    ) {
        let header = moved(&self.header_of(call, watching), ahead);
        let seen = WatchSeen {
            watch_id: id,
            header: Header {
                revision: revision_of(&header),
                ..call.header.unwrap_or_default()
            },
            ..WatchSeen::default()
        };
        let mut note = self.origin(call).progress(&seen, doing.now);
        note.add_fault(hit);
        let unit = Unit {
            bytes: progress(&header, id),
            notes: vec![note],
            came: doing.now,
            progress: true,
            hold: Hold::new(&self.bench.held()),
        };
        let watch = watching.watches.entry(id).or_default();
        // Progress makes nothing moot.
        watch.push(unit, std::time::Duration::ZERO, None, doing.now);
    }

    /// A header for what we make up: etcd's last one.
    fn header_of(&self, call: &OpenCall, watching: &Watching) -> Vec<u8> {
        if !watching.header.is_empty() {
            return watching.header.to_vec();
        }
        // None has come since the stream was diverted: what was read before.
        super::response::header(call.header.unwrap_or_default())
    }
}
