//! A client, a server and what is between them; a clock and chance.

use std::fmt;
use std::time::{Duration, Instant};

use etcdtap::http2::{Both, Side};

use super::client::{Call, ClientModel, random_call};
use super::content::{self, AfterReset};
use super::endpoint::{Endpoint, Taste};
use super::errands::Errands;
use super::judge::{Docket, Remover};
use super::random::Random;
use super::rest;
use super::server::{Manner, ServerModel};
use super::violation::{Rule, Violation};
use super::wire::Wire;

/// Bytes under way: `sent[side]` left `side` and have not reached the wire,
/// `coming[side]` left the wire towards `side`.
#[derive(Debug, Default)]
struct Legs {
    sent: Both<Vec<u8>>,
    coming: Both<Vec<u8>>,
}

/// What a run is made of; all by the seed unless set.
#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    pub calls: Vec<Call>,
    pub client: Taste,
    pub server: Taste,
    pub manner: Manner,
    /// Steps in which all is left to chance, before all is brought to its end.
    pub steps: usize,
}

/// Those streams whose fate was decided, as far as they are to be given up.
pub type Doomed = Docket;

pub struct World<W: Wire> {
    pub seed: u64,
    pub wire: W,
    pub client: ClientModel,
    pub server: ServerModel,
    pub now: Instant,
    pub began: Instant,
    random: Random,
    steps: usize,
    legs: Legs,
    /// Streams that have no natural end any more: the client gives them up.
    pub doomed: Doomed,
    /// When faults are taken away, and who does that.
    pub removal: Option<(Instant, Remover)>,
    pub errands: Errands,
    /// A hash over all that was delivered and when.
    pub trace: u64,
}

/// A run that went wrong.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
    history: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            seed,
            violation,
            history,
        } = self;
        write!(f, "seed {seed}: {violation}\n{history}")
    }
}

fn random_taste(random: &mut Random) -> Taste {
    let target = random.pick(&[65_535, 65_535, 65_535, 1000, 1, 100_000]);
    Taste {
        oddities: random.pick(&[0, 0, 10, 50]),
        window_target: target,
        window_step: match random.below(3) {
            0 => 1,
            1 => target / 4,
            _ => target,
        },
        stream_share: random.pick(&[0, 4, 4, 1]),
        bandwidth: random.chance(60),
        appetite: random.pick(&[5, 30, 100]),
        restless: random.pick(&[0, 0, 2, 10]),
        limits_streams: true,
        sip: random.chance(15),
        late_credit: random.chance(50),
    }
}

impl Setup {
    pub fn random(seed: u64) -> Setup {
        let mut random = Random::new(seed);
        let n = random.within(1, 16);
        Setup {
            seed,
            calls: (0..n).map(|_| random_call(&mut random)).collect(),
            client: random_taste(&mut random),
            server: random_taste(&mut random),
            manner: Manner {
                failures: random.pick(&[0, 0, 5, 30]),
                burst: None,
                thought: random.pick(&[0, 20, 500]),
                drains: random.chance(10),
            },
            steps: random.within(50, 500),
        }
    }
}

