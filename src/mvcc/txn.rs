//! Compares, and transactions.

use std::cmp::Ordering;

use bytes::Bytes;

use super::check;
use super::refusal::Refusal;
use super::store::{Store, Writing};
use crate::etcd::schema::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::etcd::schema::etcdserverpb::request_op::Request;
use crate::etcd::schema::etcdserverpb::response_op::Response;
use crate::etcd::schema::etcdserverpb::{
    Compare, RangeRequest, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};
use crate::etcd::schema::mvccpb::KeyValue;

/// Which branch a Txn takes, and those in that branch, in order.
struct Course {
    succeeded: bool,
    nested: Vec<Course>,
}

impl Store {
    /// Answers a Txn.
    ///
    /// # Errors
    /// As etcd's; and if it reads or writes what is not known. Nothing is written
    /// then.
    pub fn txn(&mut self, asked: &TxnRequest) -> Result<TxnResponse, Refusal> {
        check::txn(asked)?;
        if may_write(asked) {
            self.check_writable()?;
        }
        // All is decided before anything is written, also in nested ones.
        let course = self.course(asked)?;
        self.check_puts(asked, &course)?;
        self.check_ranges(asked, &course)?;
        let mut answer = self.write(|store, writing| store.txn_in(writing, asked, &course))?;
        answer.header = Some(self.header());
        Ok(answer)
    }

    fn course(&self, asked: &TxnRequest) -> Result<Course, Refusal> {
        let mut succeeded = true;
        for compare in &asked.compare {
            if !self.compare(compare)? {
                succeeded = false;
                break;
            }
        }
        let nested = branch(asked, succeeded).iter().filter_map(|op| {
            let Some(Request::RequestTxn(nested)) = &op.request else {
                return None;
            };
            Some(self.course(nested))
        });
        let nested = nested.collect::<Result<_, _>>()?;
        Ok(Course { succeeded, nested })
    }

    fn compare(&self, compare: &Compare) -> Result<bool, Refusal> {
        let target = CompareTarget::try_from(compare.target);
        let values = target == Ok(CompareTarget::Value);
        let read = self.read(
            &RangeRequest {
                key: compare.key.clone(),
                range_end: compare.range_end.clone(),
                keys_only: !values,
                ..RangeRequest::default()
            },
            self.revision(),
        )?;
        if values && let Some(kv) = read.kvs.iter().find(|kv| self.is_hidden(&kv.key)) {
            let key = kv.key.escape_ascii();
            let what = format!("the value of {key}, which was hidden when it was recorded");
            return Err(Refusal::Unknown(what.into()));
        }
        if read.kvs.is_empty() {
            // A key that is not there compares as one of zeros; but it has no value.
            return Ok(!values && holds(compare, &KeyValue::default()));
        }
        Ok(read.kvs.iter().all(|kv| holds(compare, kv)))
    }

    fn check_puts(&self, asked: &TxnRequest, course: &Course) -> Result<(), Refusal> {
        let mut nested = course.nested.iter();
        for op in branch(asked, course.succeeded) {
            match &op.request {
                Some(Request::RequestTxn(asked)) => {
                    if let Some(course) = nested.next() {
                        self.check_puts(asked, course)?;
                    }
                }
                Some(Request::RequestPut(put)) => {
                    if put.ignore_value || put.ignore_lease {
                        let read = self.read(
                            &RangeRequest {
                                key: put.key.clone(),
                                keys_only: true,
                                ..RangeRequest::default()
                            },
                            self.revision(),
                        )?;
                        if read.kvs.is_empty() {
                            return Err(Refusal::KeyNotFound);
                        }
                    }
                    self.check_lease(put.lease)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_ranges(&self, asked: &TxnRequest, course: &Course) -> Result<(), Refusal> {
        let mut nested = course.nested.iter();
        for op in branch(asked, course.succeeded) {
            match &op.request {
                Some(Request::RequestTxn(asked)) => {
                    if let Some(course) = nested.next() {
                        self.check_ranges(asked, course)?;
                    }
                }
                Some(Request::RequestRange(range)) => {
                    // Only here a revision below zero is one that was compacted.
                    if range.revision < 0 && range.revision < self.first_revision() {
                        return Err(Refusal::Compacted);
                    }
                    self.readable(range.revision, self.revision())?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Does what the course says. The headers in it say a revision only, that of a
    /// nested Txn nothing, as etcd's do.
    fn txn_in(
        &mut self,
        writing: &mut Writing,
        asked: &TxnRequest,
        course: &Course,
    ) -> Result<TxnResponse, Refusal> {
        let mut nested = course.nested.iter();
        let mut responses = Vec::new();
        for op in branch(asked, course.succeeded) {
            let response = match &op.request {
                Some(Request::RequestRange(range)) => {
                    Response::ResponseRange(self.read(range, self.seen_by(writing))?)
                }
                Some(Request::RequestPut(put)) => Response::ResponsePut(self.put_in(writing, put)?),
                Some(Request::RequestDeleteRange(delete)) => {
                    Response::ResponseDeleteRange(self.delete_in(writing, delete)?)
                }
                Some(Request::RequestTxn(asked)) => match nested.next() {
                    Some(course) => Response::ResponseTxn(self.txn_in(writing, asked, course)?),
                    None => continue,
                },
                None => continue,
            };
            responses.push(ResponseOp {
                response: Some(response),
            });
        }
        Ok(TxnResponse {
            header: Some(ResponseHeader::default()),
            succeeded: course.succeeded,
            responses,
        })
    }
}

fn branch(asked: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    match succeeded {
        true => &asked.success,
        false => &asked.failure,
    }
}

fn may_write(asked: &TxnRequest) -> bool {
    let mut ops = asked.success.iter().chain(&asked.failure);
    ops.any(|op| match &op.request {
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => true,
        Some(Request::RequestTxn(asked)) => may_write(asked),
        Some(Request::RequestRange(_)) | None => false,
    })
}

/// Whether the key is as the compare says.
fn holds(compare: &Compare, kv: &KeyValue) -> bool {
    let union = compare.target_union.as_ref();
    // What is given for another target counts as zero.
    let order = match (CompareTarget::try_from(compare.target), union) {
        (Ok(CompareTarget::Version), Some(TargetUnion::Version(to))) => kv.version.cmp(to),
        (Ok(CompareTarget::Version), _) => kv.version.cmp(&0),
        (Ok(CompareTarget::Create), Some(TargetUnion::CreateRevision(to))) => {
            kv.create_revision.cmp(to)
        }
        (Ok(CompareTarget::Create), _) => kv.create_revision.cmp(&0),
        (Ok(CompareTarget::Mod), Some(TargetUnion::ModRevision(to))) => kv.mod_revision.cmp(to),
        (Ok(CompareTarget::Mod), _) => kv.mod_revision.cmp(&0),
        (Ok(CompareTarget::Lease), Some(TargetUnion::Lease(to))) => kv.lease.cmp(to),
        (Ok(CompareTarget::Lease), _) => kv.lease.cmp(&0),
        (Ok(CompareTarget::Value), Some(TargetUnion::Value(to))) => kv.value.cmp(to),
        (Ok(CompareTarget::Value), _) => kv.value.cmp(&Bytes::new()),
        // etcd compares nothing then, and finds it equal.
        (Err(_), _) => Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => order.is_eq(),
        Ok(CompareResult::NotEqual) => order.is_ne(),
        Ok(CompareResult::Greater) => order.is_gt(),
        Ok(CompareResult::Less) => order.is_lt(),
        Err(_) => true,
    }
}
