//! Calls as the report of etcd's robustness tests: a folder that etcd's own
//! checkers read (`tests/robustness/report`, as of etcd 3.6).
//!
//! A connection is a client. Its calls overlap, and those of the model's clients
//! must not, so that a connection's calls go to as many of those as it takes. A
//! call is told when its line is there and its messages are; a watch when it
//! ends, or the recording does.
//!
//! | file | what it is about |
//! |---|---|
//! | [`model`] | the JSON, type by type |
//! | [`translate`] | etcd's messages in the model's words |
//! | [`watches`] | what came on a stream of watches |
//! | [`clients`] | which client a call is told as |
//! | [`leases`] | which leases expired |

mod clients;
mod leases;
pub mod model;
mod translate;
mod watches;

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use self::clients::Clients;
use self::leases::Leases;
use self::model::{EtcdRequest, MaybeEtcdResponse, Operation, WatchOperation};
use self::translate::{Message, Unspoken};
use self::watches::WatchStream;
use super::{Exporter, LeftOut, Passed};
use crate::etcd::schema::etcdserverpb as pb;
use crate::http2::Side;
use crate::record::reader::Line;

/// How long a line waits for its messages, in nanoseconds.
const PATIENCE: u64 = 5_000_000_000;

/// Times are told since this long before the first record, so that a call that
/// had begun by then has a time, too.
const BEFORE: u64 = 60_000_000_000;

/// Calls whose line is still to come, at most; beyond it the oldest are given up.
const MOST_OPEN: usize = 1 << 20;

/// A call: connection, stream.
type Whose = (u64, u32);

/// Writes a report.
#[derive(Debug, Default)]
pub struct Robustness {
    base: Option<u64>,
    latest: u64,
    /// The cluster of the first answer. Another one's revisions are not comparable.
    cluster: Option<u64>,
    calls: FxHashMap<Whose, Open>,
    /// In the order of their beginning, for those that never end.
    begun: VecDeque<Whose>,
    lines: VecDeque<(u64, Told)>,
    watches: FxHashMap<Whose, WatchStream>,
    clients: Clients,
    leases: Leases,
    files: Files,
    left_out: LeftOut,
    /// A read saw the database before anything was written to it.
    saw_it_empty: bool,
    /// In some message there was something hidden.
    hidden: bool,
}

#[derive(Debug, Default)]
struct Files {
    waiting: FxHashMap<(u64, &'static str), Vec<u8>>,
    bytes: usize,
}

/// The largest amount of bytes that wait to be taken.
const MOST_WAITING: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct Open {
    began: u64,
    asked: Option<Result<EtcdRequest, Unspoken>>,
    answered: Option<Result<MaybeEtcdResponse, Unspoken>>,
}

/// What matters of a call's line.
#[derive(Debug)]
struct Told {
    whose: Whose,
    method: Box<str>,
    began: u64,
    status: Box<str>,
    message: Option<Box<str>>,
    cluster: Option<u64>,
}

impl Robustness {
    /// A report that begins.
    pub fn new() -> Robustness {
        Robustness::default()
    }

    fn since(&self, at: u64) -> i64 {
        let base = self.base.unwrap_or_default();
        i64::try_from(at.saturating_sub(base)).unwrap_or(i64::MAX)
    }

    fn begin(&mut self, at: u64) {
        self.base.get_or_insert(at.saturating_sub(BEFORE));
        self.latest = self.latest.max(at);
    }

    /// Tells the calls whose messages have had their time.
    fn tell(&mut self, due: u64) {
        while self.lines.front().is_some_and(|(at, _)| *at <= due) {
            if let Some((at, told)) = self.lines.pop_front() {
                self.tell_one(at, &told);
            }
        }
    }

