//! Calls before their judge: who is suspected, what is asked, and how the verdict
//! takes its course.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use super::call::{Ending, Request};
use super::course::{Course, Told, Wanted};
use super::method::Method;
use super::open_call::{Judged, Kind, OpenCall, Trial};
use super::tracker::Tracker;
use super::verdict::{Asked, Errand, FaultId, Hit, Judge, MOST_KEPT, Refreshed, Suspicion};
use super::watch_verdict::{AskedWatch, Moment, Strike};
use super::watching::Doing;
use crate::grpc::PREFIX_LEN;
use crate::http2::{Side, StreamId};
use crate::relay::{HeaderField, Hold, HoldAccount, Order, Peers};

/// A connection's judge, and what waits because of him.
#[derive(Debug)]
pub(super) struct Bench {
    judge: Option<Box<dyn Judge>>,
    refreshed: Refreshed,
    /// When to look at which stream again. Some of it may be out of date, which
    /// does no harm.
    timers: BinaryHeap<Reverse<(Instant, StreamId)>>,
    pub errands: VecDeque<Errand>,
    /// How often the rules have changed, or one about watches has begun or ended.
    pub turns: u64,
    /// What the connection holds.
    held: HoldAccount,
    /// Open calls that are suspected, or were judged.
    pub trials: usize,
}

impl Bench {
    pub fn new(judge: Option<Box<dyn Judge>>, held: HoldAccount) -> Bench {
        Bench {
            turns: 0,
            held,
            judge,
            refreshed: Refreshed::default(),
            timers: BinaryHeap::new(),
            errands: VecDeque::new(),
            trials: 0,
        }
    }

    /// Looks at the rules again.
    pub fn refresh(&mut self, now: Instant) -> Refreshed {
        if let Some(judge) = &mut self.judge {
            self.refreshed = judge.refresh(now);
        }
        self.refreshed
    }

    /// Whether the rules stand as they did at the last look.
    pub fn is_current(&self, now: Instant) -> bool {
        (self.judge.as_ref()).is_none_or(|judge| judge.is_current(now))
    }

    /// Whether any call could be touched.
    pub fn is_armed(&self) -> bool {
        self.refreshed.armed
    }

    /// Whether requests may have to be asked a second time.
    pub fn keeps(&self) -> bool {
        self.refreshed.armed && self.refreshed.keeps
    }

    /// When a call has to be looked at again.
    pub fn next(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Has a stream looked at again.
    pub fn look_again(&mut self, at: Instant, stream: StreamId) {
        self.timers.push(Reverse((at, stream)));
    }

    /// When rules about watches begin or end by themselves.
    pub fn next_edge(&self) -> Option<Instant> {
        self.refreshed.next
    }

    /// What the connection holds.
    pub fn held(&self) -> HoldAccount {
        self.held.clone()
    }

    /// Whether faults could touch watches of this Watch stream.
    pub fn touches_watches(&mut self, call: &OpenCall, peers: &Peers, now: Instant) -> bool {
        let watches = self.refreshed.watches;
        let judge = self.judge.as_mut().filter(|_| watches);
        judge.is_some_and(|judge| {
            judge.touches_watches(&call.asked(peers, &Request::Unread, 0), now)
        })
    }

    /// What strikes a watch at a moment.
    pub fn judge_watch(
        &mut self,
        watch: &AskedWatch<'_>,
        moment: Moment<'_>,
        now: Instant,
    ) -> Vec<Strike> {
        let judge = self.judge.as_mut();
        judge.map_or_else(Vec::new, |judge| judge.judge_watch(watch, moment, now))
    }

    /// Faults have struck a call as a stream of watches.
    pub fn strike_stream(&mut self, call: &mut OpenCall, hits: Vec<Hit>) {
        match call.trial.as_mut() {
            _ if hits.is_empty() => {}
            Some(Trial::Judged(judged)) => judged.course.add_hits(hits),
            Some(Trial::Struck(struck)) => struck.extend(hits),
            suspect_or_none => {
                // It counts as long as it is open.
                self.trials += usize::from(suspect_or_none.is_none());
                call.trial = Some(Trial::Struck(hits));
            }
        }
    }

    /// Says of a fault whether it was taken away; `None` where there is no judge.
    pub fn lifting(&self) -> Option<impl Fn(FaultId) -> bool + '_> {
        let judge = self.judge.as_ref()?;
        Some(|fault| judge.is_lifted(fault))
    }

