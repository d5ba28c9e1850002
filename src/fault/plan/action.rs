//! What is done to a call, or to a connection.
//!
//! The code of a reset is half of the experiment. `CANCEL` makes clientv3 halt a
//! watch; of a unary call it takes CANCELLED for the end of one attempt, and sends
//! it again, writes too. `INTERNAL_ERROR` is a handler that crashed: nobody retries
//! by itself. `REFUSED_STREAM` says that the call was
//! never processed, and grpc-go sends it again by itself. So it is honest only
//! where etcd never had the request; elsewhere a Txn would run twice, which a
//! plan gets only by asking for a `lying_server`.

use std::fmt;

use serde::Serialize;

use super::connection::ConnectionAction;
use super::delay::Delay;
use super::scalar::{Size, as_text};
use super::watch::WatchAction;
use crate::etcd::verdict::{Close, Portion, Refusal, Sees};
use crate::fault::etcd_error::{EtcdError, REQUEST_TIMED_OUT};
use crate::grpc::Code;
use crate::http2::ErrorCode;

as_text!(StatusCode, ResetCode, Amount);

/// What is done. One that has no settings, or needs none, may be written as its
/// name alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Messages wait.
    Delay(Delay),
    /// The calls that match share a speed.
    Rate(Rate),
    /// The client is answered with an error; etcd never has the request.
    Error(Answer),
    /// etcd executes the call; its answer is lost.
    LoseReply(LoseReply),
    /// Nobody answers, and etcd never has the request.
    Hang(Plain),
    /// The stream is reset.
    Reset(Reset),
    /// The client gets all but the trailers, and waits.
    WithholdTrailers(Plain),
    /// The response ends early, and without an error.
    CutShort(CutShort),
    /// etcd executes the call twice.
    Duplicate(Duplicate),
    /// Something is done to watches, or to what comes on them.
    Watch(#[cfg_attr(test, schemars(with = "super::schema::WrittenWatch"))] WatchAction),
    /// It is done to connections, not to calls.
    Connection(
        #[cfg_attr(test, schemars(with = "super::schema::WrittenConnection"))] ConnectionAction,
    ),
}

impl Action {
    /// Every action's name.
    pub const NAMES: [&'static str; 11] = [
        "delay",
        "rate",
        "error",
        "lose_reply",
        "hang",
        "reset",
        "withhold_trailers",
        "cut_short",
        "duplicate",
        "watch",
        "connection",
    ];

    /// The action's name in a plan.
    pub const fn name(&self) -> &'static str {
        match self {
            Action::Delay(_) => "delay",
            Action::Rate(_) => "rate",
            Action::Error(_) => "error",
            Action::LoseReply(_) => "lose_reply",
            Action::Hang(_) => "hang",
            Action::Reset(_) => "reset",
            Action::WithholdTrailers(_) => "withhold_trailers",
            Action::CutShort(_) => "cut_short",
            Action::Duplicate(_) => "duplicate",
            Action::Watch(_) => "watch",
            Action::Connection(_) => "connection",
        }
    }

    /// What is done to connections, if it is about those.
    pub const fn connection(&self) -> Option<&ConnectionAction> {
        match self {
            Action::Connection(action) => Some(action),
            _ => None,
        }
    }

    /// Whether it needs a call that ends by itself: what is done once the answer
    /// is whole never comes on a stream that lives as long as its client.
    pub const fn needs_an_end(&self) -> bool {
        matches!(
            self,
            Action::LoseReply(_) | Action::WithholdTrailers(_) | Action::Duplicate(_)
        )
    }
}

/// No settings: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Plain {}

/// A speed that all calls share which match.
///
/// Calls wait in the order in which they came, each for its turn. Turns that
/// nobody took are not saved up. The queue holds as many calls as have their
/// turn within a minute; who comes when it is full waits that minute and then
/// passes, so that no queue outlives its cause by long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rate {
    /// So many calls a second; 0.5 is one every two seconds.
    CallsPerSecond(#[cfg_attr(test, schemars(extend("exclusiveMinimum" = 0)))] f64),
    /// So many bytes of the responses' content a second.
    BytesPerSecond(Size),
}

/// An error, as etcd would have sent it.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// One of etcd's own.
    Etcd(&'static EtcdError),
    /// Any other.
    Status {
        /// The code.
        code: StatusCode,
        /// The text.
        message: Box<str>,
    },
}

impl Answer {
    /// What the client is sent.
    pub fn refusal(&self) -> Refusal {
        match self {
            Answer::Etcd(error) => Refusal {
                code: error.code,
                message: error.message().into(),
            },
            Answer::Status { code, message } => Refusal {
                code: code.0,
                message: message.clone(),
            },
        }
    }
}

impl Default for Answer {
    /// What etcd says when a proposal may have been committed.
    fn default() -> Answer {
        Answer::Etcd(&REQUEST_TIMED_OUT)
    }
}

impl Serialize for Answer {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Status<'a> {
            code: &'a StatusCode,
            message: &'a str,
        }
        match self {
            Answer::Etcd(error) => to.serialize_str(error.name),
            Answer::Status { code, message } => Status { code, message }.serialize(to),
        }
    }
}

/// A gRPC status code by its name. Never OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusCode(pub(super) Code);

impl StatusCode {
    /// The codes that an error may have.
    pub fn all() -> impl Iterator<Item = Code> {
        Code::named().filter(|code| *code != Code::OK)
    }