    fn tell_one(&mut self, at: u64, told: &Told) {
        let Some(call) = self.calls.remove(&told.whose) else {
            if is_modelled(&told.method) {
                self.left_out.add("calls whose request was not recorded");
            }
            return;
        };
        if let Some(cluster) = told.cluster.filter(|cluster| *cluster != 0)
            && *self.cluster.get_or_insert(cluster) != cluster
        {
            self.left_out.add("calls to another cluster");
            return;
        }
        let asked = match call.asked {
            Some(Ok(asked)) => asked,
            Some(Err(unspoken)) => {
                self.left_out.add(unspoken);
                return;
            }
            None => {
                self.left_out.add("calls whose request was not recorded");
                return;
            }
        };
        let began = told.began.min(call.began);
        if &*told.status != "OK" {
            let message = told.message.as_deref().unwrap_or(&told.status);
            // etcd says so itself: it did nothing.
            let refused = REFUSED.iter().find(|refusal| message.contains(**refusal));
            if asked.compact.is_some()
                && let Some(refused) = refused
            {
                let output = MaybeEtcdResponse {
                    client_error: (*refused).to_owned(),
                    ..MaybeEtcdResponse::default()
                };
                return self.succeeded(told.whose.0, asked, began, at, output);
            }
            if !translate::is_read(&asked) && DID_NOTHING.iter().any(|no| message.contains(no)) {
                self.left_out
                    .add("writes that etcd refused before it proposed them");
                return;
            }
            return self.failed(told.whose.0, asked, began, at, message);
        }
        match call.answered {
            Some(Ok(output)) => {
                let mut asked = asked;
                // The number that etcd chose, and the time.
                if let (Some(lease), Some(granted)) = (&mut asked.lease_grant, &output.lease_grant)
                {
                    *lease = *granted;
                }
                let mut output = output;
                if output.lease_grant.is_some() {
                    output.lease_grant = Some(model::Lease::default());
                }
                self.succeeded(told.whose.0, asked, began, at, output);
            }
            Some(Err(unspoken)) => self.left_out.add(unspoken),
            None => {
                self.left_out
                    .add("calls whose answer was not recorded, told as if it had been lost");
                self.failed(
                    told.whose.0,
                    asked,
                    began,
                    at,
                    "the answer was not recorded",
                );
            }
        }
    }

    fn succeeded(
        &mut self,
        conn: u64,
        input: EtcdRequest,
        began: u64,
        ended: u64,
        output: MaybeEtcdResponse,
    ) {
        let call = self.since(began).max(1);
        let returned = self.since(ended).max(call + 1);
        self.leases.done(conn, &input, call, &output);
        self.saw_it_empty |= output.revision == 1 && translate::is_read(&input);
        let operation = Operation {
            client_id: self.clients.free_at(conn, call, returned),
            input,
            call,
            output,
            returned,
        };
        self.files.append(conn, OPERATIONS, &operation);
    }

    /// A call whose client saw an error. What reads has changed nothing and ended
    /// then; what writes may have been done, at any time from then on.
    fn failed(&mut self, conn: u64, input: EtcdRequest, began: u64, ended: u64, error: &str) {
        let output = MaybeEtcdResponse {
            error: error.to_owned(),
            ..MaybeEtcdResponse::default()
        };
        if translate::is_read(&input) {
            return self.succeeded(conn, input, began, ended, output);
        }
        self.leases.perhaps_done(&input);
        let operation = Operation {
            client_id: self.clients.alone(),
            input,
            call: self.since(began).max(1),
            output,
            returned: 0,
        };
        self.clients.without_end.push((conn, operation));
    }

    fn asked(&mut self, whose: Whose, passed: &Passed<'_>) {
        let message = Message {
            bytes: passed.data,
            hidden: &passed.meta.hidden,
        };
        let Some(asked) = asked(passed.path, &message) else {
            return;
        };
        let open = self.calls.entry(whose).or_default();
        open.began = passed.times.began;
        open.asked = Some(whole(passed).and(asked));
        self.begun.push_back(whose);
        while self.begun.len() > MOST_OPEN {
            let oldest = self.begun.pop_front();
            if oldest.is_some_and(|oldest| self.calls.remove(&oldest).is_some()) {
                self.left_out.add("calls that never ended");
            }
        }
    }

    fn answered(&mut self, whose: Whose, passed: &Passed<'_>) {
        let message = Message {
            bytes: passed.data,
            hidden: &passed.meta.hidden,
        };
        let Some(answered) = answered(passed.path, &message) else {
            return;
        };
        let open = self.calls.entry(whose).or_insert_with(|| Open {
            began: passed.times.began,
            ..Open::default()
        });
        open.answered = Some(whole(passed).and(answered));
    }

    fn watched(&mut self, whose: Whose, from: Side, passed: &Passed<'_>) {
        let stream = self.watches.entry(whose).or_default();
        if let Err(unspoken) = whole(passed) {
            self.left_out.add(unspoken);
            return;
        }
        let refused = match from {
            Side::Client => stream.asked(passed.data),
            Side::Server => {
                let base = self.base.unwrap_or_default();
                let at = passed.times.whole.saturating_sub(base);
                let message = Message {
                    bytes: passed.data,
                    hidden: &passed.meta.hidden,
                };
                let at = i64::try_from(at).unwrap_or(i64::MAX);
                stream.answered(&message, at, &mut self.leases)
            }
        };
        for ended in stream.ended.drain(..) {
            self.files.append(whose.0, WATCHES, &ended);
        }
        if let Err(unspoken) = refused {
            self.left_out.add(unspoken);
        }
    }

