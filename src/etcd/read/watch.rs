//! The messages of a Watch stream.

use super::Budget;
use crate::etcd::call::{Header, KeyValue};
use crate::etcd::watch::EventKind;
use crate::etcd::wire::{Visitor, Want};

/// The root node of `WatchRequest`.
const REQUEST: u8 = 1;
const CREATE: u8 = 2;
const CANCEL: u8 = 3;

/// What one WatchRequest asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::etcd) struct WatchAsked {
    pub create: Option<Box<WatchCreate>>,
    pub cancel: Option<i64>,
    pub progress: bool,
}

/// `WatchCreateRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::etcd) struct WatchCreate {
    pub key: Box<[u8]>,
    pub range_end: Box<[u8]>,
    pub start_revision: i64,
    pub progress_notify: bool,
    pub prev_kv: bool,
}

/// Reads one WatchRequest.
#[derive(Debug)]
pub(in crate::etcd) struct WatchRequestReader {
    budget: Budget,
    pub asked: WatchAsked,
}

impl WatchRequestReader {
    pub(in crate::etcd) const ROOT: u8 = REQUEST;

    pub(in crate::etcd) fn new(budget: Budget) -> WatchRequestReader {
        WatchRequestReader {
            budget,
            asked: WatchAsked::default(),
        }
    }
}

impl Visitor for WatchRequestReader {
    fn field(&mut self, node: u8, field: u32, len: u64) -> Want {
        match (node, field) {
            (REQUEST, 1) => {
                self.asked.create = Some(Box::default());
                Want::Enter(CREATE)
            }
            (REQUEST, 2) => {
                self.asked.cancel = Some(0);
                Want::Enter(CANCEL)
            }
            (REQUEST, 3) => {
                self.asked.progress = true;
                Want::Skip
            }
            (CREATE, 1 | 2) => self.budget.whole(len),
            _ => Want::Skip,
        }
    }

    fn varint(&mut self, node: u8, field: u32, value: u64) {
        match (node, &mut self.asked.create) {
            (CREATE, Some(create)) => match field {
                3 => create.start_revision = value as i64,
                4 => create.progress_notify = value != 0,
                6 => create.prev_kv = value != 0,
                _ => {}
            },
            (CANCEL, _) if field == 1 => self.asked.cancel = Some(value as i64),
            _ => {}
        }
    }

    fn bytes(&mut self, node: u8, field: u32, head: &[u8], _len: u64) {
        if node == CREATE
            && let Some(create) = &mut self.asked.create
        {
            match field {
                1 => create.key = head.into(),
                2 => create.range_end = head.into(),
                _ => {}
            }
        }
    }

    fn leave(&mut self, _node: u8) {}
}

const RESPONSE: u8 = 1;
const HEADER: u8 = 2;
const EVENT: u8 = 3;
const KEY_VALUE: u8 = 4;

/// What one WatchResponse says, apart from its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::etcd) struct WatchSeen {
    pub header: Header,
    pub watch_id: i64,
    pub created: bool,
    pub canceled: bool,
    pub compact_revision: i64,
    pub cancel_reason: Box<[u8]>,
    pub events: u64,
}

/// Reads one WatchResponse, giving each event to `on_event` as it is whole.
#[derive(Debug)]
pub(in crate::etcd) struct WatchResponseReader {
    capture: usize,
    budget: Budget,
    pub seen: WatchSeen,
    deleted: bool,
    prev_kv: bool,
    kv: KeyValue,
}

impl WatchResponseReader {
    pub(in crate::etcd) const ROOT: u8 = RESPONSE;

    pub(in crate::etcd) fn new(capture: usize) -> WatchResponseReader {
        WatchResponseReader {
            capture,
            budget: Budget::new(capture),
            seen: WatchSeen::default(),
            deleted: false,
            prev_kv: false,
            kv: KeyValue::default(),
        }
    }

    /// This reader, giving its events to `on_event`.
    pub(in crate::etcd) fn telling<F>(&mut self, on_event: F) -> WatchResponseFields<'_, F>
    where
        F: FnMut(&WatchSeen, EventKind, KeyValue, bool),
    {
        WatchResponseFields {
            reader: self,
            on_event,
        }
    }
}

/// A [`WatchResponseReader`] at work.
pub(in crate::etcd) struct WatchResponseFields<'a, F> {
    reader: &'a mut WatchResponseReader,
    on_event: F,
}

impl<F: FnMut(&WatchSeen, EventKind, KeyValue, bool)> Visitor for WatchResponseFields<'_, F> {
    fn field(&mut self, node: u8, field: u32, len: u64) -> Want {
        let reader = &mut *self.reader;
        match (node, field) {
            (RESPONSE, 1) => Want::Enter(HEADER),
            (RESPONSE, 6) => reader.budget.head(len, 1024),
            (RESPONSE, 11) => {
                reader.deleted = false;
                reader.prev_kv = false;
                // Each event leaves at once, so each has the whole bound.
                reader.budget = Budget::new(reader.capture);
                Want::Enter(EVENT)
            }
            (EVENT, 2) => Want::Enter(KEY_VALUE),
            (EVENT, 3) => {
                reader.prev_kv = true;
                Want::Skip
            }
            (KEY_VALUE, _) => KeyValue::want(field, len, &mut reader.budget),
            _ => Want::Skip,
        }
    }

    fn varint(&mut self, node: u8, field: u32, value: u64) {
        let reader = &mut *self.reader;
        match node {
            RESPONSE => match field {
                2 => reader.seen.watch_id = value as i64,
                3 => reader.seen.created = value != 0,
                4 => reader.seen.canceled = value != 0,
                5 => reader.seen.compact_revision = value as i64,
                _ => {}
            },
            HEADER => reader.seen.header.set(field, value),
            EVENT if field == 1 => reader.deleted = value == 1,
            KEY_VALUE => reader.kv.set(field, value),
            _ => {}
        }
    }

    fn bytes(&mut self, node: u8, field: u32, head: &[u8], len: u64) {
        match (node, field) {
            (RESPONSE, 6) => self.reader.seen.cancel_reason = head.into(),
            (KEY_VALUE, _) => self.reader.kv.put(field, head, len),
            _ => {}
        }
    }

    fn leave(&mut self, node: u8) {
        if node == EVENT {
            let reader = &mut *self.reader;
            reader.seen.events += 1;
            let kind = if reader.deleted {
                EventKind::Delete
            } else {
                EventKind::Put
            };
            let kv = std::mem::take(&mut reader.kv);
            (self.on_event)(&reader.seen, kind, kv, reader.prev_kv);
        }
    }
}
