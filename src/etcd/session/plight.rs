//! What faults do to a connection as a whole: its warden is asked, and what it
//! says is handed to whoever can carry it out.

use std::sync::Arc;
use std::time::Instant;

use super::{Protocol, Session};
use crate::etcd::Event;
use crate::etcd::verdict::{Delays, FaultId, Hit};
use crate::etcd::warden::{Conditions, Farewell, Pings, Strike, Warden};
use crate::http2::{Both, Side};
use crate::relay::{OwnGoaway, PingHold, Sky, Waits, Weather};

/// What faults do to a connection as a whole.
#[derive(Debug)]
pub(super) struct Plight {
    warden: Box<dyn Warden>,
    look_at: Option<Instant>,
    /// What struck so far.
    pub hits: Vec<Hit>,
    /// What is done to its bytes, while anything is.
    pub weather: Option<Box<Weather>>,
    /// Whether it has to end, and how.
    pub ends: Option<Ends>,
    /// What waits for HTTP/2 to be spoken.
    pub of_frames: OfFrames,
}

/// How a fault ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Both sides are told, after what is pending.
    InOrder,
    /// Both sides get a TCP reset.
    ByReset,
}

/// What only a connection of HTTP/2 can be done.
#[derive(Debug, Default)]
pub(super) struct OfFrames {
    /// GOAWAYs that are to be sent.
    pub goaways: Vec<(FaultId, Farewell)>,
    /// What becomes of PINGs, if that has changed.
    pub pings: Option<PingHold>,
    /// How many streams the client may have, if that has changed.
    pub most_streams: Option<Option<u32>>,
    /// The faults that want the last two.
    pub faults: Vec<FaultId>,
}

/// More are not kept for a log line.
const MOST_HITS: usize = 256;

impl Plight {
    pub fn new(warden: Box<dyn Warden>, hits: Vec<Hit>) -> Plight {
        Plight {
            warden,
            look_at: None,
            hits,
            weather: None,
            ends: None,
            of_frames: OfFrames::default(),
        }
    }

    /// When to look again.
    pub fn next(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks at the rules, and gives what struck.
    pub fn look(&mut self, now: Instant) -> Vec<Hit> {
        let outlook = self.warden.look(now);
        self.look_at = outlook.look_at;
        for strike in outlook.strikes {
            match strike {
                Strike::Close => {
                    self.ends.get_or_insert(Ends::InOrder);
                }
                Strike::Reset => {
                    self.ends.get_or_insert(Ends::ByReset);
                }
                Strike::Goaway(fault, farewell) => self.of_frames.goaways.push((fault, farewell)),
            }
        }
        if let Some(conditions) = outlook.conditions {
            self.change(conditions, now);
        }
        let room = MOST_HITS.saturating_sub(self.hits.len());
        self.hits.extend(outlook.hits.iter().take(room).cloned());
        outlook.hits
    }

    fn change(&mut self, conditions: Conditions, now: Instant) {
        if conditions.on_bytes() || self.weather.is_some() {
            let Conditions {
                frozen,
                speed,
                latency,
                ..
            } = conditions;
            let sky = |side: Side, latency: Option<Box<dyn Delays>>| Sky {
                frozen: frozen[side],
                speed: speed[side],
                latency: latency.map(waits),
            };
            let skies = Both {
                client: sky(Side::Client, latency.client),
                server: sky(Side::Server, latency.server),
            };
            let weather = self.weather.get_or_insert_default();
            weather.change(skies, now);
        }
        self.of_frames.pings = Some(match conditions.pings {
            Pings::Pass => PingHold::Pass,
            Pings::Late(delays) => PingHold::For(waits(delays)),
            Pings::Unanswered => PingHold::ForGood,
        });
        self.of_frames.most_streams = Some(conditions.most_streams);
        self.of_frames.faults = conditions.of_frames;
    }

    /// The weather may have calmed down: then bytes pass as if there were none.
    pub fn clear_up(&mut self) {
        if self
            .weather
            .as_ref()
            .is_some_and(|weather| weather.is_calm())
        {
            self.weather = None;
        }
    }

    /// What waits for HTTP/2 never comes about.
    pub fn give_up_frames(&mut self, why: &str) {
        let of_frames = std::mem::take(&mut self.of_frames);
        let goaways = of_frames.goaways.iter().map(|(fault, _)| fault);
        for fault in goaways.chain(&of_frames.faults) {
            self.warden.gave_up(*fault, why);
        }
    }
}

impl Session {
    /// With somebody who decides about the connection as a whole; `hits` is what
    /// he has done to it already. He is asked at the next
    /// [`Session::handle_change`].
    #[must_use]
    pub fn with_warden(mut self, warden: Box<dyn Warden>, hits: Vec<Hit>) -> Session {
        self.plight = Some(Box::new(Plight::new(warden, hits)));
        self
    }

    /// What is done to the connection's bytes before they are handed in, while
    /// anything is.
    pub fn weather(&mut self) -> Option<&mut Weather> {
        self.plight.as_mut()?.weather.as_deref_mut()
    }

    /// The weather may have calmed down.
    pub fn clear_up(&mut self) {
        if let Some(plight) = &mut self.plight {
            plight.clear_up();
        }
    }

    /// Whether a fault ends the connection, and how.
    pub fn must_end(&self) -> Option<Ends> {
        self.plight.as_ref().and_then(|plight| plight.ends)
    }

    /// Has the warden look at the connection.
    pub(super) fn look(&mut self, now: Instant) {
        let Some(plight) = &mut self.plight else {
            return;
        };
        let hits = plight.look(now);
        if !hits.is_empty() {
            self.events.push_back(Event::Fault {
                peers: Arc::clone(&self.peers),
                at: now,
                hits,
            });
        }
        self.do_to_frames(now);
    }

    /// Carries out what needs frames, once it is known whether there are any.
    pub(super) fn do_to_frames(&mut self, now: Instant) {
        let Some(plight) = &mut self.plight else {
            return;
        };
        match &mut self.protocol {
            Protocol::Undecided { .. } => {}
            Protocol::Http2(connection) if connection.is_following() => {
                let mut of_frames = std::mem::take(&mut plight.of_frames);
                for (_, farewell) in of_frames.goaways.drain(..) {
                    let what = OwnGoaway {
                        code: farewell.code,
                        debug: farewell.debug.as_bytes().into(),
                        graceful: farewell.graceful,
                    };
                    connection.goaway(what, now);
                }
                if let Some(hold) = of_frames.pings {
                    connection.hold_pings(hold, now);
                }
                if let Some(most) = of_frames.most_streams {
                    connection.limit_streams(most);
                }
            }
            _ => plight
                .give_up_frames("the connection does not speak HTTP/2, or is not read any more"),
        }
    }
}

fn waits(mut delays: Box<dyn Delays>) -> Waits {
    Waits::new(move || delays.next())
}