    /// Leases that expired, as if somebody had revoked them.
    fn tell_expired(&mut self) {
        for expired in self.leases.expired() {
            let output = MaybeEtcdResponse {
                lease_revoke: Some(model::Nothing {}),
                revision: expired.revision,
                ..MaybeEtcdResponse::default()
            };
            let operation = Operation {
                client_id: self.clients.alone(),
                input: translate::lease_revoke(expired.lease),
                call: expired.call,
                output,
                returned: expired.returned,
            };
            self.files.append(expired.conn, OPERATIONS, &operation);
        }
    }

    fn end_watches(&mut self, whose: Whose) {
        if let Some(stream) = self.watches.remove(&whose) {
            for watch in stream.finish() {
                self.files
                    .append::<WatchOperation>(whose.0, WATCHES, &watch);
            }
        }
    }
}

/// What the tests call these files.
const OPERATIONS: &str = "operations.json";
const WATCHES: &str = "watch.json";
const TRAFFIC: &str = "traffic.json";

/// What etcd says to a compaction up to a revision that is gone, or is still to
/// come; in its error there is more before it.
const REFUSED: [&str; 2] = [
    "mvcc: required revision has been compacted",
    "mvcc: required revision is a future revision",
];

/// What etcd says before it even proposes a write. Told as calls that may have been
/// done, these would only multiply what the checkers try. What it refuses later (a
/// lease that is not there, no permission) stands in its WAL, and the checkers ask
/// who sent it; "database space exceeded" it may say of a write that it applied.
const DID_NOTHING: [&str; 5] = [
    "etcdserver: too many requests",
    "etcdserver: request is too large",
    "etcdserver: key is not provided",
    "etcdserver: duplicate key given in txn request",
    "etcdserver: too many operations in txn request",
];

/// What etcd's checkers ask of the beginning (`validateEmptyDatabaseAtStart`).
const NOT_EMPTY: &str = "how the first keys came to be: no read saw the database at revision 1, and etcd's checkers refuse such a history";

/// What etcd's checkers would compare with a member's WAL.
const HIDDEN: &str = "hidden values, which stand as keyed hashes: beside a member's data etcd's checkers refuse them";

impl Exporter for Robustness {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        let (at, line) = (line.at, &line.line);
        self.begin(at);
        let (Some(stream), Some(method)) = (line.stream, line.method.as_deref()) else {
            return Ok(());
        };
        let whose = (line.conn, stream);
        if line.event == "call" {
            if method == "Watch" {
                self.end_watches(whose);
            } else {
                let took = line.duration_us.unwrap_or_default().saturating_mul(1000);
                let told = Told {
                    whose,
                    method: format!("{}/{method}", line.service.as_deref().unwrap_or_default())
                        .into(),
                    began: at.saturating_sub(took),
                    status: line.status.as_deref().unwrap_or("OK").into(),
                    message: line.message.as_deref().map(Into::into),
                    cluster: line.cluster_id,
                };
                self.lines.push_back((at, told));
            }
        }
        self.tell(self.latest.saturating_sub(PATIENCE));
        Ok(())
    }

    fn passed(&mut self, passed: &Passed<'_>) -> io::Result<()> {
        self.begin(passed.times.began);
        self.latest = self.latest.max(passed.times.whole);
        let whose = (passed.meta.connection, passed.meta.stream);
        self.hidden |= !passed.meta.hidden.is_empty();
        match (passed.meta.from().side(), passed.path) {
            (Some(from), "/etcdserverpb.Watch/Watch") => self.watched(whose, from, passed),
            (Some(Side::Client), _) => self.asked(whose, passed),
            (Some(Side::Server), _) => self.answered(whose, passed),
            (None, _) => self.left_out.add("messages of nobody"),
        }
        self.tell(self.latest.saturating_sub(PATIENCE));
        Ok(())
    }

    fn wants_messages(&self) -> bool {
        true
    }

    fn finish(&mut self) -> io::Result<()> {
        self.tell(u64::MAX);
        let mut open: Vec<_> = self.calls.drain().collect();
        open.sort_by_key(|(whose, call)| (call.began, *whose));
        for ((conn, _), call) in open {
            // What had not ended may still have been done.
            if let Some(Ok(asked)) = call.asked
                && !translate::is_read(&asked)
            {
                let error = "the recording ended before the call did";
                self.failed(conn, asked, call.began, call.began, error);
            }
        }
        // "Never" is a second after all else, as etcd's own recorder has it.
        let never = self.since(self.latest).saturating_add(1_000_000_000);
        for (conn, mut operation) in std::mem::take(&mut self.clients.without_end) {
            operation.returned = never.max(operation.call + 1);
            self.files.append(conn, OPERATIONS, &operation);
        }
        self.tell_expired();
        let mut watches: Vec<_> = self.watches.keys().copied().collect();
        watches.sort_unstable();
        for whose in watches {
            self.end_watches(whose);
        }
        Ok(())
    }

