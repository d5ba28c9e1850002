//! A cache of etcd's keys as an API server keeps one: it lists page by page at
//! one revision, watches from the next, resumes a broken watch behind what it
//! has seen, and lists anew when that was compacted away. It asks one member at
//! a time, and the next one when that fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use etcd_client::{
    Client, ConnectOptions, Error, EventType, GetOptions, WatchOptions, WatchResponse,
};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::faults::objects::Truth;
use super::patience::until;
use super::stack::Stack;

/// How many keys a page of a list has.
const PAGE: i64 = 50;

/// How long one page may take.
const LIST_PATIENCE: Duration = Duration::from_secs(20);

/// PINGs find connections that are dead. etcd wants 5 s between them.
const PING_EVERY: Duration = Duration::from_millis(5_200);
const PING_PATIENCE: Duration = Duration::from_secs(1);

/// What is kept of a key: the revision of its last write, and its value.
pub type Objects = BTreeMap<String, (i64, Vec<u8>)>;

/// What happened to a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It listed everything, as of a revision.
    Listed { revision: i64, pages: usize },
    /// A list failed.
    ListFailed(String),
    /// A watch was created on a member, from a revision on.
    Watching { from: i64, member: usize },
    /// An event came.
    Event { revision: i64, key: String },
    /// It was told that the watch has come so far.
    Progress { revision: i64 },
    /// A watch was cancelled because what it was to begin with is compacted.
    Compacted { at: i64 },
    /// A watch was cancelled for another reason.
    Cancelled(String),
    /// A watch's stream broke.
    Broke(String),
}

