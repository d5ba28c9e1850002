//! The meter: facts in, a scorecard out.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::card::{self, Scorecard, Source};
use super::client::{ASKED_AGAIN_WITHIN, Client, List, Mark};
use super::concurrency::Concurrency;
use super::fact::{CallFact, Fact, Moment, Range, WatchAt, What};
use super::slot::{State, Wish};
use super::watches::{BEHIND, Note, Passed, Watches};
use super::window::Window;
use super::writes::Writes;
use crate::http2::Side;

/// For how long nothing may go wrong until all counts as being as before.
pub(super) const QUIET: u64 = 1_000_000;

/// How often it is looked whether all is as before.
const LOOK_EVERY: u64 = 100_000;

/// Clients that are told apart; more are one.
const CLIENTS_MAX: usize = 256;

/// Connections that are known at a time.
const CONNECTIONS_MAX: usize = 262_144;

/// What is measured.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What it is called.
    pub name: Option<Box<str>>,
    /// When the failure began, if that is known better than from its traces.
    pub from: Option<Moment>,
    /// When it ended.
    pub to: Option<Moment>,
    /// Clients that are measured, by a part of their address and `user-agent`;
    /// empty for all. What the others write counts all the same: it has to reach
    /// those that are measured.
    pub clients: Vec<Box<str>>,
}

/// Takes facts in the order in which they became known.
#[derive(Debug, Clone)]
pub struct Meter {
    pub(super) options: Options,
    pub(super) window: Window,
    pub(super) clients: Vec<Client>,
    pub(super) watches: Watches,
    pub(super) writes: Writes,
    pub(super) concurrency: Concurrency,
    pub(super) facts: u64,
    pub(super) first: Option<Moment>,
    pub(super) last: Option<Moment>,
    by_name: FxHashMap<(IpAddr, Option<Box<str>>), usize>,
    connections: FxHashMap<u64, Connection>,
    looked: Moment,
}

#[derive(Debug, Clone)]
struct Connection {
    opened: Option<Moment>,
    client: Option<usize>,
}

impl Meter {
    /// A meter that has seen nothing.
    pub fn new(options: Options) -> Meter {
        Meter {
            window: Window::new(options.from, options.to),
            options,
            clients: Vec::new(),
            watches: Watches::default(),
            writes: Writes::default(),
            concurrency: Concurrency::default(),
            facts: 0,
            first: None,
            last: None,
            by_name: FxHashMap::default(),
            connections: FxHashMap::default(),
            looked: Moment::default(),
        }
    }

    /// A connection that stands as the measurement begins.
    pub fn standing_connection(&mut self, conn: u64, ip: IpAddr, agent: Option<&str>) {
        self.connections.insert(
            conn,
            Connection {
                opened: None,
                client: None,
            },
        );
        if agent.is_some() {
            self.client(conn, ip, agent);
        }
    }

    /// A watch that is open as the measurement begins, on a connection that
    /// stands: all up to `revision` it has been given.
    pub fn standing_watch(
        &mut self,
        conn: u64,
        at: WatchAt,
        range: &Range<'_>,
        revision: i64,
        now: Moment,
    ) {
        if let Some(Connection {
            client: Some(client),
            ..
        }) = self.connections.get(&conn)
        {
            self.watches
                .standing((*client, conn), at, range, revision, now);
        }
    }

    /// What is measured, by its name.
    pub fn name(&self) -> Option<Box<str>> {
        self.options.name.clone()
    }

    /// How many facts there were.
    pub fn facts(&self) -> u64 {
        self.facts
    }

    /// Says when the failure was: what was measured from the traces of faults is
    /// measured from there.
    pub fn failure_was(&mut self, began: Moment, ended: Moment) {
        self.window.give(began, ended);
        self.concurrency.window_moved();
        for client in &mut self.clients {
            client.recovered = None;
        }
    }

