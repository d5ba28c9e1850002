//! What is to become of a call, and who decides it.
//!
//! The core asks a [`Judge`] and carries its [`Verdict`] out; what rules there
//! are, when they hold and how chance falls is the judge's alone.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::Request;
use super::method::{Method, MethodName};
use super::warden::Warden;
use super::watch_verdict::{AskedWatch, Moment, Strike};
use crate::grpc::Code;
use crate::http2::{ErrorCode, StreamId};
use crate::relay::{HeaderField, Hold, Peers};

/// Gives every connection its judge.
pub trait Judges: fmt::Debug + Send + Sync {
    /// The judge of a connection between `peers`.
    fn judge(&self, peers: &Arc<Peers>) -> Box<dyn Judge>;

    /// Who decides about the connection as a whole. It was just accepted, on a
    /// listener that speaks TLS if it is `encrypted`. `None` lets it live.
    fn warden(&self, peers: &Arc<Peers>, encrypted: bool, now: Instant) -> Option<Box<dyn Warden>> {
        let _ = (peers, encrypted, now);
        None
    }
}

/// Decides about the calls of one connection.
///
/// A call is judged once: when its first message is whole, or when the client
/// ends the request without one. On a stream of keepalives that is once a
/// stream, too. Until then nothing of a suspect's message that would complete
/// it has reached etcd.
pub trait Judge: fmt::Debug + Send {
    /// Looks at the rules as they stand. It is asked whenever the connection
    /// wakes up, so it has to be quick where nothing has changed.
    fn refresh(&mut self, now: Instant) -> Refreshed;

    /// Whether [`Judge::refresh`] would say what it said last, nothing having
    /// changed.
    fn is_current(&self, _now: Instant) -> bool {
        false
    }

    /// Whether a call of which only the head is known could be touched: then it
    /// will be judged, and its frames pass whole or not at all.
    fn suspects(&mut self, call: &Asked<'_>, now: Instant) -> Suspicion;

    /// Whether it is plain at a glance that no rule fits such a request: then the
    /// call is not judged.
    fn passes_by(&self, _method: Method, _request: &Request) -> bool {
        false
    }

    /// What is to become of a call that was suspected. `None` lets it pass.
    fn judge(&mut self, call: &Asked<'_>, now: Instant) -> Option<Box<Verdict>>;

    /// Whether the fault was taken away since it struck, so that all it holds
    /// has to be let go. Asked after [`Refreshed::changed`].
    fn is_lifted(&self, fault: FaultId) -> bool;

    /// Whether watches of this Watch stream, of which the head is known, could be
    /// touched: then its messages are read whole.
    fn touches_watches(&mut self, _call: &Asked<'_>, _now: Instant) -> bool {
        false
    }

    /// What strikes a watch at a moment, in the order of the rules.
    fn judge_watch(
        &mut self,
        _watch: &AskedWatch<'_>,
        _moment: Moment<'_>,
        _now: Instant,
    ) -> Vec<Strike> {
        Vec::new()
    }

    /// What a fault began could not be carried out (a bound was reached, the
    /// duplicate was refused), and why.
    fn gave_up(&mut self, fault: FaultId, why: &str);
}

/// How the rules stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refreshed {
    /// Whether any rule could touch a call of this connection now. While none
    /// can, the connection's bytes are not even cut into frames.
    pub armed: bool,
    /// Whether a rule was taken away, changed or used up since the last look.
    pub changed: bool,
    /// Whether any such rule duplicates requests ([`Suspicion::JudgeAndKeep`]).
    pub keeps: bool,
    /// Whether any such rule is about watches.
    pub watches: bool,
    /// When rules about watches begin or end by themselves: standing watches are
    /// to be looked at then.
    pub next: Option<Instant>,
}

/// Whether a call could be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suspicion {
    /// No rule fits its head.
    None,
    /// It has to be judged.
    Judge,
    /// It has to be judged, and may have to be asked again: its head and message
    /// are kept until then ([`RequestFate::Duplicate`]).
    JudgeAndKeep,
}

/// What is known of a call when it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The connection.
    pub peers: &'a Peers,
    /// Its stream there.
    pub stream: StreamId,
    /// The client's `user-agent`.
    pub user_agent: Option<&'a str>,
    /// Which method, for the program.
    pub method: Method,
    /// Which method, by its name.
    pub name: &'a MethodName,
    /// What is asked; [`Request::Unread`] while only the head is known, and
    /// where it cannot be read.
    pub request: &'a Request,
    /// Bytes of the first message, without gRPC's prefix; 0 while there is none.
    pub request_bytes: u64,
}

/// A fault, by its number in this process. Numbers are not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(pub u64);

/// A fault that struck, and what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which.
    pub fault: FaultId,
    /// Its name in the plan.
    pub name: Arc<str>,
    /// What was done, in words: `response delayed by 250 ms`.
    pub did: Box<str>,
}

