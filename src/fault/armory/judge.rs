//! One connection's judge.

use std::sync::Arc;
use std::time::Instant;

use super::Armory;
use super::chance::Identity;
use super::compose::Composition;
use super::facts::{CallKnown, fits_when};
use super::fitting::{fits_connection, fits_request, fits_watch_stream};
use super::glance::Heads;
use super::rule::Rule;
use super::schedule::{Phase, sooner};
use crate::etcd::verdict::{Asked, FaultId, Judge, Refreshed, Suspicion, Verdict};
use crate::etcd::watch_verdict::{AskedWatch, Moment, Strike};
use crate::etcd::{Method, Request};
use crate::fault::plan::Action;
use crate::kube::key::KeySpace;
use crate::kube::operation::Operation;
use crate::relay::Peers;

/// Decides about one connection's calls by the rules of the armory.
#[derive(Debug)]
pub(super) struct ConnectionJudge {
    pub(super) armory: Arc<Armory>,
    peers: Arc<Peers>,
    pub(super) keys: KeySpace,
    /// Which change of the armory `rules` is of.
    generation: u64,
    /// Those that fit the connection, in the order of the plan.
    pub(super) rules: Vec<Arc<Rule>>,
    /// Whether one of them was active at the last look.
    armed: bool,
    /// What they say of a call by its method.
    heads: Heads,
    /// Whether one of those that were duplicates requests.
    keeps: bool,
    /// Whether one of those that were is about watches.
    watches: bool,
    /// When one about watches begins or ends.
    next: Option<Instant>,
    /// Whether anybody has looked since `rules` were taken.
    looked: bool,
    /// When `armed` has to be looked at again; `None` at the next change.
    look_at: Option<Instant>,
}

impl ConnectionJudge {
    pub fn new(armory: &Arc<Armory>, peers: &Arc<Peers>, keys: KeySpace) -> ConnectionJudge {
        let mut judge = ConnectionJudge {
            armory: Arc::clone(armory),
            peers: Arc::clone(peers),
            keys,
            generation: 0,
            rules: Vec::new(),
            armed: false,
            heads: Heads::default(),
            keeps: false,
            watches: false,
            next: None,
            looked: false,
            look_at: None,
        };
        judge.take_rules();
        judge
    }

    /// Copies the rules that fit this connection. They are looked at next time,
    /// whatever the time is.
    fn take_rules(&mut self) {
        // The number first: a change in between makes us come again.
        self.generation = self.armory.generation();
        let rules = self.armory.rules.load();
        self.rules.clear();
        self.rules.extend(
            rules
                .iter()
                .filter(|rule| !rule.is_paused())
                // Those are the warden's.
                .filter(|rule| rule.spec.action.connection().is_none())
                .filter(|rule| fits_connection(&rule.spec.matches, &self.peers))
                .cloned(),
        );
        self.looked = false;
    }

    /// Looks which rules are active, and when that will be different.
    fn look(&mut self, now: Instant) {
        self.looked = true;
        self.armed = false;
        self.heads = Heads::default();
        self.keeps = false;
        self.watches = false;
        self.next = None;
        self.look_at = None;
        for rule in &self.rules {
            let edge = match rule.phase(now) {
                Phase::Active(until) => {
                    self.armed = true;
                    rule.tell_heads(&mut self.heads);
                    self.keeps |= matches!(rule.spec.action, Action::Duplicate(_));
                    until
                }
                Phase::Waiting(begins) => begins,
                Phase::Over(_) => None,
            };
            if let Action::Watch(_) = rule.spec.action {
                self.watches |= matches!(rule.phase(now), Phase::Active(_));
                self.next = sooner(self.next, edge);
            }
            self.look_at = sooner(self.look_at, edge);
        }
    }

    /// Whether the last look still holds, unless the rules have changed.
    fn holds(&self, now: Instant) -> bool {
        self.looked && self.look_at.is_none_or(|edge| now < edge)
    }

    #[cold]
    fn suspects_closely(&self, call: &Asked<'_>, now: Instant) -> Suspicion {
        self.rules
            .iter()
            .filter(|rule| rule.may_fit_head(call) && rule.active_until(now).is_some())
            .map(|rule| match rule.spec.action {
                Action::Duplicate(_) => Suspicion::JudgeAndKeep,
                _ => Suspicion::Judge,
            })
            .max()
            .unwrap_or(Suspicion::None)
    }
}

impl Judge for ConnectionJudge {
    fn refresh(&mut self, now: Instant) -> Refreshed {
        // Also after a fault was used up, once for each such: nothing is lifted
        // then, and whoever asks learns that.
        let changed = self.armory.generation() != self.generation;
        if changed {
            self.take_rules();
        }
        if !self.holds(now) {
            self.look(now);
        }
        Refreshed {
            armed: self.armed,
            changed,
            keeps: self.keeps,
            watches: self.watches,
            next: self.next,
        }
    }

    fn is_current(&self, now: Instant) -> bool {
        self.armory.generation() == self.generation && self.holds(now)
    }

    fn suspects(&mut self, call: &Asked<'_>, now: Instant) -> Suspicion {
        match self.heads.told(call.method) {
            Some(suspicion) if self.holds(now) => suspicion,
            _ => self.suspects_closely(call, now),
        }
    }

    fn passes_by(&self, method: Method, request: &Request) -> bool {
        !(self.rules.iter()).any(|rule| rule.may_fit_request(method, request))
    }

    fn judge(&mut self, call: &Asked<'_>, now: Instant) -> Option<Box<Verdict>> {
        let may_fit = |rule: &&Arc<Rule>| {
            rule.may_fit_head(call) && rule.may_fit_request(call.method, call.request)
        };
        let operation = Operation::of_request(call.method, call.request, &self.keys);
        let candidates: Vec<(&Arc<Rule>, Option<Instant>)> = self
            .rules
            .iter()
            .filter(may_fit)
            .filter(|rule| fits_request(&rule.spec.matches, call, &operation))
            .filter(|rule| {
                let operation = &operation;
                fits_when(&rule.spec.matches, &CallKnown { call, operation })
            })
            .filter_map(|rule| Some((rule, rule.active_until(now)?)))
            .collect();
        if candidates.is_empty() {
            return None;
        }
        let identity = Identity::new(
            &call.name.service,
            &call.name.method,
            operation.key.unwrap_or_default(),
            operation.range_end.unwrap_or_default(),
        );
        let mut composition = Composition::new(identity, now);
        composition.strike(&candidates);
        if composition.used_up {
            self.armory.note_used_up();
        }
        composition.into_verdict()
    }

    fn touches_watches(&mut self, call: &Asked<'_>, now: Instant) -> bool {
        self.rules.iter().any(|rule| {
            matches!(rule.spec.action, Action::Watch(_))
                && fits_watch_stream(&rule.spec.matches, call)
                && rule.active_until(now).is_some()
        })
    }

    fn judge_watch(
        &mut self,
        watch: &AskedWatch<'_>,
        moment: Moment<'_>,
        now: Instant,
    ) -> Vec<Strike> {
        self.strikes(watch, moment, now)
    }

    fn is_lifted(&self, fault: FaultId) -> bool {
        let rules = self.armory.rules.load();
        let standing = rules.iter().find(|rule| rule.id == fault);
        standing.is_none_or(|rule| rule.is_paused())
    }

    fn gave_up(&mut self, fault: FaultId, why: &str) {
        let rules = self.armory.rules.load();
        if let Some(rule) = rules.iter().find(|rule| rule.id == fault) {
            rule.give_up(why);
        }
    }
}
