//! The store that plays, who it says it is, and what it refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;
use tonic::{Code, Status};

use super::reading::Identity;
use crate::etcd::schema::etcdserverpb::ResponseHeader;
use crate::mvcc::{Future, Refusal, Store};

/// Sentences about what was not known that are kept apart. Beyond it they are
/// counted together.
const MOST_SENTENCES: usize = 1000;

/// The version that is told where the recording tells of none: that of the API which is
/// served, and whose it is.
pub const OWN_VERSION: &str = "3.5.0+etcdtap";

/// How the recording goes on after the revision at which the playback begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pace {
    /// All of it has happened: the store stands where the recording ends, with its
    /// whole history
    AtOnce,
    /// It happens as it did, from the recording's beginning on
    Recorded,
    /// It does not happen: the store stands where the recording begins
    None,
}

/// The store that plays.
#[derive(Debug)]
pub struct World {
    /// The store.
    pub store: Store,
    /// What the recording goes on with.
    pub future: Future,
    /// Who it says it is.
    pub identity: Identity,
    /// The version of etcd that it says it is.
    pub version: String,
    /// What was done and refused.
    pub tally: Tally,
}

/// What was done and refused.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Calls, by method.
    pub calls: BTreeMap<&'static str, u64>,
    /// Events of watches.
    pub events: u64,
    /// What was asked for and the recording does not know: the sentence, and how
    /// often.
    pub unknown: BTreeMap<Box<str>, u64>,
    /// Of more sentences than are kept.
    pub more_unknown: u64,
}

/// The world, among all calls.
#[derive(Debug)]
pub struct Shared {
    world: Mutex<World>,
    changed: watch::Sender<i64>,
    began: Instant,
}

impl Shared {
    /// Shares it.
    pub fn new(world: World) -> Shared {
        let revision = world.store.revision();
        Shared {
            world: Mutex::new(world),
            changed: watch::Sender::new(revision),
            began: Instant::now(),
        }
    }

    /// The store's clock: nanoseconds since the world began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Looks at it, or changes it; whoever waits for changes is told.
    pub fn with<T>(&self, what: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.lock();
        let before = world.store.revision();
        let done = what(&mut world);
        let after = world.store.revision();
        drop(world);
        if after != before {
            self.changed.send_replace(after);
        }
        done
    }

    /// Does a call, and counts it.
    pub(super) fn call<T>(
        &self,
        method: &'static str,
        what: impl FnOnce(&mut World) -> Result<T, Refusal>,
    ) -> Result<T, Status> {
        self.with(|world| {
            *world.tally.calls.entry(method).or_default() += 1;
            what(world).map_err(|refusal| {
                world.tally.refused(&refusal);
                status(&refusal)
            })
        })
    }

    /// Tells of changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<i64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        // A panic leaves a call undone, not the store broken: transactions are
        // taken back or committed before anything else can fail.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// One that says it is what most etcds are.
    pub fn new(store: Store, future: Future, identity: Identity) -> World {
        World {
            store,
            future,
            identity,
            version: OWN_VERSION.into(),
            tally: Tally::default(),
        }
    }

    /// Says in a header who answers.
    pub(super) fn sign(&self, header: &mut Option<ResponseHeader>) {
        if let Some(header) = header {
            header.cluster_id = self.identity.cluster;
            header.member_id = self.identity.member;
            header.raft_term = self.identity.term;
        }
    }
}

impl Tally {
    fn refused(&mut self, refusal: &Refusal) {
        if let Refusal::Unknown(what) = refusal {
            self.unknown(what);
        }
    }

    /// Counts something that is not known.
    pub(super) fn unknown(&mut self, what: &str) {
        let kept = self.unknown.len();
        match self.unknown.get_mut(what) {
            Some(times) => *times += 1,
            None if kept < MOST_SENTENCES => {
                self.unknown.insert(what.into(), 1);
            }
            None => self.more_unknown += 1,
        }
    }

    /// How often something was asked for that is not known.
    pub fn times_unknown(&self) -> u64 {
        self.unknown.values().sum::<u64>() + self.more_unknown
    }
}

/// A refusal as gRPC says it.
pub(super) fn status(refusal: &Refusal) -> Status {
    let code = i32::try_from(refusal.code().0).unwrap_or(2);
    Status::new(Code::from_i32(code), refusal.to_string())
}
