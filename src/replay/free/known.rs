//! What the target has told, and what the recording's numbers are by that.
//!
//! Nothing is ordered here, so a revision stands for the last write before it that
//! was done so far; and a guard that held in the recording asks for the revision at
//! which the target is known to have the key.

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::FxHashMap;

use super::causes::written_by_txn;
use super::program::{Asks, Program, Unary};
use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb as pb;
use crate::record::traffic::{Book, Said, revision_of};
use crate::replay::mapped;
use crate::replay::numbering::Numbering;
use crate::replay::plan::{Act, Plan};
use crate::replay::presupposed::write_foreigns;
use pb::compare::TargetUnion;
use pb::response_op::Response as AnsweredOp;

/// What the target has told.
#[derive(Debug)]
pub(super) struct Known<'a> {
    book: &'a Book,
    plan: &'a Plan,
    program: &'a Program,
    pub numbers: Numbering,
    /// At which revision the target has a key that guards speak of.
    latest: FxHashMap<Bytes, i64>,
    /// How guards came out.
    pub guards: Guards,
}

/// How guards came out, beside the recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guards {
    /// Held in the recording, and here.
    pub held: u64,
    /// Held in the recording, and not here.
    pub failed: u64,
    /// Failed in both.
    pub failed_in_both: u64,
    /// Failed in the recording, and held here.
    pub held_only_here: u64,
}

impl<'a> Known<'a> {
    /// Nothing yet.
    pub fn new(
        book: &'a Book,
        plan: &'a Plan,
        program: &'a Program,
        numbers: Numbering,
    ) -> Known<'a> {
        Known {
            book,
            plan,
            program,
            numbers,
            latest: FxHashMap::default(),
            guards: Guards::default(),
        }
    }

    /// The request of a call as it is put to the target now.
    pub fn request(&self, call: &Unary) -> Bytes {
        let recorded = match call.asks {
            Asks::Recorded(place) => {
                let request = self.book.calls[place].request.as_ref();
                let Some(recorded) = request.and_then(Said::whole) else {
                    return Bytes::new();
                };
                recorded
            }
            Asks::Foreign(step) => return self.foreign(step),
        };
        if !call.numbered {
            return recorded.clone();
        }
        let mapped = match call.method {
            Method::Txn => pb::TxnRequest::decode(recorded.clone()).ok().map(|asked| {
                let mut mapped = asked.clone();
                mapped::txn(&mut mapped, &self.numbers);
                if call.guard == Some(true) {
                    self.ask_for_latest(&asked, &mut mapped);
                }
                mapped.encode_to_vec().into()
            }),
            method => mapped::request(method, recorded, &self.numbers),
        };
        mapped.unwrap_or_else(|| recorded.clone())
    }

    /// Puts the guards' keys at the revisions where the target is known to have them.
    fn ask_for_latest(&self, asked: &pb::TxnRequest, mapped: &mut pb::TxnRequest) {
        for (was, compare) in asked.compare.iter().zip(&mut mapped.compare) {
            if let Some(TargetUnion::ModRevision(1..)) = was.target_union
                && let Some(latest) = self.latest.get(&compare.key)
            {
                compare.target_union = Some(TargetUnion::ModRevision(*latest));
            }
        }
    }

    /// A step of the plan.
    pub fn planned(&self, step: usize) -> &'a Act {
        &self.plan.steps[step].act
    }

    /// The Txn that does what others did in a step of the plan.
    pub fn foreign(&self, step: usize) -> Bytes {
        match self.planned(step) {
            Act::Presuppose(foreigns) => write_foreigns(foreigns, &self.numbers)
                .encode_to_vec()
                .into(),
            _ => Bytes::new(),
        }
    }

    /// What the recording presupposes was written, at the target's revision.
    pub fn presupposed(&mut self, step: usize, answer: &Bytes) {
        let Some(revision) = revision_of(answer) else {
            return;
        };
        let step = &self.plan.steps[step];
        if step.place.revision > 0 {
            self.numbers.wrote(step.place.revision, revision);
        }
        if let Act::Presuppose(foreigns) = &step.act {
            for foreign in foreigns {
                self.learn(&foreign.key, revision);
            }
        }
    }

    fn learn(&mut self, key: &Bytes, revision: i64) {
        if self.program.guarded.contains(key) {
            let latest = self.latest.entry(key.clone()).or_default();
            *latest = (*latest).max(revision);
        }
    }

    /// A call was answered.
    pub fn answered(&mut self, call: &Unary, answer: &Bytes) {
        let place = match call.asks {
            Asks::Recorded(place) => place,
            Asks::Foreign(step) => return self.presupposed(step, answer),
        };
        match call.method {
            Method::Txn => self.txn(call, place, answer),
            Method::Put | Method::DeleteRange => {
                let Some(revision) = revision_of(answer).filter(|_| call.wrote > 0) else {
                    return;
                };
                self.numbers.wrote(call.wrote, revision);
                if call.teaches
                    && call.method == Method::Put
                    && let Some(asked) = self.asked::<pb::PutRequest>(place)
                {
                    self.learn(&asked.key, revision);
                }
            }
            Method::LeaseGrant => {
                let recorded = self.book.calls[place].response.as_ref();
                if let Some(recorded) = recorded.and_then(Said::decode::<pb::LeaseGrantResponse>)
                    && let Ok(granted) = pb::LeaseGrantResponse::decode(answer.clone())
                    && granted.id != 0
                {
                    self.numbers.granted(recorded.id, granted.id);
                }
            }
            Method::LeaseRevoke => {
                if let (Some(recorded), Some(revision)) =
                    (self.book.calls[place].revision(), revision_of(answer))
                {
                    self.numbers.reached(recorded, revision);
                }
            }
            _ => {}
        }
    }

    fn asked<M: prost::Message + Default>(&self, place: usize) -> Option<M> {
        self.book.calls[place].request.as_ref()?.decode()
    }

    fn txn(&mut self, call: &Unary, place: usize, answer: &Bytes) {
        let Ok(answer) = pb::TxnResponse::decode(answer.clone()) else {
            return;
        };
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        let as_recorded = call.guard.is_none_or(|held| held == answer.succeeded);
        match (call.guard, answer.succeeded) {
            (None, _) => {}
            (Some(true), true) => self.guards.held += 1,
            (Some(true), false) => self.guards.failed += 1,
            (Some(false), false) => self.guards.failed_in_both += 1,
            (Some(false), true) => self.guards.held_only_here += 1,
        }
        if as_recorded && call.wrote > 0 {
            self.numbers.wrote(call.wrote, revision);
        }
        if (call.teaches || !as_recorded)
            && let Some(asked) = self.asked::<pb::TxnRequest>(place)
        {
            let mut keys = Vec::new();
            written_by_txn(&asked, &answer, &mut |key, end| {
                if end.is_empty() {
                    keys.push(key.clone());
                }
            });
            for key in keys {
                self.learn(&key, revision);
            }
        }
        if as_recorded {
            return;
        }
        // What it read instead tells where the keys are.
        for op in &answer.responses {
            if let Some(AnsweredOp::ResponseRange(range)) = &op.response {
                for kv in &range.kvs {
                    self.learn(&kv.key, kv.mod_revision);
                }
            }
        }
    }
}

impl Unary {
    /// Whether something is learnt from its answer.
    pub(super) fn keeps_answer(&self) -> bool {
        self.guard.is_some()
            || self.wrote > 0
            || matches!(self.method, Method::LeaseGrant | Method::LeaseRevoke)
            || matches!(self.asks, Asks::Foreign(_))
    }
}
