//! What a recording says that is to be driven: its connections, calls and streams,
//! each with its time, and which call cannot be made before which other.

use std::collections::BTreeMap;

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::causes::{self, Causes};
use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb as pb;
use crate::http2::Side;
use crate::record::traffic::{Book, Call, Ending, Said, Shape};
use crate::replay::plan::{Act as Planned, Plan, Rank, Step};

/// A connection is opened so long before its first call, where the recording does
/// not say when it was opened; in nanoseconds.
const LEAD: u64 = 2_000_000;

/// What is driven.
#[derive(Debug, Default)]
pub struct Program {
    /// All that happens, by the recording's clock in nanoseconds since 1970.
    pub line: Vec<(u64, Cue)>,
    /// Connections.
    pub connections: Vec<Connection>,
    /// Unary calls.
    pub calls: Vec<Unary>,
    /// Streams that are driven, by their place in the book.
    pub streams: Vec<Streaming>,
    /// Paths of methods.
    pub paths: Vec<Box<str>>,
    /// Steps of the plan that come before everything: what the recording presupposes.
    pub first: Vec<usize>,
    /// Calls that are not driven, by why.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Keys that guards speak of.
    pub guarded: FxHashSet<Bytes>,
    /// When the recording began and ended.
    pub began: u64,
    /// Likewise.
    pub ended: u64,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cue {
    /// A connection is opened.
    Connect(u32),
    /// A call is made.
    Call(u32),
    /// The client's message of a stream, by its place in the book's stream. The first
    /// opens the stream.
    Say(u32, u32),
    /// A stream ends.
    End(u32),
    /// A connection is closed.
    Close(u32),
}

/// A connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// Its number in the recording; 0 for the one on which is done what others did.
    pub number: u64,
    /// Its calls, in order.
    pub calls: Vec<u32>,
    /// How many of them were under way at once at most.
    pub concurrency: usize,
}

/// A unary call.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// When it was made.
    pub at: u64,
    /// On which connection.
    pub connection: u32,
    /// Its path, by the place in `paths`.
    pub path: u32,
    /// Its method.
    pub method: Method,
    /// What is asked.
    pub asks: Asks,
    /// It has numbers that the target may have others for.
    pub numbered: bool,
    /// It wrote, in the recording, at this revision; else 0.
    pub wrote: i64,
    /// It is guarded: whether the guard held in the recording.
    pub guard: Option<bool>,
    /// It writes keys that guards speak of.
    pub teaches: bool,
    /// It failed in the recording as well.
    pub failed: bool,
    /// Calls that it cannot come before: those that wrote what its guard speaks of, and
    /// granted its lease.
    pub causes: Box<[u32]>,
}

/// What a call asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Asks {
    /// As a call of the book, by its place there.
    Recorded(usize),
    /// What somebody wrote whose calls are not in the recording; by the step of the
    /// plan.
    Foreign(usize),
}

/// A stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streaming {
    /// Its place in the book.
    pub place: usize,
    /// On which connection.
    pub connection: u32,
    /// Its path.
    pub path: u32,
    /// What kind of stream it is.
    pub shape: Shape,
    /// Events that it brought, in the recording.
    pub events: u64,
    /// Watches of it that were created.
    pub watches: u64,
}

impl Program {
    /// Of a book and its plan.
    pub fn of(book: &Book, plan: &Plan) -> Program {
        let mut program = Program::default();
        let mut connections = Numbers::default();
        let mut paths = Numbers::default();
        // By the place in the book; what the plan left out is here driven all the same.
        let mut unary: FxHashMap<usize, u32> = FxHashMap::default();
        let mut spans: Vec<(u32, u64, u64)> = Vec::new();
        let mut lanes: Vec<u32> = Vec::new();
        for (n, call) in book.calls.iter().enumerate() {
            let path = call.path();
            if let Err(why) = driven(&path) {
                *program.left_out.entry(why).or_default() += 1;
                continue;
            }
            let Some(request) = call.request.as_ref().and_then(Said::whole) else {
                let why = "their request is not whole in the recording";
                *program.left_out.entry(why).or_default() += 1;
                continue;
            };
            let connection = connections.of(call.lane.connection);
            let facts = causes::facts(call.method(), request);
            program.guarded.extend(facts.guarded);
            unary.insert(n, program.calls.len() as u32);
            spans.push((connection, call.began(), ended(call)));
            lanes.push(call.lane.stream);
            let answer = call.response.as_ref();
            program.calls.push(Unary {
                at: call.began(),
                connection,
                path: paths.of(path),
                method: call.method(),
                asks: Asks::Recorded(n),
                numbered: facts.numbered,
                wrote: 0,
                guard: match facts.is_guarded {
                    true => answer
                        .and_then(|answer| answer.decode::<pb::TxnResponse>())
                        .map(|answer| answer.succeeded),
                    false => None,
                },
                teaches: false,
                failed: matches!(&call.ending, Ending::Ended(ended) if &*ended.status != "OK"),
                causes: Box::default(),
            });
        }
        program.order(book, plan, &unary, &mut connections, &mut paths, &mut lanes);
        program.streams(book, plan, &mut connections, &mut paths);
        program.paths = paths.all;
        let numbers = std::mem::take(&mut connections.all);
        program.connections = numbers
            .iter()
            .map(|number| Connection {
                number: *number,
                ..Connection::default()
            })
            .collect();
        program.lay_out(book, &spans, &lanes);
        program
    }