/// A request that is to be executed a second time, over a connection of our own.
#[derive(Debug)]
pub struct Errand {
    /// The stream of the client's own request; what the answer is told under.
    pub stream: StreamId,
    /// The header fields of the client's request, in order.
    pub fields: Vec<HeaderField>,
    /// Its message, with gRPC's prefix.
    pub message: Vec<u8>,
    /// The faults that asked for it.
    pub faults: Vec<FaultId>,
    /// What it keeps counts as held until this is dropped or given back.
    pub hold: Hold,
    /// It could not be kept whole: what it has is of no use, and why.
    pub(super) broken: Option<&'static str>,
}

/// The largest message that is kept for a second execution: etcd's own limit is
/// 1.5 MiB unless it is told otherwise.
pub const MOST_KEPT: usize = 8 << 20;

/// What is to become of a call, in the order in which it happens: the request
/// waits, meets its fate, the response waits, meets its own.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Which faults struck, in the order of the plan; never empty.
    pub hits: Vec<Hit>,
    /// How long the end of the request's first message is held back.
    pub request_delay: Duration,
    /// How long each later message of the client is held back.
    pub request_messages: Option<Box<dyn Delays>>,
    /// What becomes of the request then.
    pub request: RequestFate,
    /// How long the response is held back, from its first frame on.
    pub response_delay: Duration,
    /// How long each message of the response is held back, besides.
    pub response_messages: Option<Box<dyn Delays>>,
    /// How fast the response's content may pass.
    pub pace: Option<Arc<dyn Pace>>,
    /// What becomes of the response then.
    pub response: ResponseFate,
    /// When what would be held for good ([`RequestFate::Hang`],
    /// [`Loss::Silence`], [`ResponseFate::WithholdTrailers`]) is let go: a hung
    /// request then passes, a lost reply becomes a reset (CANCEL), withheld
    /// trailers pass. `None` leaves it to the client's patience.
    pub until: Option<Instant>,
    /// When everything that is held is let go, as if the fault were taken away:
    /// the end of its time to live.
    pub lifted_at: Option<Instant>,
}

/// A delay for each message.
pub trait Delays: fmt::Debug + Send {
    /// The next message's.
    fn next(&mut self) -> Duration;
}

/// A speed that several calls may share.
pub trait Pace: fmt::Debug + Send + Sync {
    /// Takes room for `bytes`: they may pass from the instant that is returned
    /// on.
    fn reserve(&self, bytes: u64, now: Instant) -> Instant;

    /// Bytes to let pass at a time.
    fn portion(&self) -> u64;
}

/// A gRPC error in etcd's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub code: Code,
    /// Its text, not yet percent-encoded.
    pub message: Box<str>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RequestFate {
    /// etcd gets it.
    #[default]
    Pass,
    /// The client is answered; etcd never has the whole message, and its stream
    /// is reset (CANCEL).
    Refuse(Refusal),
    /// Its end is held until the client gives up.
    Hang,
    /// Its stream is reset on both sides: towards the client with this code,
    /// towards etcd with CANCEL. etcd never has the whole message.
    Reset(ErrorCode),
    /// etcd executes it a second time, over a connection of our own.
    Duplicate(Sees),
}

/// Whose answer the client sees of a request that is executed twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sees {
    /// The first execution's; the second one begins when it has answered.
    #[default]
    First,
    /// The second one's: the client's own request waits for the other's end.
    Second,
}

/// What becomes of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ResponseFate {
    /// The client gets it.
    #[default]
    Pass,
    /// etcd executes the call and answers, and the answer is swallowed. What the
    /// client gets instead comes when etcd's answer is whole.
    Lose(Loss),
    /// The client gets the response's head, then RST_STREAM.
    ResetAfterHead(ErrorCode),
    /// The client gets the head and a part of the first message, then
    /// RST_STREAM.
    ResetInMessage(ErrorCode, Portion),
    /// The client gets all but the trailers, and waits.
    WithholdTrailers,
    /// The client gets the head and a part of the first message, then an end
    /// without an error.
    CutShort(Portion, Close),
}

/// What the client gets in the place of a lost reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// An error.
    Refuse(Refusal),
    /// RST_STREAM.
    Reset(ErrorCode),
    /// Nothing, until it gives up by itself.
    Silence,
}

/// How much of a message's bytes (its 5-byte prefix included) passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// So many; at least one byte of the message stays out.
    Bytes(u64),
    /// So many hundredths, 0 to 99.
    Percent(u8),
}

/// How a response that was cut short ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Close {
    /// With trailers that say OK.
    #[default]
    Trailers,
    /// With END_STREAM on the last DATA and no trailers.
    EndStream,
}