/// A running cache. It ends with this value.
pub struct Cache {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    objects: Objects,
    /// Up to where it knows everything.
    revision: i64,
    history: Vec<Seen>,
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cache {
    /// A cache of all keys with a prefix, through etcdtap, that has begun.
    pub async fn of(stack: &Stack, prefix: &str) -> Cache {
        let mut members = Vec::new();
        for url in stack.proxy.urls(stack.scheme()) {
            let mut options = ConnectOptions::new()
                .with_keep_alive(PING_EVERY, PING_PATIENCE)
                .with_connect_timeout(Duration::from_secs(2))
                .with_require_leader(true);
            if let Some(pki) = &stack.etcd.pki {
                options = options.with_tls(pki.client_options());
            }
            // It connects when it first asks.
            members.push(Client::connect([url], Some(options)).await.unwrap());
        }
        let state = Arc::new(Mutex::new(State::default()));
        let cacher = Cacher {
            state: Arc::clone(&state),
            prefix: prefix.to_owned(),
            members,
            member: 0,
            failures: 0,
        };
        let task = tokio::spawn(cacher.run());
        Cache { state, task }
    }

    /// A cache that has listed and watches.
    pub async fn ready(stack: &Stack, prefix: &str) -> Cache {
        let cache = Cache::of(stack, prefix).await;
        cache
            .wait_for("a watch", |seen| matches!(seen, Seen::Watching { .. }))
            .await;
        cache
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What it has.
    pub fn objects(&self) -> Objects {
        self.state().objects.clone()
    }

    /// Up to where it believes to know everything.
    pub fn revision(&self) -> i64 {
        self.state().revision
    }

    /// Everything that happened so far.
    pub fn history(&self) -> Vec<Seen> {
        self.state().history.clone()
    }

    /// What happened besides what is told on a watch that goes well.
    pub fn outline(&self) -> Vec<Seen> {
        let mut history = self.history();
        history.retain(|seen| !matches!(seen, Seen::Event { .. } | Seen::Progress { .. }));
        history
    }

    /// How often something happened.
    pub fn count(&self, is: impl Fn(&Seen) -> bool) -> usize {
        self.state().history.iter().filter(|seen| is(seen)).count()
    }

    /// How often it listed everything.
    pub fn lists(&self) -> usize {
        self.count(|seen| matches!(seen, Seen::Listed { .. }))
    }

    /// From where its watches began, in order.
    pub fn watches(&self) -> Vec<i64> {
        let history = self.history();
        let from = history.iter().filter_map(|seen| match seen {
            Seen::Watching { from, .. } => Some(*from),
            _ => None,
        });
        from.collect()
    }

    /// The revisions of the events that came, in order.
    pub fn events(&self) -> Vec<i64> {
        let history = self.history();
        let revisions = history.iter().filter_map(|seen| match seen {
            Seen::Event { revision, .. } => Some(*revision),
            _ => None,
        });
        revisions.collect()
    }

    /// Waits until something has happened.
    pub async fn wait_for(&self, what: &str, is: impl Fn(&Seen) -> bool) -> Seen {
        self.wait_for_behind(0, what, is).await
    }

    /// Waits until something has happened that is not among the first so many.
    pub async fn wait_for_behind(
        &self,
        known: usize,
        what: &str,
        is: impl Fn(&Seen) -> bool,
    ) -> Seen {
        until(&format!("the cache saw {what}"), async || {
            let state = self.state();
            let mut new = state.history.iter().skip(known);
            new.find(|seen| is(seen)).cloned()
        })
        .await
    }

    /// Waits until it has what etcd has, of which nobody writes any more.
    pub async fn wait_until_true(&self, truth: &mut Truth, prefix: &str) {
        let truth = truth_of(truth, prefix).await;
        until("the cache has what etcd has", async || {
            (self.state().objects == truth).then_some(())
        })
        .await;
    }
}

/// What etcd has of a prefix.
pub async fn truth_of(truth: &mut Truth, prefix: &str) -> Objects {
    let options = GetOptions::new().with_prefix();
    let answer = truth.client().get(prefix, Some(options)).await.unwrap();
    let kvs = answer.kvs().iter();
    kvs.map(kept).collect()
}

fn kept(kv: &etcd_client::KeyValue) -> (String, (i64, Vec<u8>)) {
    let key = kv.key_str().unwrap().to_owned();
    (key, (kv.mod_revision(), kv.value().to_vec()))
}

/// Why a watch ended.
enum Ended {
    Compacted,
    Broken,
}

struct Cacher {
    state: Arc<Mutex<State>>,
    prefix: String,
    members: Vec<Client>,
    member: usize,
    failures: u32,
}

impl Cacher {
    async fn run(mut self) {
        loop {
            while let Err(error) = self.list().await {
                self.saw(Seen::ListFailed(error));
                self.back_off().await;
            }
            while let Ended::Broken = self.watch().await {
                self.back_off().await;
            }
        }
    }

    fn saw(&self, seen: Seen) {
        self.state.lock().unwrap().history.push(seen);
    }

    /// Waits the longer, the more has failed in a row, and goes on to the next
    /// member.
    async fn back_off(&mut self) {
        self.member = (self.member + 1) % self.members.len();
        sleep(Duration::from_millis(50 << self.failures.min(4))).await;
        self.failures += 1;
    }

    /// Lists everything, all pages as of the first one's revision.
    async fn list(&mut self) -> Result<(), String> {
        let prefix = self.prefix.clone();
        let end = GetOptions::new().with_prefix();
        let mut objects = Objects::new();
        let (mut revision, mut pages, mut from) = (0, 0, prefix.clone().into_bytes());
        loop {
            let mut options = match pages {
                0 => end.clone(),
                _ => GetOptions::new().with_range(end_of(&prefix)),
            };
            options = options.with_limit(PAGE);
            if revision > 0 {
                options = options.with_revision(revision);
            }
            let asked = self.members[self.member].get(from.clone(), Some(options));
            let page = match timeout(LIST_PATIENCE, asked).await {
                Ok(page) => page.map_err(|error| said(&error))?,
                Err(_) => return Err("no page in time".to_owned()),
            };
            pages += 1;
            if revision == 0 {
                revision = page.header().unwrap().revision();
            }
            objects.extend(page.kvs().iter().map(kept));
            match page.kvs().last() {
                Some(last) if page.more() => {
                    from = last.key().to_vec();
                    from.push(0);
                }
                _ => break,
            }
        }
        self.failures = 0;
        let mut state = self.state.lock().unwrap();
        state.objects = objects;
        state.revision = revision;
        state.history.push(Seen::Listed { revision, pages });
        Ok(())
    }

    /// Watches from behind what is known, until the watch ends.
    async fn watch(&mut self) -> Ended {
        let from = self.state.lock().unwrap().revision + 1;
        let options = WatchOptions::new()
            .with_prefix()
            .with_start_revision(from)
            .with_prev_key()
            .with_progress_notify();
        let prefix = self.prefix.clone();
        let opened = self.members[self.member].watch(prefix, Some(options)).await;
        let stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                self.saw(Seen::Broke(said(&error)));
                return Ended::Broken;
            }
        };
        // It does not ask for progress: before 3.4.25 and 3.5.8 etcd's answer could
        // overtake events. What etcd tells by itself never does.
        let (_sender, mut answers) = stream.split();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    if answer.created() && !answer.canceled() {
                        self.failures = 0;
                        let member = self.member;
                        self.saw(Seen::Watching { from, member });
                    }
                    if let Some(ended) = self.take(&answer) {
                        return ended;
                    }
                }
                Ok(None) => {
                    self.saw(Seen::Broke("the stream ended".to_owned()));
                    return Ended::Broken;
                }
                Err(error) => {
                    self.saw(Seen::Broke(said(&error)));
                    return Ended::Broken;
                }
            }
        }
    }

    fn take(&self, answer: &WatchResponse) -> Option<Ended> {
        let mut state = self.state.lock().unwrap();
        if answer.canceled() {
            if answer.compact_revision() > 0 {
                let at = answer.compact_revision();
                state.history.push(Seen::Compacted { at });
                return Some(Ended::Compacted);
            }
            let why = answer.cancel_reason().to_owned();
            state.history.push(Seen::Cancelled(why));
            return Some(Ended::Broken);
        }
        if answer.events().is_empty() {
            let revision = answer.header().unwrap().revision();
            if !answer.created() {
                state.revision = state.revision.max(revision);
                state.history.push(Seen::Progress { revision });
            }
            return None;
        }
        for event in answer.events() {
            let (key, value) = kept(event.kv().unwrap());
            let revision = value.0;
            match event.event_type() {
                EventType::Put => state.objects.insert(key.clone(), value),
                EventType::Delete => state.objects.remove(&key),
            };
            state.revision = state.revision.max(revision);
            state.history.push(Seen::Event { revision, key });
        }
        None
    }
}

