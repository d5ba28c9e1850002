//! One stream as one endpoint sees it.

use std::collections::VecDeque;

use super::hpack::Field;
use super::said::Said;

/// Something that waits to be sent on a stream.
#[derive(Debug, Clone)]
pub enum Piece {
    Head(Vec<Field>),
    Data(Vec<u8>, usize),
    Trailers(Vec<Field>),
    /// END_STREAM on DATA.
    End,
    Reset(u32),
}

#[derive(Debug)]
pub struct Stream {
    /// What it may still send, as it believes; negative after a reduction.
    pub send_window: i64,
    /// What it still has granted.
    pub recv_window: i64,
    pub waiting: VecDeque<Piece>,
    pub sent: Said,
    pub received: Said,
    /// A PRIORITY frame may be received at any time; nothing else before HEADERS.
    pub reader: Reader,
}

impl Stream {
    pub fn new(send_window: i64, recv_window: i64) -> Stream {
        Stream {
            send_window,
            recv_window,
            waiting: VecDeque::new(),
            sent: Said::default(),
            received: Said::default(),
            reader: Reader::default(),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.sent.reset.is_some()
            || self.received.reset.is_some()
            || (self.sent.ended.is_some() && self.received.ended.is_some())
    }

    /// Whether this end may still send DATA.
    pub fn may_send(&self) -> bool {
        !self.is_closed() && self.sent.ended.is_none()
    }

    /// Whether the peer may still send DATA.
    pub fn may_receive(&self) -> bool {
        !self.is_closed() && self.received.ended.is_none()
    }
}

/// The application's side of receipt: it wants the 5 bytes of a prefix, then the
/// message, and says so, as grpc-go's `recvBufferReader` does.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes of `received.data` that the application took.
    pub taken: usize,
    /// What it waits for; 0 when it is not reading.
    pub wanted: usize,
    /// Of `wanted`, what it has.
    pub has: usize,
    pub prefix: Option<[u8; 5]>,
    /// Window given for a message larger than the window (`inFlow.delta`).
    pub delta: i64,
    /// Read and not yet credited (`inFlow.pendingUpdate`).
    pub owed: i64,
    /// Whole messages taken.
    pub messages: usize,
}