    /// Takes a fact.
    pub fn handle(&mut self, fact: &Fact<'_>) {
        self.facts += 1;
        self.first = Some(self.first.map_or(fact.at, |first| first.min(fact.at)));
        self.last = self.last.max(Some(fact.at));
        if self.window.handle(fact) {
            self.concurrency.window_moved();
            for client in &mut self.clients {
                client.recovered = None;
            }
        }
        let agent = fact.user_agent.as_deref();
        let client = match &fact.what {
            What::Opened => {
                self.opened(fact.conn, fact.at);
                None
            }
            What::Failed => {
                self.failed(fact, agent);
                None
            }
            What::Closed { by } => {
                self.closed(fact, agent, *by);
                None
            }
            _ => self.client(fact.conn, fact.ip, agent),
        };
        match (&fact.what, client) {
            (What::Call(call), client) => self.call(call, client, fact),
            (What::Event { key, revision, .. }, None) => {
                self.watches.committed(key, *revision, fact.at);
            }
            (_, Some(client)) => self.watch(client, fact),
            _ => {}
        }
        if fact.at.since(self.looked) >= LOOK_EVERY {
            self.looked = fact.at;
            self.look(fact.at);
        }
    }

    /// The card as of `now`, or of the last fact where that is later, or nobody
    /// says what time it is.
    pub fn card(&self, now: Option<Moment>, source: Source) -> Scorecard {
        let mut settled = self.clone();
        let now = now.max(self.last).unwrap_or_default();
        settled.look(now);
        card::of(&settled, now, source)
    }

    fn opened(&mut self, conn: u64, at: Moment) {
        if self.connections.len() >= CONNECTIONS_MAX {
            self.connections.clear();
        }
        let before = self.connections.insert(
            conn,
            Connection {
                opened: Some(at),
                client: None,
            },
        );
        // Numbers begin anew with the process, in a log that goes on.
        if let Some(client) = before.and_then(|before| before.client) {
            self.clients[client].open = self.clients[client].open.saturating_sub(1);
            self.watches.let_go(conn, at);
        }
    }

    /// A connection never came to stand: nobody said whose it was, unless there
    /// is only one at that address.
    fn failed(&mut self, fact: &Fact<'_>, agent: Option<&str>) {
        self.connections.remove(&fact.conn);
        if let Some(client) = self.only_client_at(fact.ip, agent) {
            let client = &mut self.clients[client];
            client.refused += 1;
            client.in_trouble(fact.at);
        }
    }

    fn closed(&mut self, fact: &Fact<'_>, agent: Option<&str>, by: Option<Side>) {
        // A client that never called on it tells nothing by closing it.
        let client = match agent {
            Some(_) => self.client(fact.conn, fact.ip, agent),
            None => self.connections.get(&fact.conn).and_then(|one| one.client),
        };
        let opened = self.connections.remove(&fact.conn);
        let opened = opened.and_then(|one| one.opened);
        let Some(client) = client else { return };
        let begun = self.window.begin();
        let client = &mut self.clients[client];
        client.open = client.open.saturating_sub(1);
        client.closed += 1;
        let newer = client.opened_after(opened);
        client.mark(fact.at, Mark::Lost { newer }, begun);
        if by == Some(Side::Client) {
            client.mark(fact.at, Mark::Close, begun);
        }
    }

    /// Whose connection it is, once that is known; `None` where it is not, or
    /// is nobody that is measured.
    fn client(&mut self, conn: u64, ip: IpAddr, agent: Option<&str>) -> Option<usize> {
        let known = self.connections.get(&conn);
        if let Some(client) = known.and_then(|one| one.client) {
            return Some(client);
        }
        agent?;
        let client = self.named(ip, agent)?;
        let connection = self.connections.entry(conn).or_insert(Connection {
            opened: None,
            client: None,
        });
        connection.client = Some(client);
        let opened = connection.opened;
        let begun = self.window.begin();
        let client_of = &mut self.clients[client];
        client_of.open += 1;
        if let Some(opened) = opened {
            client_of.opened += 1;
            client_of.mark(opened, Mark::Opened, begun);
        }
        Some(client)
    }

