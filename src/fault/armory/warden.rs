//! Who decides about one connection as a whole.

use std::sync::Arc;
use std::time::Instant;

use super::Armory;
use super::chance::{Draws, Identity, Purpose};
use super::compose::{Drawn, each};
use super::facts::{ConnectionKnown, fits_when};
use super::fitting::fits_connection;
use super::rule::Rule;
use super::schedule::sooner;
use super::words::done_to_connection;
use crate::etcd::verdict::{FaultId, Hit};
use crate::etcd::warden::{
    Admission, Admitted, Conditions, Farewell, Outlook, Pings, Strike, Warden,
};
use crate::fault::plan::{ConnectionAction, PingFault, TlsFault};
use crate::http2::{Both, Side};
use crate::relay::Peers;

/// Decides about one connection by the rules of the armory.
///
/// In each window of a rule's activity the connection is one match of it, and is
/// struck or not by what the rule's counts and chance say then. What holds does
/// so until the window ends, or the rule is paused or taken away; a pause that
/// ends in the same window brings it back, and is no second match.
#[derive(Debug)]
pub(super) struct ConnectionWarden {
    armory: Arc<Armory>,
    peers: Arc<Peers>,
    encrypted: bool,
    opened: Instant,
    decided: Vec<Decided>,
    /// What held at the last look.
    held: Vec<FaultId>,
}

/// What was decided for a rule's window.
#[derive(Debug)]
struct Decided {
    fault: FaultId,
    /// When the window began.
    window: Instant,
    /// The draws, if the connection was struck.
    draws: Option<Draws>,
}

/// How a rule stands towards the connection.
#[derive(Debug, Clone, Copy)]
enum Standing {
    /// It does nothing.
    Idle,
    /// It strikes now.
    Strikes(Draws),
    /// It struck in this window, before.
    Struck(Draws),
}

impl ConnectionWarden {
    pub fn new(
        armory: &Arc<Armory>,
        peers: &Arc<Peers>,
        encrypted: bool,
        opened: Instant,
    ) -> ConnectionWarden {
        ConnectionWarden {
            armory: Arc::clone(armory),
            peers: Arc::clone(peers),
            encrypted,
            opened,
            decided: Vec::new(),
            held: Vec::new(),
        }
    }

    /// The rules that are about connections of this kind, in the order of the
    /// plan. What was decided for others is forgotten.
    fn rules(&mut self, before_the_handshake: bool) -> Vec<Arc<Rule>> {
        let rules = self.armory.rules.load();
        let stands = |decided: &Decided| rules.iter().any(|rule| rule.id == decided.fault);
        self.decided.retain(stands);
        let fits = |rule: &&Arc<Rule>| {
            let action = rule.spec.action.connection();
            action.is_some_and(|action| {
                action.precedes_the_handshake() == before_the_handshake
                    && (self.encrypted || !matches!(action, ConnectionAction::Tls(_)))
            }) && fits_connection(&rule.spec.matches, &self.peers)
                && fits_when(&rule.spec.matches, &ConnectionKnown(&self.peers))
        };
        rules.iter().filter(fits).cloned().collect()
    }

    /// Looks how a rule stands, and decides if that is due; puts down when to
    /// look again.
    fn stand(&mut self, rule: &Rule, now: Instant, look_at: &mut Option<Instant>) -> Standing {
        let Some((window, until)) = rule.window_now(now) else {
            *look_at = sooner(*look_at, rule.begins(now));
            return Standing::Idle;
        };
        *look_at = sooner(*look_at, until);
        let known = self.decided.iter().position(|d| d.fault == rule.id);
        if let Some(at) = known
            && self.decided[at].window == window
        {
            return self.decided[at]
                .draws
                .map_or(Standing::Idle, Standing::Struck);
        }
        if rule.active_until(now).is_none() {
            // Its counts are used up.
            return Standing::Idle;
        }
        let after = rule
            .spec
            .action
            .connection()
            .and_then(ConnectionAction::after);
        if let Some(after) = after {
            let Some(due) = self.opened.checked_add(after.0) else {
                return Standing::Idle;
            };
            if now < due {
                *look_at = sooner(*look_at, Some(due));
                return Standing::Idle;
            }
        }
        let struck = rule.strike(self.identity(), now);
        if struck.used_up {
            self.armory.note_used_up();
        }
        let decided = Decided {
            fault: rule.id,
            window,
            draws: struck.draws,
        };
        match known {
            Some(at) => self.decided[at] = decided,
            None => self.decided.push(decided),
        }
        struck.draws.map_or(Standing::Idle, Standing::Strikes)
    }

    /// Not the client's port, which is another one each time.
    fn identity(&self) -> Identity {
        let client = self.peers.client.ip().to_string();
        let listener = self.peers.listener.to_string();
        Identity::new("", "", client.as_bytes(), listener.as_bytes())
    }
}

fn hit(rule: &Rule, action: &ConnectionAction) -> Hit {
    Hit {
        fault: rule.id,
        name: Arc::clone(&rule.name),
        did: done_to_connection(action).into(),
    }
}

