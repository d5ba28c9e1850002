//! What stands between the models.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::{Errand, Judge};
use etcdtap::etcd::warden::Warden;
use etcdtap::etcd::{Event, Session, SessionOptions};
use etcdtap::http2::{Both, Side, StreamId};
use etcdtap::relay::{ConnectionId, HoldBudget, Peers, Transmit};

use super::endpoint::Endpoint;
use super::frame::{self, Cutter};

/// Takes bytes of one side, and gives bytes for either. `to[side]` is what leaves
/// towards `side`.
pub trait Wire: fmt::Debug {
    fn bytes(&mut self, from: Side, bytes: &[u8], now: Instant, to: &mut Both<Vec<u8>>);
    fn timeout(&self) -> Option<Instant> {
        None
    }
    fn fire(&mut self, now: Instant, to: &mut Both<Vec<u8>>) {
        let _ = (now, to);
    }
    /// The rules have changed.
    fn change(&mut self, now: Instant, to: &mut Both<Vec<u8>>) {
        let _ = (now, to);
    }
    /// A request that it wants executed a second time.
    fn errand(&mut self) -> Option<Errand> {
        None
    }
    /// How that went.
    fn answer(
        &mut self,
        stream: StreamId,
        outcome: Result<(), String>,
        now: Instant,
        to: &mut Both<Vec<u8>>,
    ) {
        let _ = (stream, outcome, now, to);
    }
    /// Bytes that it holds, and calls that it believes open.
    fn keeps(&self) -> Option<(u64, usize)> {
        None
    }
    /// The ends of its own that it speaks with, if it does not let windows through:
    /// `client` with the client, `server` with the server.
    fn inner(&self) -> Option<Both<&Endpoint>> {
        None
    }
    /// GOAWAYs of its own that the client may have received.
    fn own_goaways(&self) -> usize {
        0
    }
    /// What went wrong in it.
    fn complaint(&mut self) -> Option<String> {
        None
    }
}

/// Nothing but a wire.
#[derive(Debug)]
pub struct Straight;

impl Wire for Straight {
    fn bytes(&mut self, from: Side, bytes: &[u8], _: Instant, to: &mut Both<Vec<u8>>) {
        to[from.peer()].extend_from_slice(bytes);
    }
}

/// etcdtap's core.
#[derive(Debug)]
pub struct Core {
    session: Session,
    budget: HoldBudget,
    /// Whether all bytes have to leave as they came.
    transparent: bool,
    wrong: Option<String>,
    goaways: Arc<AtomicUsize>,
}

pub fn peers() -> Arc<Peers> {
    Arc::new(Peers {
        id: ConnectionId(1),
        client: ([127, 0, 0, 1], 40_000).into(),
        listener: ([127, 0, 0, 1], 2381).into(),
        upstream: "127.0.0.1:2379".into(),
        tls: None,
    })
}

impl Core {
    /// One that has nothing to do: with a judge who is not armed, or without any.
    pub fn transparent(judge: Option<Box<dyn Judge>>, now: Instant) -> Core {
        Core {
            transparent: true,
            ..Core::judged(judge, now)
        }
    }

    pub fn judged(judge: Option<Box<dyn Judge>>, now: Instant) -> Core {
        Core::holding(HoldBudget::default(), judge, now)
    }

    /// One that may hold so much.
    pub fn holding(budget: HoldBudget, judge: Option<Box<dyn Judge>>, now: Instant) -> Core {
        let options = Arc::new(SessionOptions {
            hold: budget.clone(),
            ..SessionOptions::default()
        });
        Core {
            session: Session::with_judge(peers(), &options, judge, now),
            budget,
            transparent: false,
            wrong: None,
            goaways: Arc::default(),
        }
    }

    /// One on whose connection faults strike; the warden counts its `goaways`.
    pub fn under(self, warden: Box<dyn Warden>, goaways: Arc<AtomicUsize>, now: Instant) -> Core {
        let mut session = self.session.with_warden(warden, Vec::new());
        session.handle_change(now);
        Core {
            session,
            goaways,
            ..self
        }
    }

