//! The steps of a plan, done at the target.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::FxHashMap;
use tokio::time::timeout;
use tonic::Status;
use tonic::codegen::tokio_stream;

use super::compare::{Difference, Likeness, answers_of};
use super::live::Live;
use super::mapped;
use super::numbering::Numbering;
use super::plan::{Act, Plan, Rank, Step};
use super::presupposed::{Foreign, write_foreigns};
use super::report::{Ended, Found, Report};
use super::target::{Lost, Target, code, words};
use super::watches::{Brought, Expectation, Verdict, Watching};
use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb as pb;
use crate::record::redact::{RecordingKey, scrub_text};
use crate::record::traffic::{Book, Call, Ending, Lane, Said, revision_of};
use pb::lease_client::LeaseClient;
use pb::request_op::Request as AskedOp;
use pb::watch_request::RequestUnion;

/// How often leases are looked after.
const LEASES_EVERY: Duration = Duration::from_secs(1);

/// Once something has not come in its time, the next is waited for so long.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// What watches brought, in the report.
const WATCH_EVENT: &str = "watch event";

/// How a recording is driven.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// How long an answer, or an event that is due, is waited for.
    pub patience: Duration,
    /// The recording's key, by which hidden values are compared with the target's.
    pub key: Option<RecordingKey>,
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay<'b> {
    book: &'b Book,
    pub(super) target: Target,
    pub(super) options: ReplayOptions,
    pub(super) numbers: Numbering,
    streams: BTreeMap<usize, Live>,
    /// By the target's number: how long each lives, and when it was kept alive last.
    pub(super) leases: FxHashMap<i64, (Duration, Instant)>,
    leases_due: Instant,
    patience: Duration,
    pub(super) report: Report,
    pub(super) began: Instant,
}