    /// Walks the plan: which call wrote what at which revision, which call cannot come
    /// before which other, and what others did.
    fn order(
        &mut self,
        book: &Book,
        plan: &Plan,
        unary: &FxHashMap<usize, u32>,
        connections: &mut Numbers<u64>,
        paths: &mut Numbers<Box<str>>,
        lanes: &mut Vec<u32>,
    ) {
        let first_call = |step: &Step| matches!(step.act, Planned::Call(_) | Planned::Create(..));
        let begin = plan.steps.iter().position(first_call).unwrap_or(0);
        self.first = (0..begin).collect();
        let mut causes = Causes::default();
        for (n, step) in plan.steps.iter().enumerate().skip(begin) {
            match &step.act {
                Planned::Presuppose(foreigns) => {
                    // Before what is next: that may have seen it.
                    let next = plan.steps[n..].iter().find(|step| first_call(step));
                    let at = next.map_or(step.place.at, |step| step.place.at);
                    let number = self.calls.len() as u32;
                    for foreign in foreigns {
                        if self.guarded.contains(&foreign.key) {
                            causes.wrote(&foreign.key, number);
                        }
                    }
                    lanes.push(0);
                    self.calls.push(Unary {
                        at: at.saturating_sub(1),
                        connection: connections.of(0_u64),
                        path: paths.of("/etcdserverpb.KV/Txn"),
                        method: Method::Txn,
                        asks: Asks::Foreign(n),
                        numbered: true,
                        wrote: step.place.revision,
                        guard: None,
                        teaches: foreigns
                            .iter()
                            .any(|foreign| self.guarded.contains(&foreign.key)),
                        failed: false,
                        causes: Box::default(),
                    });
                }
                Planned::Lease { .. } => self.first.push(n),
                Planned::Call(place) => {
                    let (Some(&number), Some(call)) = (unary.get(place), book.calls.get(*place))
                    else {
                        continue;
                    };
                    let found = causes.of(call);
                    let at = self.calls[number as usize].at;
                    let earlier = |cause: &u32| self.calls[*cause as usize].at < at;
                    let found: Box<[u32]> = found.into_iter().filter(earlier).collect();
                    causes.granted(call, number);
                    let wrote = step.place.rank == Rank::Write;
                    let teaches = wrote && causes.made(call, number, &self.guarded);
                    let call = &mut self.calls[number as usize];
                    call.causes = found;
                    call.teaches = teaches;
                    if wrote {
                        call.wrote = step.place.revision;
                    }
                }
                _ => {}
            }
        }
    }

    fn streams(
        &mut self,
        book: &Book,
        plan: &Plan,
        connections: &mut Numbers<u64>,
        paths: &mut Numbers<Box<str>>,
    ) {
        for (place, stream) in book.streams.iter().enumerate() {
            let path = stream.path.text();
            let whole = stream
                .messages
                .iter()
                .any(|(from, said)| *from == Side::Client && said.whole().is_some());
            let why = match stream.shape {
                _ if !whole => "their request is not whole in the recording",
                Shape::Watch | Shape::KeepAlive => "",
                _ if matches!(
                    &*path,
                    "/etcdserverpb.Maintenance/Snapshot" | "/etcdserverpb.KV/RangeStream"
                ) =>
                {
                    ""
                }
                _ => driven(&path).err().unwrap_or("their method is not driven"),
            };
            if !why.is_empty() {
                *self.left_out.entry(why).or_default() += 1;
                continue;
            }
            let expected = plan.watches.get(&place).map_or(&[][..], |all| all);
            let created = expected.iter().filter(|watch| watch.watch_id.is_some());
            let watches = created.count() as u64;
            let events = expected.iter().map(|watch| watch.events().count() as u64);
            let events = events.sum();
            self.streams.push(Streaming {
                place,
                connection: connections.of(stream.lane.connection),
                path: paths.of(path),
                shape: stream.shape,
                events,
                watches,
            });
        }
    }

