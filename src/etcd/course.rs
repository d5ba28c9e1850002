//! A verdict carried out: what a judged call goes through, from the end of its
//! request to the end of its response.
//!
//! Everything that happens to the call, and every timer, leads to one
//! [`Course::step`], which looks at how things stand and says how far either
//! direction may pass from now on.

use std::time::{Duration, Instant};

use super::call::Ending;
use super::pacing::{Paced, Spacing};
use super::verdict::{
    Close, FaultId, Hit, Loss, Portion, Refusal, RequestFate, ResponseFate, Sees, Verdict,
};
use crate::grpc::{Code, PREFIX_LEN, percent_encode};
use crate::http2::{Both, ErrorCode, Side};
use crate::relay::{Finish, Gate, HeaderField, Order};

/// How long the client's own request waits for its double.
const DOUBLE_WITHIN: Duration = Duration::from_secs(15);

/// A judged call on its way.
#[derive(Debug)]
pub(super) struct Course {
    verdict: Verdict,
    stage: Stage,
    requests: Spacing,
    responses: Spacing,
    pace: Option<Paced>,
    /// When the response's first frame came.
    head: Option<Instant>,
    /// When etcd ended the response.
    ended: Option<Instant>,
    /// Bytes of the response's content.
    seen: u64,
    /// Where the response is to be cut.
    cut: Option<u64>,
    /// Faults were taken away, or more was held than may be.
    lifted: bool,
    /// The client has got what it gets.
    over: bool,
    gates: Both<Gate>,
    /// The timer that was asked for last.
    timer: Option<Instant>,
}

/// How far the request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its end is held until then.
    Delayed(Instant),
    /// Its end is held for good.
    Hung,
    /// Its end is held until its double was executed, or then.
    Waiting(Instant),
    /// It passes.
    Passed,
    /// etcd does not get it.
    Stopped,
}

/// The client has been told an end that is not etcd's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub ending: Ending,
    /// With which status, where it was told one.
    pub status: Option<Refusal>,
}

/// Errands that a step asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    /// Execute the request a second time.
    Double,
}

impl Told {
    fn reset(code: ErrorCode) -> Told {
        Told {
            ending: Ending::InjectedReset { code },
            status: None,
        }
    }
}

impl Course {
    /// Begins to carry out `verdict`, now that the request's first message has
    /// come.
    pub fn new(verdict: Verdict, now: Instant) -> Course {
        Course {
            stage: Stage::Delayed(now + verdict.request_delay),
            requests: Spacing::default(),
            responses: Spacing::default(),
            pace: verdict.pace.clone().map(Paced::new),
            head: None,
            ended: None,
            seen: 0,
            cut: None,
            lifted: false,
            over: false,
            gates: Both::default(),
            timer: None,
            verdict,
        }
    }

    /// Where a message is to wait, frames have to pass whole or not at all: the
    /// message may begin in the middle of one.
    pub fn begin(&self, orders: &mut Vec<Order>) {
        let verdict = &self.verdict;
        // A response that is cut is held as it comes, whatever else is done.
        let responses = verdict.response_messages.is_some() && !self.cuts();
        if responses {
            orders.push(Order::Careful(Side::Server, true));
        }
        if verdict.request_messages.is_some() {
            orders.push(Order::Careful(Side::Client, true));
        }
    }

    fn cuts(&self) -> bool {
        matches!(
            self.verdict.response,
            ResponseFate::ResetInMessage(..) | ResponseFate::CutShort(..)
        )
    }

    /// What struck.
    pub fn hits(&self) -> &[Hit] {
        &self.verdict.hits
    }

    /// Others have struck the call besides.
    pub fn add_hits(&mut self, hits: Vec<Hit>) {
        self.verdict.hits.extend(hits);
    }