impl Warden for ConnectionWarden {
    fn admit(&mut self, now: Instant) -> Admitted {
        let mut admitted = Admitted::default();
        for rule in self.rules(true) {
            let Some(action) = rule.spec.action.connection() else {
                continue;
            };
            let standing = self.stand(&rule, now, &mut admitted.look_at);
            let anew = matches!(standing, Standing::Strikes(_));
            if anew {
                admitted.hits.push(hit(&rule, action));
            }
            admitted.admission = match (action, standing) {
                (_, Standing::Idle) => continue,
                (ConnectionAction::Silent(_) | ConnectionAction::Tls(TlsFault::Stall), _) => {
                    Admission::Wait
                }
                // One that waited meanwhile was struck by something else.
                (ConnectionAction::Tls(TlsFault::Fail), _) => Admission::FailTls,
                _ => Admission::Refuse,
            };
            // The first that decides leaves nothing to the others.
            break;
        }
        admitted
    }

    fn stands(&mut self, peers: &Arc<Peers>) {
        self.peers = Arc::clone(peers);
    }

    fn look(&mut self, now: Instant) -> Outlook {
        let mut outlook = Outlook::default();
        let mut holding: Vec<(Arc<Rule>, Draws)> = Vec::new();
        for rule in self.rules(false) {
            let Some(action) = rule.spec.action.connection() else {
                continue;
            };
            let (draws, anew) = match self.stand(&rule, now, &mut outlook.look_at) {
                Standing::Idle => continue,
                Standing::Strikes(draws) => (draws, true),
                Standing::Struck(draws) => (draws, false),
            };
            if anew {
                outlook.hits.push(hit(&rule, action));
            }
            let strike = match action {
                ConnectionAction::Close(_) => Strike::Close,
                ConnectionAction::Reset(_) => Strike::Reset,
                ConnectionAction::Goaway(goaway) => {
                    let farewell = Farewell {
                        code: goaway.code.0,
                        debug: goaway.debug.clone(),
                        graceful: goaway.graceful,
                    };
                    Strike::Goaway(rule.id, farewell)
                }
                _ => {
                    holding.push((Arc::clone(&rule), draws));
                    continue;
                }
            };
            if anew {
                outlook.strikes.push(strike);
            }
        }
        let held: Vec<FaultId> = holding.iter().map(|(rule, _)| rule.id).collect();
        if held != self.held {
            self.held = held;
            outlook.conditions = Some(conditions(&holding));
        }
        outlook
    }

    fn gave_up(&mut self, fault: FaultId, why: &str) {
        let rules = self.armory.rules.load();
        if let Some(rule) = rules.iter().find(|rule| rule.id == fault) {
            rule.give_up(why);
        }
    }
}

/// What several rules make together: what stands still stands still, the slowest
/// speed holds, waits add up, the fewest streams are allowed.
fn conditions(holding: &[(Arc<Rule>, Draws)]) -> Conditions {
    let mut made = Conditions::default();
    let mut latency: Both<Vec<Drawn>> = Both::default();
    let mut late_pings = Vec::new();
    let mut unanswered = false;
    for (rule, draws) in holding {
        match rule.spec.action.connection() {
            Some(ConnectionAction::Blackhole(_)) => {
                made.frozen = Both {
                    client: true,
                    server: true,
                };
            }
            Some(ConnectionAction::HalfOpen(half)) => made.frozen[half.dead.sender()] = true,
            Some(ConnectionAction::Bandwidth(width)) => {
                let senders = width.direction.senders();
                for side in [Side::Client, Side::Server] {
                    if senders[side] {
                        let speed = &mut made.speed[side];
                        let bytes = width.bytes_per_second.0;
                        *speed = Some(speed.map_or(bytes, |other: u64| other.min(bytes)));
                    }
                }
            }
            Some(ConnectionAction::Latency(of)) => {
                let senders = of.direction.senders();
                for (side, purpose) in [
                    (Side::Client, Purpose::BytesToEtcd),
                    (Side::Server, Purpose::BytesToClient),
                ] {
                    if senders[side] {
                        latency[side].push(Drawn::new(of.wait, draws.of(purpose)));
                    }
                }
            }
            Some(ConnectionAction::Ping(fault)) => {
                made.of_frames.push(rule.id);
                match fault {
                    PingFault::Unanswered => unanswered = true,
                    PingFault::Delay(wait) => {
                        late_pings.push(Drawn::new(*wait, draws.of(Purpose::EachPing)));
                    }
                }
            }
            Some(ConnectionAction::MaxConcurrentStreams(streams)) => {
                made.of_frames.push(rule.id);
                let fewest = made
                    .most_streams
                    .map_or(*streams, |most| most.min(*streams));
                made.most_streams = Some(fewest);
            }
            _ => {}
        }
    }
    made.latency = Both {
        client: each(latency.client),
        server: each(latency.server),
    };
    made.pings = match (unanswered, each(late_pings)) {
        (true, _) => Pings::Unanswered,
        (false, Some(delays)) => Pings::Late(delays),
        (false, None) => Pings::Pass,
    };
    made
}
