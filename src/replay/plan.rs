//! What is done in which order.
//!
//! Answers of `KV` carry the revision they were given at, exactly: a write that at
//! which it was committed, all else that of the state it saw. So the order of a
//! recording is known, however its calls overlapped. What has no such revision
//! (the end of a watch, a refusal) is put where the clock says.

use std::collections::BTreeMap;
use std::fmt;

use super::presupposed::{Foreign, Presupposed, World};
use super::watches::{Expectation, expectations};
use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb as pb;
use crate::record::traffic::{Book, Call, Ending, KeepAliveStep, Said, Shape, Stream, WatchStep};
use crate::snapshot::State;
use pb::response_op::Response as AnsweredOp;

/// What is done, in order.
#[derive(Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What each Watch stream of the book should bring; by its place in
    /// `book.streams`.
    pub watches: BTreeMap<usize, Vec<Expectation>>,
    /// Calls that are not driven, by why.
    pub left_out: BTreeMap<&'static str, u64>,
    /// What is written that no call of the recording wrote.
    pub presupposed: Presupposed,
    /// The recorded revision before the first step, if the target is taken to be in
    /// the state of it.
    pub before: Option<i64>,
    /// What the recording saw that is older than the snapshot it goes on from:
    /// versions of keys, and how many of them the snapshot has.
    pub held: (u64, u64),
}

/// A snapshot was taken when the recording had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooNew {
    /// The revision of the snapshot.
    pub snapshot: i64,
    /// The revision of the store before the recording's first call.
    pub begins: i64,
}

impl fmt::Display for TooNew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooNew { snapshot, begins } = self;
        write!(
            f,
            "is newer than the recording: it is of revision {snapshot}, and the recording begins \
             at {begins}; name one from before it"
        )
    }
}

impl std::error::Error for TooNew {}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it stands.
    pub place: Place,
    /// What is done.
    pub act: Act,
}

/// Where a step stands: by revision; there what writes comes first, and then what
/// was earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The recorded revision.
    pub revision: i64,
    /// What is done at it.
    pub rank: Rank,
    /// When it began, in nanoseconds since 1970.
    pub at: u64,
}

/// What comes first at a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// What makes the revision.
    Write,
    /// What sees it.
    Read,
    /// What ends when it has been seen.
    End,
}

/// What is done in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Grants a lease that the recording presupposes, by its own number.
    Lease {
        /// Its number.
        id: i64,
        /// Its time to live in seconds.
        ttl: i64,
    },
    /// Writes what the recording presupposes, at the step's revision.
    Presuppose(Vec<Foreign>),
    /// Makes a call, by its place in `book.calls`.
    Call(usize),
    /// Asks for a watch on a stream, by its place in `book.streams`.
    Create(usize, Box<pb::WatchCreateRequest>),
    /// Gives one up; by the stream, and the recorded number of the watch.
    Cancel(usize, i64),
    /// Asks how far the stream's watches are.
    Progress(usize),
    /// Waits for what the stream's watches should bring, and ends it.
    End(usize),
    /// Keeps a lease alive; by its recorded number.
    KeepAlive(i64),
}

/// Where the recording's calls stand in time.
struct Clock {
    /// When answers were known, and the greatest revision by then.
    seen: Vec<(u64, i64)>,
}

impl Clock {
    fn of(book: &Book) -> Clock {
        let calls = book.calls.iter();
        let mut seen: Vec<(u64, i64)> = calls
            .filter_map(|call| Some((call.ended(), call.revision()?)))
            .collect();
        seen.sort_unstable();
        let mut most = 0;
        for (_, revision) in &mut seen {
            most = most.max(*revision);
            *revision = most;
        }
        Clock { seen }
    }

    /// The greatest revision that was answered by then.
    fn revision(&self, at: u64) -> i64 {
        let behind = self.seen.partition_point(|(ended, _)| *ended <= at);
        behind.checked_sub(1).map_or(0, |n| self.seen[n].1)
    }
}