    /// Which faults take part.
    pub fn faults(&self) -> impl Iterator<Item = FaultId> + '_ {
        self.verdict.hits.iter().map(|hit| hit.fault)
    }

    /// The response's first frame came.
    pub fn answered(&mut self, now: Instant) {
        self.head.get_or_insert(now);
    }

    /// etcd ended the response.
    pub fn ended(&mut self, now: Instant) {
        self.ended.get_or_insert(now);
    }

    /// Content of the response came, up to `seen`.
    pub fn content(&mut self, seen: u64) {
        self.seen = seen;
    }

    /// A message of `from`'s begins at `start`: its prefix says `length`.
    pub fn message(&mut self, from: Side, start: u64, length: u32, now: Instant) {
        let end = start + PREFIX_LEN as u64 + u64::from(length);
        let (spacing, delays) = match from {
            Side::Client => (&mut self.requests, &mut self.verdict.request_messages),
            Side::Server => (&mut self.responses, &mut self.verdict.response_messages),
        };
        if let Some(delays) = delays {
            spacing.push(start, delays.as_mut(), now);
        }
        if from == Side::Server && self.cut.is_none() {
            let whole = end - start;
            self.cut = match &self.verdict.response {
                ResponseFate::ResetInMessage(_, portion) | ResponseFate::CutShort(portion, _) => {
                    Some(start + portion_of(*portion, whole))
                }
                _ => None,
            };
        }
    }

    /// The request's double was executed, or could not be.
    pub fn doubled(&mut self) {
        if let Stage::Waiting(_) = self.stage {
            self.stage = Stage::Passed;
        }
    }

    /// Lets go all that is held. What was swallowed cannot be given back: the
    /// client of a lost reply is reset.
    pub fn lift(&mut self) {
        if self.lifted || self.over {
            return;
        }
        self.lifted = true;
        if self.is_holding() {
            self.note("let go");
        }
        if self.doubles() {
            self.verdict.request = RequestFate::Pass;
        }
        if self.head.is_none() && matches!(self.verdict.response, ResponseFate::Lose(_)) {
            // Nothing of it is lost yet.
            self.verdict.response = ResponseFate::Pass;
        }
    }

    /// Whether anything waits that would pass without the verdict.
    fn is_holding(&self) -> bool {
        match self.stage {
            Stage::Delayed(_) | Stage::Hung | Stage::Waiting(_) => true,
            Stage::Stopped => false,
            Stage::Passed => {
                self.gates.server != Gate::Open || self.verdict.response != ResponseFate::Pass
            }
        }
    }

    /// The client gave up while this was under way.
    pub fn abandoned(&mut self) {
        if !self.over && self.is_holding() {
            self.note("the client gave up first");
        }
    }

    /// Notes on the log line what became of the fault's doing.
    pub fn note(&mut self, what: &str) {
        for hit in &mut self.verdict.hits {
            hit.did = format!("{}; {what}", hit.did).into();
        }
    }

    /// Whether the request is to be executed twice.
    pub fn doubles(&self) -> bool {
        matches!(self.verdict.request, RequestFate::Duplicate(_))
    }

    /// Looks at how things stand: orders what follows from it.
    pub fn step(&mut self, orders: &mut Vec<Order>, now: Instant) -> (Option<Told>, Wanted) {
        if self.over {
            return (None, Wanted::Nothing);
        }
        if self.verdict.lifted_at.is_some_and(|at| now >= at) {
            self.lift();
        }
        self.release(now);
        let mut wanted = Wanted::Nothing;
        let told = self
            .step_request(orders, &mut wanted, now)
            .or_else(|| self.step_response(orders, now));
        self.over = told.is_some();
        if !self.over {
            let (request, response) = (self.request_gate(), self.response_gate(now));
            self.set_gate(Side::Client, request, orders);
            self.set_gate(Side::Server, response, orders);
        }
        // An answer that was broken off counts as well as one that ended.
        if (self.over || self.ended.is_some())
            && self.stage == Stage::Passed
            && self.verdict.request == RequestFate::Duplicate(Sees::First)
        {
            self.verdict.request = RequestFate::Pass;
            wanted = Wanted::Double;
        }
        (told, wanted)
    }

    /// When to step again, if that is not what was said last.
    pub fn poll_timer(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due(now);
        if self.over || due == self.timer {
            return None;
        }
        self.timer = due;
        due
    }

    fn step_request(
        &mut self,
        orders: &mut Vec<Order>,
        wanted: &mut Wanted,
        now: Instant,
    ) -> Option<Told> {
        match self.stage {
            // etcd has answered without it, and does not wait for the rest.
            Stage::Delayed(_) | Stage::Hung | Stage::Waiting(_) if self.ended.is_some() => {
                self.stop(orders);
                return None;
            }
            Stage::Delayed(until) if now >= until || self.lifted => {}
            Stage::Hung if self.lifted => {
                self.stage = Stage::Passed;
                return None;
            }
            Stage::Hung if self.is_past(now) => {
                self.stage = Stage::Passed;
                self.note("let go");
                return None;
            }
            Stage::Waiting(until) if self.lifted || now >= until => {
                self.stage = Stage::Passed;
                self.note("did not wait for the second execution");
                return None;
            }
            _ => return None,
        }
        if self.lifted {
            self.stage = Stage::Passed;
            return None;
        }
        match &self.verdict.request {
            RequestFate::Pass | RequestFate::Duplicate(Sees::First) => self.stage = Stage::Passed,
            RequestFate::Hang => self.stage = Stage::Hung,
            RequestFate::Duplicate(Sees::Second) => {
                self.stage = Stage::Waiting(now + DOUBLE_WITHIN);
                *wanted = Wanted::Double;
            }
            RequestFate::Refuse(refusal) => {
                let refusal = refusal.clone();
                self.stop(orders);
                orders.push(Order::Finish(Side::Server, trailers(&refusal)));
                return Some(Told {
                    ending: Ending::Injected,
                    status: Some(refusal),
                });
            }
            RequestFate::Reset(code) => {
                let code = *code;
                self.stop(orders);
                orders.push(Order::Reset(Side::Client, code));
                return Some(Told::reset(code));
            }
        }
        None
    }

    /// etcd does not get the request.
    fn stop(&mut self, orders: &mut Vec<Order>) {
        self.stage = Stage::Stopped;
        self.set_gate(Side::Client, Gate::Sink, orders);
        orders.push(Order::Reset(Side::Server, ErrorCode::CANCEL));
    }

    fn step_response(&mut self, orders: &mut Vec<Order>, now: Instant) -> Option<Told> {
        let began = self
            .head
            .is_some_and(|head| now >= head + self.verdict.response_delay);
        match &self.verdict.response {
            ResponseFate::Pass | ResponseFate::WithholdTrailers => None,
            ResponseFate::Lose(loss) => {
                let loss = loss.clone();
                self.lose(loss, orders, now)
            }
            // What has passed by now has passed.
            _ if self.lifted => None,
            _ if !began => None,
            ResponseFate::ResetAfterHead(code) => {
                let code = *code;
                Some(self.break_off(0, Finish::Reset(code), Told::reset(code), orders))
            }
            ResponseFate::ResetInMessage(code, _) => {
                let (code, cut) = (*code, self.reached()?);
                Some(self.break_off(cut, Finish::Reset(code), Told::reset(code), orders))
            }
            ResponseFate::CutShort(_, close) => {
                let (close, cut) = (*close, self.reached()?);
                let ok = Refusal {
                    code: Code::OK,
                    message: "".into(),
                };
                let (how, status) = match close {
                    Close::Trailers => (trailers(&ok), Some(ok)),
                    Close::EndStream => (Finish::EndStream, None),
                };
                let told = Told {
                    ending: Ending::Injected,
                    status,
                };
                Some(self.break_off(cut, how, told, orders))
            }
        }
    }

    /// Where the response is to be cut, once so much of it has come and may pass.
    fn reached(&self) -> Option<u64> {
        let may = self.seen.min(self.spaced()).min(self.paced());
        self.cut.filter(|cut| *cut <= may)
    }

    /// Lets what has waited long enough go.
    fn release(&mut self, now: Instant) {
        self.requests.release(now);
        self.responses.release(now);
        if let Some(paced) = &mut self.pace {
            paced.advance(self.seen, now);
        }
        if self.cuts() && self.cut.is_none() && self.ended.is_some() && !self.lifted {
            // An error has no message that could be cut.
            self.verdict.response = ResponseFate::Pass;
            self.note("the response had no message, and passed");
        }
    }

    /// The reply is swallowed; the client is told what the fault tells.
    fn lose(&mut self, loss: Loss, orders: &mut Vec<Order>, now: Instant) -> Option<Told> {
        let whole = self
            .ended
            .is_some_and(|at| now >= at + self.verdict.response_delay);
        if self.lifted || loss == Loss::Silence && self.is_past(now) {
            // A reply that has not begun is not lost yet. (One that was lifted
            // before it began is not ours to lose any more.)
            self.head?;
            return Some(self.reset(ErrorCode::CANCEL, orders));
        }
        if !whole {
            return None;
        }
        match loss {
            Loss::Silence => None,
            Loss::Reset(code) => Some(self.reset(code, orders)),
            Loss::Refuse(refusal) => {
                self.set_gate(Side::Server, Gate::Sink, orders);
                orders.push(Order::Finish(Side::Server, trailers(&refusal)));
                Some(Told {
                    ending: Ending::Injected,
                    status: Some(refusal),
                })
            }
        }
    }

    fn reset(&mut self, code: ErrorCode, orders: &mut Vec<Order>) -> Told {
        orders.push(Order::Reset(Side::Client, code));
        orders.push(Order::Reset(Side::Server, ErrorCode::CANCEL));
        Told::reset(code)
    }

    /// Ends the response behind its first `passes` bytes. etcd, which may still be
    /// sending, is told that nobody wants the rest.
    fn break_off(&mut self, passes: u64, how: Finish, told: Told, orders: &mut Vec<Order>) -> Told {
        self.set_gate(Side::Server, Gate::Until(passes), orders);
        orders.push(Order::Finish(Side::Server, how));
        orders.push(Order::Reset(Side::Server, ErrorCode::CANCEL));
        told
    }

    fn set_gate(&mut self, side: Side, gate: Gate, orders: &mut Vec<Order>) {
        let known = &mut self.gates[side];
        if *known != gate {
            *known = gate;
            orders.push(Order::Gate(side, gate));
        }
    }

    fn request_gate(&self) -> Gate {
        match self.stage {
            // What of it has passed has passed; no more does.
            Stage::Delayed(_) | Stage::Hung | Stage::Waiting(_) => Gate::Until(0),
            Stage::Passed => match self.requests.limit() {
                _ if self.lifted => Gate::Open,
                u64::MAX => Gate::Open,
                limit => Gate::Until(limit),
            },
            Stage::Stopped => Gate::Sink,
        }
    }

    fn response_gate(&self, now: Instant) -> Gate {
        let verdict = &self.verdict;
        if matches!(verdict.response, ResponseFate::Lose(_)) {
            return Gate::Sink;
        }
        if self.lifted {
            return Gate::Open;
        }
        let plain = verdict.response == ResponseFate::Pass
            && verdict.response_delay == Duration::ZERO
            && verdict.response_messages.is_none()
            && self.pace.is_none();
        // From the verdict on: nothing of an answer that is to wait may slip by.
        match self.head {
            _ if plain => return Gate::Open,
            None => return Gate::Shut,
            Some(head) if now < head + verdict.response_delay => return Gate::Shut,
            Some(_) => {}
        }
        let mut limit = self.spaced();
        if let Some(paced) = &self.pace {
            limit = limit.min(paced.limit(self.seen, self.ended.is_some()));
        }
        if self.cuts() {
            limit = limit.min(self.cut.unwrap_or(0));
        }
        if verdict.response == ResponseFate::WithholdTrailers && !self.is_past(now) {
            limit = limit.min(u64::MAX - 1);
        }
        match limit {
            u64::MAX => Gate::Open,
            limit => Gate::Until(limit),
        }
    }

    /// How far the delays between messages let the response pass.
    fn spaced(&self) -> u64 {
        self.responses.limit()
    }

    /// How far the pace does.
    fn paced(&self) -> u64 {
        self.pace.as_ref().map_or(u64::MAX, |paced| paced.to)
    }

    /// Whether what is held for good is to be let go.
    fn is_past(&self, now: Instant) -> bool {
        self.verdict.until.is_some_and(|until| now >= until)
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        let verdict = &self.verdict;
        let request = match self.stage {
            Stage::Delayed(at) | Stage::Waiting(at) => Some(at),
            Stage::Hung | Stage::Passed | Stage::Stopped => None,
        };
        let waits = self.stage == Stage::Hung
            || verdict.response == ResponseFate::WithholdTrailers
            || matches!(verdict.response, ResponseFate::Lose(Loss::Silence));
        let until = verdict.until.filter(|_| waits);
        let response = match &verdict.response {
            ResponseFate::Lose(_) => self.ended,
            _ => self.head,
        };
        let response = response.map(|at| at + verdict.response_delay);
        let spaced = [self.requests.next(), self.responses.next()];
        let paced = self.pace.as_ref().and_then(|paced| paced.next(self.seen));
        [request, until, response, paced, verdict.lifted_at]
            .into_iter()
            .chain(spaced)
            .flatten()
            .filter(|at| *at > now)
            .min()
    }
}

/// How many bytes of a message of `whole` bytes pass: never all of them.
fn portion_of(portion: Portion, whole: u64) -> u64 {
    let bytes = match portion {
        Portion::Bytes(bytes) => bytes,
        Portion::Percent(percent) => whole.saturating_mul(u64::from(percent)) / 100,
    };
    bytes.min(whole.saturating_sub(1))
}

/// gRPC's trailers ("Responses" in gRPC over HTTP/2).
pub(super) fn trailers(refusal: &Refusal) -> Finish {
    let code = refusal.code.0.to_string();
    let mut fields = vec![HeaderField::new("grpc-status", code)];
    if !refusal.message.is_empty() {
        let message = percent_encode(&refusal.message);
        fields.push(HeaderField::new("grpc-message", message));
    }
    Finish::Trailers(fields)
}