    /// Puts everything on one line, by time.
    fn lay_out(&mut self, book: &Book, spans: &[(u32, u64, u64)], lanes: &[u32]) {
        // When each connection did something first and last.
        let mut alive: Vec<(u64, u64)> = vec![(u64::MAX, 0); self.connections.len()];
        let mut is_there = |connection: u32, at: u64| {
            let (first, last) = &mut alive[connection as usize];
            *first = (*first).min(at);
            *last = (*last).max(at);
        };
        // With the stream's number, which is the order on a connection.
        let mut line: Vec<(u64, u8, u32, Cue)> = Vec::new();
        for (n, call) in self.calls.iter().enumerate() {
            is_there(call.connection, call.at);
            line.push((call.at, 1, lanes[n], Cue::Call(n as u32)));
        }
        for &(connection, _, ended) in spans {
            is_there(connection, ended);
        }
        for (n, streaming) in self.streams.iter().enumerate() {
            let stream = &book.streams[streaming.place];
            let mut last = stream.began;
            for (m, (from, said)) in stream.messages.iter().enumerate() {
                last = last.max(said.times.whole);
                if *from == Side::Client && said.whole().is_some() {
                    let at = said.times.began;
                    is_there(streaming.connection, at);
                    let cue = Cue::Say(n as u32, m as u32);
                    line.push((at, 1, stream.lane.stream, cue));
                }
            }
            let ended = match &stream.ending {
                Ending::Ended(ended) => ended.times.whole.max(last),
                Ending::NotRecorded => u64::MAX,
            };
            is_there(streaming.connection, last);
            line.push((ended, 2, stream.lane.stream, Cue::End(n as u32)));
        }
        for (n, connection) in self.connections.iter().enumerate() {
            let (first, last) = alive[n];
            let known = book.connections.get(&connection.number);
            let opened = known.and_then(|known| known.opened);
            let opened = opened.map_or(first.saturating_sub(LEAD), |opened| opened.min(first));
            let closed = known.and_then(|known| known.closed);
            line.push((opened, 0, 0, Cue::Connect(n as u32)));
            let closed = closed.map_or(u64::MAX, |closed| closed.max(last));
            line.push((closed, 3, 0, Cue::Close(n as u32)));
        }
        line.sort_unstable();
        let times = line.iter().map(|(at, ..)| *at);
        self.began = times.clone().next().unwrap_or(0);
        let ends = times.filter(|at| *at != u64::MAX);
        let ends = ends.chain(alive.iter().map(|(_, last)| *last));
        self.ended = ends.max().unwrap_or(self.began);
        for (at, _, _, cue) in line {
            // Connections that the recording's end left open are closed at the end.
            self.line.push((at.min(self.ended), cue));
            if let Cue::Call(n) = cue {
                let connection = self.calls[n as usize].connection;
                self.connections[connection as usize].calls.push(n);
            }
        }
        self.concurrency(spans);
    }

    /// How many calls of a connection were under way at once.
    fn concurrency(&mut self, spans: &[(u32, u64, u64)]) {
        let mut moments: Vec<(u64, i8, u32)> = Vec::with_capacity(spans.len() * 2);
        for &(connection, began, ended) in spans {
            // One that took no time was there, too.
            moments.push((began, 1, connection));
            moments.push((ended.max(began + 1), -1, connection));
        }
        // Ends come first: who asks again has his answer.
        moments.sort_unstable();
        let mut under_way = vec![0_i64; self.connections.len()];
        for connection in &mut self.connections {
            connection.concurrency = 1;
        }
        for (_, change, connection) in moments {
            let now = &mut under_way[connection as usize];
            *now += i64::from(change);
            let most = &mut self.connections[connection as usize].concurrency;
            *most = (*most).max(usize::try_from(*now).unwrap_or(0));
        }
    }

    /// How much there is to do: calls, and what happens on streams.
    pub fn steps(&self) -> u64 {
        let counts = |(_, cue): &&(u64, Cue)| !matches!(cue, Cue::Connect(_) | Cue::Close(_));
        self.line.iter().filter(counts).count() as u64
    }
}

/// When a call was over, for the client.
fn ended(call: &Call) -> u64 {
    call.ended().max(call.began())
}

/// Whether calls of a path are driven, and why not. What changes members, users and
/// the store's files is not.
fn driven(path: &str) -> Result<(), &'static str> {
    match path {
        "/etcdserverpb.Maintenance/Status"
        | "/etcdserverpb.Maintenance/Hash"
        | "/etcdserverpb.Maintenance/HashKV"
        | "/etcdserverpb.Cluster/MemberList"
        | "/grpc.health.v1.Health/Check" => return Ok(()),
        _ => {}
    }
    match path.split('/').nth(1) {
        Some("etcdserverpb.KV" | "etcdserverpb.Lease") => Ok(()),
        Some("etcdserverpb.Maintenance" | "etcdserverpb.Cluster") => {
            Err("they change the members themselves")
        }
        Some("etcdserverpb.Auth") => Err("they are about users"),
        Some("v3lockpb.Lock" | "v3electionpb.Election") => Err("they wait for others"),
        _ => Err("their method is not driven"),
    }
}

/// Numbers things in the order in which they are first named.
#[derive(Debug)]
struct Numbers<K> {
    known: FxHashMap<K, u32>,
    all: Vec<K>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Numbers<K> {
        Numbers {
            known: FxHashMap::default(),
            all: Vec::new(),
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Numbers<K> {
    fn of(&mut self, what: impl Into<K>) -> u32 {
        let what = what.into();
        if let Some(&number) = self.known.get(&what) {
            return number;
        }
        let number = self.all.len() as u32;
        self.known.insert(what.clone(), number);
        self.all.push(what);
        number
    }
}