/// The first key behind a prefix.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    // No prefix of these tests ends with the last byte that there is.
    *end.last_mut().unwrap() += 1;
    end
}

fn said(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => format!("{:?}: {}", status.code(), status.message()),
        other => other.to_string(),
    }
}

/// A member that is really killed: the cache goes on elsewhere, without a list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_harness_keeps_a_cache_through_a_members_death() {
    let mut stack = super::stack::Setup::CACHED_35.start().await;
    let mut truth = Truth::at(&stack.etcd.urls()[1..]).await;
    truth.fill("/registry/pods/lab/", 120, 10).await;
    let cache = Cache::ready(&stack, "/registry/pods/").await;
    assert!(matches!(cache.history()[0], Seen::Listed { pages: 3, .. }));
    cache.wait_until_true(&mut truth, "/registry/pods/").await;
    stack.etcd.kill(0).await;
    let elsewhere = |seen: &Seen| matches!(seen, Seen::Watching { member, .. } if *member != 0);
    cache.wait_for("a watch on another member", elsewhere).await;
    let at = until("the others have a leader", async || {
        let put = truth
            .client()
            .put("/registry/pods/lab/new", "1", None)
            .await;
        put.ok().map(|put| put.header().unwrap().revision())
    })
    .await;
    cache.wait_until_true(&mut truth, "/registry/pods/").await;
    assert_eq!(cache.lists(), 1);
    assert_eq!(cache.events().last(), Some(&at));
    assert!(cache.revision() >= at);
    assert_eq!(cache.objects().len(), 121);
}
