//! Several faults on one call become one verdict.
//!
//! First the request's: its delays add up, and the first fault in the order of
//! the plan that says what becomes of it decides. Then, if etcd gets it, the
//! response's likewise. A fault for which there is no room left is not counted
//! as a match. A delay of the request strikes wherever it stands in the plan,
//! for in time it comes before the request's fate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chance::{Draws, Generator, Identity, Purpose};
use super::rate::{Shared, Speed, Together};
use super::rule::Rule;
use super::schedule::sooner;
use super::words;
use crate::etcd::verdict::{Delays, Hit, Loss, Pace, RequestFate, ResponseFate, Verdict};
use crate::fault::plan::{Action, Delay, Instead, Rate, Reset, Stage, Wait};

/// A verdict in the making.
pub(super) struct Composition {
    identity: Identity,
    now: Instant,
    verdict: Verdict,
    request_messages: Vec<Drawn>,
    response_messages: Vec<Drawn>,
    speeds: Vec<Arc<Speed>>,
    /// What each candidate did, in the order of the plan.
    did: Vec<Vec<String>>,
    /// Whether a fault strikes no more after this.
    pub used_up: bool,
}

/// A rule that is about the call, and until when it is active.
pub(super) type Candidate<'a> = (&'a Arc<Rule>, Option<Instant>);

impl Composition {
    pub fn new(identity: Identity, now: Instant) -> Composition {
        Composition {
            identity,
            now,
            verdict: Verdict::default(),
            request_messages: Vec::new(),
            response_messages: Vec::new(),
            speeds: Vec::new(),
            did: Vec::new(),
            used_up: false,
        }
    }