impl Plan {
    /// Plans the driving of a book, in the order of its revisions.
    pub fn of(book: &Book) -> Plan {
        Plan::from(book, &State::default())
    }

    /// The same for a target that is given what a snapshot holds, which is from before
    /// the recording.
    ///
    /// # Errors
    /// If it is not.
    pub fn after(book: &Book, snapshot: &State) -> Result<Plan, TooNew> {
        let plan = Plan::from(book, snapshot);
        match plan.begins() {
            Some(begins) if begins < snapshot.revision => Err(TooNew {
                snapshot: snapshot.revision,
                begins,
            }),
            _ => Ok(plan),
        }
    }

    fn from(book: &Book, before: &State) -> Plan {
        let mut plan = Plan::default();
        let clock = Clock::of(book);
        let mut world = World::default();
        let mut steps = Vec::new();
        for (n, call) in book.calls.iter().enumerate() {
            match place(call, &clock) {
                Ok((place, writes)) => {
                    world.call(call, place.revision, writes);
                    steps.push(Step {
                        place,
                        act: Act::Call(n),
                    });
                }
                Err(why) => *plan.left_out.entry(why).or_default() += 1,
            }
        }
        for (n, stream) in book.streams.iter().enumerate() {
            match stream.shape {
                Shape::Watch => {
                    let expected = expectations(stream);
                    for expectation in &expected {
                        for event in expectation.events() {
                            world.event(event);
                        }
                    }
                    watch_steps(n, stream, &expected, &clock, &mut steps);
                    plan.watches.insert(n, expected);
                }
                Shape::KeepAlive => keepalive_steps(stream, &clock, &mut world, &mut steps),
                Shape::Unary | Shape::OtherStream => {
                    let why = "they are streams other than watches and keepalives";
                    *plan.left_out.entry(why).or_default() += 1;
                }
            }
        }
        plan.held = world.held(before);
        world.presuppose(&mut steps, before, &mut plan.presupposed);
        steps.sort_by_key(|step| step.place);
        plan.steps = world.deleted(book, steps, before, &mut plan.presupposed);
        plan
    }

    /// The recorded revision before the first step that has one.
    fn begins(&self) -> Option<i64> {
        let drives = |step: &&Step| {
            let presupposes = matches!(step.act, Act::Presuppose(_) | Act::Lease { .. });
            step.place.revision > 0 && !presupposes
        };
        let first = self.steps.iter().find(drives)?;
        Some(first.place.revision - i64::from(first.place.rank == Rank::Write))
    }

    /// The same for a target that has what the recording presupposes: a restored
    /// snapshot, or the recorded etcd itself. Only calls are driven.
    #[must_use]
    pub fn as_is(mut self) -> Plan {
        self.steps
            .retain(|step| !matches!(step.act, Act::Presuppose(_) | Act::Lease { .. }));
        self.presupposed = Presupposed::default();
        self.before = self.begins();
        self
    }
}

/// Where a call stands, and whether it wrote.
fn place(call: &Call, clock: &Clock) -> Result<(Place, bool), &'static str> {
    let path = call.path();
    let driven = matches!(
        call.method(),
        Method::Range
            | Method::Put
            | Method::DeleteRange
            | Method::Txn
            | Method::Compact
            | Method::LeaseGrant
            | Method::LeaseRevoke
            | Method::LeaseTimeToLive
    );
    if !driven {
        return Err(match path.split('/').nth(1) {
            Some("etcdserverpb.Maintenance" | "etcdserverpb.Cluster") => {
                "they are about the members themselves"
            }
            Some("etcdserverpb.Auth") => "they are about users",
            Some("v3lockpb.Lock" | "v3electionpb.Election") => "they wait for others",
            _ => "their method is not driven",
        });
    }
    if call.request.as_ref().and_then(Said::whole).is_none() {
        return Err("their request is not whole in the recording");
    }
    let at = call.began();
    let Some(response) = &call.response else {
        return match &call.ending {
            Ending::Ended(ended)
                if !ended.struck
                    && ended.without_trailers.is_none()
                    && !matches!(
                        &*ended.status,
                        "OK" | "CANCELLED" | "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNAVAILABLE"
                    ) =>
            {
                let place = Place {
                    revision: clock.revision(at),
                    rank: Rank::Read,
                    at,
                };
                Ok((place, false))
            }
            _ => Err("nobody knows whether they were done: they have no answer"),
        };
    };
    if response.whole().is_none() {
        return Err("their answer is not whole in the recording");
    }
    let revision = call.revision().ok_or("their answer has no revision")?;
    let writes = match call.method() {
        Method::Put => true,
        Method::DeleteRange => response
            .decode::<pb::DeleteRangeResponse>()
            .is_some_and(|answer| answer.deleted > 0),
        Method::Txn => response
            .decode::<pb::TxnResponse>()
            .is_some_and(|answer| wrote(&answer)),
        _ => false,
    };
    let rank = if writes { Rank::Write } else { Rank::Read };
    Ok((Place { revision, rank, at }, writes))
}

