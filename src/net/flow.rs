//! One direction of a connection.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::ReadBuf;

use super::double::Report;
use super::wire::Wire;
use crate::etcd::Session;
use crate::http2::{Both, Side};
use crate::relay::{EndOfBytes, Parcel, Transmit};
use crate::trace;

/// The most that is read at once.
const SCRATCH: usize = 64 * 1024;

/// Reads in a row before other connections get their turn.
const READS_PER_TURN: usize = 16;

/// Bytes that may wait for a reader before its other direction is not read any
/// more either: a client that sends PINGs and takes no answers, say.
const MOST_OWED: usize = 1 << 20;

thread_local! {
    /// What every connection of this worker reads into: nothing stays in it
    /// beyond one turn, so an idle connection needs no buffer of its own.
    static READ_INTO: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// One direction of a connection: what it owes its reader, and its end.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pending: Pending,
    state: State,
    /// The writer has ended, and the reader is still owed what was held of it.
    lingers: bool,
    /// The reader takes nothing any more, and must not be missed.
    deaf: bool,
    /// A fault has everything stand still: nothing is read or written.
    frozen: bool,
    /// The writer has ended, and that is under way.
    farewell: Option<Farewell>,
}

/// Bytes that the reader's socket did not take. While there are any nothing
/// more is read from the writer: a slow reader slows its writer.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    sent: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The writer has ended; the reader is still to be told.
    Ending(Farewell),
    Ended,
}

/// How a writer ended, and so how its reader is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// With close_notify where the reader speaks TLS.
    Proper,
    /// With a FIN alone: a TLS writer was cut off without close_notify.
    Bare,
}

/// What stopped a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The writer has nothing more for now, or for ever.
    Waiting,
    /// The reader takes nothing more for now.
    Stalled,
    /// Fairness: there may be more.
    More,
}

/// One end of the connection is no more.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) side: Side,
    /// Whether it was found by reading, which knows better why.
    pub(super) by_reading: bool,
    pub(super) error: io::Error,
}

/// The core of a connection, and the way out for its events.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) session: Session,
    pub(super) events: trace::Sender,
    /// The time of this turn.
    pub(super) now: Instant,
    /// Whether the upstream has sent anything.
    pub(super) upstream_spoke: bool,
    /// Who ended first.
    pub(super) ended_first: Option<Side>,
    /// What the core has for the other direction than the one that was heard, by
    /// the sender whose direction it is.
    pub(super) owed: Both<Vec<u8>>,
}

impl Core {
    /// `from` sent `bytes`; they are the core's to see, and then to pass.
    fn handle_bytes(&mut self, from: Side, bytes: &[u8]) {
        self.upstream_spoke |= from == Side::Server;
        // An answer may be read in the same turn as its request was.
        self.now = Instant::now();
        let now = self.now;
        self.guarded(from, bytes.len(), |session| {
            session.handle_bytes(from, bytes, now);
        });
    }

    /// `from` will send no more.
    pub(super) fn handle_end(&mut self, from: Side, how: EndOfBytes) {
        let now = self.now;
        self.guarded(from, 0, |session| session.handle_end(from, how, now));
    }

    /// The time of [`Session::poll_timeout`] has come.
    pub(super) fn handle_timeout(&mut self) {
        self.without_bytes(Session::handle_timeout);
    }

    /// The rules may have changed.
    pub(super) fn handle_change(&mut self) {
        self.without_bytes(Session::handle_change);
    }

    /// A request was executed a second time.
    pub(super) fn handle_errand(&mut self, report: &Report) {
        self.without_bytes(|session, now| {
            session.handle_errand(report.stream, &report.faults, &report.outcome, now);
        });
    }

    /// Something other than bytes happened: what comes of it leaves by itself.
    fn without_bytes(&mut self, handle: impl FnOnce(&mut Session, Instant)) {
        let now = self.now;
        self.guarded(Side::Client, 0, |session| handle(session, now));
        self.take_own();
        self.drain_events();
    }

