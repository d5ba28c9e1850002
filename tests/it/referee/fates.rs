//! Whether what became of a call is what was decided about it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::{Close, Loss, Portion, Refusal, RequestFate, ResponseFate, Sees};
use etcdtap::http2::ErrorCode;

use super::client::{CANCEL, ClientModel};
use super::content::{self, AfterReset};
use super::errands::{Double, Errands};
use super::judge::{Decided, Docket};
use super::said::Said;
use super::server::ServerModel;
use super::stream::Stream;
use super::violation::{Rule, Violation};

type Kept = Result<(), String>;

/// Every stream: the untouched exactly, the others as decided.
pub fn check(
    client: &ClientModel,
    server: &ServerModel,
    errands: &Errands,
    docket: &Docket,
) -> Result<(), Violation> {
    let docket = docket.lock().unwrap();
    for id in client.end.streams.keys() {
        if client.heeds_goaway && client.end.goaway_limit().is_some_and(|last| *id > last) {
            if server.end.streams.contains_key(id) {
                let words = "the server got it, and the client was told that it would not";
                return Err(client.end.wrong(Rule::Goaway, *id, 0, words));
            }
            continue;
        }
        let Some(decided) = docket.get(id) else {
            content::untouched(client, server, *id, AfterReset::MayBeLeftOut)?;
            continue;
        };
        let case = Case::new(client, server, errands, *id, decided);
        let kept = case.and_then(|case| case.check());
        kept.map_err(|words| {
            let (request, response) = (&decided.request, &decided.response);
            let until = decided.until.map(|until| until - decided.at);
            let lifted = decided.lifted.map(|lifted| lifted - decided.at);
            let words = format!(
                "{words} (decided: {request:?}, {response:?}, until {until:?}, lifted {lifted:?})"
            );
            client.end.wrong(Rule::Fate, *id, 0, words)
        })?;
        if !matches!(decided.response, ResponseFate::CutShort(..)) {
            content::well_formed(&client.end, *id)?;
        }
    }
    Ok(())
}

/// A call and what was decided about it.
struct Case<'a> {
    decided: &'a Decided,
    client: &'a Stream,
    server: &'a Stream,
    /// When the server carried it out; a stream of keepalives several times.
    executed: Vec<Instant>,
    doubles: &'a [Double],
    unary: bool,
}

fn is(right: bool, words: impl FnOnce() -> String) -> Kept {
    if right { Ok(()) } else { Err(words()) }
}

fn code(said: &Said) -> Option<u32> {
    said.reset.map(|(code, _)| code)
}

