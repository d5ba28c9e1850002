//! What is done to a connection as a whole.
//!
//! `close`, `reset` and `goaway` strike a connection once in each window of the
//! fault's activity; all others hold while the fault is active and end with it.
//! `refuse`, `silent` and `tls` are done before the client's handshake, so that
//! nothing is known then but who called whom.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::action::{Plain, ResetCode};
use super::delay::{Distribution, Wait};
use super::scalar::{Size, Span};
use crate::http2::{Both, ErrorCode, Side};

/// What is done to a connection. One that needs no settings may be written as
/// its name alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionAction {
    /// It is reset as soon as it is accepted; etcd is not called.
    Refuse(Plain),
    /// It is accepted, and then nothing is said, read or called.
    Silent(Plain),
    /// Both sides are told that it is over, after what is pending.
    Close(Struck),
    /// Both sides get a TCP reset.
    Reset(Struck),
    /// The client is sent GOAWAY.
    Goaway(Goaway),
    /// One direction is dead.
    HalfOpen(HalfOpen),
    /// Both directions are dead, PINGs included.
    Blackhole(Plain),
    /// So many bytes pass a second.
    Bandwidth(Bandwidth),
    /// Bytes arrive late, in order.
    Latency(Latency),
    /// What becomes of the client's PINGs.
    Ping(PingFault),
    /// The client may have so many streams open.
    MaxConcurrentStreams(#[cfg_attr(test, schemars(extend("maximum" = 4_294_967_295_u32)))] u32),
    /// The client's TLS handshake goes wrong; only on listeners with TLS.
    Tls(TlsFault),
}

impl ConnectionAction {
    /// Every action's name.
    pub const NAMES: [&'static str; 12] = [
        "refuse",
        "silent",
        "close",
        "reset",
        "goaway",
        "half_open",
        "blackhole",
        "bandwidth",
        "latency",
        "ping",
        "max_concurrent_streams",
        "tls",
    ];

    /// The action's name in a plan.
    pub const fn name(&self) -> &'static str {
        match self {
            ConnectionAction::Refuse(_) => "refuse",
            ConnectionAction::Silent(_) => "silent",
            ConnectionAction::Close(_) => "close",
            ConnectionAction::Reset(_) => "reset",
            ConnectionAction::Goaway(_) => "goaway",
            ConnectionAction::HalfOpen(_) => "half_open",
            ConnectionAction::Blackhole(_) => "blackhole",
            ConnectionAction::Bandwidth(_) => "bandwidth",
            ConnectionAction::Latency(_) => "latency",
            ConnectionAction::Ping(_) => "ping",
            ConnectionAction::MaxConcurrentStreams(_) => "max_concurrent_streams",
            ConnectionAction::Tls(_) => "tls",
        }
    }

    /// Whether it is done before the client's TLS handshake, when neither its
    /// certificate nor the name that it asks for is known.
    pub const fn precedes_the_handshake(&self) -> bool {
        matches!(
            self,
            ConnectionAction::Refuse(_) | ConnectionAction::Silent(_) | ConnectionAction::Tls(_)
        )
    }

    /// Whether it holds for as long as its fault is active, instead of striking
    /// once.
    pub const fn holds(&self) -> bool {
        !matches!(
            self,
            ConnectionAction::Close(_) | ConnectionAction::Reset(_) | ConnectionAction::Goaway(_)
        )
    }

    /// The age at which a connection is struck.
    pub fn after(&self) -> Option<Span> {
        match self {
            ConnectionAction::Close(struck) | ConnectionAction::Reset(struck) => struck.after,
            ConnectionAction::Goaway(goaway) => goaway.after,
            _ => None,
        }
    }
}

/// When a connection is struck.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Struck {
    /// How old it is then, counted from its acceptance; at once if nothing is
    /// said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
}

/// GOAWAY to the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Goaway {
    /// Why; NO_ERROR unless another code is named.
    pub code: ResetCode,
    /// Its debug data, which clients show.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[cfg_attr(test, schemars(extend("maxLength" = 1024)))]
    pub debug: Box<str>,
    /// Whether the client is warned first, so that calls on their way are not
    /// lost (RFC 9113, section 6.8).
    pub graceful: bool,
    /// How old the connection is then; at once if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
}

impl Goaway {
    /// The longest debug data, in bytes.
    pub const LONGEST_DEBUG: usize = 1024;
}

impl Default for Goaway {
    /// What a server says that is about to end.
    fn default() -> Goaway {
        Goaway {
            code: ResetCode(ErrorCode::NO_ERROR),
            debug: Box::default(),
            graceful: true,
            after: None,
        }
    }
}

/// One direction is dead: its bytes stand still, and come late when the fault
/// ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HalfOpen {
    /// Which.
    pub dead: Towards,
}

/// One of the two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Towards {
    /// From etcd to the client.
    ToClient,
    /// From the client to etcd.
    ToEtcd,
}

impl Towards {
    /// The side whose bytes go in this direction.
    pub const fn sender(self) -> Side {
        match self {
            Towards::ToClient => Side::Server,
            Towards::ToEtcd => Side::Client,
        }
    }
}

/// Which direction, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both, each by itself.
    #[default]
    Both,
    /// From etcd to the client.
    ToClient,
    /// From the client to etcd.
    ToEtcd,
}

impl Direction {
    /// By the side whose bytes go there.
    pub const fn senders(self) -> Both<bool> {
        Both {
            client: matches!(self, Direction::Both | Direction::ToEtcd),
            server: matches!(self, Direction::Both | Direction::ToClient),
        }
    }

    fn is_both(&self) -> bool {
        *self == Direction::Both
    }
}

/// So many bytes pass a second: of each connection, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// How many.
    pub bytes_per_second: Size,
    /// In which direction; both unless one is named.
    #[serde(default, skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// Bytes arrive late; none overtakes another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// How late, drawn anew for what is read at once.
    pub wait: Wait,
    /// In which direction; both unless one is named.
    pub direction: Direction,
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        match &self.wait.drawn {
            Distribution::Fixed(span) => map.serialize_entry("fixed", span)?,
            Distribution::Uniform(of) => map.serialize_entry("uniform", of)?,
            Distribution::Normal(of) => map.serialize_entry("normal", of)?,
            Distribution::Exponential(of) => map.serialize_entry("exponential", of)?,
            Distribution::Pareto(of) => map.serialize_entry("pareto", of)?,
        }
        if let Some(at_most) = &self.wait.at_most {
            map.serialize_entry("at_most", at_most)?;
        }
        if !self.direction.is_both() {
            map.serialize_entry("direction", &self.direction)?;
        }
        map.end()
    }
}

/// What becomes of the client's PINGs: of those that ask whether the connection
/// lives, and of those that measure its bandwidth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PingFault {
    /// etcd never has them, and nobody answers.
    Unanswered,
    /// They are answered late.
    Delay(Wait),
}

/// How the client's TLS handshake goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TlsFault {
    /// The client's hello is not answered until the fault ends.
    Stall,
    /// It is answered with an alert: internal_error, as etcd sends it when its
    /// certificate cannot be read.
    Fail,
}