    /// A stream whose time has come.
    pub fn due(&mut self, now: Instant) -> Option<StreamId> {
        let Reverse((at, stream)) = *self.timers.peek()?;
        if at > now {
            return None;
        }
        self.timers.pop();
        Some(stream)
    }

    /// What these faults began could not be carried out.
    pub fn faults_gave_up(&mut self, faults: &[FaultId], why: &str) {
        if let Some(judge) = &mut self.judge {
            for fault in faults {
                judge.gave_up(*fault, why);
            }
        }
    }

    /// Forgets the timers of streams that are gone, when there are many.
    pub fn prune(&mut self, open: usize, is_open: impl Fn(StreamId) -> bool) {
        if open == 0 {
            self.timers = BinaryHeap::new();
        } else if self.timers.len() > 2 * open + 64 {
            self.timers.retain(|Reverse((_, stream))| is_open(*stream));
        }
    }

    /// More was held than may be, and this call was let go.
    pub fn let_go(&mut self, call: &mut OpenCall) {
        if let Some(Trial::Judged(judged)) = call.trial.as_mut() {
            judged.course.lift();
            self.gave_up(&mut judged.course, "more was held than may be: let go");
        }
    }

    fn gave_up(&mut self, course: &mut Course, why: &str) {
        course.note(why);
        if let Some(judge) = &mut self.judge {
            for fault in course.faults() {
                judge.gave_up(fault, why);
            }
        }
    }
}

impl OpenCall {
    /// What a judge is told of it.
    pub fn asked<'a>(&'a self, peers: &'a Peers, request: &'a Request, bytes: u64) -> Asked<'a> {
        Asked {
            peers,
            stream: self.id,
            user_agent: self.user_agent.as_deref(),
            method: self.method,
            name: &self.name,
            request,
            request_bytes: bytes,
        }
    }

    /// Whether it is to be judged.
    pub fn is_suspect(&self) -> bool {
        matches!(self.trial.as_ref(), Some(Trial::Suspect { .. }))
    }
}

/// Keeps a part of a suspect's message.
pub(super) fn keep_body(call: &mut OpenCall, from: Side, body: &[u8]) {
    if let Some(Trial::Suspect {
        kept: Some(kept), ..
    }) = call.trial.as_mut()
        && from == Side::Client
    {
        kept.keep(body);
    }
}

impl Errand {
    /// What a request with these fields is asked again with.
    fn new(stream: StreamId, fields: Vec<HeaderField>, held: &HoldAccount) -> Errand {
        let size = fields
            .iter()
            .map(|f| f.name.len() + f.value.len())
            .sum::<usize>();
        let mut errand = Errand {
            stream,
            fields,
            message: Vec::new(),
            faults: Vec::new(),
            hold: Hold::new(held),
            broken: None,
        };
        if !errand.hold.grow(size as u64) {
            errand.give_up("more was held than may be: executed once");
        }
        errand
    }

    /// Keeps more of the message.
    fn keep(&mut self, part: &[u8]) {
        if self.broken.is_some() {
        } else if self.message.len() + part.len() > MOST_KEPT + PREFIX_LEN {
            self.give_up("the request is too large to be kept: executed once");
        } else if self.hold.grow(part.len() as u64) {
            self.message.extend_from_slice(part);
        } else {
            self.give_up("more was held than may be: executed once");
        }
    }

    /// It cannot be done: nothing is kept for it any more.
    fn give_up(&mut self, why: &'static str) {
        self.broken = Some(why);
        self.message = Vec::new();
        self.fields = Vec::new();
        self.hold.give_back();
    }
}

