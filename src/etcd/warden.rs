//! What becomes of a connection as a whole, and who decides it.
//!
//! As with calls, what rules there are, when they hold and how chance falls is
//! the [`Warden`]'s alone; the lane, the session and the pump carry it out.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::verdict::{Delays, FaultId, Hit};
use crate::http2::{Both, ErrorCode};
use crate::relay::Peers;

/// Decides about one connection.
pub trait Warden: fmt::Debug + Send {
    /// Whether the client is let in. Asked when it was accepted, and again when
    /// the rules have changed or [`Admitted::look_at`] has come, until it is.
    fn admit(&mut self, now: Instant) -> Admitted;

    /// Both ends stand, and this is what is known of them now.
    fn stands(&mut self, peers: &Arc<Peers>);

    /// How the rules stand for a connection whose ends stand. Asked when they do,
    /// when the rules have changed, and when [`Outlook::look_at`] has come.
    fn look(&mut self, now: Instant) -> Outlook;

    /// What a fault began could not be carried out, and why.
    fn gave_up(&mut self, fault: FaultId, why: &str);
}

/// Whether a client is let in.
#[derive(Debug, Default)]
pub struct Admitted {
    /// What struck at this look.
    pub hits: Vec<Hit>,
    /// What becomes of the client.
    pub admission: Admission,
    /// When to ask again, where it waits.
    pub look_at: Option<Instant>,
}

/// What becomes of a client that was accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Admission {
    /// It is let in.
    #[default]
    Enter,
    /// It waits without a word.
    Wait,
    /// Its connection is reset.
    Refuse,
    /// Its TLS handshake fails with an alert.
    FailTls,
}

/// How the rules stand for a connection.
#[derive(Debug, Default)]
pub struct Outlook {
    /// What struck at this look, in the order of the plan.
    pub hits: Vec<Hit>,
    /// What is done now, once.
    pub strikes: Vec<Strike>,
    /// What holds from now on; `None` if that is what held before.
    pub conditions: Option<Conditions>,
    /// When to look again, if the rules do not change before.
    pub look_at: Option<Instant>,
}

/// What is done to a connection once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strike {
    /// Both sides are told of an end, after what is pending.
    Close,
    /// Both sides get a TCP reset.
    Reset,
    /// The client is sent GOAWAY, because of this fault.
    Goaway(FaultId, Farewell),
}

/// What a GOAWAY says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    /// Why.
    pub code: ErrorCode,
    /// Its debug data.
    pub debug: Box<str>,
    /// Whether the client is warned before the last stream is named.
    pub graceful: bool,
}

/// What holds on a connection for a while; the default is nothing.
#[derive(Debug, Default)]
pub struct Conditions {
    /// Whose bytes stand still.
    pub frozen: Both<bool>,
    /// How many bytes of a side pass a second.
    pub speed: Both<Option<u64>>,
    /// How late the bytes of a side arrive.
    pub latency: Both<Option<Box<dyn Delays>>>,
    /// What becomes of the client's PINGs.
    pub pings: Pings,
    /// How many streams the client may have open.
    pub most_streams: Option<u32>,
    /// The faults that need frames: PINGs, streams.
    pub of_frames: Vec<FaultId>,
}

impl Conditions {
    /// Whether anything is done to the bytes, whatever they mean.
    pub fn on_bytes(&self) -> bool {
        let of =
            |side| self.frozen[side] || self.speed[side].is_some() || self.latency[side].is_some();
        of(crate::http2::Side::Client) || of(crate::http2::Side::Server)
    }
}

/// What becomes of the client's PINGs.
#[derive(Debug, Default)]
pub enum Pings {
    /// What always does.
    #[default]
    Pass,
    /// They wait for so long.
    Late(Box<dyn Delays>),
    /// They wait for as long as this holds.
    Unanswered,
}