    /// Lets the candidates, in the order of the plan, strike.
    pub fn strike(&mut self, candidates: &[Candidate<'_>]) {
        self.did = vec![Vec::new(); candidates.len()];
        // Delays of both halves wait here for the request's fate.
        let mut halves: Vec<(usize, &Delay, Draws)> = Vec::new();
        for (at, (rule, until)) in candidates.iter().enumerate() {
            let action = &rule.spec.action;
            if half(action) == Half::Request && self.has_room(action) {
                let Some((draws, turn)) = self.draw(rule) else {
                    continue;
                };
                if let Action::Delay(delay) = action {
                    self.delay_request(at, delay, draws);
                    halves.push((at, delay, draws));
                } else {
                    self.decide_request(at, action, turn, *until);
                }
            }
        }
        if self.is_executed() {
            for (at, delay, draws) in halves {
                self.delay_response(at, delay, draws);
            }
            for (at, (rule, until)) in candidates.iter().enumerate() {
                let action = &rule.spec.action;
                if half(action) == Half::Response && self.has_room(action) {
                    let Some((draws, _)) = self.draw(rule) else {
                        continue;
                    };
                    if let Action::Delay(delay) = action {
                        self.delay_response(at, delay, draws);
                    } else {
                        self.decide_response(at, rule, *until);
                    }
                }
            }
        }
        for ((rule, _), did) in candidates.iter().zip(&self.did) {
            if !did.is_empty() {
                self.verdict.lifted_at = sooner(self.verdict.lifted_at, rule.expires());
                self.verdict.hits.push(Hit {
                    fault: rule.id,
                    name: Arc::clone(&rule.name),
                    did: did.join(", ").into(),
                });
            }
        }
    }

    /// The verdict; `None` if nothing struck.
    pub fn into_verdict(self) -> Option<Box<Verdict>> {
        let mut verdict = self.verdict;
        if verdict.hits.is_empty() {
            return None;
        }
        verdict.request_messages = each(self.request_messages);
        verdict.response_messages = each(self.response_messages);
        verdict.pace = match self.speeds.as_slice() {
            [] => None,
            [speed] => Some(Arc::clone(speed) as Arc<dyn Pace>),
            _ => Some(Arc::new(Together(self.speeds))),
        };
        Some(Box::new(verdict))
    }

    /// Whether etcd executes the call.
    fn is_executed(&self) -> bool {
        matches!(
            self.verdict.request,
            RequestFate::Pass | RequestFate::Duplicate(_)
        )
    }

    /// Whether nobody before has decided what this would decide.
    fn has_room(&self, action: &Action) -> bool {
        match action {
            Action::Delay(_) | Action::Rate(_) => true,
            _ if half(action) == Half::Request => self.verdict.request == RequestFate::Pass,
            _ => self.verdict.response == ResponseFate::Pass,
        }
    }

    fn draw(&mut self, rule: &Rule) -> Option<(Draws, Duration)> {
        let struck = rule.strike(self.identity, self.now);
        self.used_up |= struck.used_up;
        Some((struck.draws?, struck.turn))
    }

    fn say(&mut self, at: usize, words: String) {
        self.did[at].push(words);
    }

    fn delay_request(&mut self, at: usize, delay: &Delay, draws: Draws) {
        if let Some(wait) = &delay.request {
            let wait = draws.of(Purpose::Request).wait(wait);
            self.verdict.request_delay += wait;
            self.say(at, words::request_delayed(wait));
        }
        if let Some(wait) = delay.each_request_message {
            let drawn = Drawn::new(wait, draws.of(Purpose::EachRequestMessage));
            self.request_messages.push(drawn);
            self.say(at, "later messages of the request delayed".to_owned());
        }
    }

    fn delay_response(&mut self, at: usize, delay: &Delay, draws: Draws) {
        if let Some(wait) = &delay.response {
            let wait = draws.of(Purpose::Response).wait(wait);
            self.verdict.response_delay += wait;
            self.say(at, words::response_delayed(wait));
        }
        if let Some(wait) = delay.each_response_message {
            let drawn = Drawn::new(wait, draws.of(Purpose::EachResponseMessage));
            self.response_messages.push(drawn);
            self.say(at, "each message of the response delayed".to_owned());
        }
    }

    fn decide_request(
        &mut self,
        at: usize,
        action: &Action,
        turn: Duration,
        until: Option<Instant>,
    ) {
        let (fate, did) = match action {
            Action::Rate(_) => {
                self.verdict.request_delay += turn;
                return self.say(at, words::waited_for_its_turn(turn));
            }
            Action::Error(answer) => {
                let refusal = answer.refusal();
                let did = words::answered(&refusal) + " before execution";
                (RequestFate::Refuse(refusal), did)
            }
            Action::Hang(_) => {
                self.hold_until(until);
                (RequestFate::Hang, "request held".to_owned())
            }
            Action::Reset(reset) => {
                let code = reset.sent_code();
                let did = format!("stream reset with {code} before execution");
                (RequestFate::Reset(code), did)
            }
            Action::Duplicate(duplicate) => {
                let sees = duplicate.client_sees.sees();
                (RequestFate::Duplicate(sees), words::executed_twice(sees))
            }
            _ => return,
        };
        self.verdict.request = fate;
        self.say(at, did);
    }

    fn decide_response(&mut self, at: usize, rule: &Rule, until: Option<Instant>) {
        let (fate, did) = match &rule.spec.action {
            Action::Rate(Rate::BytesPerSecond(size)) => {
                if let Shared::Speed(speed) = &rule.shared {
                    self.speeds.push(Arc::clone(speed));
                }
                return self.say(at, format!("response slowed to {size} a second"));
            }
            Action::LoseReply(lose) => {
                let (loss, instead) = match &lose.instead {
                    Instead::Answer(answer) => {
                        let refusal = answer.refusal();
                        let did = words::answered(&refusal);
                        (Loss::Refuse(refusal), did)
                    }
                    Instead::Reset(code) => {
                        (Loss::Reset(code.0), format!("stream reset with {code}"))
                    }
                    Instead::Silence => {
                        self.hold_until(until);
                        (Loss::Silence, "nothing answered".to_owned())
                    }
                };
                let did = format!("reply lost after execution, {instead}");
                (ResponseFate::Lose(loss), did)
            }
            Action::Reset(reset) => reset_response(reset),
            Action::WithholdTrailers(_) => {
                self.hold_until(until);
                (
                    ResponseFate::WithholdTrailers,
                    "trailers withheld".to_owned(),
                )
            }
            Action::CutShort(cut) => (
                ResponseFate::CutShort(cut.after.portion(), cut.end.close()),
                words::cut_short(cut),
            ),
            _ => return,
        };
        self.verdict.response = fate;
        self.say(at, did);
    }

    fn hold_until(&mut self, until: Option<Instant>) {
        self.verdict.until = sooner(self.verdict.until, until);
    }
}

fn reset_response(reset: &Reset) -> (ResponseFate, String) {
    let code = reset.sent_code();
    if reset.at == Stage::Message {
        let after = reset.after.unwrap_or_default();
        let did = format!("stream reset with {code} after {after} of the response's message");
        (ResponseFate::ResetInMessage(code, after.portion()), did)
    } else {
        let did = format!("stream reset with {code} after the response's head");
        (ResponseFate::ResetAfterHead(code), did)
    }
}

/// Which half of a call an action is about; of both, the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Request,
    Response,
}

fn half(action: &Action) -> Half {
    let request = match action {
        Action::Delay(delay) => delay.request.is_some() || delay.each_request_message.is_some(),
        Action::Rate(rate) => matches!(rate, Rate::CallsPerSecond(_)),
        Action::Reset(reset) => reset.at == Stage::Request,
        Action::Error(_) | Action::Hang(_) | Action::Duplicate(_) => true,
        Action::LoseReply(_) | Action::WithholdTrailers(_) | Action::CutShort(_) => false,
        // Never among the candidates for a call.
        Action::Watch(_) | Action::Connection(_) => false,
    };
    if request {
        Half::Request
    } else {
        Half::Response
    }
}

/// A wait that is drawn anew for each message.
#[derive(Debug)]
pub(super) struct Drawn {
    wait: Wait,
    chance: Generator,
}

impl Drawn {
    pub fn new(wait: Wait, chance: Generator) -> Drawn {
        Drawn { wait, chance }
    }
}

/// The waits of several faults, added up.
#[derive(Debug)]
struct Sum(Vec<Drawn>);

impl Delays for Sum {
    fn next(&mut self) -> Duration {
        self.0
            .iter_mut()
            .map(|drawn| drawn.chance.wait(&drawn.wait))
            .fold(Duration::ZERO, Duration::saturating_add)
    }
}

pub(super) fn each(drawn: Vec<Drawn>) -> Option<Box<dyn Delays>> {
    (!drawn.is_empty()).then(|| Box::new(Sum(drawn)) as Box<dyn Delays>)
}