impl Tracker {
    /// The head of a request is known, while faults could touch it.
    #[inline(never)]
    pub(super) fn try_head(
        &mut self,
        call: &mut OpenCall,
        end_stream: bool,
        orders: &mut Vec<Order>,
        now: Instant,
    ) {
        // A request that ends with its head etcd has whole already.
        if self.head.touchable && !end_stream {
            self.suspect(call, now);
        }
        if call.method == Method::Watch {
            if self.head.touchable {
                self.consider_watching(call, &mut Doing { orders, now });
            } else {
                // Its frames do not pass one by one yet.
                self.bench.look_again(now, call.id);
            }
        }
    }

    fn suspect(&mut self, call: &mut OpenCall, now: Instant) {
        let Some(judge) = &mut self.bench.judge else {
            return;
        };
        let kept = match judge.suspects(&call.asked(&self.peers, &Request::Unread, 0), now) {
            Suspicion::None => return,
            Suspicion::Judge => None,
            Suspicion::JudgeAndKeep => Some(self.keep_head(call.id)),
        };
        self.bench.trials += 1;
        call.trial = Some(Trial::Suspect {
            kept,
            request_end: 0,
        });
    }

    #[cold]
    fn keep_head(&mut self, stream: StreamId) -> Box<Errand> {
        let fields = std::mem::take(&mut self.head.fields);
        Box::new(Errand::new(stream, fields, &self.bench.held))
    }

    /// A message begins; its prefix ended at the content offset `at`.
    pub(super) fn try_message(
        &mut self,
        call: &mut OpenCall,
        from: Side,
        at: u64,
        (compressed, length): (bool, u32),
        now: Instant,
    ) {
        let start = at - PREFIX_LEN as u64;
        match call.trial.as_mut() {
            Some(Trial::Suspect { kept, request_end }) if from == Side::Client => {
                *request_end = at + u64::from(length);
                if let Some(kept) = kept {
                    kept.keep(&[u8::from(compressed)]);
                    kept.keep(&length.to_be_bytes());
                }
            }
            Some(Trial::Judged(judged)) => judged.course.message(from, start, length, now),
            _ => {}
        }
    }

    /// Content came, up to `seen`; with `end_stream` it was the last.
    pub(super) fn try_data(
        &mut self,
        call: &mut OpenCall,
        from: Side,
        seen: u64,
        end_stream: bool,
        orders: &mut Vec<Order>,
        now: Instant,
    ) {
        if from == Side::Client {
            if end_stream && call.is_suspect() {
                self.judge(call, orders, now);
            } else {
                self.step(call, orders, now);
            }
            return;
        }
        if let Some(Trial::Judged(judged)) = call.trial.as_mut() {
            judged.course.content(seen);
        }
        self.try_response(call, end_stream.then_some(Ending::NoTrailers), orders, now);
    }

    /// A frame of the response came, and maybe etcd's end of it.
    pub(super) fn try_response(
        &mut self,
        call: &mut OpenCall,
        end: Option<Ending>,
        orders: &mut Vec<Order>,
        now: Instant,
    ) {
        match call.trial.as_mut() {
            Some(Trial::Judged(judged)) => {
                judged.course.answered(now);
                if let Some(end) = end {
                    judged.course.ended(now);
                    judged.ending.get_or_insert(end);
                }
            }
            // It answered before it knew the whole request.
            _ => {
                if let Some(end) = end {
                    self.finish(call, end, now);
                }
                return;
            }
        }
        self.step(call, orders, now);
    }

    /// The client has been given the end of the response.
    pub(super) fn told_the_end(&mut self, call: &mut OpenCall, now: Instant) {
        if let Some(Trial::Judged(judged)) = call.trial.as_mut()
            && let Some(ending) = judged.ending.take()
        {
            self.finish(call, ending, now);
        }
    }

