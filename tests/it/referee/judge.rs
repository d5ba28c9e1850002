//! A judge who leaves all to chance, and remembers what it said.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::{
    Asked, Close, Delays, FaultId, Hit, Judge, Loss, Pace, Portion, Refreshed, Refusal,
    RequestFate, ResponseFate, Sees, Suspicion, Verdict,
};
use etcdtap::grpc::Code;
use etcdtap::http2::ErrorCode;

use super::random::Random;

/// What was decided about a stream, as far as it can be checked.
#[derive(Debug, Clone)]
pub struct Decided {
    /// When the judge was asked.
    pub at: Instant,
    pub request_delay: Duration,
    /// Delays that were drawn for the client's later messages.
    pub request_messages: Option<Drawn>,
    pub request: RequestFate,
    pub response_delay: Duration,
    /// Delays that were drawn for the response's messages.
    pub response_messages: Option<Drawn>,
    pub pace: Option<Arc<Speed>>,
    pub response: ResponseFate,
    pub until: Option<Instant>,
    /// Whether its fault is one that may be taken away.
    pub passing: bool,
    /// When that happened, or when the core let the call go by itself.
    pub lifted: Option<Instant>,
}

pub type Drawn = Arc<Mutex<Vec<Duration>>>;

/// What a judge said so far, by stream.
pub type Docket = Arc<Mutex<BTreeMap<u32, Decided>>>;

/// What only the core can be asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Abilities {
    /// Requests are executed twice.
    pub duplicates: bool,
    /// It may hold so little that it lets go.
    pub lets_go: bool,
}

/// Takes faults away.
#[derive(Debug, Clone, Default)]
pub struct Remover(Arc<AtomicBool>);

