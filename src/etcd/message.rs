//! One gRPC message on its way: unpacked if it is compressed, read field by
//! field or captured for reading through its descriptor.

use super::call::{Header, KeyValue, Request, Response};
use super::read::{
    RequestReader, ResponseReader, WatchRequestReader, WatchResponseReader, WatchSeen,
};
use super::watch::EventKind;
use super::wire;
use crate::grpc::Inflater;

/// What is to be read out of a message.
#[derive(Debug)]
pub(super) enum Aim {
    /// A KV or Lease request.
    Request(RequestReader),
    /// Its answer.
    Response(ResponseReader),
    /// A WatchRequest.
    WatchRequest(WatchRequestReader),
    /// A WatchResponse.
    WatchResponse(WatchResponseReader),
    /// Its first bytes, for a descriptor.
    Capture {
        /// What came.
        bytes: Vec<u8>,
        /// At most so many are kept.
        bound: usize,
    },
    /// Nothing.
    Nothing,
}

/// A message of which some bytes may have come.
#[derive(Debug)]
pub(super) struct Message {
    wire: wire::Reader,
    pub aim: Aim,
    /// Bytes on the wire, as its prefix announced them.
    pub length: u32,
    inflater: Option<Box<Inflater>>,
}

/// Where the fields go.
pub(super) struct Destination<'a, F> {
    pub request: &'a mut Request,
    pub response: &'a mut Response,
    pub header: &'a mut Option<Header>,
    pub on_event: F,
}

impl Message {
    pub fn new() -> Message {
        Message {
            wire: wire::Reader::new(0),
            aim: Aim::Nothing,
            length: 0,
            inflater: None,
        }
    }

    /// Begins another message; what was allocated for the last one stays.
    pub fn begin(&mut self, root: u8, aim: Aim, length: u32, gzip: bool) {
        self.wire.restart(root);
        self.aim = aim;
        self.length = length;
        self.inflater = gzip.then(|| Box::new(Inflater::new()));
    }

    /// The message's next bytes, as they stand on the wire.
    pub fn push<F>(&mut self, bytes: &[u8], destination: &mut Destination<'_, F>)
    where
        F: FnMut(&WatchSeen, EventKind, KeyValue, bool),
    {
        match self.inflater.take() {
            None => self.read(bytes, destination),
            Some(mut inflater) => {
                inflater.inflate(bytes, |plain| self.read(plain, destination));
                self.inflater = Some(inflater);
            }
        }
    }

    /// The message is whole: what a decompressor held back is read as well. Gives
    /// whether it was well-formed, where it is read field by field.
    pub fn end<F>(&mut self, destination: &mut Destination<'_, F>) -> bool
    where
        F: FnMut(&WatchSeen, EventKind, KeyValue, bool),
    {
        if let Some(mut inflater) = self.inflater.take() {
            inflater.finish(|plain| self.read(plain, destination));
        }
        self.wire.is_whole()
    }

    fn read<F>(&mut self, bytes: &[u8], destination: &mut Destination<'_, F>)
    where
        F: FnMut(&WatchSeen, EventKind, KeyValue, bool),
    {
        match &mut self.aim {
            Aim::Request(reader) => self
                .wire
                .push(bytes, &mut reader.filling(destination.request)),
            Aim::Response(reader) => self.wire.push(
                bytes,
                &mut reader.filling(destination.response, destination.header),
            ),
            Aim::WatchRequest(reader) => self.wire.push(bytes, reader),
            Aim::WatchResponse(reader) => self
                .wire
                .push(bytes, &mut reader.telling(&mut destination.on_event)),
            Aim::Capture { bytes: kept, bound } => {
                let room = bound.saturating_sub(kept.len());
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Aim::Nothing => {}
        }
    }
}
