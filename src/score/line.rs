//! A line of the log (`--log json`), as a fact.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::fact::{CallFact, Ended, Fact, Hit, Moment, Range, WatchAt, What};
use crate::http2::Side;

/// Why a line gave no fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFact {
    /// It is none of the log's, or was cut.
    Broken,
    /// It tells of something that is not measured.
    Other,
}

/// Text that is borrowed where JSON did not escape anything.
#[derive(Debug, Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text<'a>, D::Error> {
        struct Whichever;
        impl<'de> Visitor<'de> for Whichever {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Whichever)
    }
}

/// The fields that matter here; all others are passed over.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    ts: Text<'a>,
    #[serde(borrow)]
    event: Text<'a>,
    conn: Option<u64>,
    #[serde(borrow)]
    client: Option<Text<'a>>,
    #[serde(borrow)]
    user_agent: Option<Text<'a>>,
    #[serde(borrow, default)]
    fault: Vec<FaultField<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    #[serde(borrow)]
    by: Option<Text<'a>>,
    stream: Option<u32>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    verb: Option<Text<'a>>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    range_end: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    ending: Option<Text<'a>>,
    #[serde(borrow)]
    reset_by: Option<Text<'a>>,
    #[serde(borrow)]
    lost_by: Option<Text<'a>>,
    duration_us: Option<u64>,
    response_bytes: Option<u64>,
    revision: Option<i64>,
    #[serde(rename = "continue", borrow)]
    continued: Option<Text<'a>>,
    count: Option<u64>,
    mod_revision: Option<i64>,
    committed: Option<bool>,
    watch_id: Option<i64>,
    start_revision: Option<i64>,
    lag_us: Option<i64>,
    held_us: Option<u64>,
    delivered: Option<bool>,
    #[serde(borrow)]
    cause: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct FaultField<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

/// Reads one line, without its end.
pub(super) fn read(line: &[u8]) -> Result<Fact<'_>, NoFact> {
    let mut line: Line<'_> = serde_json::from_slice(line).map_err(|_| NoFact::Broken)?;
    let at = Moment::parse(&line.ts.0).ok_or(NoFact::Broken)?;
    let what = what(&mut line, at)?;
    let client: SocketAddr = is(&line.client).parse().map_err(|_| NoFact::Broken)?;
    let faults = line.fault.into_iter();
    Ok(Fact {
        at,
        conn: line.conn.ok_or(NoFact::Broken)?,
        ip: client.ip(),
        user_agent: line.user_agent.map(|text| text.0),
        faults: faults.map(|fault| Hit { name: fault.name.0 }).collect(),
        what,
    })
}

fn what<'a>(line: &mut Line<'a>, at: Moment) -> Result<What<'a>, NoFact> {
    Ok(match &*line.event.0 {
        "call" => What::Call(call(line, at)?),
        "watch_created" => What::Created {
            watch: watch(line)?,
            range: range(line).ok_or(NoFact::Other)?,
            start_revision: line.start_revision.unwrap_or(0),
            revision: line.revision.unwrap_or(0),
        },
        "watch_event" => What::Event {
            watch: watch(line)?,
            key: unescaped(line.key.take().ok_or(NoFact::Other)?.0),
            revision: line.revision.ok_or(NoFact::Broken)?,
            lag: line.lag_us,
            held: line.held_us.unwrap_or(0),
            delivered: line.delivered.unwrap_or(true),
        },
        "watch_progress" => What::Progress {
            watch: watch(line)?,
            revision: line.revision.unwrap_or(0),
            delivered: line.delivered.unwrap_or(true),
        },
        "watch_canceled" => What::Canceled {
            watch: watch(line)?,
            cause: match is(&line.cause) {
                "requested" => Ended::Requested,
                "refused" => Ended::Refused,
                "compacted" => Ended::Compacted,
                "stream_ended" => Ended::StreamEnded,
                _ => Ended::Server,
            },
        },
        "connection" => match is(&line.state) {
            "opened" => What::Opened,
            "failed" => What::Failed,
            "closed" => What::Closed {
                by: match is(&line.by) {
                    "client" => Some(Side::Client),
                    "server" => Some(Side::Server),
                    _ => None,
                },
            },
            "tracing_stopped" => What::Unread,
            _ => return Err(NoFact::Other),
        },
        "fault" => What::Fault,
        "ping" => What::Ping,
        _ => return Err(NoFact::Other),
    })
}