impl<'a> Case<'a> {
    fn new(
        client: &'a ClientModel,
        server: &'a ServerModel,
        errands: &'a Errands,
        id: u32,
        decided: &'a Decided,
    ) -> Result<Case<'a>, String> {
        let stream = server.end.streams.get(&id);
        let executed = server.executed.iter().filter(|done| done.stream == id);
        let mut calls = client.calls.iter();
        Ok(Case {
            decided,
            client: &client.end.streams[&id],
            server: stream.ok_or("its HEADERS never reached the server")?,
            executed: executed.map(|done| done.at).collect(),
            doubles: errands.doubles.get(&id).map_or(&[], |doubles| doubles),
            unary: calls.any(|call| call.stream == id && call.call.kind.is_unary()),
        })
    }

    /// Whether the client lost its patience. (It also resets a stream that ended
    /// before it was done, with NO_ERROR.)
    fn gave_up(&self) -> bool {
        code(&self.client.sent) == Some(CANCEL)
    }

    fn check(&self) -> Kept {
        is(self.client.is_closed(), || "the client still waits".into())?;
        is(self.server.is_closed(), || {
            "the server's stream was left open".into()
        })?;
        if self.decided.lifted.is_none() {
            return self.as_decided();
        }
        // It was carried out before, or it was let go.
        self.as_decided().or_else(|instead| {
            self.let_go()
                .map_err(|words| format!("{words}; not as decided: {instead}"))
        })
    }

    /// What held it was taken away.
    fn let_go(&self) -> Kept {
        self.beginning()?;
        if self.unary {
            is(self.executed.len() <= 1, || {
                "it was executed more than once".into()
            })?;
        }
        let (sent, got) = (&self.server.sent, &self.client.received);
        let resets = sent.reset.is_some() && sent.ended.is_none();
        let loses = matches!(self.decided.response, ResponseFate::Lose(_));
        if resets && code(got) == code(sent) {
            self.response_is_beginning()
        } else if loses && code(got) == Some(CANCEL) {
            // What was swallowed cannot be given back. (When the core let it go by
            // itself is not known.)
            let lifted = self.decided.lifted.filter(|at| *at > self.decided.at);
            let begun = lifted.is_none_or(|at| sent.head_at.is_some_and(|head| head <= at));
            is(begun, || "a reply that had not begun was lost".into())?;
            self.nothing_seen()
        } else {
            self.whole_response(None)
        }
    }

    fn as_decided(&self) -> Kept {
        let Decided { at, until, .. } = self.decided;
        let free = *at + self.decided.request_delay;
        match &self.decided.request {
            RequestFate::Pass => self.passed(free),
            RequestFate::Hang => match until {
                Some(until) if !self.server.received.whole.is_empty() => {
                    self.passed(free.max(*until))
                }
                Some(_) if !self.gave_up() => Err("the hung request was never let go".into()),
                _ => {
                    self.not_executed()?;
                    is(self.gave_up(), || "a hung call ended".into())?;
                    self.nothing_seen()
                }
            },
            RequestFate::Refuse(refusal) => {
                self.not_executed()?;
                self.refused(refusal, free)
            }
            RequestFate::Reset(code) => {
                self.not_executed()?;
                self.reset_by(*code, free)
            }
            RequestFate::Duplicate(sees) => {
                self.executed_twice(*sees)?;
                self.passed(free)
            }
        }
    }

    /// The request was executed again, elsewhere; in the order that was decided.
    fn executed_twice(&self, sees: Sees) -> Kept {
        let Some(double) = self.doubles.first() else {
            let answered = self.client.received.ended.is_some() && !self.gave_up();
            return is(!answered, || "nobody asked for the second execution".into());
        };
        is(self.doubles.len() == 1, || "it was asked for twice".into())?;
        let sent = &self.client.sent;
        let message = sent.whole.first().map(|(end, _)| &sent.data[..*end]);
        is(message == Some(&double.errand.message), || {
            "the second request is not the first".into()
        })?;
        let mut fields = sent.head.iter().flatten();
        let same = double.errand.fields.iter().all(|field| {
            let same = fields.next();
            same.is_some_and(|same| same.name == *field.name && same.value == *field.value)
        });
        is(same && fields.next().is_none(), || {
            "the second request has other fields".into()
        })?;
        match sees {
            Sees::First => {
                // One that is broken off has answered with its head.
                let sent = &self.server.sent;
                let answered = match self.decided.response {
                    ResponseFate::Pass | ResponseFate::WithholdTrailers => sent.ended,
                    _ => sent.head_at,
                };
                is(answered.is_some_and(|at| double.asked >= at), || {
                    "the second execution did not wait for the first's answer".into()
                })
            }
            Sees::Second => {
                let patience = double.asked + Duration::from_secs(10);
                let from = patience.min(double.due);
                let early = self.executed.first().is_some_and(|at| *at < from);
                is(!early, || {
                    "the client's own did not wait for its double".into()
                })
            }
        }
    }

    /// The server never had the whole message, and was told to forget it.
    fn not_executed(&self) -> Kept {
        let received = &self.server.received;
        is(self.executed.is_empty(), || {
            "the request was executed".into()
        })?;
        is(received.whole.is_empty(), || {
            "the server has the whole request".into()
        })?;
        is(received.ended.is_none(), || {
            "the server saw the request's end".into()
        })?;
        self.beginning()?;
        is(code(received) == Some(ErrorCode::CANCEL.0), || {
            format!(
                "the server's stream was reset by {:?}, not CANCEL",
                code(received)
            )
        })
    }

    fn beginning(&self) -> Kept {
        match self.server.received.is_beginning_of(&self.client.sent) {
            None => Ok(()),
            Some(words) => Err(format!("the request was altered: {words}")),
        }
    }

    fn nothing_seen(&self) -> Kept {
        let got = &self.client.received;
        let silent = got.head.is_none() && got.data.is_empty() && got.ended.is_none();
        is(silent, || "the client saw a response".into())
    }

    /// The client has the refusal, not before `from`, or gave up.
    fn refused(&self, refusal: &Refusal, from: Instant) -> Kept {
        let got = &self.client.received;
        if self.gave_up() && got.ended.is_none() {
            return self.nothing_seen();
        }
        is(got.data.is_empty(), || "a refusal with DATA".into())?;
        is(got.ended.is_some(), || {
            format!("no refusal came, but {:?}", code(got))
        })?;
        is(got.head_at.is_some_and(|at| at >= from), || {
            "the refusal came too early".into()
        })?;
        let reset = code(got);
        is(reset.is_none_or(|code| code == 0), || {
            format!("a refusal, and RST_STREAM {reset:?}")
        })?;
        let status = got.closing("grpc-status").map(String::from_utf8_lossy);
        is(
            status.as_deref() == Some(&refusal.code.0.to_string()[..]),
            || format!("a refusal with status {status:?}"),
        )?;
        let words = percent_decoded(got.closing("grpc-message").unwrap_or_default());
        is(words == refusal.message.as_bytes(), || {
            format!(
                "a refusal in other words: {:?}",
                String::from_utf8_lossy(&words)
            )
        })
    }

    /// The client has nothing but RST_STREAM, not before `from`, or gave up.
    fn reset_by(&self, by: ErrorCode, from: Instant) -> Kept {
        self.nothing_seen()?;
        self.reset_with(by, from)
    }

    fn reset_with(&self, by: ErrorCode, from: Instant) -> Kept {
        match self.client.received.reset {
            None => is(self.gave_up(), || "no RST_STREAM came".into()),
            Some((code, at)) => {
                is(code == by.0, || format!("RST_STREAM with {code}"))?;
                is(at >= from, || "RST_STREAM came too early".into())
            }
        }
    }

    /// The request came to the server, not before `from`.
    fn passed(&self, from: Instant) -> Kept {
        self.beginning()?;
        if let Some(first) = self.executed.first() {
            is(*first >= from, || {
                "the request was executed too early".into()
            })?;
        }
        if self.unary {
            is(self.executed.len() <= 1, || {
                "it was executed more than once".into()
            })?;
        }
        // The first message waits by the verdict, each later one by its own draw.
        let (sent, got) = (&self.client.sent, &self.server.received);
        if let Some(drawn) = &self.decided.request_messages {
            let begun = sent.begun.get(1..).unwrap_or_default();
            let mut whole = got.whole.get(1..).unwrap_or_default();
            // What comes when etcd has answered means nothing any more.
            let answer = &self.server.sent;
            if let Some(over) = answer.ended.or(answer.reset.map(|(_, at)| at)) {
                whole = &whole[..whole.partition_point(|(_, came)| *came < over)];
            }
            later_than(begun, whole, drawn)?;
        }
        self.answered()
    }

    /// What became of the response.
    fn answered(&self) -> Kept {
        let (sent, got) = (&self.server.sent, &self.client.received);
        if !self.gave_up() {
            is(!self.executed.is_empty(), || "it was never executed".into())?;
        }
        if sent.reset.is_some() && sent.ended.is_none() && code(got) == code(sent) {
            // The server's own reset goes before any plan.
            return self.response_is_beginning();
        }
        match &self.decided.response {
            ResponseFate::Pass => {
                self.on_time()?;
                self.whole_response(None)
            }
            ResponseFate::Lose(loss) => self.lost(loss),
            // Where there is no message, there is nothing to cut.
            _ if self.has_no_message() && self.whole_response(None).is_ok() => Ok(()),
            // Trailers alone are no head: nothing but the reset may come of them.
            ResponseFate::ResetAfterHead(code) if self.has_no_message() && got.head.is_none() => {
                self.reset_by(*code, self.head_from())
            }
            ResponseFate::ResetAfterHead(code) => {
                is(got.data.is_empty(), || "DATA behind the head".into())?;
                self.head_kept()?;
                self.reset_with(*code, self.head_from())
            }
            ResponseFate::ResetInMessage(code, portion) => {
                self.head_kept()?;
                self.cut(portion)?;
                is(got.ended.is_none(), || "it ended in order".into())?;
                self.reset_with(*code, self.head_from())
            }
            ResponseFate::WithholdTrailers => match self.decided.until {
                None => {
                    is(got.ended.is_none(), || "trailers came".into())?;
                    is(self.gave_up(), || "nothing ended the call".into())?;
                    self.response_is_beginning()
                }
                until => self.whole_response(until),
            },
            ResponseFate::CutShort(portion, close) => {
                self.head_kept()?;
                self.cut(portion)?;
                if self.gave_up() && got.ended.is_none() {
                    return Ok(());
                }
                is(got.ended.is_some(), || "it did not end".into())?;
                let status = got.trailers.is_some().then(|| got.closing("grpc-status"));
                match close {
                    Close::Trailers => is(status == Some(Some(b"0")), || {
                        format!("it was cut short, and the status is {status:?}")
                    }),
                    Close::EndStream => is(status.is_none(), || "trailers came".into()),
                }
            }
        }
    }

    fn has_no_message(&self) -> bool {
        self.server.sent.is_over() && self.server.sent.begun.is_empty()
    }

    /// A head that is the end as well cannot be given without it.
    fn is_trailers_only(&self) -> bool {
        let sent = &self.server.sent;
        sent.ended.is_some() && sent.trailers.is_none() && sent.data.is_empty()
    }

    fn head_from(&self) -> Instant {
        let sent = self.server.sent.head_at.unwrap_or(self.decided.at);
        sent + self.decided.response_delay
    }

    fn head_kept(&self) -> Kept {
        let (sent, got) = (&self.server.sent, &self.client.received);
        if got.head.is_none() && (self.gave_up() || self.is_trailers_only()) {
            return Ok(());
        }
        is(got.head == sent.head, || "another head".into())?;
        is(got.head_at.is_some_and(|at| at >= self.head_from()), || {
            "the head came too early".into()
        })
    }

    /// A portion of the first message came, and nothing else.
    fn cut(&self, portion: &Portion) -> Kept {
        let (sent, got) = (&self.server.sent, &self.client.received);
        is(sent.data.starts_with(&got.data), || {
            "DATA was altered".into()
        })?;
        let Some(length) = sent.data.get(1..5) else {
            return Ok(());
        };
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        let whole = 5 + u64::from(length);
        let due = match portion {
            Portion::Bytes(n) => (*n).min(whole - 1),
            Portion::Percent(percent) => whole * u64::from(*percent) / 100,
        };
        let came = got.data.len() as u64;
        is(came == due || (came < due && self.gave_up()), || {
            format!("{came} bytes of a message of {whole} came, not {due}")
        })
    }

    fn response_is_beginning(&self) -> Kept {
        match self.client.received.is_beginning_of(&self.server.sent) {
            None => Ok(()),
            Some(words) => Err(format!("the response was altered: {words}")),
        }
    }

    /// All of it came, its end not before `until`, unless the client gave up.
    fn whole_response(&self, until: Option<Instant>) -> Kept {
        let (sent, got) = (&self.server.sent, &self.client.received);
        let early = until
            .zip(got.ended)
            .is_some_and(|(until, ended)| ended < until);
        is(!early, || "the end came too early".into())?;
        if self.gave_up() {
            return self.response_is_beginning();
        }
        // A NO_ERROR behind the end says nothing to a client that has ended, too.
        let mut plain = sent.clone();
        if plain.ended.is_some() && got.reset.is_none() {
            plain.reset = None;
        }
        match got.differs_from(&plain) {
            None => Ok(()),
            Some(words) => Err(format!("the response was altered: {words}")),
        }
    }

    fn on_time(&self) -> Kept {
        let (sent, got) = (&self.server.sent, &self.client.received);
        let early = got.head_at.is_some_and(|at| at < self.head_from());
        is(!early, || "the response's head came too early".into())?;
        if let Some(drawn) = &self.decided.response_messages {
            later_than(&sent.begun, &got.whole, drawn)?;
        }
        let Some(pace) = self.decided.pace.as_ref().filter(|_| !self.gave_up()) else {
            return Ok(());
        };
        let taken = pace.taken.lock().unwrap();
        let sum: u64 = taken.iter().map(|(bytes, _)| bytes).sum();
        let came = got.data.len() as u64;
        is(sum >= came, || {
            format!("{came} bytes came, for {sum} room was taken")
        })?;
        let last = taken.last().map(|(_, at)| *at);
        let early = last
            .zip(got.ended)
            .is_some_and(|(last, ended)| ended < last);
        is(!early, || "the end came before there was room".into())
    }

    fn lost(&self, loss: &Loss) -> Kept {
        let (sent, got) = (&self.server.sent, &self.client.received);
        is(got.data.is_empty(), || "the lost reply came".into())?;
        let whole = sent.ended.or(sent.reset.map(|(_, at)| at));
        // The silence may be over before the reply is whole.
        if let (Loss::Silence, Some(until)) = (loss, self.decided.until) {
            return self.reset_by(ErrorCode::CANCEL, until);
        }
        let Some(whole) = whole else {
            is(self.gave_up(), || {
                "the call ended before its reply was whole".into()
            })?;
            return self.nothing_seen();
        };
        match loss {
            Loss::Refuse(refusal) => self.refused(refusal, whole),
            Loss::Reset(code) => self.reset_by(*code, whole),
            Loss::Silence => {
                is(self.gave_up(), || "the silence ended".into())?;
                self.nothing_seen()
            }
        }
    }
}

/// Each message came at least as much later as was drawn for it.
fn later_than(
    begun: &[Instant],
    whole: &[(usize, Instant)],
    drawn: &Arc<Mutex<Vec<Duration>>>,
) -> Kept {
    let drawn = drawn.lock().unwrap();
    for (n, (_, came)) in whole.iter().enumerate() {
        let Some(delay) = drawn.get(n) else {
            return Err(format!(
                "message {n} passed, and nobody asked how long it waits"
            ));
        };
        is(*came >= begun[n] + *delay, || {
            format!("message {n} came too early")
        })?;
    }
    Ok(())
}

fn percent_decoded(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((first, later)) = rest.split_first() {
        let code = later.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &later[2..];
            }
            _ => {
                out.push(*first);
                rest = later;
            }
        }
    }
    out
}
