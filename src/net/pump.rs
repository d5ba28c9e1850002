//! Both directions of a connection, in one task.
//!
//! Every wake-up looks at both directions. A direction that has bytes costs one
//! read and one write; one that has none costs no system call. The read goes
//! into a buffer that all connections of a worker share.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until, timeout};

use super::flow::{Core, Flow, Lost, Turn};
use super::wire::Wire;
use super::{Phase, Shutdown};
use crate::etcd::Session;
use crate::http2::Side;
use crate::relay::EndOfBytes;
use crate::trace;

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
}

/// How the carrying ended.
enum End {
    /// Both sides ended in order.
    Closed,
    Lost(Lost),
    /// The proxy is going down.
    Shutdown(Phase),
}

impl<C: Wire, S: Wire> Pump<C, S> {
    pub(super) fn new(
        client: C,
        upstream: S,
        session: Session,
        events: trace::Sender,
        on_upstream_spoke: Box<dyn FnOnce() + Send>,
    ) -> Pump<C, S> {
        let now = Instant::now();
        let mut core = Core {
            session,
            events,
            now,
            upstream_spoke: false,
            ended_first: None,
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
        }
    }

    /// Carries until both sides have ended, one is lost, or `shutdown` says so.
    pub(super) async fn run(mut self, shutdown: &Shutdown) -> Over {
        let end = {
            let mut moved = pin!(shutdown.moved());
            let mut seen = None;
            poll_fn(|cx| {
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
        let (up, down) = match self.carry(cx) {
            Ok(turns) => turns,
            Err(lost) => return Poll::Ready(End::Lost(lost)),
        };
        if self.core.upstream_spoke
            && let Some(tell) = self.on_upstream_spoke.take()
        {
            tell();
        }
        if self.up.is_ended() && self.down.is_ended() {
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
        if up == Turn::More || down == Turn::More {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn carry(&mut self, cx: &mut Context<'_>) -> Result<(Turn, Turn), Lost> {
        let up = self.carry_up(cx);
        let down = self.down.carry(
            &mut self.upstream,
            &mut self.client,
            Side::Server,
            &mut self.core,
            cx,
        );
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
        self.core.session.is_at_rest() && self.up.is_clear() && self.down.is_clear()
    }

    /// Serves the core's time-out and, where a side goes `unread`, the look at
    /// its socket.
    fn keep_time(&mut self, unread: bool, cx: &mut Context<'_>) -> Result<(), Lost> {
        loop {
            if let Some(at) = self.core.session.poll_timeout()
                && at <= self.core.now
            {
                self.core.handle_timeout();
            }
            let look = unread.then(|| self.core.now + LOOK_AFTER);
            let wanted = self
                .core
                .session
                .poll_timeout()
                .into_iter()
                .chain(look)
                .min();
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
            if unread {
                look_at(&self.client, Side::Client)?;
                look_at(&self.upstream, Side::Server)?;
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
        self.up.close();
        self.down.close();
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