impl<'b> Replay<'b> {
    /// A replay that has not begun.
    pub fn new(book: &'b Book, plan: &Plan, target: Target, options: ReplayOptions) -> Replay<'b> {
        let now = Instant::now();
        Replay {
            report: Report {
                target: target.name.clone(),
                version: target.version.clone(),
                base: target.revision,
                tallies: BTreeMap::new(),
                listed: Vec::new(),
                different: 0,
                left_out: plan.left_out.clone(),
                presupposed: plan.presupposed,
                restored: None,
                steps: (0, plan.steps.len() as u64),
                ended: Ended::Complete,
                took: Duration::ZERO,
            },
            numbers: Numbering::new(target.revision, plan.before),
            book,
            target,
            patience: options.patience,
            options,
            streams: BTreeMap::new(),
            leases: FxHashMap::default(),
            leases_due: now,
            began: now,
        }
    }

    /// Does all steps, until `stop` is ready; tells `progress` how many are done.
    pub async fn run(
        mut self,
        plan: &Plan,
        stop: impl Future<Output = ()>,
        mut progress: impl FnMut(u64, u64),
    ) -> Report {
        let all = self.report.steps.1;
        let mut stop = pin!(stop);
        // What the recording presupposes may not be there.
        let steps = match self.report.ended {
            Ended::Complete => &plan.steps[..],
            _ => &[],
        };
        for (n, step) in steps.iter().enumerate() {
            let done = tokio::select! {
                biased;
                () = &mut stop => {
                    self.report.ended = Ended::Interrupted;
                    break;
                }
                done = self.step(step, plan) => done,
            };
            if let Err(Lost(reason)) = done {
                self.report.ended = Ended::Lost(reason);
                break;
            }
            self.report.steps.0 = n as u64 + 1;
            progress(n as u64 + 1, all);
        }
        self.report.took = self.began.elapsed();
        self.report
    }

    async fn step(&mut self, step: &Step, plan: &Plan) -> Result<(), Lost> {
        self.keep_leases().await?;
        match &step.act {
            Act::Lease { id, ttl } => self.lease(*id, *ttl).await,
            Act::Presuppose(foreigns) => {
                let what = "what the recording presupposes";
                self.presuppose(step.place.revision, foreigns, what).await
            }
            Act::Call(n) => {
                let call = &self.book.calls[*n];
                self.call(call, step).await
            }
            Act::Create(stream, asked) => self.create(*stream, asked, plan).await,
            Act::Cancel(stream, watch_id) => self.cancel(*stream, *watch_id, plan).await,
            Act::Progress(stream) => {
                if let Some(live) = self.streams.get(stream) {
                    let asked = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
                    live.ask(asked).await;
                }
                Ok(())
            }
            Act::End(stream) => {
                self.settle(*stream, None, plan).await;
                self.streams.remove(stream);
                Ok(())
            }
            Act::KeepAlive(id) => {
                let id = self.numbers.lease(*id);
                self.keep_alive(id).await
            }
        }
    }

    pub(super) async fn lease(&mut self, id: i64, ttl: i64) -> Result<(), Lost> {
        let asked = pb::LeaseGrantRequest { id, ttl };
        let path = "/etcdserverpb.Lease/LeaseGrant";
        let asked = asked.encode_to_vec().into();
        // One that is there already is as good.
        if self
            .target
            .unary(path, asked, self.options.patience)
            .await?
            .is_ok()
        {
            self.look_after(id, ttl);
        }
        Ok(())
    }

    /// Writes what no call wrote; `what` it is, for people.
    pub(super) async fn presuppose(
        &mut self,
        revision: i64,
        foreigns: &[Foreign],
        what: &str,
    ) -> Result<(), Lost> {
        let asked = write_foreigns(foreigns, &self.numbers);
        let path = "/etcdserverpb.KV/Txn";
        let asked = asked.encode_to_vec().into();
        let answer = self
            .target
            .unary(path, asked, self.options.patience)
            .await?;
        let answer = answer.map_err(|status| {
            let name = &self.target.name;
            Lost(format!("{name} does not take {what}: {}", words(&status)))
        })?;
        if revision > 0 {
            self.wrote(revision, &answer);
        }
        Ok(())
    }

    fn wrote(&mut self, recorded: i64, answer: &[u8]) {
        if let Some(target) = revision_of(answer) {
            self.numbers.wrote(recorded, target);
        }
    }

    async fn call(&mut self, call: &Call, step: &Step) -> Result<(), Lost> {
        let Some(recorded) = call.request.as_ref().and_then(Said::whole) else {
            return Ok(());
        };
        let path = call.path();
        let method = call.method();
        let Some(asked) = mapped::request(method, recorded, &self.numbers) else {
            return Ok(());
        };
        let answered = self
            .target
            .unary(&path, asked, self.options.patience)
            .await?;
        if let Ok(answer) = &answered {
            if step.place.rank == Rank::Write {
                self.wrote(step.place.revision, answer);
            }
            if method == Method::LeaseGrant
                && let Ok(granted) = pb::LeaseGrantResponse::decode(answer.clone())
            {
                self.look_after(granted.id, granted.ttl);
            }
        }
        if method == Method::LeaseRevoke
            && let Ok(asked) = pb::LeaseRevokeRequest::decode(recorded.clone())
        {
            self.leases.remove(&self.numbers.lease(asked.id));
            // It may have deleted keys, and so made a revision.
            if let Ok(answer) = &answered
                && let Some(target) = revision_of(answer)
            {
                self.numbers.reached(step.place.revision, target);
            }
        }
        let likeness = self.likeness(call, answered);
        let what = path.rsplit('.').next().unwrap_or(&path);
        self.report.note(what, likeness, |difference| Found {
            what: what.into(),
            lane: call.lane,
            revision: step.place.revision,
            about: about(method, recorded).into(),
            difference,
        });
        Ok(())
    }

    fn likeness(&mut self, call: &Call, answered: Result<Bytes, Status>) -> Likeness {
        let recorded = call.response.as_ref().and_then(Said::whole);
        match (recorded, answered) {
            (Some(recorded), Ok(answered)) => {
                let key = self.options.key.as_ref();
                let numbers = &mut self.numbers;
                let likeness = answers_of(call.method(), recorded, &answered, numbers, key);
                likeness.unwrap_or_else(|| {
                    Likeness::Different(Difference {
                        field: "answer".to_owned(),
                        recorded: "one that cannot be read".to_owned(),
                        answered: "another".to_owned(),
                    })
                })
            }
            (Some(_), Err(status)) => Likeness::Different(Difference {
                field: "status".to_owned(),
                recorded: "OK".to_owned(),
                answered: words(&status),
            }),
            (None, answered) => {
                let (name, message) = match &call.ending {
                    Ending::Ended(ended) => {
                        (&*ended.status, ended.message.as_deref().unwrap_or(""))
                    }
                    Ending::NotRecorded => ("", ""),
                };
                let answered = match answered {
                    Ok(_) => "OK".to_owned(),
                    Err(status)
                        if code(&status) == name && scrub_text(status.message()) == message =>
                    {
                        return Likeness::Equal;
                    }
                    Err(status) => words(&status),
                };
                Likeness::Different(Difference {
                    field: "status".to_owned(),
                    recorded: format!("{name}, {message:?}"),
                    answered,
                })
            }
        }
    }

    async fn create(
        &mut self,
        stream: usize,
        asked: &pb::WatchCreateRequest,
        plan: &Plan,
    ) -> Result<(), Lost> {
        if !self.streams.contains_key(&stream) {
            let live = Live::open(&self.target);
            self.streams.insert(stream, live);
        }
        let mut asked = asked.clone();
        mapped::create(&mut asked, &self.numbers);
        let about = format!("watch of {}", shown(&asked.key));
        let Some(live) = self.streams.get_mut(&stream) else {
            return Ok(());
        };
        let before = live.watchings.len();
        let created = live.ask(RequestUnion::CreateRequest(asked)).await
            && live
                .wait(self.patience, |live| live.watchings.len() > before)
                .await;
        let expected = plan.watches.get(&stream).and_then(|all| all.get(before));
        let likeness = match (created, expected.and_then(|one| one.created_at)) {
            (true, _) => Likeness::Equal,
            (false, None) => return Ok(()),
            (false, Some(_)) => Likeness::Different(Difference {
                field: "created".to_owned(),
                recorded: "true".to_owned(),
                answered: match live.over {
                    true => "the stream ended".to_owned(),
                    false => "nothing".to_owned(),
                },
            }),
        };
        if !created && !live.over {
            self.patience = self.patience.min(SHORT_PATIENCE);
            // What is created later must not be taken for another.
            live.watchings.push(Watching {
                watch_id: i64::MIN,
                over: true,
                ..Watching::default()
            });
        }
        self.note("watch created", stream, &about, 0, likeness);
        Ok(())
    }

    async fn cancel(&mut self, stream: usize, watch_id: i64, plan: &Plan) -> Result<(), Lost> {
        let expected = plan.watches.get(&stream).map_or(&[][..], |all| all);
        let which = expected
            .iter()
            .rposition(|one| one.watch_id == Some(watch_id));
        let Some(which) = which else { return Ok(()) };
        self.settle(stream, Some(which), plan).await;
        let Some(live) = self.streams.get_mut(&stream) else {
            return Ok(());
        };
        let Some(watching) = live.watchings.get_mut(which) else {
            return Ok(());
        };
        let asked = pb::WatchCancelRequest {
            watch_id: watching.watch_id,
        };
        watching.over = true;
        live.ask(RequestUnion::CancelRequest(asked)).await;
        Ok(())
    }

    /// Waits for what the watches of a stream, or one of them, should have brought,
    /// and compares it.
    async fn settle(&mut self, stream: usize, which: Option<usize>, plan: &Plan) {
        let all: &[Expectation] = plan.watches.get(&stream).map_or(&[], |all| all);
        let patience = self.patience;
        let Some(live) = self.streams.get_mut(&stream) else {
            return;
        };
        // What is counted here is what came, compared or not.
        let due = |live: &Live| {
            let mut came: Vec<usize> = live
                .watchings
                .iter()
                .map(|watching| watching.brought)
                .collect();
            for (whose, response) in &live.pending {
                came[*whose] += response.events.len() + usize::from(response.canceled);
            }
            let mut watchings = live.watchings.iter().zip(all).zip(came).enumerate();
            watchings.all(|(n, ((watching, one), came))| {
                which.is_some_and(|which| which != n) || watching.over || came >= one.brought.len()
            })
        };
        if !live.wait(patience, due).await {
            self.patience = self.patience.min(SHORT_PATIENCE);
        }
        let mut found = Vec::new();
        while let Some((whose, response)) = live.pending.pop_front() {
            let (Some(watching), Some(one)) = (live.watchings.get_mut(whose), all.get(whose))
            else {
                continue;
            };
            for event in &response.events {
                let at = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
                let about = event.kv.as_ref().map_or(String::new(), |kv| shown(&kv.key));
                let key = self.options.key.as_ref();
                found.push((
                    watching.event(event, one, &mut self.numbers, key),
                    about,
                    at,
                ));
            }
            if response.canceled && !watching.over {
                let about = "a watch's end".to_owned();
                let verdict = watching.canceled(&response, one, &self.numbers);
                found.push((verdict, about, 0));
            }
        }
        // What never came.
        for (n, one) in all.iter().enumerate() {
            let Some(watching) = live.watchings.get_mut(n) else {
                break;
            };
            if which.is_some_and(|which| which != n) || one.is_met(watching) {
                continue;
            }
            let missing = &one.brought[watching.brought..];
            for brought in missing {
                let (about, at) = match brought {
                    Brought::Event(event) => event
                        .kv
                        .as_ref()
                        .map_or_else(Default::default, |kv| (shown(&kv.key), kv.mod_revision)),
                    Brought::Canceled { .. } => ("a watch's end".to_owned(), 0),
                };
                let likeness = Likeness::Different(Difference {
                    field: "event".to_owned(),
                    recorded: "there".to_owned(),
                    answered: "never came".to_owned(),
                });
                found.push((Verdict::Like(likeness), about, at));
            }
            watching.over = true;
        }
        for (verdict, about, at) in found {
            if let Verdict::Like(likeness) = verdict {
                self.note(WATCH_EVENT, stream, &about, at, likeness);
            }
        }
    }

    fn note(&mut self, what: &str, stream: usize, about: &str, at: i64, likeness: Likeness) {
        let nowhere = Lane {
            connection: 0,
            stream: 0,
        };
        let lane = self.book.streams.get(stream).map(|stream| stream.lane);
        self.report.note(what, likeness, |difference| Found {
            what: what.into(),
            lane: lane.unwrap_or(nowhere),
            revision: at,
            about: about.into(),
            difference,
        });
    }

    fn look_after(&mut self, id: i64, ttl: i64) {
        if let Ok(seconds @ 1..) = u64::try_from(ttl) {
            let ttl = Duration::from_secs(seconds);
            self.leases.insert(id, (ttl, Instant::now()));
        }
    }

    /// The target's leases do not expire because the replay takes longer than what
    /// was recorded.
    pub(super) async fn keep_leases(&mut self) -> Result<(), Lost> {
        let now = Instant::now();
        if now < self.leases_due {
            return Ok(());
        }
        self.leases_due = now + LEASES_EVERY;
        let due = self.leases.iter();
        let due: Vec<i64> = due
            .filter(|(_, (ttl, last))| now.duration_since(*last) > *ttl / 3)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.keep_alive(id).await?;
        }
        Ok(())
    }