    fn take(&mut self, all: bool) -> Vec<(String, Vec<u8>)> {
        if self.files.bytes < MOST_WAITING && !all {
            return Vec::new();
        }
        self.files.bytes = 0;
        let mut appended: Vec<_> = self.files.waiting.drain().collect();
        appended.sort_by_key(|(file, _)| *file);
        let name = |((client, file), bytes)| (format!("client-{client}/{file}"), bytes);
        let mut appended: Vec<_> = appended.into_iter().map(name).collect();
        if all {
            // What the tests say of their traffic: one Txn may change several keys.
            appended.push((TRAFFIC.to_owned(), b"{}\n".to_vec()));
        }
        appended
    }

    fn left_out(&self) -> Vec<String> {
        let mut words = self.left_out.words();
        if !self.saw_it_empty {
            words.push(NOT_EMPTY.to_owned());
        }
        if self.hidden {
            words.push(HIDDEN.to_owned());
        }
        words
    }
}

impl Files {
    fn append<T: serde::Serialize>(&mut self, client: u64, file: &'static str, value: &T) {
        let out = self.waiting.entry((client, file)).or_default();
        let before = out.len();
        // Our own types have no keys but strings, and a Vec takes everything.
        if serde_json::to_writer(&mut *out, value).is_ok() {
            out.push(b'\n');
        }
        self.bytes += out.len() - before;
    }
}

/// A message that can be read at all.
fn whole(passed: &Passed<'_>) -> Result<(), Unspoken> {
    let there = passed.data.len() as u64 >= passed.meta.size;
    if passed.offset != 0 || !passed.last {
        Err("messages too great to be put together")
    } else if passed.meta.compressed {
        Err("compressed messages")
    } else if passed.meta.cut || !there {
        Err("messages that are not whole, or hidden")
    } else {
        Ok(())
    }
}

const BROKEN: Unspoken = "messages that cannot be read";

fn read<T: prost::Message + Default>(bytes: &Bytes) -> Result<T, Unspoken> {
    T::decode(bytes.clone()).map_err(|_| BROKEN)
}

/// What was asked; `None` for methods that are not in the model.
fn asked(path: &str, message: &Message<'_>) -> Option<Result<EtcdRequest, Unspoken>> {
    let bytes = message.bytes;
    Some(match path.strip_prefix("/etcdserverpb.")? {
        "KV/Range" => read(bytes).and_then(|asked| message.range(&asked)),
        "KV/Put" => read(bytes).and_then(|asked| message.put(&asked)),
        "KV/DeleteRange" => read(bytes).and_then(|asked| translate::delete(&asked)),
        "KV/Txn" => read(bytes).and_then(|asked| message.txn(&asked)),
        "KV/Compact" => read(bytes).map(|asked| translate::compact(&asked)),
        "Lease/LeaseGrant" => {
            read(bytes).map(|asked: pb::LeaseGrantRequest| translate::lease_grant(asked.id))
        }
        "Lease/LeaseRevoke" => {
            read(bytes).map(|asked: pb::LeaseRevokeRequest| translate::lease_revoke(asked.id))
        }
        "Maintenance/Defragment" => Ok(translate::defragment()),
        _ => return None,
    })
}

/// What was answered; `None` for methods that are not in the model. A granted
/// lease's number stands in it until it is told.
fn answered(path: &str, message: &Message<'_>) -> Option<Result<MaybeEtcdResponse, Unspoken>> {
    let bytes = message.bytes;
    Some(match path.strip_prefix("/etcdserverpb.")? {
        "KV/Range" => read(bytes).map(|answer| message.range_response(&answer)),
        "KV/Put" => read(bytes).map(|answer| translate::put_response(&answer)),
        "KV/DeleteRange" => read(bytes).map(|answer| translate::delete_response(&answer)),
        "KV/Txn" => read(bytes).and_then(|answer| message.txn_response(&answer)),
        "KV/Compact" => Ok(translate::compact_response()),
        "Lease/LeaseGrant" => read(bytes).map(|answer: pb::LeaseGrantResponse| {
            let mut told = translate::lease_grant_response(&answer);
            told.lease_grant = Some(model::Lease {
                lease_id: answer.id,
                ttl: answer.ttl,
            });
            told
        }),
        "Lease/LeaseRevoke" => read(bytes).map(|answer| translate::lease_revoke_response(&answer)),
        "Maintenance/Defragment" => {
            read(bytes).map(|answer| translate::defragment_response(&answer))
        }
        _ => return None,
    })
}

/// `service/method`
fn is_modelled(method: &str) -> bool {
    let nothing = Bytes::new();
    let message = Message {
        bytes: &nothing,
        hidden: &[],
    };
    asked(&format!("/{method}"), &message).is_some()
}

#[cfg(test)]
mod tests;