fn call<'a>(line: &mut Line<'a>, ended: Moment) -> Result<CallFact<'a>, NoFact> {
    let method = line.method.take().ok_or(NoFact::Broken)?.0;
    let verb = line.verb.take().ok_or(NoFact::Broken)?.0;
    let status = line.status.take().ok_or(NoFact::Broken)?.0;
    let wrote = wrote(&Answer {
        verb: &verb,
        ok: status == "OK",
        says: line.committed,
        count: line.count,
        else_branch: line.mod_revision.is_some(),
    });
    Ok(CallFact {
        stream: line.stream.unwrap_or(0),
        range: range(line),
        started: ended.before(line.duration_us.unwrap_or(0)),
        orderly: line.ending.is_none(),
        injected: matches!(is(&line.ending), "injected" | "injected_reset"),
        reset_by_client: is(&line.reset_by) == "client",
        connection_lost: is(&line.ending) == "connection_lost",
        lost_by_client: is(&line.lost_by) == "client",
        stream_call: is_stream(&method, &verb),
        response_bytes: line.response_bytes.unwrap_or(0),
        revision: line.revision,
        committed: line.revision.filter(|revision| wrote && *revision > 0),
        continued: line.continued.is_some(),
        method,
        verb,
        status,
    })
}

/// Whether a call is a stream that lives as long as its client wants.
pub(super) fn is_stream(method: &str, verb: &str) -> bool {
    method == "Watch" || verb == "LeaseKeepAlive"
}

/// A word of the log; empty where there is none.
fn is<'l>(text: &'l Option<Text<'_>>) -> &'l str {
    text.as_ref().map_or("", |text| &*text.0)
}

fn watch(line: &Line<'_>) -> Result<WatchAt, NoFact> {
    Ok(WatchAt {
        stream: line.stream.unwrap_or(0),
        id: line.watch_id.ok_or(NoFact::Broken)?,
    })
}

fn range<'a>(line: &mut Line<'a>) -> Option<Range<'a>> {
    Some(Range {
        key: unescaped(line.key.take()?.0),
        end: match line.range_end.take() {
            None => Cow::Borrowed(&[]),
            Some(end) => unescaped(end.0),
        },
    })
}

/// What is known of an answer, to tell whether it wrote.
#[derive(Debug)]
struct Answer<'a> {
    /// The log's verb.
    verb: &'a str,
    /// Whether the status is OK.
    ok: bool,
    /// What the log says of it outright.
    says: Option<bool>,
    /// `count`
    count: Option<u64>,
    /// Whether a key was read: that is what the else branch does.
    else_branch: bool,
}

/// Whether a call wrote. Lines say it outright (`committed`) where it does not
/// follow from verb and status.
fn wrote(answer: &Answer<'_>) -> bool {
    match (answer.says, answer.verb) {
        (Some(says), _) => says,
        (None, _) if !answer.ok => false,
        (None, "create" | "update" | "Put") => true,
        (None, "delete" | "DeleteRange") => {
            answer.count.is_some_and(|count| count > 0) && !answer.else_branch
        }
        _ => false,
    }
}

/// A key from its text: `\xNN` is a byte, `\\` a backslash.
fn unescaped(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    if !text.contains('\\') {
        return match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
    }
    let mut key = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match (first, tail) {
            (b'\\', [b'x', a, b, tail @ ..]) if hex(&[*a, *b]).is_some() => {
                key.extend(hex(&[*a, *b]));
                rest = tail;
            }
            (b'\\', [b'\\', tail @ ..]) => {
                key.push(b'\\');
                rest = tail;
            }
            _ => {
                key.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(key)
}