    /// The code.
    pub const fn code(self) -> Code {
        self.0
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An HTTP/2 error code by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetCode(pub ErrorCode);

impl ResetCode {
    /// The codes that RFC 9113 names.
    pub fn all() -> impl Iterator<Item = ErrorCode> {
        (0..)
            .map(ErrorCode)
            .take_while(|code| code.name().is_some())
    }
}

impl fmt::Display for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// etcd executes the call; its answer is lost. What the client gets comes when
/// etcd's answer is whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(into = "lose_reply::Written")]
#[cfg_attr(test, schemars(with = "lose_reply::Written"))]
pub struct LoseReply {
    /// What the client gets.
    pub instead: Instead,
    /// Whether REFUSED_STREAM may be sent though etcd executed the call.
    pub lying_server: bool,
}

/// What the client gets in the place of a reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Instead {
    /// An error; `request-timed-out` unless another one is named.
    Answer(Answer),
    /// RST_STREAM; INTERNAL_ERROR unless another code is named.
    Reset(ResetCode),
    /// Nothing.
    Silence,
}

impl Default for LoseReply {
    fn default() -> LoseReply {
        LoseReply {
            instead: Instead::Answer(Answer::default()),
            lying_server: false,
        }
    }
}

/// How [`LoseReply`] is written.
mod lose_reply {
    use serde::Serialize;

    use super::{Answer, Instead, LoseReply, ResetCode, is_false};

    /// At most one of `answer`, `reset` and `silence`.
    #[derive(Debug, Clone, Default, Serialize)]
    #[cfg_attr(test, derive(schemars::JsonSchema))]
    #[serde(deny_unknown_fields, default)]
    pub(super) struct Written {
        /// The client gets this error. Without a choice `request-timed-out`:
        /// what etcd says when a proposal may have been committed.
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<Answer>,
        /// The client gets RST_STREAM with this code.
        #[serde(skip_serializing_if = "Option::is_none")]
        reset: Option<ResetCode>,
        /// The client gets nothing, until it gives up by itself.
        #[serde(skip_serializing_if = "is_false")]
        #[cfg_attr(test, schemars(extend("const" = true)))]
        silence: bool,
        /// Allows REFUSED_STREAM, which says that etcd did nothing.
        #[serde(skip_serializing_if = "is_false")]
        lying_server: bool,
    }

    impl From<LoseReply> for Written {
        fn from(of: LoseReply) -> Written {
            let mut written = Written {
                lying_server: of.lying_server,
                ..Written::default()
            };
            match of.instead {
                Instead::Answer(answer) => written.answer = Some(answer),
                Instead::Reset(code) => written.reset = Some(code),
                Instead::Silence => written.silence = true,
            }
            written
        }
    }
}

pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

/// The stream is reset.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// When.
    pub at: Stage,
    /// RST_STREAM's code. At `request` REFUSED_STREAM, which is the truth there;
    /// at `head` and `message` INTERNAL_ERROR, as from a handler that crashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ResetCode>,
    /// At `message`: how much of the first message passes before; 50% unless
    /// said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Amount>,
    /// Allows REFUSED_STREAM at `head` and `message`, though etcd executed the
    /// call.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lying_server: bool,
}

impl Reset {
    /// The code that is sent.
    pub fn sent_code(&self) -> ErrorCode {
        match (self.code, self.at) {
            (Some(code), _) => code.0,
            (None, Stage::Request) => ErrorCode::REFUSED_STREAM,
            (None, Stage::Head | Stage::Message) => ErrorCode::INTERNAL_ERROR,
        }
    }
}

/// When a stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before etcd has the request.
    Request,
    /// After the response's head.
    Head,
    /// Within the response's first message.
    Message,
}

/// How much of a message passes: so many hundredths, or so many bytes (its
/// 5-byte prefix included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// 1 to 99 of 100.
    Percent(u8),
    /// So many bytes; 0 lets nothing pass.
    Bytes(Size),
}

impl Amount {
    /// For the session.
    pub const fn portion(self) -> Portion {
        match self {
            Amount::Percent(percent) => Portion::Percent(percent),
            Amount::Bytes(size) => Portion::Bytes(size.0),
        }
    }
}

impl Default for Amount {
    /// Half of it.
    fn default() -> Amount {
        Amount::Percent(50)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Percent(percent) => write!(f, "{percent}%"),
            Amount::Bytes(size) => size.fmt(f),
        }
    }
}

/// The response ends early, and without an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CutShort {
    /// How much of the first message passes; 50% unless said otherwise.
    pub after: Amount,
    /// How it ends.
    pub end: End,
}

/// How a response that is cut short ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// With trailers that say OK.
    #[default]
    Trailers,
    /// With END_STREAM on the last DATA and no trailers.
    EndStream,
}

impl End {
    /// For the session.
    pub const fn close(self) -> Close {
        match self {
            End::Trailers => Close::Trailers,
            End::EndStream => Close::EndStream,
        }
    }
}

/// etcd executes the call twice, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Duplicate {
    /// Whose answer the client sees.
    pub client_sees: Execution,
}

/// Which of two executions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Execution {
    /// The first.
    #[default]
    First,
    /// The second.
    Second,
}

impl Execution {
    /// For the session.
    pub const fn sees(self) -> Sees {
        match self {
            Execution::First => Sees::First,
            Execution::Second => Sees::Second,
        }
    }
}
