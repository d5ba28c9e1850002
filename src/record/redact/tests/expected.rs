//! What a message has to look like, made without the redactor.

use bytes::Bytes;
use prost::Message;

use super::{KEY, RecordingKey};
use crate::etcd::schema::etcdserverpb::{
    Compare, DeleteRangeResponse, PutRequest, PutResponse, RangeResponse, RangeStreamResponse,
    RequestOp, ResponseOp, TxnRequest, TxnResponse, WatchResponse, compare, request_op,
    response_op,
};
use crate::etcd::schema::mvccpb::KeyValue;
use crate::etcd::schema::v3electionpb::{CampaignRequest, LeaderResponse, ProclaimRequest};

/// As many bytes as the value has, with its hash at their end.
pub fn stars(value: &[u8]) -> Vec<u8> {
    let length = value.len();
    if length < 4 {
        return vec![b'*'; length];
    }
    let text = format!("redacted:{}", RecordingKey::from_bytes(KEY).hash(value));
    let text = [&b"*".repeat(length), text.as_bytes()].concat();
    text[text.len() - length..].to_vec()
}

/// Replaces a value, given its key.
pub type Replace<'r> = &'r dyn Fn(&[u8], &Bytes) -> Bytes;

/// A message with values in it.
pub trait Valued: Message + Default + Clone {
    fn replace(&mut self, with: Replace<'_>);

    fn replaced(&self, with: Replace<'_>) -> Vec<u8> {
        let mut copy = self.clone();
        copy.replace(with);
        copy.encode_to_vec()
    }
}

impl Valued for KeyValue {
    fn replace(&mut self, with: Replace<'_>) {
        self.value = with(&self.key, &self.value);
    }
}

impl Valued for PutRequest {
    fn replace(&mut self, with: Replace<'_>) {
        self.value = with(&self.key, &self.value);
    }
}

impl Valued for Compare {
    fn replace(&mut self, with: Replace<'_>) {
        if let Some(compare::TargetUnion::Value(value)) = &mut self.target_union {
            *value = with(&self.key, value);
        }
    }
}

impl Valued for RangeResponse {
    fn replace(&mut self, with: Replace<'_>) {
        self.kvs.iter_mut().for_each(|kv| kv.replace(with));
    }
}

impl Valued for RangeStreamResponse {
    fn replace(&mut self, with: Replace<'_>) {
        self.range_response
            .iter_mut()
            .for_each(|range| range.replace(with));
    }
}

impl Valued for PutResponse {
    fn replace(&mut self, with: Replace<'_>) {
        self.prev_kv.iter_mut().for_each(|kv| kv.replace(with));
    }
}

impl Valued for DeleteRangeResponse {
    fn replace(&mut self, with: Replace<'_>) {
        self.prev_kvs.iter_mut().for_each(|kv| kv.replace(with));
    }
}

impl Valued for RequestOp {
    fn replace(&mut self, with: Replace<'_>) {
        match &mut self.request {
            Some(request_op::Request::RequestPut(put)) => put.replace(with),
            Some(request_op::Request::RequestTxn(txn)) => txn.replace(with),
            _ => {}
        }
    }
}

impl Valued for TxnRequest {
    fn replace(&mut self, with: Replace<'_>) {
        self.compare
            .iter_mut()
            .for_each(|compare| compare.replace(with));
        let branches = self.success.iter_mut().chain(&mut self.failure);
        branches.for_each(|op| op.replace(with));
    }
}

impl Valued for ResponseOp {
    fn replace(&mut self, with: Replace<'_>) {
        match &mut self.response {
            Some(response_op::Response::ResponseRange(range)) => range.replace(with),
            Some(response_op::Response::ResponsePut(put)) => put.replace(with),
            Some(response_op::Response::ResponseDeleteRange(delete)) => delete.replace(with),
            Some(response_op::Response::ResponseTxn(txn)) => txn.replace(with),
            None => {}
        }
    }
}

impl Valued for TxnResponse {
    fn replace(&mut self, with: Replace<'_>) {
        self.responses.iter_mut().for_each(|op| op.replace(with));
    }
}

impl Valued for WatchResponse {
    fn replace(&mut self, with: Replace<'_>) {
        for event in &mut self.events {
            let kvs = event.kv.iter_mut().chain(&mut event.prev_kv);
            kvs.for_each(|kv| kv.replace(with));
        }
    }
}

impl Valued for LeaderResponse {
    fn replace(&mut self, with: Replace<'_>) {
        self.kv.iter_mut().for_each(|kv| kv.replace(with));
    }
}

impl Valued for CampaignRequest {
    fn replace(&mut self, with: Replace<'_>) {
        self.value = with(&[&self.name[..], b"/1"].concat(), &self.value);
    }
}

impl Valued for ProclaimRequest {
    fn replace(&mut self, with: Replace<'_>) {
        let key = self.leader.clone().unwrap_or_default().key;
        self.value = with(&key, &self.value);
    }
}
