//! The meter's place in the trace.

use std::time::Instant;

use super::census::Census;
use super::fact::{Fact, Moment, What};
use super::live;
use super::measurement::{Answer, Measurement, Order};
use super::{Meter, Scorecard, Source};
use crate::etcd::verdict::Hit;
use crate::etcd::{Call, ConnectionEnded, WatchNote};
use crate::http2::Offence;
use crate::kube::operation::Operation;
use crate::relay::Peers;
use crate::trace::{Anchor, Observer};

/// Shows the trace's events to a meter while something is measured, and keeps a
/// census of what is open all the time.
#[derive(Debug)]
pub struct Probe {
    measurement: Measurement,
    anchor: Anchor,
    census: Census,
    running: Option<Box<Running>>,
    dropped: u64,
}

#[derive(Debug)]
struct Running {
    meter: Meter,
    /// Events that had been dropped before.
    dropped: u64,
}

impl Probe {
    /// One that takes orders from `measurement`.
    pub fn new(measurement: Measurement, anchor: Anchor) -> Probe {
        Probe {
            measurement,
            anchor,
            census: Census::default(),
            running: None,
            dropped: 0,
        }
    }

    fn moment(&self, at: Instant) -> Moment {
        Moment(self.anchor.wall_micros(at))
    }

    fn show(&mut self, fact: &Fact<'_>) {
        if let Some(running) = &mut self.running {
            running.meter.handle(fact);
        }
    }

    fn carry_out(&mut self, order: Order, at: Instant) -> Answer {
        let now = self.moment(at);
        match (order, &mut self.running) {
            (Order::Begin(_), Some(running)) => Answer::Running(running.meter.name()),
            (Order::Begin(options), none) => {
                let mut meter = Meter::new(options);
                self.census.tell(&mut meter, now);
                let running = none.insert(Box::new(Running {
                    meter,
                    dropped: self.dropped,
                }));
                Answer::Card(Box::new(running.card(now, self.dropped)))
            }
            (Order::Read | Order::End { .. }, None) => Answer::NotRunning,
            (Order::Read, Some(running)) => Answer::Card(Box::new(running.card(now, self.dropped))),
            (Order::End { failure }, running) => match running.take() {
                Some(mut running) => {
                    if let Some((began, ended)) = failure {
                        running.meter.failure_was(began, ended);
                    }
                    Answer::Card(Box::new(running.card(now, self.dropped)))
                }
                None => Answer::NotRunning,
            },
        }
    }
}

impl Running {
    fn card(&self, now: Moment, dropped: u64) -> Scorecard {
        let source = Source {
            lines: self.meter.facts(),
            dropped: dropped.saturating_sub(self.dropped),
            ..Source::default()
        };
        self.meter.card(Some(now), source)
    }
}

impl Observer for Probe {
    fn anchor(&mut self, anchor: Anchor) {
        self.anchor = anchor;
    }

    fn call(&mut self, call: &Call, operation: &Operation<'_>) {
        self.census.named(call.peers.id, call.user_agent.as_ref());
        if self.running.is_some() {
            let at = self.moment(call.ended);
            self.show(&live::call(call, operation, at));
        }
    }

    fn watch(&mut self, note: &WatchNote, operation: &Operation<'_>, lag: Option<i64>) {
        self.census.watch(note);
        if self.running.is_some()
            && let Some(fact) = live::note(note, operation, lag, self.moment(note.at))
        {
            self.show(&fact);
        }
    }

    fn opened(&mut self, peers: &Peers, at: Instant) {
        self.census.opened(peers);
        let at = self.moment(at);
        self.show(&live::connection(peers, at, What::Opened));
    }

    fn fault(&mut self, peers: &Peers, at: Instant, hits: &[Hit]) {
        let at = self.moment(at);
        self.show(&live::fault(peers, hits, at));
    }

    fn ping(&mut self, peers: &Peers, at: Instant) {
        let at = self.moment(at);
        self.show(&live::connection(peers, at, What::Ping));
    }

    fn stopped(&mut self, peers: &Peers, at: Instant, _offence: &Offence) {
        self.census.gone(peers.id);
        let at = self.moment(at);
        self.show(&live::connection(peers, at, What::Unread));
    }

    fn ended(&mut self, ended: &ConnectionEnded, failed: bool) {
        self.census.gone(ended.peers.id);
        let at = self.moment(ended.ended);
        self.show(&live::ended(ended, failed, at));
    }

    fn settled(&mut self, now: Instant, waiting_since: Option<Instant>, dropped: u64) {
        self.dropped = dropped;
        let seen_until = waiting_since.unwrap_or(now);
        let measurement = self.measurement.clone();
        // What passed before the order was given has been shown.
        while let Some(asked) = measurement.next(|asked| asked.at < seen_until) {
            let answer = self.carry_out(asked.order, asked.at);
            (asked.reply)(answer);
        }
    }
}
