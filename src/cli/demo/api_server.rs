//! The API server's part, out of the recording: its calls on its connections, in the
//! order of their revisions, and its caches.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::FxHashMap;
use tokio::time::timeout;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;

use super::bundled::Bundled;
use super::cache::Cache;
use super::connection::Connection;
use crate::cli::Failure;
use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb::{RangeRequest, RangeResponse, WatchCreateRequest};
use crate::record::traffic::{Said, revision_of};
use crate::replay::compare::{Likeness, answers_of};
use crate::replay::mapped;
use crate::replay::numbering::Numbering;
use crate::replay::plan::{Act, Rank, Step};
use crate::replay::raw::RawCodec;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `user-agent` a connection has of which the recording has none.
const USER_AGENT: &str = concat!("etcdtap-demo/", env!("CARGO_PKG_VERSION"));

/// What was asked of a range, and which keys that showed.
type Listed = (RangeRequest, BTreeSet<Bytes>);

/// Plays the API server.
#[derive(Debug)]
pub(super) struct ApiServer<'b> {
    bundled: &'b Bundled,
    /// Where it finds its etcd.
    address: SocketAddr,
    /// By their recorded numbers.
    connections: FxHashMap<u64, Connection>,
    numbers: Numbering,
    lists: FxHashMap<(Bytes, Bytes), Listed>,
    /// With the place of each one's stream in the book.
    caches: Vec<(usize, Cache)>,
    /// How long a cache rests before it tries again.
    rest: Duration,
    /// How the answers were.
    pub tally: Tally,
}

/// How the answers were.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Equal to the recorded ones, if need be once those are put in this etcd's
    /// revisions.
    pub as_recorded: u64,
    /// The others.
    pub different: u64,
    /// The first of them, in words.
    pub first: Option<String>,
}

