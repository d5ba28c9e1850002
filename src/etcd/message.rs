//! One gRPC message on its way: unpacked if it is compressed, read field by
//! field or captured for reading through its descriptor.

use std::io::Write;

use flate2::write::GzDecoder;

use super::call::{Header, KeyValue, Request, Response};
use super::read::{
    Budget, RequestReader, ResponseReader, WatchRequestReader, WatchResponseReader, WatchSeen,
};
use super::watch::EventKind;
use super::wire;

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

    /// The message is whole: what a decompressor held back is read as well.
    pub fn end<F>(&mut self, destination: &mut Destination<'_, F>)
    where
        F: FnMut(&WatchSeen, EventKind, KeyValue, bool),
    {
        if let Some(mut inflater) = self.inflater.take() {
            inflater.finish(|plain| self.read(plain, destination));
        }
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

/// Unpacks a gzip message in small steps, so that what it holds stays bounded
/// whatever the ratio.
#[derive(Debug)]
struct Inflater {
    decoder: GzDecoder<Vec<u8>>,
    produced: u64,
    broken: bool,
}

/// Compressed bytes unpacked in one step: at deflate's best ratio (1,032 to 1)
/// half a megabyte.
const STEP: usize = 512;

/// What one message may unpack to before the rest is left unread: no etcd
/// message is larger (gRPC's own limit is 4 GiB on the wire).
const MOST_PRODUCED: u64 = 4 << 30;

impl Inflater {
    fn new() -> Inflater {
        Inflater {
            decoder: GzDecoder::new(Vec::new()),
            produced: 0,
            broken: false,
        }
    }

    fn inflate(&mut self, bytes: &[u8], mut on_plain: impl FnMut(&[u8])) {
        for step in bytes.chunks(STEP) {
            if self.broken {
                return;
            }
            // An error here is a message that its receiver will refuse too.
            self.broken = self.decoder.write_all(step).is_err();
            self.give(&mut on_plain);
        }
    }

    fn finish(&mut self, mut on_plain: impl FnMut(&[u8])) {
        if !self.broken {
            self.broken = self.decoder.try_finish().is_err();
            self.give(&mut on_plain);
        }
    }

    fn give(&mut self, on_plain: &mut impl FnMut(&[u8])) {
        let plain = self.decoder.get_mut();
        on_plain(plain);
        self.produced += plain.len() as u64;
        plain.clear();
        self.broken |= self.produced > MOST_PRODUCED;
    }
}

/// The bound of one message's kept bytes.
pub(super) fn budget(capture_bytes: usize) -> Budget {
    Budget::new(capture_bytes)
}