    fn only_client_at(&mut self, ip: IpAddr, agent: Option<&str>) -> Option<usize> {
        let mut here = (0..self.clients.len()).filter(|&one| self.clients[one].ip == ip);
        match (here.next(), here.next()) {
            (Some(only), None) if agent.is_none() => Some(only),
            _ => self.named(ip, agent),
        }
    }

    fn named(&mut self, ip: IpAddr, agent: Option<&str>) -> Option<usize> {
        let name = (ip, agent.map(Into::into));
        if let Some(client) = self.by_name.get(&name) {
            return Some(*client);
        }
        let wanted = &self.options.clients;
        let shown = format!("{ip} {}", agent.unwrap_or_default());
        if !wanted.is_empty() && !wanted.iter().any(|part| shown.contains(&**part)) {
            return None;
        }
        let client = match self.clients.len() {
            CLIENTS_MAX => CLIENTS_MAX - 1,
            number => {
                self.clients.push(Client::new(ip, agent));
                number
            }
        };
        if self.by_name.len() < 16 * CLIENTS_MAX {
            self.by_name.insert(name, client);
        }
        Some(client)
    }

    fn call(&mut self, call: &CallFact<'_>, client: Option<usize>, fact: &Fact<'_>) {
        if let (Some(revision), Some(range)) = (call.committed, &call.range) {
            // Of a range that was deleted it is not known which keys there were.
            if range.end.is_empty() {
                self.watches.committed(&range.key, revision, fact.at);
            }
        }
        let Some(number) = client else { return };
        let begun = self.window.begin();
        let client = &mut self.clients[number];
        if call.reset_by_client {
            client.mark(fact.at, Mark::Reset, begun);
        }
        if call.stream_call {
            if call.method == "Watch" {
                let wish = match (call.reset_by_client, call.lost_by_client) {
                    (true, _) => Wish::Client,
                    (false, true) => Wish::ClientClosed,
                    (false, false) => Wish::Other,
                };
                let stream = (fact.conn, call.stream);
                let joined = self
                    .watches
                    .stream_ended(stream, wish, call.connection_lost, begun);
                for (client, at) in joined {
                    self.note(Note::Recreated(client), at);
                }
            }
            return;
        }
        client.handle_call(call, fact.at, begun);
        self.concurrency
            .add(number, call.started, fact.at, &self.window);
        self.writes.handle_call(number, call, fact.at);
        self.list(number, call, fact.at);
    }

    /// A read of a whole range that the client watches.
    fn list(&mut self, number: usize, call: &CallFact<'_>, at: Moment) {
        let Some(range) = &call.range else { return };
        let reads = matches!(
            &*call.verb,
            "list" | "list_page" | "get" | "Range" | "RangeStream"
        );
        if !reads || !call.succeeded() {
            return;
        }
        if call.continued {
            let lists = &mut self.clients[number].lists;
            let mut latest = lists.iter_mut().rev();
            let ranges = &self.watches.ranges.all;
            if let Some(list) = latest.find(|list| {
                let of = &ranges[list.range].range;
                of.end == range.end && of.holds(&range.key)
            }) && at.since(list.at) <= ASKED_AGAIN_WITHIN
            {
                list.bytes = list.bytes.saturating_add(call.response_bytes);
            }
            return;
        }
        let Some(revision) = call.revision else {
            return;
        };
        let Some(since) = self.watches.listed(number, range, revision, at) else {
            return;
        };
        // One key that is read is not a list of it.
        if range.end.is_empty() {
            return;
        }
        let begun = self.window.begin();
        self.clients[number].mark(call.started, Mark::Relist, begun);
        if let Some(range) = self.watches.ranges.find(range) {
            self.clients[number].listed(List {
                at: call.started,
                watched_since: since,
                bytes: call.response_bytes,
                range,
            });
        }
    }