    /// Takes over what the core has to send by itself.
    fn take_own(&mut self) {
        for side in [Side::Client, Side::Server] {
            while let Some(transmit) = self.session.poll_transmit(side) {
                // Nothing was handed in, so nothing leaves as it came.
                if let Transmit::Own(bytes) = transmit {
                    self.owed[side].extend_from_slice(&bytes);
                }
            }
        }
    }

    /// Both ends are gone.
    pub(super) fn finish(&mut self, how: &str) {
        self.now = Instant::now();
        let now = self.now;
        if !self.guarded(Side::Client, 0, |session| session.finish(how, now)) {
            // One that has given up has nothing left to fail at.
            self.guarded(Side::Client, 0, |session| session.finish(how, now));
        }
        self.drain_events();
    }

    /// Runs `handle`, which is given `input` bytes of `by`; whether that went
    /// well. A panic in it costs the connection its reading, and neither its bytes
    /// nor its neighbours' thread.
    fn guarded(&mut self, by: Side, input: usize, handle: impl FnOnce(&mut Session)) -> bool {
        let session = &mut self.session;
        // Nothing of a session that failed is looked at again.
        let went_well = catch_unwind(AssertUnwindSafe(|| handle(session))).is_ok();
        if !went_well {
            self.session.give_up(by, input, self.now);
        }
        went_well
    }

    /// Passes on the events that wait.
    pub(super) fn drain_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.events.send(event);
        }
    }
}

impl Flow {
    /// Carries what `from` has to say to its peer, for one turn.
    pub(super) fn carry(
        &mut self,
        writer: &mut impl Wire,
        reader: &mut impl Wire,
        from: Side,
        core: &mut Core,
        cx: &mut Context<'_>,
    ) -> Result<Turn, Lost> {
        self.take_owed(from, core);
        if self.frozen {
            return Ok(Turn::Waiting);
        }
        if self.settle(reader, from, cx)?.is_pending() {
            return Ok(Turn::Stalled);
        }
        if self.state != State::Open {
            return Ok(Turn::Waiting);
        }
        if core.session.weather().is_some() {
            return self.carry_in_weather(writer, reader, from, core, cx);
        }
        READ_INTO.with_borrow_mut(|scratch| {
            for _ in 0..READS_PER_TURN {
                let mut buf = ReadBuf::new(scratch);
                match read(writer, &mut buf, from, cx)? {
                    // Read until it says so: only then are we woken again.
                    Poll::Pending => return Ok(Turn::Waiting),
                    Poll::Ready(None) => {
                        self.pass_on(buf.filled(), reader, from, core, cx)?;
                        if self.settle(reader, from, cx)?.is_pending() {
                            return Ok(Turn::Stalled);
                        }
                    }
                    Poll::Ready(Some(farewell)) => {
                        return self.end(farewell, reader, from, core, cx);
                    }
                }
            }
            Ok(Turn::More)
        })
    }

    /// As [`Flow::carry`], where faults make bytes slow or late.
    fn carry_in_weather(
        &mut self,
        writer: &mut impl Wire,
        reader: &mut impl Wire,
        from: Side,
        core: &mut Core,
        cx: &mut Context<'_>,
    ) -> Result<Turn, Lost> {
        for _ in 0..READS_PER_TURN {
            let now = core.now;
            let Some(weather) = core.session.weather() else {
                return Ok(Turn::More);
            };
            match weather.leave(from, now) {
                Some(Parcel::Bytes(bytes)) => {
                    self.pass_on(&bytes, reader, from, core, cx)?;
                    if self.settle(reader, from, cx)?.is_pending() {
                        return Ok(Turn::Stalled);
                    }
                    continue;
                }
                Some(Parcel::End) => {
                    let farewell = self.farewell.take().unwrap_or(Farewell::Proper);
                    return self.end(farewell, reader, from, core, cx);
                }
                None => {}
            }
            let room = weather.room(from, now).min(SCRATCH);
            if room == 0 || self.farewell.is_some() {
                return Ok(Turn::Waiting);
            }
            let turn = READ_INTO.with_borrow_mut(|scratch| {
                let mut buf = ReadBuf::new(&mut scratch[..room]);
                match read(writer, &mut buf, from, cx)? {
                    Poll::Pending => return Ok(Some(Turn::Waiting)),
                    Poll::Ready(None) => {
                        let weather = core.session.weather();
                        let bytes = buf.filled();
                        if weather.is_none_or(|weather| weather.enter(from, bytes, now)) {
                            self.pass_on(bytes, reader, from, core, cx)?;
                            if self.settle(reader, from, cx)?.is_pending() {
                                return Ok(Some(Turn::Stalled));
                            }
                        }
                    }
                    Poll::Ready(Some(farewell)) => {
                        let weather = core.session.weather();
                        if weather.is_none_or(|weather| weather.end(from, now)) {
                            return self.end(farewell, reader, from, core, cx).map(Some);
                        }
                        self.farewell = Some(farewell);
                    }
                }
                Ok(None)
            })?;
            if let Some(turn) = turn {
                return Ok(turn);
            }
        }
        Ok(Turn::More)
    }

