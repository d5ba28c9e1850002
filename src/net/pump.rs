//! Both directions of a connection, in one task.
//!
//! Every wake-up looks at both directions. A direction that has bytes costs one
//! read and one write; one that has none costs no system call. The read goes
//! into a buffer that all connections of a worker share.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep_until, timeout};

use super::double::{Report, execute};
use super::flow::{Core, Flow, Lost, Turn};
use super::lane::Lane;
use super::wire::Wire;
use super::{Phase, Shutdown};
use crate::etcd::{Ends, Session};
use crate::http2::{Both, Side};
use crate::relay::EndOfBytes;

/// A peer that we do not read from can vanish unseen, so while a direction is
/// stalled or over its socket is looked at this often.
const LOOK_AFTER: Duration = Duration::from_millis(250);

/// How long a peer may take to take what is pending when we close.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// What a pump left behind.
#[derive(Debug)]
pub(super) struct Over {
    /// The upstream's TLS alert or our reason not to go on with its TLS: more
    /// than one connection's misfortune.
    pub(super) upstream_tls: Option<String>,
    /// Whether we closed it over open calls, or over ones that may have been.
    pub(super) cut: bool,
}

/// Both ends of a connection and what stands between them.
pub(super) struct Pump<C, S> {
    client: C,
    upstream: S,
    up: Flow,
    down: Flow,
    core: Core,
    timer: Option<Pin<Box<Sleep>>>,
    /// Called once, at the first byte that the upstream sends.
    on_upstream_spoke: Option<Box<dyn FnOnce() + Send>>,
    lane: Arc<Lane>,
    /// Where second executions report; there are none until the first.
    doubles: Option<Doubles>,
    /// An end that is gone, which a dead direction keeps from the other.
    unseen: Option<Lost>,
}

/// Second executions under way.
struct Doubles {
    report: mpsc::UnboundedSender<Report>,
    reported: mpsc::UnboundedReceiver<Report>,
    /// How many have not reported.
    under_way: usize,
}

/// How the carrying ended.
enum End {
    /// Both sides ended in order.
    Closed,
    Lost(Lost),
    /// A fault ends it.
    Struck(Ends),
    /// Faults touched it, and it cannot be followed any more.
    Torn,
    /// The proxy is going down.
    Shutdown(Phase),
}

impl<C: Wire, S: Wire> Pump<C, S> {
    pub(super) fn new(
        client: C,
        upstream: S,
        session: Session,
        lane: Arc<Lane>,
        on_upstream_spoke: Box<dyn FnOnce() + Send>,
    ) -> Pump<C, S> {
        let events = lane.events.clone();
        let now = Instant::now();
        let mut core = Core {
            session,
            events,
            now,
            upstream_spoke: false,
            ended_first: None,
            owed: Both::default(),
        };
        core.drain_events();
        Pump {
            client,
            upstream,
            up: Flow::default(),
            down: Flow::default(),
            core,
            timer: None,
            on_upstream_spoke: Some(on_upstream_spoke),
            lane,
            doubles: None,
            unseen: None,
        }
    }

    /// Carries until both sides have ended, one is lost, or `shutdown` says so.
    pub(super) async fn run(mut self, shutdown: &Shutdown) -> Over {
        let end = {
            let mut moved = pin!(shutdown.moved());
            let mut seen = None;
            let alarm = self.lane.rules_changed.clone();
            let mut rung = pin!(alarm.next());
            let mut heard = None;
            poll_fn(|cx| {
                // As below; what rang before the first look changes nothing yet.
                while heard != Some(alarm.rung()) {
                    heard = Some(alarm.rung());
                    self.core.now = Instant::now();
                    self.core.handle_change();
                    rung.set(alarm.next());
                    let _ = rung.as_mut().poll(cx);
                }
                // The waiter is renewed only when the phase has moved: it keeps
                // the task's waker, and polling it takes a lock that all share.
                while seen != Some(shutdown.phase()) {
                    seen = Some(shutdown.phase());
                    moved.set(shutdown.moved());
                    let _ = moved.as_mut().poll(cx);
                }
                self.poll(shutdown.phase(), cx)
            })
            .await
        };
        self.finish(end).await
    }