    async fn keep_alive(&mut self, id: i64) -> Result<(), Lost> {
        let mut client = LeaseClient::new(self.target.channel.clone());
        let asked = pb::LeaseKeepAliveRequest { id };
        let call = async {
            let asked = tokio_stream::once(asked);
            client
                .lease_keep_alive(asked)
                .await?
                .into_inner()
                .message()
                .await
        };
        let answered = timeout(self.options.patience, call).await;
        if let Ok(Ok(Some(answer))) = answered
            && answer.ttl > 0
        {
            self.look_after(id, answer.ttl);
        }
        Ok(())
    }
}

/// What a call is about, for people.
fn about(method: Method, request: &Bytes) -> String {
    match method {
        Method::Range => pb::RangeRequest::decode(request.clone()).map_or_else(
            |_| String::new(),
            |asked| range(&asked.key, &asked.range_end),
        ),
        Method::Put => pb::PutRequest::decode(request.clone())
            .map_or_else(|_| String::new(), |asked| shown(&asked.key)),
        Method::DeleteRange => pb::DeleteRangeRequest::decode(request.clone()).map_or_else(
            |_| String::new(),
            |asked| range(&asked.key, &asked.range_end),
        ),
        Method::Txn => {
            let asked = pb::TxnRequest::decode(request.clone()).unwrap_or_default();
            let key = asked.compare.first().map(|compare| compare.key.clone());
            let op = asked.success.first().and_then(|op| op.request.as_ref());
            let key = key.or_else(|| match op? {
                AskedOp::RequestPut(op) => Some(op.key.clone()),
                AskedOp::RequestRange(op) => Some(op.key.clone()),
                AskedOp::RequestDeleteRange(op) => Some(op.key.clone()),
                AskedOp::RequestTxn(_) => None,
            });
            key.map_or_else(|| "no key".to_owned(), |key| shown(&key))
        }
        Method::Compact => "the store".to_owned(),
        _ => "a lease".to_owned(),
    }
}

fn range(key: &[u8], end: &[u8]) -> String {
    match end {
        [] => shown(key),
        end => format!("{} to {}", shown(key), shown(end)),
    }
}

fn shown(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    scrub_text(&text).escape_debug().to_string()
}