    fn watch(&mut self, client: usize, fact: &Fact<'_>) {
        let (conn, at) = (fact.conn, fact.at);
        match &fact.what {
            What::Created {
                watch,
                range,
                start_revision,
                revision,
            } => {
                let place = (*start_revision, *revision);
                let note = self
                    .watches
                    .created((client, conn), *watch, range, place, at);
                self.note(note, at);
            }
            What::Event {
                watch,
                key,
                revision,
                lag,
                held,
                delivered,
            } => {
                let event = Passed {
                    key,
                    revision: *revision,
                    lag: *lag,
                    held: *held,
                    delivered: *delivered,
                    struck: !fact.faults.is_empty(),
                    at,
                };
                self.writes.handle_event(key, *revision, at.before(*held));
                let note = self.watches.event(conn, *watch, &event);
                self.note(note, at);
            }
            What::Progress {
                watch,
                revision,
                delivered: true,
            } => {
                for note in self.watches.progress(conn, *watch, *revision, at) {
                    self.note(note, at);
                }
            }
            What::Canceled { watch, cause, .. } => {
                self.watches.canceled(conn, *watch, *cause, at);
            }
            What::Unread => self.watches.let_go(conn, at),
            What::Ping => {
                let begun = self.window.begin();
                self.clients[client].mark(at, Mark::Ping, begun);
            }
            _ => {}
        }
    }

    fn note(&mut self, note: Note, at: Moment) {
        let begun = self.window.begin();
        match note {
            Note::Nothing => {}
            Note::Restored(client) => self.clients[client].in_trouble(at),
            Note::Recreated(client) => {
                self.clients[client].in_trouble(at);
                self.clients[client].mark(at, Mark::Rewatch, begun);
            }
        }
    }

    /// Whether all is as before.
    fn look(&mut self, now: Moment) {
        let Some(end) = self.window.end().filter(|end| *end <= now) else {
            return;
        };
        if self.clients.iter().all(|client| client.recovered.is_some()) {
            return;
        }
        let troubled = self.troubled(now);
        for (number, client) in self.clients.iter_mut().enumerate() {
            if client.recovered.is_some() || troubled[number] {
                continue;
            }
            let last = client.trouble.map_or(end, |trouble| trouble.max(end));
            if now.since(last) >= QUIET {
                client.recovered = Some(last);
            }
        }
    }

    /// The clients of which a watch is missing or behind.
    fn troubled(&self, now: Moment) -> Vec<bool> {
        let mut troubled = vec![false; self.clients.len()];
        for number in 0..self.watches.slots.len() {
            if self.is_missing(number) || self.is_behind(number, now) {
                troubled[self.watches.slots[number].client] = true;
            }
        }
        troubled
    }

    /// Whether a watch ended, against the client's wish, and is not there again.
    pub(super) fn is_missing(&self, number: usize) -> bool {
        let slot = &self.watches.slots[number];
        let State::Away { since, wish, .. } = slot.state else {
            return false;
        };
        let client = &self.clients[slot.client];
        match wish {
            Wish::Client => false,
            Wish::Other => true,
            // A client that went away in good order does not miss its watches.
            Wish::ClientClosed => {
                let untroubled = self.window.begin().is_none_or(|begin| since < begin)
                    || client.recovered.is_some();
                !(client.open == 0 && untroubled)
            }
        }
    }

    /// Whether a change waits too long to be given to a watch.
    pub(super) fn is_behind(&self, number: usize, now: Moment) -> bool {
        let slot = &self.watches.slots[number];
        slot.pending.is_some_and(|since| now.since(since) > BEHIND)
            && (matches!(slot.state, State::Open { .. }) || self.is_missing(number))
    }
}