impl Remover {
    /// Takes away those that are to go, `now`; the core is to be told.
    pub fn remove(&self, docket: &Docket, now: Instant) {
        for decided in docket.lock().unwrap().values_mut() {
            if decided.passing {
                decided.lifted.get_or_insert(now);
            }
        }
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub struct RandomJudge {
    seed: u64,
    /// The draws of the call at hand: a function of the seed and its stream, so
    /// that the order in which calls come means nothing.
    random: Random,
    /// Percent of the suspects that are touched.
    touched: usize,
    /// When it is armed, after it was asked first; `None`: all the time.
    armed: Option<Range<Duration>>,
    began: Option<Instant>,
    docket: Docket,
    /// Streams that were asked about.
    judged: Vec<u32>,
    abilities: Abilities,
    pub remover: Remover,
    /// What it was asked in the wrong order.
    pub wrong: Complaints,
}

/// Complaints of the judge about the core.
pub type Complaints = Arc<Mutex<Vec<String>>>;

impl RandomJudge {
    pub fn new(
        seed: u64,
        abilities: Abilities,
        docket: &Docket,
        wrong: &Complaints,
    ) -> RandomJudge {
        let mut random = Random::new(seed ^ 0x77_1234);
        RandomJudge {
            seed,
            touched: random.pick(&[10, 40, 100]),
            armed: random.chance(40).then(|| {
                let from = random.below(1000);
                let to = from + random.below(5000);
                Duration::from_millis(from as u64)..Duration::from_millis(to as u64)
            }),
            began: None,
            random,
            docket: Arc::clone(docket),
            judged: Vec::new(),
            abilities,
            remover: Remover::default(),
            wrong: Arc::clone(wrong),
        }
    }

    fn is_armed(&mut self, now: Instant) -> bool {
        let began = *self.began.get_or_insert(now);
        let armed = self.armed.as_ref();
        armed.is_none_or(|armed| armed.contains(&now.duration_since(began)))
    }

    fn duration(&mut self) -> Duration {
        let most = self.random.pick(&[1, 20, 300, 5000]);
        Duration::from_millis(self.random.below(most + 1) as u64)
    }

    fn refusal(&mut self) -> Refusal {
        let code = self.random.pick(&[
            Code::UNAVAILABLE,
            Code::DEADLINE_EXCEEDED,
            Code::RESOURCE_EXHAUSTED,
        ]);
        let words = ["etcdserver: leader changed", "", "100 % über\nZeilen"];
        Refusal {
            code,
            message: self.random.pick(&words).into(),
        }
    }

    fn reset(&mut self) -> ErrorCode {
        self.random.pick(&[
            ErrorCode::CANCEL,
            ErrorCode::INTERNAL_ERROR,
            ErrorCode::REFUSED_STREAM,
            ErrorCode::NO_ERROR,
            ErrorCode::ENHANCE_YOUR_CALM,
        ])
    }

    fn portion(&mut self) -> Portion {
        if self.random.chance(50) {
            Portion::Bytes(self.random.pick(&[0, 1, 4, 5, 6, 100, 10_000]))
        } else {
            Portion::Percent(self.random.below(100) as u8)
        }
    }

    fn request_fate(&mut self, unary: bool) -> RequestFate {
        match self.random.below(10) {
            0 | 1 => RequestFate::Refuse(self.refusal()),
            2 => RequestFate::Hang,
            3 => RequestFate::Reset(self.reset()),
            4 | 5 if unary && self.abilities.duplicates => {
                RequestFate::Duplicate(self.random.pick(&[Sees::First, Sees::Second]))
            }
            _ => RequestFate::Pass,
        }
    }

    fn response_fate(&mut self) -> ResponseFate {
        match self.random.below(12) {
            0 => ResponseFate::Lose(Loss::Refuse(self.refusal())),
            1 => ResponseFate::Lose(Loss::Reset(self.reset())),
            2 => ResponseFate::Lose(Loss::Silence),
            3 => ResponseFate::ResetAfterHead(self.reset()),
            4 => {
                let code = self.reset();
                ResponseFate::ResetInMessage(code, self.portion())
            }
            5 => ResponseFate::WithholdTrailers,
            6 => {
                let close = self.random.pick(&[Close::Trailers, Close::EndStream]);
                ResponseFate::CutShort(self.portion(), close)
            }
            _ => ResponseFate::Pass,
        }
    }

    fn decide(&mut self, unary: bool, now: Instant) -> Decided {
        let mut decided = Decided {
            at: now,
            request_delay: Duration::ZERO,
            request_messages: None,
            request: self.request_fate(unary),
            response_delay: Duration::ZERO,
            response_messages: None,
            pace: None,
            response: self.response_fate(),
            until: None,
            passing: self.random.chance(70),
            lifted: None,
        };
        if self.random.chance(40) {
            decided.request_delay = self.duration();
        }
        if self.random.chance(40) {
            decided.response_delay = self.duration();
        }
        if self.random.chance(30) {
            decided.request_messages = Some(Drawn::default());
        }
        if self.random.chance(30) {
            decided.response_messages = Some(Drawn::default());
        }
        if self.random.chance(15) {
            decided.pace = Some(Arc::new(Speed::new(&mut self.random)));
        }
        if let (RequestFate::Hang, ResponseFate::Lose(_)) = (&decided.request, &decided.response) {
            // One `until` for both would leave open which it ends.
            decided.response = ResponseFate::Pass;
        }
        // It says nothing where nothing would be held for good.
        let held = decided.request == RequestFate::Hang
            || decided.response == ResponseFate::Lose(Loss::Silence)
            || decided.response == ResponseFate::WithholdTrailers;
        if held && self.random.chance(50) {
            decided.until = Some(now + self.duration());
        }
        decided
    }
}

impl Judge for RandomJudge {
    fn refresh(&mut self, now: Instant) -> Refreshed {
        Refreshed {
            armed: self.is_armed(now),
            changed: self.remover.0.swap(false, Ordering::Relaxed),
            keeps: self.abilities.duplicates,
            ..Refreshed::default()
        }
    }

    fn suspects(&mut self, call: &Asked<'_>, now: Instant) -> Suspicion {
        if !self.is_armed(now) {
            return Suspicion::None;
        }
        match call.stream.number() % 7 {
            0 => Suspicion::None,
            _ if self.abilities.duplicates => Suspicion::JudgeAndKeep,
            _ => Suspicion::Judge,
        }
    }

    fn judge(&mut self, call: &Asked<'_>, now: Instant) -> Option<Box<Verdict>> {
        let stream = call.stream.number();
        if self.judged.contains(&stream) {
            let words = format!("stream {stream} was judged twice");
            self.wrong.lock().unwrap().push(words);
        }
        self.judged.push(stream);
        self.random = Random::new(self.seed ^ u64::from(stream) << 32);
        if stream.is_multiple_of(7) || !self.random.chance(self.touched) {
            return None;
        }
        let unary = !matches!(&*call.name.method, "Watch" | "LeaseKeepAlive");
        let decided = self.decide(unary, now);
        let delays = |drawn: &Option<Drawn>, random: &mut Random| {
            let drawer = Drawer {
                random: random.fork(),
                drawn: Arc::clone(drawn.as_ref()?),
            };
            Some(Box::new(drawer) as Box<dyn Delays>)
        };
        let verdict = Verdict {
            hits: vec![Hit {
                fault: FaultId(u64::from(stream)),
                name: "chance".into(),
                did: format!("{:?}, {:?}", decided.request, decided.response).into(),
            }],
            request_delay: decided.request_delay,
            request_messages: delays(&decided.request_messages, &mut self.random),
            request: decided.request.clone(),
            response_delay: decided.response_delay,
            response_messages: delays(&decided.response_messages, &mut self.random),
            pace: decided.pace.clone().map(|pace| pace as Arc<dyn Pace>),
            response: decided.response.clone(),
            until: decided.until,
            lifted_at: None,
        };
        self.docket.lock().unwrap().insert(stream, decided);
        Some(Box::new(verdict))
    }

    fn is_lifted(&self, fault: FaultId) -> bool {
        let docket = self.docket.lock().unwrap();
        let decided = docket.get(&(fault.0 as u32));
        decided.is_some_and(|decided| decided.passing && decided.lifted.is_some())
    }

    fn gave_up(&mut self, fault: FaultId, why: &str) {
        let mut docket = self.docket.lock().unwrap();
        let decided = docket.get_mut(&(fault.0 as u32)).expect("it was judged");
        let doubles = matches!(decided.request, RequestFate::Duplicate(_));
        if why.ends_with("let go") && self.abilities.lets_go {
            decided.lifted.get_or_insert(decided.at);
            return;
        }
        if why.starts_with("the second execution failed") && doubles {
            return;
        }
        if why.ends_with("executed once") && doubles && self.abilities.lets_go {
            decided.request = RequestFate::Pass;
            return;
        }
        self.wrong.lock().unwrap().push(format!("gave up: {why}"));
    }
}

/// Delays as chance has them, written down.
#[derive(Debug)]
struct Drawer {
    random: Random,
    drawn: Drawn,
}

impl Delays for Drawer {
    fn next(&mut self) -> Duration {
        let delay = Duration::from_millis(self.random.pick(&[0, 1, 50, 200, 1000]));
        self.drawn.lock().unwrap().push(delay);
        delay
    }
}

/// A speed, and what was taken of it.
#[derive(Debug)]
pub struct Speed {
    bytes_per_second: u64,
    portion: u64,
    free: Mutex<Option<Instant>>,
    /// What was taken: bytes, and from when on they may pass.
    pub taken: Mutex<Vec<(u64, Instant)>>,
}

impl Speed {
    fn new(random: &mut Random) -> Speed {
        Speed {
            bytes_per_second: random.pick(&[2000, 20_000, 1_000_000]),
            portion: random.pick(&[100, 1000, 16_384]),
            free: Mutex::new(None),
            taken: Mutex::new(Vec::new()),
        }
    }
}

impl Pace for Speed {
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        let mut free = self.free.lock().unwrap();
        let from = free.map_or(now, |free| free.max(now));
        let takes = Duration::from_micros(bytes * 1_000_000 / self.bytes_per_second);
        *free = Some(from + takes);
        self.taken.lock().unwrap().push((bytes, from));
        from
    }

    fn portion(&self) -> u64 {
        self.portion
    }
}