fn wrote(answer: &pb::TxnResponse) -> bool {
    answer.responses.iter().any(|op| match &op.response {
        Some(AnsweredOp::ResponsePut(_)) => true,
        Some(AnsweredOp::ResponseDeleteRange(answer)) => answer.deleted > 0,
        Some(AnsweredOp::ResponseTxn(answer)) => wrote(answer),
        Some(AnsweredOp::ResponseRange(_)) | None => false,
    })
}

fn watch_steps(
    n: usize,
    stream: &Stream,
    expected: &[Expectation],
    clock: &Clock,
    steps: &mut Vec<Step>,
) {
    let mut creates = expected.iter();
    // What was brought by then has been written by then, whatever calls say.
    let mut covered = 0;
    let mut last = stream.began;
    for (from, said) in &stream.messages {
        let at = said.times.began;
        last = last.max(said.times.whole);
        let by_time = |rank| Place {
            revision: clock.revision(at).max(covered),
            rank,
            at,
        };
        let (place, act) = match WatchStep::read(*from, said) {
            WatchStep::Create(create) => {
                let answered = creates.next().and_then(|create| create.created_at);
                let place = Place {
                    revision: answered.unwrap_or_else(|| by_time(Rank::Read).revision),
                    rank: Rank::Read,
                    at,
                };
                (place, Act::Create(n, Box::new(create)))
            }
            WatchStep::Cancel(cancel) => (by_time(Rank::End), Act::Cancel(n, cancel.watch_id)),
            WatchStep::Progress => (by_time(Rank::Read), Act::Progress(n)),
            WatchStep::Answer(answer) => {
                let kvs = answer.events.iter().filter_map(|event| event.kv.as_ref());
                covered = kvs.map(|kv| kv.mod_revision).fold(covered, i64::max);
                continue;
            }
            WatchStep::Unreadable(_) => continue,
        };
        steps.push(Step { place, act });
    }
    let ended = match &stream.ending {
        Ending::Ended(ended) => ended.times.whole,
        Ending::NotRecorded => last,
    };
    steps.push(Step {
        place: Place {
            revision: clock.revision(ended).max(covered),
            rank: Rank::End,
            at: ended.max(last),
        },
        act: Act::End(n),
    });
}

fn keepalive_steps(stream: &Stream, clock: &Clock, world: &mut World, steps: &mut Vec<Step>) {
    for (from, said) in &stream.messages {
        match KeepAliveStep::read(*from, said) {
            KeepAliveStep::Ask(ask) => {
                let at = said.times.began;
                world.lease(ask.id);
                let place = Place {
                    revision: clock.revision(at),
                    rank: Rank::Read,
                    at,
                };
                steps.push(Step {
                    place,
                    act: Act::KeepAlive(ask.id),
                });
            }
            KeepAliveStep::Answer(answer) if answer.ttl > 0 => {
                world.lives(answer.id, answer.ttl);
            }
            KeepAliveStep::Answer(_) | KeepAliveStep::Unreadable(_) => {}
        }
    }
}
