//! Whoever wants to know what the log knows, at the moment it does.

use std::fmt::Debug;
use std::time::Instant;

use super::clock::Anchor;
use crate::etcd::verdict::Hit;
use crate::etcd::{Call, ConnectionEnded, WatchNote};
use crate::http1::Exchange;
use crate::http2::Offence;
use crate::kube::operation::Operation;
use crate::relay::Peers;

/// Is shown everything that the log could have a line of, whatever its filter
/// says, in the order of the lines. Runs on the trace's own thread: traffic does
/// not wait for it.
pub trait Observer: Send + Debug {
    /// The clocks' latest common moment.
    fn anchor(&mut self, anchor: Anchor);

    /// A call ended.
    fn call(&mut self, call: &Call, operation: &Operation<'_>);

    /// Something happened to a watch; `lag` is in microseconds.
    fn watch(&mut self, note: &WatchNote, operation: &Operation<'_>, lag: Option<i64>);

    /// An HTTP/1.1 request was answered, or never.
    fn http1(&mut self, peers: &Peers, exchange: &Exchange) {
        let _ = (peers, exchange);
    }

    /// A connection stands.
    fn opened(&mut self, peers: &Peers, at: Instant);

    /// Faults struck a connection as a whole.
    fn fault(&mut self, peers: &Peers, at: Instant, hits: &[Hit]);

    /// A PING of the client is not answered.
    fn ping(&mut self, peers: &Peers, at: Instant);

    /// A connection is no longer read.
    fn stopped(&mut self, peers: &Peers, at: Instant, offence: &Offence);

    /// A connection is over; `failed` if it never came to stand.
    fn ended(&mut self, ended: &ConnectionEnded, failed: bool);

    /// All that came until `now` has been shown, but for watch events that
    /// passed after `waiting_since`. `dropped` events never came.
    fn settled(&mut self, now: Instant, waiting_since: Option<Instant>, dropped: u64);
}