    /// The writer has said all: tells the core, and then the reader.
    fn end(
        &mut self,
        farewell: Farewell,
        reader: &mut impl Wire,
        from: Side,
        core: &mut Core,
        cx: &mut Context<'_>,
    ) -> Result<Turn, Lost> {
        self.state = State::Ending(farewell);
        core.ended_first.get_or_insert(from);
        core.handle_end(from, EndOfBytes::Closed);
        self.lingers = from == Side::Server && core.session.lingers();
        self.pass_on(&[], reader, from, core, cx)?;
        Ok(match self.settle(reader, from, cx)? {
            Poll::Pending => Turn::Stalled,
            Poll::Ready(()) => Turn::Waiting,
        })
    }

    /// Whether everything stands still from now on.
    pub(super) fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Whether everything stands still.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Takes what the core has made for this direction while it heard the other.
    pub(super) fn take_owed(&mut self, from: Side, core: &mut Core) {
        let owed = &mut core.owed[from];
        if !owed.is_empty() {
            // Nothing can follow a farewell.
            match self.state {
                _ if self.deaf => owed.clear(),
                State::Ended => owed.clear(),
                State::Open | State::Ending(_) => self.pending.bytes.append(owed),
            }
            *owed = Vec::new();
        }
    }

    /// Whether the reader is still owed something though the writer has ended.
    pub(super) fn linger(&mut self, lingers: bool) {
        self.lingers = lingers;
    }

    /// The reader has gone: what it would be sent is dropped.
    pub(super) fn turn_deaf(&mut self) {
        self.deaf = true;
        self.pending = Pending::default();
    }

    /// Whether the reader has been told of the end.
    pub(super) fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Whether the writer is being read.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the reader leaves so much untaken that its peer's answers to it
    /// would pile up.
    pub(super) fn owes_too_much(&self) -> bool {
        self.pending.bytes.len() - self.pending.sent > MOST_OWED
    }

    /// Whether nothing waits for the reader.
    pub(super) fn is_clear(&self) -> bool {
        self.pending.bytes.is_empty()
    }

    /// Ends it from our side, as if its writer had.
    pub(super) fn close(&mut self) {
        if self.state == State::Open {
            self.state = State::Ending(Farewell::Proper);
        }
    }

    /// Sends what waits for the reader, and then its farewell.
    pub(super) fn settle(
        &mut self,
        reader: &mut impl Wire,
        from: Side,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Lost> {
        if self.frozen {
            return Ok(Poll::Pending);
        }
        if !self.pending.bytes.is_empty() {
            let rest = &self.pending.bytes[self.pending.sent..];
            let sent = write(reader, rest, from, cx)?;
            if sent < rest.len() {
                self.pending.sent += sent;
                return Ok(Poll::Pending);
            }
            self.pending = Pending::default();
        }
        // Costs nothing on plain TCP; under TLS it moves what rustls holds.
        match Pin::new(&mut *reader).poll_flush(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) if self.deaf => {}
            Poll::Ready(Err(error)) => return Err(lost_reader(from, error)),
            Poll::Pending => return Ok(Poll::Pending),
        }
        if let State::Ending(farewell) = self.state {
            if self.lingers {
                return Ok(Poll::Pending);
            }
            match farewell {
                Farewell::Bare => reader.send_fin(),
                Farewell::Proper => match Pin::new(&mut *reader).poll_shutdown(cx) {
                    // One that is gone already cannot be told; its own
                    // direction finds that out.
                    Poll::Ready(_) => {}
                    Poll::Pending => return Ok(Poll::Pending),
                },
            }
            self.state = State::Ended;
        }
        Ok(Poll::Ready(()))
    }