    fn poll(&mut self, phase: Phase, cx: &mut Context<'_>) -> Poll<End> {
        if phase >= Phase::Close {
            return Poll::Ready(End::Shutdown(phase));
        }
        self.core.now = Instant::now();
        self.take_doubles(cx);
        let struck = self.feel_weather();
        if struck == Some(Ends::ByReset) {
            return Poll::Ready(End::Struck(Ends::ByReset));
        }
        // Before reading: a kernel tells of a reset once, and then of an end.
        if let Some(lost) = self.seen_now() {
            return Poll::Ready(End::Lost(lost));
        }
        let (up, down) = match self.carry(cx) {
            Ok(turns) => turns,
            Err(lost) => match self.keep_unseen(lost) {
                None => (Turn::More, Turn::More),
                Some(lost) => return Poll::Ready(End::Lost(lost)),
            },
        };
        if let Some(ends) = struck {
            return Poll::Ready(End::Struck(ends));
        }
        self.start_doubles(cx);
        if self.core.upstream_spoke
            && let Some(tell) = self.on_upstream_spoke.take()
        {
            tell();
        }
        if self.core.session.must_close() {
            return Poll::Ready(End::Torn);
        }
        if self.up.is_ended() && self.down.is_ended() || self.is_left() {
            return Poll::Ready(End::Closed);
        }
        if phase == Phase::Drain && self.is_at_rest() {
            return Poll::Ready(End::Shutdown(phase));
        }
        let unread = up == Turn::Stalled
            || down == Turn::Stalled
            || !self.up.is_open()
            || !self.down.is_open();
        if let Err(lost) = self.keep_time(unread, cx) {
            return Poll::Ready(End::Lost(lost));
        }
        if let Err(lost) = self.settle_owed(cx) {
            return Poll::Ready(End::Lost(lost));
        }
        if up == Turn::More || down == Turn::More {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Has ourselves woken where time may have changed what faults do.
    fn act_on_faults(&mut self, cx: &mut Context<'_>) {
        let session = &mut self.core.session;
        if session.weather().is_some() || session.must_end().is_some() {
            cx.waker().wake_by_ref();
        }
    }

    /// Looks what faults do to the bytes, and whether one ends the connection.
    fn feel_weather(&mut self) -> Option<Ends> {
        let now = self.core.now;
        let session = &mut self.core.session;
        let struck = session.must_end();
        if let Some(weather) = session.weather() {
            if struck.is_some() {
                // What is pending leaves before the end.
                weather.change(Both::default(), now);
            }
            self.up.freeze(weather.is_frozen(Side::Client));
            self.down.freeze(weather.is_frozen(Side::Server));
            session.clear_up();
        }
        struck
    }

    /// One end is gone. While the direction from there is dead the other end
    /// does not learn of it: then nothing is lost yet, and nobody there is
    /// written to.
    fn keep_unseen(&mut self, lost: Lost) -> Option<Lost> {
        let (from_it, to_it) = match lost.side {
            Side::Client => (&self.up, &mut self.down),
            Side::Server => (&self.down, &mut self.up),
        };
        if !from_it.is_frozen() {
            return Some(lost);
        }
        to_it.turn_deaf();
        self.unseen.get_or_insert(lost);
        None
    }

    /// Whether a client has gone from a connection whose way to it is dead. A
    /// client of HTTP/2 that ends its half has closed the connection, and etcd's
    /// half cannot end while nothing of it is heard.
    fn is_left(&self) -> bool {
        self.up.is_ended() && self.down.is_frozen() && self.core.session.speaks_http2()
    }

    /// An end that went unseen, once it shows.
    fn seen_now(&mut self) -> Option<Lost> {
        let lost = self.unseen.as_ref()?;
        let frozen = match lost.side {
            Side::Client => self.up.is_frozen(),
            Side::Server => self.down.is_frozen(),
        };
        match frozen {
            true => None,
            false => self.unseen.take(),
        }
    }

    fn carry(&mut self, cx: &mut Context<'_>) -> Result<(Turn, Turn), Lost> {
        self.linger();
        // Who does not take what we made in answer to him is not heard further.
        let up = match self.down.owes_too_much() {
            true => self.settle_up(cx),
            false => self.carry_up(cx),
        };
        let down = match self.up.owes_too_much() {
            true => self.settle_down(cx),
            false => self.carry_down(cx),
        };
        // A reader that is gone may have left words behind that explain why
        // (GOAWAY, an alert): `down` has just looked, `up` looks again.
        let up = match &down {
            Err(lost) if !lost.by_reading && up.is_ok() => self.carry_up(cx),
            _ => up,
        };
        match (up, down) {
            (Ok(up), Ok(down)) => Ok((up, down)),
            (Err(up), Err(down)) if down.by_reading && !up.by_reading => Err(down),
            (Err(lost), _) | (_, Err(lost)) => Err(lost),
        }
    }

    /// While the client is owed what etcd left behind it is not told of etcd's
    /// end; what it says is heard for its credit, and nobody else is there to
    /// hear it.
    fn linger(&mut self) {
        let lingers = self.core.session.lingers() && self.up.is_open();
        self.down.linger(lingers);
        if lingers {
            self.up.turn_deaf();
        }
    }

    fn settle_up(&mut self, cx: &mut Context<'_>) -> Result<Turn, Lost> {
        self.up.take_owed(Side::Client, &mut self.core);
        let _ = self.up.settle(&mut self.upstream, Side::Client, cx)?;
        Ok(stalled(&self.up))
    }

    fn settle_down(&mut self, cx: &mut Context<'_>) -> Result<Turn, Lost> {
        self.down.take_owed(Side::Server, &mut self.core);
        let _ = self.down.settle(&mut self.client, Side::Server, cx)?;
        Ok(stalled(&self.down))
    }

    fn carry_down(&mut self, cx: &mut Context<'_>) -> Result<Turn, Lost> {
        self.down.carry(
            &mut self.upstream,
            &mut self.client,
            Side::Server,
            &mut self.core,
            cx,
        )
    }

    /// Sends what the core made for a direction after that had its turn.
    fn settle_owed(&mut self, cx: &mut Context<'_>) -> Result<(), Lost> {
        self.linger();
        let owed = |core: &Core, side| !core.owed[side].is_empty();
        if owed(&self.core, Side::Client) {
            self.up.take_owed(Side::Client, &mut self.core);
            let _ = self.up.settle(&mut self.upstream, Side::Client, cx)?;
        }
        if owed(&self.core, Side::Server) || !self.down.is_open() {
            self.down.take_owed(Side::Server, &mut self.core);
            let _ = self.down.settle(&mut self.client, Side::Server, cx)?;
        }
        Ok(())
    }

    /// Starts the second executions that the core asks for.
    fn start_doubles(&mut self, cx: &mut Context<'_>) {
        while let Some(errand) = self.core.session.poll_errand() {
            let doubles = self.doubles.get_or_insert_with(|| {
                let (report, reported) = mpsc::unbounded_channel();
                Doubles {
                    report,
                    reported,
                    under_way: 0,
                }
            });
            doubles.under_way += 1;
            let (lane, report) = (Arc::clone(&self.lane), doubles.report.clone());
            tokio::spawn(async move {
                // The connection may be gone: then nobody waits for it.
                let _ = report.send(execute(lane, errand).await);
            });
            // Have ourselves woken by the report.
            cx.waker().wake_by_ref();
        }
    }

    /// Tells the core what became of them.
    fn take_doubles(&mut self, cx: &mut Context<'_>) {
        let Some(doubles) = &mut self.doubles else {
            return;
        };
        while let Poll::Ready(Some(report)) = doubles.reported.poll_recv(cx) {
            doubles.under_way -= 1;
            self.core.handle_errand(&report);
        }
    }

    fn carry_up(&mut self, cx: &mut Context<'_>) -> Result<Turn, Lost> {
        self.up.carry(
            &mut self.client,
            &mut self.upstream,
            Side::Client,
            &mut self.core,
            cx,
        )
    }

    fn is_at_rest(&self) -> bool {
        let doubles = self.doubles.as_ref().map_or(0, |doubles| doubles.under_way);
        self.core.session.is_at_rest() && doubles == 0 && self.up.is_clear() && self.down.is_clear()
    }

    /// Serves the core's time-out and, where a side goes `unread`, the look at
    /// its socket.
    fn keep_time(&mut self, unread: bool, cx: &mut Context<'_>) -> Result<(), Lost> {
        loop {
            if let Some(at) = self.core.session.poll_timeout()
                && at <= self.core.now
            {
                self.core.handle_timeout();
                self.act_on_faults(cx);
            }
            let look = unread.then(|| self.core.now + LOOK_AFTER);
            let now = self.core.now;
            let session = &mut self.core.session;
            let weather = session.weather().and_then(|weather| weather.next(now));
            let due = session.poll_timeout().into_iter();
            let wanted = due.chain(weather).chain(look).min();
            let Some(wanted) = wanted else { return Ok(()) };
            let wanted = tokio::time::Instant::from_std(wanted);
            // One that fires early does no harm, so it is never put off.
            let timer = match &mut self.timer {
                Some(timer) => {
                    if wanted < timer.deadline() {
                        timer.as_mut().reset(wanted);
                    }
                    timer
                }
                none => none.insert(Box::pin(sleep_until(wanted))),
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.timer = None;
            self.core.now = Instant::now();
            self.act_on_faults(cx);
            if unread {
                if !self.up.is_frozen() {
                    look_at(&self.client, Side::Client)?;
                }
                if !self.core.session.lingers() && !self.down.is_frozen() {
                    look_at(&self.upstream, Side::Server)?;
                }
            }
        }
    }

    /// Tells both peers and the core of the end.
    async fn finish(mut self, end: End) -> Over {
        let mut over = Over {
            upstream_tls: None,
            cut: false,
        };
        self.core.now = Instant::now();
        let how: Cow<'static, str> = match &end {
            End::Closed => match self.core.ended_first {
                Some(Side::Server) => "upstream closed".into(),
                _ => "client closed".into(),
            },
            End::Lost(lost) => {
                self.client.reset_on_drop();
                self.upstream.reset_on_drop();
                self.core.handle_end(lost.side, EndOfBytes::Lost);
                let how = describe(lost);
                if lost.side == Side::Server && lost.error.kind() == io::ErrorKind::InvalidData {
                    over.upstream_tls = Some(how.clone().into_owned());
                }
                how
            }
            End::Struck(Ends::ByReset) => {
                self.client.reset_on_drop();
                self.upstream.reset_on_drop();
                "a fault reset the connection".into()
            }
            End::Struck(Ends::InOrder) => {
                self.close().await;
                "a fault closed the connection".into()
            }
            End::Torn => {
                self.close().await;
                "etcdtap could not follow the connection that a fault had touched".into()
            }
            End::Shutdown(phase) => {
                over.cut = !self.core.session.is_at_rest();
                if *phase < Phase::Now {
                    self.close().await;
                }
                "etcdtap was told to end".into()
            }
        };
        self.core.finish(&how);
        over
    }

    /// Writes what is pending and says goodbye to both sides, within bounds.
    async fn close(&mut self) {
        self.up.take_owed(Side::Client, &mut self.core);
        self.down.take_owed(Side::Server, &mut self.core);
        for flow in [&mut self.up, &mut self.down] {
            flow.freeze(false);
            flow.close();
        }
        let settled = poll_fn(|cx| {
            // A side that is gone needs no goodbye.
            let up = self.up.settle(&mut self.upstream, Side::Client, cx);
            let down = self.down.settle(&mut self.client, Side::Server, cx);
            ready!(up.unwrap_or(Poll::Ready(())));
            down.unwrap_or(Poll::Ready(()))
        });
        let _ = timeout(CLOSE_WITHIN, settled).await;
    }
}

/// A direction that takes nothing for now. One that stands still by a fault is
/// not looked after.
fn stalled(flow: &Flow) -> Turn {
    match flow.is_frozen() {
        true => Turn::Waiting,
        false => Turn::Stalled,
    }
}

/// Whether the kernel knows of an error of a socket that is not being read.
fn look_at(wire: &impl Wire, side: Side) -> Result<(), Lost> {
    match wire.tcp().take_error() {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(Lost {
            side,
            by_reading: true,
            error,
        }),
    }
}

fn describe(lost: &Lost) -> Cow<'static, str> {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, InvalidData};
    match (lost.side, lost.error.kind()) {
        (Side::Client, ConnectionReset | BrokenPipe) => "client reset the connection".into(),
        (Side::Server, ConnectionReset | BrokenPipe) => "upstream reset the connection".into(),
        (Side::Client, InvalidData) => format!("client's TLS failed: {}", lost.error).into(),
        (Side::Server, InvalidData) => format!("upstream's TLS failed: {}", lost.error).into(),
        (Side::Client, _) => format!("client was lost: {}", lost.error).into(),
        (Side::Server, _) => format!("upstream was lost: {}", lost.error).into(),
    }
}