    /// Takes out all that leaves. `bytes`: what `from` just handed in.
    fn drain(&mut self, handed: Option<(Side, &[u8])>, to: &mut Both<Vec<u8>>) {
        for from in [Side::Client, Side::Server] {
            while let Some(transmit) = self.session.poll_transmit(from) {
                let out = &mut to[from.peer()];
                match transmit {
                    Transmit::AsCame(range) => match handed.filter(|(side, _)| *side == from) {
                        Some((_, bytes)) => out.extend_from_slice(&bytes[range]),
                        None => self.wrong = Some(format!("{range:?} of bytes nobody sent")),
                    },
                    Transmit::Own(bytes) => {
                        if self.transparent {
                            self.wrong = Some("bytes of its own without a judge".into());
                        }
                        out.extend_from_slice(&bytes);
                    }
                }
            }
        }
        while let Some(event) = self.session.poll_event() {
            if let Event::TracingStopped { offence, .. } = event {
                self.wrong = Some(format!("reading stopped: {offence}"));
            }
        }
    }
}

impl Wire for Core {
    fn bytes(&mut self, from: Side, bytes: &[u8], now: Instant, to: &mut Both<Vec<u8>>) {
        self.session.handle_bytes(from, bytes, now);
        let before = to[from.peer()].len();
        self.drain(Some((from, bytes)), to);
        if self.transparent && to[from.peer()][before..] != *bytes {
            self.wrong = Some("bytes out are not bytes in".into());
        }
    }

    fn timeout(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    fn fire(&mut self, now: Instant, to: &mut Both<Vec<u8>>) {
        self.session.handle_timeout(now);
        self.drain(None, to);
    }

    fn change(&mut self, now: Instant, to: &mut Both<Vec<u8>>) {
        self.session.handle_change(now);
        self.drain(None, to);
    }

    fn errand(&mut self) -> Option<Errand> {
        self.session.poll_errand()
    }

    fn answer(
        &mut self,
        stream: StreamId,
        outcome: Result<(), String>,
        now: Instant,
        to: &mut Both<Vec<u8>>,
    ) {
        self.session.handle_errand(stream, &[], &outcome, now);
        self.drain(None, to);
    }

    fn keeps(&self) -> Option<(u64, usize)> {
        Some((self.budget.held(), self.session.open_calls()))
    }

    fn own_goaways(&self) -> usize {
        self.goaways.load(Ordering::Relaxed)
    }

    fn complaint(&mut self) -> Option<String> {
        self.wrong.take()
    }
}

/// The naive dripper of `drip.py`: the server's DATA (and HEADERS behind them)
/// are released one frame every `gap`.
#[derive(Debug)]
pub struct Dripper {
    gap: Duration,
    cutter: Cutter,
    held: VecDeque<Vec<u8>>,
    next: Option<Instant>,
}

impl Dripper {
    pub fn new(gap: Duration) -> Dripper {
        Dripper {
            gap,
            cutter: Cutter::default(),
            held: VecDeque::new(),
            next: None,
        }
    }
}

impl Wire for Dripper {
    fn bytes(&mut self, from: Side, bytes: &[u8], now: Instant, to: &mut Both<Vec<u8>>) {
        if from == Side::Client {
            to.server.extend_from_slice(bytes);
            return;
        }
        self.cutter.feed(bytes);
        while let Ok(Some(frame)) = self.cutter.next(u32::MAX) {
            let mut bytes = Vec::new();
            frame::write(
                &mut bytes,
                frame.kind,
                frame.flags,
                frame.stream,
                &frame.payload,
            );
            let held = !self.held.is_empty();
            if frame.kind == frame::DATA || (frame.kind == frame::HEADERS && held) {
                self.held.push_back(bytes);
                self.next.get_or_insert(now + self.gap);
            } else {
                to.client.extend_from_slice(&bytes);
            }
        }
    }

    fn timeout(&self) -> Option<Instant> {
        self.next
    }

    fn fire(&mut self, now: Instant, to: &mut Both<Vec<u8>>) {
        if self.next.is_some_and(|next| next <= now) {
            to.client.extend(self.held.pop_front().unwrap_or_default());
            self.next = Some(now + self.gap).filter(|_| !self.held.is_empty());
        }
    }
}