    /// Shows `bytes` to the core and sends the reader what comes out of it.
    fn pass_on(
        &mut self,
        bytes: &[u8],
        reader: &mut impl Wire,
        from: Side,
        core: &mut Core,
        cx: &mut Context<'_>,
    ) -> Result<(), Lost> {
        if !bytes.is_empty() {
            core.handle_bytes(from, bytes);
        }
        let result = self.send_all(bytes, reader, from, core, cx);
        core.take_own();
        core.drain_events();
        result
    }

    /// Sends what leaves of `bytes`, in one piece where it is in several.
    fn send_all(
        &mut self,
        bytes: &[u8],
        reader: &mut impl Wire,
        from: Side,
        core: &mut Core,
        cx: &mut Context<'_>,
    ) -> Result<(), Lost> {
        let Some(first) = core.session.poll_transmit(from) else {
            return Ok(());
        };
        let Some(second) = core.session.poll_transmit(from) else {
            return match first {
                Transmit::AsCame(range) => self.send(&bytes[range], reader, from, cx),
                Transmit::Own(own) => self.send(&own, reader, from, cx),
            };
        };
        let mut gathered = Vec::with_capacity(bytes.len());
        let mut next = Some(second);
        let mut gather = |transmit| match transmit {
            Transmit::AsCame(range) => gathered.extend_from_slice(&bytes[range]),
            Transmit::Own(own) => gathered.extend_from_slice(&own),
        };
        gather(first);
        while let Some(transmit) = next {
            gather(transmit);
            next = core.session.poll_transmit(from);
        }
        self.send(&gathered, reader, from, cx)
    }

    /// Writes what the reader's socket takes of `bytes` and keeps the rest.
    fn send(
        &mut self,
        bytes: &[u8],
        reader: &mut impl Wire,
        from: Side,
        cx: &mut Context<'_>,
    ) -> Result<(), Lost> {
        if self.deaf {
            return Ok(());
        }
        let sent = match self.pending.bytes.is_empty() {
            true => write(reader, bytes, from, cx)?,
            false => 0,
        };
        self.pending.bytes.extend_from_slice(&bytes[sent..]);
        Ok(())
    }
}

/// Reads once: more bytes, or that the writer has ended.
fn read(
    writer: &mut impl Wire,
    buf: &mut ReadBuf<'_>,
    from: Side,
    cx: &mut Context<'_>,
) -> Result<Poll<Option<Farewell>>, Lost> {
    Ok(match Pin::new(&mut *writer).poll_read(cx, buf) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(())) if !buf.filled().is_empty() => Poll::Ready(None),
        Poll::Ready(Ok(())) => Poll::Ready(Some(Farewell::Proper)),
        // How rustls says that close_notify was missing.
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Poll::Ready(Some(Farewell::Bare))
        }
        Poll::Ready(Err(error)) => {
            return Err(Lost {
                side: from,
                by_reading: true,
                error,
            });
        }
    })
}

/// Writes until `reader` takes no more; how much it took.
fn write(
    reader: &mut impl Wire,
    bytes: &[u8],
    from: Side,
    cx: &mut Context<'_>,
) -> Result<usize, Lost> {
    let mut sent = 0;
    while sent < bytes.len() {
        match Pin::new(&mut *reader).poll_write(cx, &bytes[sent..]) {
            Poll::Ready(Ok(0)) => {
                return Err(lost_reader(from, io::ErrorKind::WriteZero.into()));
            }
            Poll::Ready(Ok(n)) => sent += n,
            Poll::Ready(Err(error)) => return Err(lost_reader(from, error)),
            Poll::Pending => break,
        }
    }
    Ok(sent)
}

fn lost_reader(from: Side, error: io::Error) -> Lost {
    Lost {
        side: from.peer(),
        by_reading: false,
        error,
    }
}