    /// The first message is whole, or there is none.
    pub(super) fn judge(&mut self, call: &mut OpenCall, orders: &mut Vec<Order>, now: Instant) {
        // Nearly every call is nobody's, and that is told with little code.
        if let Some(Trial::Suspect { kept: None, .. }) = call.trial
            && let Kind::Plain = call.kind
            && let Some(judge) = &self.bench.judge
            && judge.passes_by(call.method, &call.request)
        {
            call.trial = None;
            self.bench.trials -= 1;
            return;
        }
        self.judge_closely(call, orders, now);
    }

    #[cold]
    fn judge_closely(&mut self, call: &mut OpenCall, orders: &mut Vec<Order>, now: Instant) {
        let suspect = call
            .trial
            .take_if(|trial| matches!(trial, Trial::Suspect { .. }));
        let Some(Trial::Suspect { kept, request_end }) = suspect else {
            return;
        };
        // Until it turns out to be one of ours.
        self.bench.trials -= 1;
        let Some(judge) = &mut self.bench.judge else {
            return;
        };
        // What etcd has answered already, or what has no message, is not judged.
        if call.over || request_end == 0 {
            return;
        }
        let watch;
        let request = match &call.kind {
            Kind::Watch(watches) => {
                watch = watches.last_asked();
                &watch
            }
            Kind::KeepAlive(waiting) => waiting.back().map_or(&Request::Unread, |last| &last.1),
            Kind::Plain => &call.request,
        };
        let bytes = request_end.saturating_sub(PREFIX_LEN as u64);
        let asked = call.asked(&self.peers, request, bytes);
        let Some(verdict) = judge.judge(&asked, now) else {
            return;
        };
        let course = Course::new(*verdict, now);
        course.begin(orders);
        let kept = kept.filter(|_| course.doubles());
        self.bench.trials += 1;
        call.trial = Some(Trial::Judged(Box::new(Judged {
            course,
            kept,
            ending: None,
        })));
        self.step(call, orders, now);
    }

    /// Looks at how a judged call stands.
    pub(super) fn step(&mut self, call: &mut OpenCall, orders: &mut Vec<Order>, now: Instant) {
        let Some(Trial::Judged(judged)) = call.trial.as_mut() else {
            return;
        };
        let Judged { course, kept, .. } = &mut **judged;
        let (told, wanted) = course.step(orders, now);
        if wanted == Wanted::Double {
            match kept.take() {
                Some(mut errand) if errand.broken.is_none() => {
                    errand.faults.extend(course.faults());
                    self.bench.errands.push_back(*errand);
                }
                broken => {
                    let why = broken.and_then(|errand| errand.broken);
                    let why = why.unwrap_or("the request was not kept: executed once");
                    self.bench.gave_up(course, why);
                    course.doubled();
                    course.step(orders, now);
                }
            }
        }
        if let Some(at) = course.poll_timer(now) {
            self.bench.timers.push(Reverse((at, call.id)));
        }
        if let Some(Told { ending, status }) = told {
            (call.code, call.message) = match status {
                Some(status) => {
                    let message = Some(status.message).filter(|text| !text.is_empty());
                    (Some(status.code), message)
                }
                None if ending == Ending::Injected => (call.code, call.message.take()),
                None => (None, None),
            };
            self.finish(call, ending, now);
        }
    }

    /// The rules have changed: what is held by a fault that is no more is let go.
    pub(super) fn reconsider(&mut self, call: &mut OpenCall) {
        let (Some(Trial::Judged(judged)), Some(judge)) = (call.trial.as_mut(), &self.bench.judge)
        else {
            return;
        };
        if judged.course.faults().any(|fault| judge.is_lifted(fault)) {
            judged.course.lift();
        }
    }

    /// A request was executed a second time, or could not be.
    pub(super) fn doubled(call: &mut OpenCall, outcome: &Result<(), String>) {
        if let Some(Trial::Judged(judged)) = call.trial.as_mut() {
            judged.course.doubled();
            if let Err(why) = outcome {
                judged
                    .course
                    .note(&format!("the second execution failed: {why}"));
            }
        }
    }
}
