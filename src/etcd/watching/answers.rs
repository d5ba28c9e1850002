//! What the client asks and etcd sends on a touched Watch stream, one whole
//! message at a time, and what becomes of it.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::held::Unit;
use super::response::{Response, Seen, canceled, moved, prefixed, progress};
use super::taking::Taken;
use super::{Creation, Doing, Note, Watching, hold_of};
use crate::etcd::Event;
use crate::etcd::open_call::{Kind, OpenCall};
use crate::etcd::read::{Budget, WatchAsked, WatchRequestReader, WatchSeen};
use crate::etcd::tracker::Tracker;
use crate::etcd::verdict::Hit;
use crate::etcd::watch_verdict::{Moment, Strike, WatchAct};
use crate::etcd::wire;
use crate::http2::Side;
use crate::relay::Hold;

/// What becomes of a unit before it passes.
#[derive(Debug, Default)]
struct Lateness {
    late: Duration,
    at_most: Option<Instant>,
}

impl Lateness {
    fn add(&mut self, late: Duration, until: Option<Instant>) {
        self.late = self.late.saturating_add(late);
        self.at_most = match (self.at_most, until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// What etcd sent in one message, or in a run of fragments.
struct Answer<'a> {
    responses: Vec<Response<'a>>,
    /// As they came.
    raw: Vec<&'a [u8]>,
    notes: Vec<Note>,
    hold: Hold,
}

impl Tracker {
    /// The client has asked for something.
    pub(super) fn watch_request(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        taken: Taken,
        doing: &mut Doing<'_>,
    ) {
        let asked = match taken.compressed {
            true => None,
            false => asked_in(&taken.body),
        };
        let dead = |id: &i64| watching.watches.get(id).is_some_and(|watch| watch.dead);
        if let Some(asked) = &asked
            && asked.cancel.as_ref().is_some_and(dead)
        {
            // etcd has had ours.
            return;
        }
        self.read_taken(call, Side::Client, &taken, doing.now);
        if asked.is_some_and(|asked| asked.create.is_some()) {
            if let Some((hit, reason)) = self.refusal(call, doing.now) {
                let note = self.refused(call, &reason, &hit, doing.now);
                (watching.creations).push_back(Creation::Refused { reason, note });
                return self.answer_refused(watching, doing);
            }
            watching.creations.push_back(Creation::Asked);
        }
        let bytes = prefixed(taken.compressed, &taken.body);
        watching.insert(Side::Client, bytes, doing.orders);
    }

    /// Whether the creation that was asked for last is refused, and how.
    fn refusal(&mut self, call: &OpenCall, now: Instant) -> Option<(Hit, Box<str>)> {
        let strikes = self.strikes(call, None, Moment::Asked, now);
        strikes.into_iter().find_map(|strike| match strike.act {
            WatchAct::Refuse { reason } => Some((strike.hit, reason)),
            _ => None,
        })
    }

    /// The log's word on a creation that never reaches etcd.
    fn refused(&mut self, call: &mut OpenCall, reason: &str, hit: &Hit, now: Instant) -> Note {
        let origin = self.origin(call);
        let seen = WatchSeen {
            watch_id: -1,
            created: true,
            canceled: true,
            cancel_reason: reason.as_bytes().into(),
            header: call.header.unwrap_or_default(),
            ..WatchSeen::default()
        };
        let mut note = match &mut call.kind {
            Kind::Watch(stream) => stream.take_back(&seen, &origin, now),
            Kind::Plain | Kind::KeepAlive(_) => origin.progress(&seen, now),
        };
        note.add_fault(hit);
        note
    }

    /// Answers the refused creations whose turn it is.
    pub(super) fn answer_refused(&mut self, watching: &mut Watching, doing: &mut Doing<'_>) {
        while let Some(Creation::Refused { .. }) = watching.creations.front()
            && let Some(Creation::Refused { reason, note }) = watching.creations.pop_front()
        {
            let bytes = canceled(&watching.header, -1, true, 0, &reason);
            watching.insert(Side::Server, bytes, doing.orders);
            self.events.push_back(Event::Watch(note));
        }
    }

    /// etcd has sent a message.
    pub(super) fn watch_response(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        taken: Taken,
        doing: &mut Doing<'_>,
    ) {
        let response = match taken.compressed {
            true => None,
            false => Response::read(&taken.body),
        };
        let Some(response) = response else {
            // What cannot be read passes, and overtakes nothing.
            let why = "a message that cannot be read came behind it: let go";
            self.hold_no_more(call, watching, why, doing);
            self.read_taken(call, Side::Server, &taken, doing.now);
            let bytes = prefixed(taken.compressed, &taken.body);
            return watching.insert(Side::Server, bytes, doing.orders);
        };
        if watching.over {
            return;
        }
        watching.header = response.header.into();
        let dead = |id: i64| watching.watches.get(&id).is_some_and(|watch| watch.dead);
        if dead(response.watch_id) && !response.created {
            // etcd's confirmation is the last that can come.
            let ended = response.canceled.then_some(response.watch_id);
            return self.late_for_the_dead(call, watching, &taken, ended, doing);
        }
        let (id, fragment) = (response.watch_id, response.fragment);
        let (of, mut parts) = std::mem::take(&mut watching.run);
        if of != id && !parts.is_empty() {
            // etcd left the other one unfinished.
            self.whole_answer(call, watching, std::mem::take(&mut parts), doing);
        }
        parts.push((taken.body, taken.hold));
        match fragment {
            true => watching.run = (id, parts),
            false => self.whole_answer(call, watching, parts, doing),
        }
    }

    /// Something for a watch that ended by our doing: the client gets none of it.
    fn late_for_the_dead(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        taken: &Taken,
        ended: Option<i64>,
        doing: &mut Doing<'_>,
    ) {
        for mut note in self.notes_of(call, taken, doing.now) {
            if matches!(note.watched, crate::etcd::Watched::Event { .. }) {
                note.delivered = false;
                self.events.push_back(Event::Watch(note));
            }
        }
        if let Some(id) = ended {
            watching.watches.remove(&id);
        }
    }

    /// Reads a message, and gives what the log is to be told of it.
    pub(super) fn notes_of(
        &mut self,
        call: &mut OpenCall,
        taken: &Taken,
        now: Instant,
    ) -> Vec<Note> {
        let before = self.events.len();
        self.read_taken(call, Side::Server, taken, now);
        let told = self.events.split_off(before.min(self.events.len()));
        let notes = told.into_iter().filter_map(|event| match event {
            Event::Watch(note) => Some(note),
            _ => None,
        });
        notes.collect()
    }

    /// A whole answer: one message, or a run of fragments.
    fn whole_answer(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        mut parts: Vec<(Vec<u8>, Hold)>,
        doing: &mut Doing<'_>,
    ) {
        let mut notes = Vec::new();
        let mut bodies = Vec::new();
        let mut hold = Hold::new(&self.bench.held());
        for (body, part) in parts.drain(..) {
            hold.absorb(part);
            let taken = Taken::plain(body, Hold::new(&self.bench.held()));
            notes.extend(self.notes_of(call, &taken, doing.now));
            bodies.push(taken.body);
        }
        let raw: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
        // Each was read before.
        let responses: Vec<_> = raw.iter().filter_map(|raw| Response::read(raw)).collect();
        let Some(first) = responses.first() else {
            return;
        };
        let id = first.watch_id;
        let answer = Answer {
            responses,
            raw,
            notes,
            hold,
        };
        let first = &answer.responses[0];
        if first.created {
            let refused = first.canceled;
            watching.creations.pop_front();
            if !refused {
                // A number that was used before begins anew.
                watching.watches.remove(&id);
            }
            self.pass_at_once(watching, answer, doing);
            self.answer_refused(watching, doing);
            if !refused {
                self.stand(call, id, true, watching, doing);
            }
        } else if first.canceled {
            // What was held of it came before.
            if let Some(mut watch) = watching.watches.remove(&id) {
                for unit in watch.drain() {
                    self.give(unit, watching, doing);
                }
            }
            self.pass_at_once(watching, answer, doing);
        } else if first.is_progress() {
            self.progress(call, watching, answer, doing);
        } else {
            self.events_of_a_watch(call, id, watching, answer, doing);
        }
        match watching.over {
            true => {}
            // A broadcast may have been told to each.
            false if id < 0 => self.release(call, watching, doing),
            false => self.release_one(call, id, watching, doing),
        }
    }

    fn pass_at_once(&mut self, watching: &mut Watching, answer: Answer<'_>, doing: &mut Doing<'_>) {
        let unit = answer.unchanged(false, doing.now);
        self.give(unit, watching, doing);
    }

    /// etcd says that a watch, or every watch of the stream, is up to date.
    fn progress(
        &mut self,
        call: &mut OpenCall,
        watching: &mut Watching,
        answer: Answer<'_>,
        doing: &mut Doing<'_>,
    ) {
        let response = &answer.responses[0];
        if response.watch_id >= 0 {
            let id = response.watch_id;
            let strikes = self.strikes(call, Some(id), Moment::Progress, doing.now);
            return self.one_progress(id, watching, answer, strikes, doing);
        }
        // A broadcast: it speaks for all.
        let ids = match &call.kind {
            Kind::Watch(stream) => stream.ids(),
            Kind::Plain | Kind::KeepAlive(_) => Vec::new(),
        };
        let each: Vec<(i64, Vec<Strike>)> = (ids.into_iter())
            .map(|id| {
                (
                    id,
                    self.strikes(call, Some(id), Moment::Progress, doing.now),
                )
            })
            .collect();
        let holds = watching.watches.values().any(super::Watch::holds);
        if !holds && each.iter().all(|(_, strikes)| strikes.is_empty()) {
            return self.pass_at_once(watching, answer, doing);
        }
        // While anything is held it would overtake it: each watch is told apart.
        let header = response.header.to_vec();
        let note = answer.notes.into_iter().next();
        let dead = |watching: &Watching, id| {
            let watch: Option<&super::Watch> = watching.watches.get(&id);
            watch.is_some_and(|watch| watch.dead)
        };
        for (id, strikes) in each {
            if dead(watching, id) {
                continue;
            }
            let bytes = progress(&header, id);
            let notes = note.iter().cloned().map(|mut note| {
                note.watch_id = id;
                note
            });
            let unit = Unit {
                hold: self.hold_for(bytes.len()),
                bytes,
                notes: notes.collect(),
                came: doing.now,
                progress: true,
            };
            self.progress_of_one(id, &header, watching, unit, strikes, doing);
        }
    }

    fn one_progress(
        &mut self,
        id: i64,
        watching: &mut Watching,
        answer: Answer<'_>,
        strikes: Vec<Strike>,
        doing: &mut Doing<'_>,
    ) {
        let header = answer.responses[0].header.to_vec();
        let unit = answer.unchanged(true, doing.now);
        self.progress_of_one(id, &header, watching, unit, strikes, doing);
    }

    fn progress_of_one(
        &mut self,
        id: i64,
        header: &[u8],
        watching: &mut Watching,
        mut unit: Unit,
        strikes: Vec<Strike>,
        doing: &mut Doing<'_>,
    ) {
        let (mut lateness, mut dropped, mut ahead) = (Lateness::default(), false, 0_i64);
        for strike in &strikes {
            match strike.act {
                WatchAct::Drop => dropped = true,
                WatchAct::Delay(late) => lateness.add(late, strike.until),
                WatchAct::Falsify { ahead: by } => ahead = ahead.saturating_add(by),
                _ => continue,
            }
            unit.add_fault(&strike.hit);
        }
        if dropped {
            return self.lose(unit);
        }
        if ahead != 0 {
            unit.bytes = progress(&moved(header, ahead), id);
        }
        self.push(id, unit, &lateness, watching, doing.now);
    }

    /// A unit takes its place among what comes of its watch.
    fn push(
        &mut self,
        id: i64,
        unit: Unit,
        lateness: &Lateness,
        watching: &mut Watching,
        now: Instant,
    ) {
        let watch = watching.watches.entry(id).or_default();
        for moot in watch.push(unit, lateness.late, lateness.at_most, now) {
            self.lose(moot);
        }
    }

    /// etcd sends events.
    fn events_of_a_watch(
        &mut self,
        call: &mut OpenCall,
        id: i64,
        watching: &mut Watching,
        mut answer: Answer<'_>,
        doing: &mut Doing<'_>,
    ) {
        let all: Vec<Seen<'_>> = (answer.responses.iter())
            .flat_map(|response| response.events.iter().copied())
            .collect();
        if all.len() != answer.notes.len() {
            // Not all of it could be read: it passes as it came.
            let unit = answer.unchanged(false, doing.now);
            return self.push(id, unit, &Lateness::default(), watching, doing.now);
        }
        let mut kept = vec![true; all.len()];
        let mut lateness = Lateness::default();
        let mut copies: Vec<usize> = Vec::new();
        let mut asides: Vec<(usize, u32, Instant)> = Vec::new();
        for (at, event) in all.iter().enumerate() {
            let moment = Moment::Event {
                kind: event.kind,
                key: event.key,
            };
            let strikes = self.strikes(call, Some(id), moment, doing.now);
            let mut own = Lateness::default();
            for strike in &strikes {
                match strike.act {
                    WatchAct::Drop => kept[at] = false,
                    WatchAct::Delay(late) => own.add(late, strike.until),
                    WatchAct::Duplicate(times) => {
                        copies.extend(std::iter::repeat_n(at, times as usize));
                    }
                    WatchAct::Behind { events, within } => {
                        let until = doing.now + within;
                        let until = strike.until.map_or(until, |most| most.min(until));
                        asides.push((at, events, until));
                    }
                    _ => continue,
                }
                answer.notes[at].add_fault(&strike.hit);
            }
            if own.late > lateness.late {
                lateness = own;
            }
        }
        let notes: Vec<Note> = std::mem::take(&mut answer.notes);
        for (at, note) in notes.iter().enumerate() {
            if !kept[at] {
                let mut note = note.clone();
                note.delivered = false;
                self.events.push_back(Event::Watch(note));
            }
        }
        asides.retain(|(at, ..)| kept[*at]);
        asides.dedup_by_key(|(at, ..)| *at);
        let template = &answer.responses[0];
        for (at, events, until) in asides {
            kept[at] = false;
            let unit = Unit {
                bytes: template.with_events(&all[at..=at], false),
                notes: vec![notes[at].clone()],
                came: doing.now,
                progress: false,
                hold: self.hold_for(all[at].raw.len()),
            };
            let watch = watching.watches.entry(id).or_default();
            watch.put_aside(unit, events, until);
        }
        copies.retain(|at| kept[*at]);
        let fragment = self.fragment(call, id, &kept, &notes, doing.now);
        let duplicated: Vec<Seen<'_>> = copies.iter().map(|at| all[*at]).collect();
        let duplicates = (!duplicated.is_empty()).then(|| Unit {
            bytes: template.with_events(&duplicated, false),
            notes: copies.iter().map(|at| notes[*at].clone()).collect(),
            came: doing.now,
            progress: false,
            hold: self.hold_for(duplicated.iter().map(|seen| seen.raw.len()).sum()),
        });
        if kept.contains(&true) {
            let changed = kept.contains(&false);
            let bytes = match fragment {
                Some((size, _)) => in_fragments(template, &all, &kept, size),
                None if changed => answer.without(&kept),
                None => answer.bytes(),
            };
            let mut given: Vec<Note> = notes
                .into_iter()
                .zip(&kept)
                .filter_map(|(note, kept)| kept.then_some(note))
                .collect();
            if let Some((_, hits)) = &fragment {
                for note in &mut given {
                    for hit in hits {
                        note.add_fault(hit);
                    }
                }
            }
            let unit = Unit {
                bytes,
                notes: given,
                came: doing.now,
                progress: false,
                hold: answer.hold,
            };
            self.push(id, unit, &lateness, watching, doing.now);
        }
        if let Some(unit) = duplicates {
            self.push(id, unit, &lateness, watching, doing.now);
        }
    }

    /// Into fragments of how many events a message is cut, and by whom.
    fn fragment(
        &mut self,
        call: &OpenCall,
        id: i64,
        kept: &[bool],
        notes: &[Note],
        now: Instant,
    ) -> Option<(usize, Vec<Hit>)> {
        let events = kept.iter().filter(|kept| **kept).count();
        if events < 2 || notes.len() < 2 {
            return None;
        }
        let strikes = self.strikes(call, Some(id), Moment::Message { events }, now);
        let cut = |strike: &Strike| match strike.act {
            WatchAct::Fragment { events: size } => Some(size.max(1)),
            _ => None,
        };
        let size = strikes.iter().filter_map(cut).min()?;
        Some((size, strikes.into_iter().map(|strike| strike.hit).collect()))
    }

    /// A hold for what we have made; nothing where there is no room, for it is as
    /// small as what it came from.
    fn hold_for(&self, bytes: usize) -> Hold {
        let held = self.bench.held();
        hold_of(&held, bytes as u64).unwrap_or_else(|| Hold::new(&held))
    }
}

impl Unit {
    fn add_fault(&mut self, hit: &Hit) {
        for note in &mut self.notes {
            note.add_fault(hit);
        }
    }
}

impl Answer<'_> {
    /// All of it, byte for byte.
    fn bytes(&self) -> Bytes {
        joined(self.raw.iter().map(|raw| prefixed(false, raw)))
    }

    fn unchanged(self, progress: bool, now: Instant) -> Unit {
        Unit {
            bytes: self.bytes(),
            notes: self.notes,
            came: now,
            progress,
            hold: self.hold,
        }
    }

    /// What is left of it; a run stays one.
    fn without(&self, kept: &[bool]) -> Bytes {
        let mut at = 0;
        let mut left: Vec<(&Response<'_>, Vec<Seen<'_>>)> = Vec::new();
        for response in &self.responses {
            let events = response.events.iter().copied();
            let events: Vec<_> = events.zip(&kept[at..]).filter(|(_, kept)| **kept).collect();
            at += response.events.len();
            if !events.is_empty() {
                left.push((
                    response,
                    events.into_iter().map(|(event, _)| event).collect(),
                ));
            }
        }
        let last = left.len().saturating_sub(1);
        let messages = left.iter().enumerate();
        joined(messages.map(|(n, (response, events))| response.with_events(events, n < last)))
    }
}

/// The events that are kept, in fragments of `size`.
fn in_fragments(template: &Response<'_>, all: &[Seen<'_>], kept: &[bool], size: usize) -> Bytes {
    let kept = all.iter().zip(kept).filter(|(_, kept)| **kept);
    let events: Vec<Seen<'_>> = kept.map(|(event, _)| *event).collect();
    let last = events.len().div_ceil(size) - 1;
    let fragments = events.chunks(size).enumerate();
    joined(fragments.map(|(n, events)| template.with_events(events, n < last)))
}

fn joined(messages: impl Iterator<Item = Bytes>) -> Bytes {
    let mut messages = messages;
    let Some(first) = messages.next() else {
        return Bytes::new();
    };
    let Some(second) = messages.next() else {
        return first;
    };
    let mut all = BytesMut::from(&first[..]);
    all.extend_from_slice(&second);
    messages.for_each(|message| all.extend_from_slice(&message));
    all.freeze()
}

/// What a WatchRequest asks; `None` if it is none.
fn asked_in(body: &[u8]) -> Option<WatchAsked> {
    let mut wire = wire::Reader::new(WatchRequestReader::ROOT);
    let mut reader = WatchRequestReader::new(Budget::new(body.len()));
    wire.push(body, &mut reader);
    wire.is_whole().then_some(reader.asked)
}