impl<'b> ApiServer<'b> {
    /// One that finds an etcd at `address`, which is at `revision`.
    pub fn new(
        bundled: &'b Bundled,
        address: SocketAddr,
        revision: i64,
        rest: Duration,
    ) -> ApiServer<'b> {
        ApiServer {
            bundled,
            address,
            connections: FxHashMap::default(),
            numbers: Numbering::new(revision, None),
            lists: FxHashMap::default(),
            caches: Vec::new(),
            rest,
            tally: Tally::default(),
        }
    }

    /// Whether something is to be done in this step. What else there can be in a plan
    /// the bundled recording does not have; and its watches live to its end.
    pub fn does(step: &Step) -> bool {
        matches!(step.act, Act::Call(_) | Act::Create(..))
    }

    /// Does a step.
    ///
    /// # Errors
    /// If a call gets no answer.
    pub async fn step(&mut self, step: &Step) -> Result<(), Failure> {
        match &step.act {
            Act::Call(n) => self.call(*n, step).await,
            Act::Create(stream, create) => self.create(*stream, create).await,
            _ => Ok(()),
        }
    }

    async fn call(&mut self, n: usize, step: &Step) -> Result<(), Failure> {
        let call = &self.bundled.book.calls[n];
        let method = call.method();
        let Some(recorded) = call.request.as_ref().and_then(Said::whole) else {
            return Ok(());
        };
        let Some(asked) = mapped::request(method, recorded, &self.numbers) else {
            return Ok(());
        };
        let name = call.path().into_owned();
        let failed = |why: String| Failure::failed(format!("{name} failed: {why}"));
        let path = name.parse::<PathAndQuery>();
        let path = path.map_err(|error| failed(error.to_string()))?;
        let connection = self.connection(call.lane.connection).await?;
        let mut client = Grpc::with_origin(connection.clone(), connection.origin.clone())
            .max_decoding_message_size(usize::MAX);
        let answer = timeout(PATIENCE, async {
            client.ready().await.map_err(|error| error.to_string())?;
            let answer = client
                .unary(Request::new(asked.clone()), path, RawCodec)
                .await;
            answer.map_err(|status| format!("{:?}, {}", status.code(), status.message()))
        });
        let answer = answer
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
            .map_err(failed)?
            .into_inner();
        if step.place.rank == Rank::Write
            && let Some(revision) = revision_of(&answer)
        {
            self.numbers.wrote(step.place.revision, revision);
        }
        if method == Method::Range {
            self.note_list(&asked, &answer);
        }
        let expected = call.response.as_ref().and_then(Said::whole);
        if let Some(expected) = expected {
            let likeness = answers_of(method, expected, &answer, &mut self.numbers, None);
            self.tally.note(&name, likeness);
        }
        Ok(())
    }

    /// Remembers what a list showed: a cache begins with that.
    fn note_list(&mut self, asked: &Bytes, answer: &Bytes) {
        let (Ok(asked), Ok(answer)) = (
            RangeRequest::decode(asked.clone()),
            RangeResponse::decode(answer.clone()),
        ) else {
            return;
        };
        if !asked.range_end.is_empty() && !asked.count_only && asked.revision == 0 {
            let range = (asked.key.clone(), asked.range_end.clone());
            let keys = answer.kvs.into_iter().map(|kv| kv.key).collect();
            self.lists.insert(range, (asked, keys));
        }
    }

    async fn create(&mut self, n: usize, create: &WatchCreateRequest) -> Result<(), Failure> {
        let mut create = create.clone();
        mapped::create(&mut create, &self.numbers);
        let range = (create.key.clone(), create.range_end.clone());
        let listed = self.lists.get(&range).cloned().unwrap_or_else(|| {
            let list = RangeRequest {
                key: range.0,
                range_end: range.1,
                ..RangeRequest::default()
            };
            (list, BTreeSet::new())
        });
        let connection = self.bundled.book.streams[n].lane.connection;
        let connection = self.connection(connection).await?;
        let cache = Cache::open(connection, create, listed, self.rest);
        if !cache.wait_for(|seen| seen.created > 0).await {
            return Err(Failure::failed(format!(
                "a watch of {} was not created",
                String::from_utf8_lossy(&cache.prefix)
            )));
        }
        self.caches.push((n, cache));
        Ok(())
    }

    async fn connection(&mut self, number: u64) -> Result<Connection, Failure> {
        if let Some(connection) = self.connections.get(&number) {
            return Ok(connection.clone());
        }
        let user_agent = self.bundled.user_agents.get(&number);
        let user_agent = user_agent.map_or(USER_AGENT, |agent| agent);
        let connection = Connection::open(self.address, user_agent)
            .await
            .map_err(|error| Failure::failed(error.to_string()))?;
        self.connections.insert(number, connection.clone());
        Ok(connection)
    }

    /// The cache of a prefix.
    pub fn cache(&self, prefix: &str) -> Option<&Cache> {
        let mut caches = self.caches.iter().map(|(_, cache)| cache);
        caches.find(|cache| cache.prefix == prefix)
    }

    /// How many caches there are.
    pub fn caches(&self) -> usize {
        self.caches.len()
    }

    /// Waits until all caches but the one of this prefix have had the events that the
    /// recording has; whether they came.
    pub async fn caught_up_but(&self, prefix: &str) -> bool {
        for (n, cache) in &self.caches {
            let expected = self.bundled.plan.watches.get(n);
            let expected = expected.map_or(0, |all| all.iter().map(|one| one.brought.len()).sum());
            if cache.prefix != prefix && !cache.wait_for(|seen| seen.events >= expected).await {
                return false;
            }
        }
        true
    }
}

impl Tally {
    fn note(&mut self, name: &str, likeness: Option<Likeness>) {
        match likeness {
            Some(Likeness::Equal | Likeness::UpToNumbering) => self.as_recorded += 1,
            Some(Likeness::Different(difference)) => {
                self.different += 1;
                self.first
                    .get_or_insert_with(|| format!("{name}: {difference}"));
            }
            None => {}
        }
    }
}