impl<W: Wire> World<W> {
    pub fn new(setup: Setup, wire: impl FnOnce(Instant) -> W) -> World<W> {
        // The clock is a fake: nothing but differences matters.
        let now = Instant::now();
        let mut random = Random::new(setup.seed ^ 0xabcd);
        let (first, second) = (random.fork(), random.fork());
        let third = Random::new(setup.seed ^ 0x3333);
        World {
            seed: setup.seed,
            wire: wire(now),
            client: ClientModel::new(setup.calls, setup.client, first, now),
            server: ServerModel::new(setup.manner, setup.server, second, now),
            now,
            began: now,
            random,
            steps: setup.steps,
            legs: Legs::default(),
            doomed: Doomed::default(),
            removal: None,
            errands: Errands::new(third),
            trace: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// The whole run: chance, then the end of all, then the last checks.
    pub fn run(&mut self) -> Result<(), Box<Failure>> {
        self.live().map_err(|violation| self.failure(violation))
    }

    fn live(&mut self) -> Result<(), Violation> {
        for _ in 0..self.steps {
            self.step()?;
        }
        if let Some((at, _)) = &mut self.removal {
            *at = self.now.min(*at);
        }
        self.settle()?;
        self.nothing_is_stuck()?;
        while self.client.give_up_the_rest(&self.doomed, self.now) {
            self.settle()?;
        }
        self.client.end.give_back();
        self.server.end.give_back();
        self.collect();
        self.settle()?;
        if let Some((held, open)) = self.wire.keeps() {
            let end = &self.client.end;
            if held > 0 {
                return Err(end.wrong(Rule::Leak, 0, 0, format!("{held} bytes are held")));
            }
            if open != end.open_streams() {
                let words = format!("{open} calls are open, not {}", end.open_streams());
                return Err(end.wrong(Rule::Leak, 0, 0, words));
            }
        }
        match self.wire.inner() {
            None => rest::check(&self.client.end, &self.server.end),
            Some(inner) => {
                rest::check(&self.client.end, inner.client)?;
                rest::check(inner.server, &self.server.end)
            }
        }
    }

    /// What was taken away holds nothing: such a call has come to its end.
    fn nothing_is_stuck(&self) -> Result<(), Violation> {
        let docket = self.doomed.lock().unwrap();
        for call in &self.client.calls {
            let lifted = docket.get(&call.stream).and_then(|decided| decided.lifted);
            if lifted.is_some() && call.call.kind.is_unary() && !self.client.is_over(call) {
                let words = "it is still held, and nobody wants that any more";
                return Err(self.client.end.wrong(Rule::Fate, call.stream, 0, words));
            }
        }
        Ok(())
    }

    /// Every stream carried exactly what was said.
    pub fn exact(&self) -> Result<(), Box<Failure>> {
        for id in self.client.end.streams.keys() {
            content::untouched(&self.client, &self.server, *id, AfterReset::Comes)
                .map_err(|violation| self.failure(violation))?;
        }
        Ok(())
    }

    pub fn failure(&self, violation: Violation) -> Box<Failure> {
        let mut history = String::new();
        let legs = [
            ("the client sent", &self.client.end.history_out),
            ("the server received", &self.server.end.history_in),
            ("the server sent", &self.server.end.history_out),
            ("the client received", &self.client.end.history_in),
        ];
        for (title, seen) in legs {
            history += &format!("{title}, at last:\n");
            for seen in seen {
                history += &format!("  {seen}\n");
            }
        }
        Box::new(Failure {
            seed: self.seed,
            violation,
            history,
        })
    }

    fn note(&mut self, bytes: &[u8]) {
        let at = self.now.duration_since(self.began).as_nanos() as u64;
        let mut hash = self.trace ^ at;
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3);
            hash ^= hash >> 29;
        }
        self.trace = hash ^ bytes.len() as u64;
    }

    /// Frames that a side received and sent.
    pub fn frames(&self, side: Side) -> [u64; 2] {
        match side {
            Side::Client => self.client.end.frames,
            Side::Server => self.server.end.frames,
        }
    }

    fn end(&mut self, side: Side) -> &mut Endpoint {
        match side {
            Side::Client => &mut self.client.end,
            Side::Server => &mut self.server.end,
        }
    }

    /// Takes what the models put out.
    fn collect(&mut self) {
        for side in [Side::Client, Side::Server] {
            let out = std::mem::take(&mut self.end(side).out);
            self.legs.sent[side].extend_from_slice(&out);
        }
    }

    fn act(&mut self, side: Side, eager: bool) -> bool {
        let now = self.now;
        let did = match side {
            Side::Client => self.client.act(eager, now),
            Side::Server => {
                let did = self.server.act(eager, now);
                self.server.tidy();
                did
            }
        };
        self.collect();
        did
    }

    /// `n` bytes of `side` reach the wire.
    fn hand_in(&mut self, side: Side, n: usize) -> Result<(), Violation> {
        let bytes: Vec<u8> = self.legs.sent[side].drain(..n).collect();
        self.note(&bytes);
        self.wire
            .bytes(side, &bytes, self.now, &mut self.legs.coming);
        self.heed()
    }

    /// `n` bytes reach `side`.
    fn hand_out(&mut self, side: Side, n: usize) -> Result<(), Violation> {
        let bytes: Vec<u8> = self.legs.coming[side].drain(..n).collect();
        self.note(&bytes);
        let now = self.now;
        self.end(side).receive(&bytes, now)?;
        // A transport answers PINGs and SETTINGS by itself, at once.
        if side == Side::Server {
            self.server.count_pings(now);
        }
        self.collect();
        let (got, sent) = (
            self.client.end.goaways_received.len(),
            self.server.end.goaways_sent.len() + self.wire.own_goaways(),
        );
        if got > sent {
            let words = "a GOAWAY that nobody sent";
            return Err(self
                .end(Side::Client)
                .wrong(Rule::UnaskedGoaway, 0, 0, words));
        }
        if self.server.struck_out {
            let words = "the server ends the connection: too_many_pings";
            return Err(self.server.end.wrong(Rule::PingStrikes, 0, 0, words));
        }
        Ok(())
    }

