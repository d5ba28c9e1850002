//! What a format of the log has to be able to write.

use std::sync::Arc;
use std::time::Instant;

use super::clock::Anchor;
use crate::etcd::verdict::Hit;
use crate::etcd::{Call, ConnectionEnded, WatchNote};
use crate::http1::Exchange;
use crate::http2::Offence;
use crate::kube::operation::Operation;
use crate::relay::{ConnectionId, Peers};

/// A format of the log. Each method appends exactly one line to `out`.
pub(crate) trait Lines: Send + std::fmt::Debug {
    /// The clocks' latest common moment.
    fn anchor(&mut self, anchor: Anchor);

    /// What is known of a connection of that number may be another's by now.
    fn forget(&mut self, _connection: ConnectionId) {}

    /// A call ended.
    fn call(&mut self, call: &Call, operation: &Operation<'_>, slow: bool, out: &mut Vec<u8>);

    /// Something happened to a watch; `lag` is in microseconds.
    fn watch(
        &mut self,
        note: &WatchNote,
        operation: &Operation<'_>,
        lag: Option<i64>,
        out: &mut Vec<u8>,
    );

    /// An HTTP/1.1 request was answered, or never.
    fn http1(&mut self, peers: &Peers, exchange: &Exchange, slow: bool, out: &mut Vec<u8>);

    /// A connection stands.
    fn opened(&mut self, peers: &Arc<Peers>, at: Instant, out: &mut Vec<u8>);

    /// A PING of the client is not answered.
    fn ping(&mut self, peers: &Arc<Peers>, at: Instant, out: &mut Vec<u8>);

    /// A connection is no longer read.
    fn stopped(&mut self, peers: &Arc<Peers>, at: Instant, offence: &Offence, out: &mut Vec<u8>);

    /// Faults struck a connection.
    fn fault(&mut self, peers: &Arc<Peers>, at: Instant, hits: &[Hit], out: &mut Vec<u8>);

    /// A connection is over; `failed` if it never came to stand.
    fn ended(&mut self, ended: &ConnectionEnded, failed: bool, out: &mut Vec<u8>);
}

/// Microseconds from `from` to `to`; 0 if they are the other way round.
pub(crate) fn micros_between(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
}