    fn heed(&mut self) -> Result<(), Violation> {
        while let Some(errand) = self.wire.errand() {
            self.errands.take(errand, self.now);
        }
        match self.wire.complaint() {
            None => Ok(()),
            Some(words) => Err(self.client.end.wrong(Rule::CoreStopped, 0, 0, words)),
        }
    }

    fn step(&mut self) -> Result<(), Violation> {
        let side = self.random.pick(&[Side::Client, Side::Server]);
        match self.random.below(10) {
            0..3 => {
                self.act(side, false);
            }
            3..6 => {
                let there = self.legs.sent[side].len();
                if there > 0 {
                    let n = self.portion(there);
                    self.hand_in(side, n)?;
                }
            }
            6..9 => {
                let there = self.legs.coming[side].len();
                if there > 0 {
                    let n = self.portion(there);
                    self.hand_out(side, n)?;
                }
            }
            _ => {
                // Nobody waits long for the other's greeting.
                let greeted = self.client.end.settings_seen && self.server.end.settings_seen;
                let longest = match greeted {
                    true => self.random.pick(&[5, 5, 100, 100, 3000, 40_000]),
                    false => 5,
                };
                let passes = Duration::from_micros(self.random.below(longest * 1000) as u64);
                self.pass(self.now + passes)?;
            }
        }
        Ok(())
    }

    fn portion(&mut self, there: usize) -> usize {
        let most = self.random.pick(&[10, 1000, 100_000, 100_000]);
        self.random.within(1, there.min(most))
    }

    /// Time passes; what is due happens.
    fn pass(&mut self, to: Instant) -> Result<(), Violation> {
        loop {
            let removed = self.removal.as_ref().map(|(at, _)| *at);
            let others = self.errands.next().into_iter().chain(removed).min();
            self.fire(others.map_or(to, |at| at.min(to)))?;
            let Some(at) = others.filter(|at| *at <= to) else {
                return Ok(());
            };
            self.now = self.now.max(at);
            if let Some((_, remover)) = self.removal.take_if(|(at, _)| *at <= self.now) {
                remover.remove(&self.doomed, self.now);
                self.wire.change(self.now, &mut self.legs.coming);
            }
            if let Some(double) = self.errands.answer(self.now) {
                let outcome = match double.succeeds {
                    true => Ok(()),
                    false => Err("nobody answers".to_owned()),
                };
                let stream = double.errand.stream;
                self.wire
                    .answer(stream, outcome, self.now, &mut self.legs.coming);
            }
            self.heed()?;
        }
    }

    /// The wire's timers fire when they are due.
    fn fire(&mut self, to: Instant) -> Result<(), Violation> {
        while let Some(due) = self.wire.timeout().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.wire.fire(self.now, &mut self.legs.coming);
            self.heed()?;
            if self.wire.timeout() == Some(due) {
                let words = "the wire's timer did not move when it fired";
                return Err(self.client.end.wrong(Rule::CoreStopped, 0, 0, words));
            }
        }
        self.now = self.now.max(to);
        Ok(())
    }

    /// All that can happen happens, at once, until nothing is left.
    pub fn settle(&mut self) -> Result<(), Violation> {
        for _ in 0..1_000_000 {
            let mut did = false;
            for side in [Side::Client, Side::Server] {
                did |= self.act(side, true);
                let n = self.legs.sent[side].len();
                if n > 0 {
                    did = true;
                    self.hand_in(side, n)?;
                }
                for side in [Side::Client, Side::Server] {
                    let n = self.legs.coming[side].len();
                    if n > 0 {
                        did = true;
                        self.hand_out(side, n)?;
                    }
                }
            }
            if did {
                continue;
            }
            let timers = [
                self.wire.timeout(),
                self.errands.next(),
                self.removal.as_ref().map(|(at, _)| *at),
                self.client.next_timer(true),
                self.server.next_timer(),
            ];
            let Some(next) = timers.into_iter().flatten().min() else {
                return Ok(());
            };
            self.pass(next)?;
        }
        let words = "no rest is found";
        Err(self.client.end.wrong(Rule::Stuck, 0, 0, words))
    }
}
