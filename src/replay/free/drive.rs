//! A program, driven. One task serves all connections: what one read brought is
//! taken in, what may begin by that begins, and each connection that has something
//! to say writes once.

mod heard;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::Uri;
use tokio::time::{MissedTickBehavior, interval};

use super::heads::Origin;
use super::known::Known;
use super::link::Link;
use super::pace::Pace;
use super::prepare::prepare;
use super::program::{Cue, Program};
use super::report::{Report, Row};
use super::schedule::{Schedule, Todo};
use super::sleeper::Sleeper;
use super::streams::Live;
use super::wire::Told;
use super::woken::Woken;
use crate::grpc::{Code, PREFIX_LEN};
use crate::http2::StreamId;
use crate::record::traffic::{Book, Shape};
use crate::replay::numbering::Numbering;
use crate::replay::plan::Plan;
use crate::replay::reach::Reach;
use crate::replay::report::Ended;
use crate::replay::target::{Lost, Target};

/// What connections are read into, one after the other.
const BUFFER: usize = 256 << 10;

/// How often it is looked whether something took too long.
const TICK: Duration = Duration::from_millis(100);

/// A stream that is to end waits so long for what it brought in the recording.
const SETTLE: Duration = Duration::from_secs(1);

/// How a recording is driven.
#[derive(Debug, Clone)]
pub struct DriveOptions {
    /// How fast.
    pub pace: Pace,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// What a stream of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Call(u32),
    Stream(u32),
}

/// A drive under way.
struct Drive<'a> {
    book: &'a Book,
    plan: &'a Plan,
    program: &'a Program,
    options: DriveOptions,
    name: Box<str>,
    reach: &'a Reach,
    origin: Origin,
    known: Known<'a>,
    schedule: Schedule<'a>,
    links: Vec<Link>,
    live: Vec<Live>,
    woken: Woken,
    /// By call: on which stream, and since when.
    made: Vec<(StreamId, Duration)>,
    under_way: usize,
    /// When an answer came last.
    heard: Duration,
    /// By path, in the report's rows.
    rows: Vec<Row>,
    report: Report,
    /// Connections that have something to write.
    dirty: Vec<u32>,
    /// When what has begun now was due.
    due: Vec<Duration>,
    /// Streams that are to end, and connections that are to be closed.
    ending: Vec<u32>,
    closing: Vec<u32>,
    buffer: Box<[u8]>,
    told: Vec<Told<Who>>,
    began: Instant,
}

/// Writes what the recording presupposes, and drives its traffic until all of it was
/// driven or `stop` is ready; tells `progress` how many steps of how many are done.
pub async fn drive(
    book: &Book,
    plan: &Plan,
    target: Target,
    reach: &Reach,
    options: DriveOptions,
    stop: impl Future<Output = ()>,
    mut progress: impl FnMut(u64, u64),
) -> Report {
    let program = Program::of(book, plan);
    let mut report = Report::new(&target.name, &target.version, options.pace);
    report.left_out.clone_from(&program.left_out);
    report.presupposed = plan.presupposed;
    report.recorded = Duration::from_nanos(program.ended - program.began);
    report.connections.1 = program.connections.len() as u64;
    report.steps.1 = program.steps();
    let woken = Woken::default();
    let recorded = program.streams.iter();
    (report.watches.recorded, report.watches.recorded_events) = recorded
        .fold((0, 0), |(watches, events), stream| {
            (watches + stream.watches, events + stream.events)
        });
    let mut drive = Drive {
        book,
        plan,
        program: &program,
        name: target.name.clone(),
        reach,
        origin: Origin::default(),
        known: Known::new(
            book,
            plan,
            &program,
            Numbering::new(target.revision, plan.before),
        ),
        schedule: Schedule::new(&program, options.pace),
        options,
        links: Vec::new(),
        live: program.streams.iter().map(|_| Live::default()).collect(),
        woken,
        made: vec![(StreamId::CONNECTION, Duration::ZERO); program.calls.len()],
        under_way: 0,
        heard: Duration::ZERO,
        rows: vec![Row::default(); program.paths.len()],
        report,
        dirty: Vec::new(),
        due: Vec::new(),
        ending: Vec::new(),
        closing: Vec::new(),
        buffer: vec![0; BUFFER].into(),
        told: Vec::new(),
        began: Instant::now(),
    };
    let mut stop = pin!(stop);
    let prepared = tokio::select! {
        biased;
        () = &mut stop => Err(None),
        prepared = drive.prepare(target) => prepared.map_err(Some),
    };
    let ended = match prepared {
        // Connections are looked after in turns of our own.
        Ok(()) => tokio::task::unconstrained(drive.run(stop, &mut progress)).await,
        Err(None) => Ended::Interrupted,
        Err(Some(Lost(reason))) => Ended::Lost(reason),
    };
    drive.finish(ended)
}

impl<'a> Drive<'a> {
    /// Writes what the recording presupposes. The connection on which that is done is
    /// closed behind it.
    async fn prepare(&mut self, target: Target) -> Result<(), Lost> {
        let name = &self.name;
        let uri: Uri = name
            .parse()
            .map_err(|_| Lost(format!("{name} is no address")))?;
        self.origin = Origin {
            authority: uri
                .authority()
                .map(ToString::to_string)
                .unwrap_or_default()
                .into(),
            is_tls: uri.scheme_str() == Some("https"),
            token: target.token(),
        };
        prepare(
            &target,
            self.program,
            self.options.patience,
            &mut self.known,
        )
        .await
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn run(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        progress: &mut impl FnMut(u64, u64),
    ) -> Ended {
        let mut sleeper = match Sleeper::start() {
            Ok(sleeper) => sleeper,
            Err(error) => return Ended::Lost(format!("there is no thread for a clock: {error}")),
        };
        for number in 0..self.program.connections.len() {
            let bells = self.woken.bell(number as u32);
            self.links.push(Link::new(self.origin.clone(), bells));
        }
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut woken = Vec::new();
        self.began = Instant::now();
        if let Err(Lost(reason)) = self.pump() {
            return Ended::Lost(reason);
        }
        while !self.is_over() {
            sleeper.set(self.schedule.due().map(|due| self.began + due));
            let done = tokio::select! {
                biased;
                () = &mut stop => return Ended::Interrupted,
                () = poll_fn(|context| self.woken.poll(context, &mut woken)) => {
                    let mut served = Ok(());
                    for connection in woken.drain(..) {
                        served = served.and_then(|()| self.serve(connection));
                    }
                    served
                }
                () = sleeper.rung() => {
                    sleeper.heard();
                    Ok(())
                }
                _ = tick.tick() => {
                    progress(self.report.steps.0, self.report.steps.1);
                    self.look_at_the_clock()
                }
            };
            if let Err(Lost(reason)) = done.and_then(|()| self.pump()) {
                return Ended::Lost(reason);
            }
        }
        Ended::Complete
    }

    fn is_over(&self) -> bool {
        self.schedule.is_over() && self.closing.is_empty() && self.ending.is_empty()
    }

    /// Begins all that can begin now, and writes.
    fn pump(&mut self) -> Result<(), Lost> {
        let now = self.now();
        loop {
            let links = &self.links;
            let room = |connection: u32| links[connection as usize].wire.has_room();
            match self.schedule.next(now, room) {
                None => break,
                Some(Todo::Call(call, due)) => {
                    self.call(call, now);
                    self.due.extend(due);
                }
                Some(Todo::Cue(cue)) => self.cue(cue, now)?,
            }
        }
        while let Some(connection) = self.dirty.pop() {
            self.links[connection as usize].is_dirty = false;
            let written = self.links[connection as usize].write();
            written.map_err(|error| self.gone(connection, &error.to_string()))?;
        }
        if !self.due.is_empty() {
            let now = self.now();
            for due in self.due.drain(..) {
                self.report.late(now.saturating_sub(due));
            }
        }
        if !self.closing.is_empty() {
            self.close_those_that_are_done();
        }
        Ok(())
    }

    fn call(&mut self, number: u32, now: Duration) {
        let call = &self.program.calls[number as usize];
        let message = self.known.request(call);
        let link = &mut self.links[call.connection as usize];
        let path = call.path as usize;
        let who = Who::Call(number);
        let text = &self.program.paths[path];
        let stream = link.wire.open(who, path, text, call.keeps_answer());
        self.report.streams += 1;
        self.report.bytes.0 += (PREFIX_LEN + message.len()) as u64;
        link.wire.send(stream, message, true);
        while let Some(&first) = link.made.front()
            && self.schedule.is_call_over(first)
        {
            link.made.pop_front();
        }
        link.made.push_back(number);
        self.made[number as usize] = (stream, now);
        self.under_way += 1;
        self.is_dirty(call.connection);
    }

    fn is_dirty(&mut self, connection: u32) {
        let link = &mut self.links[connection as usize];
        if !link.is_dirty {
            link.is_dirty = true;
            self.dirty.push(connection);
        }
    }

    fn cue(&mut self, cue: Cue, now: Duration) -> Result<(), Lost> {
        match cue {
            Cue::Call(_) => {}
            Cue::Connect(connection) => {
                self.links[connection as usize].connect((self.reach.dial)(), now);
                self.serve(connection)?;
            }
            Cue::Say(stream, _) | Cue::End(stream) => {
                let connection = self.program.streams[stream as usize].connection;
                let link = &mut self.links[connection as usize];
                let takes_it = link.is_open() && link.wire.has_room() && link.held.is_empty();
                match takes_it {
                    true => self.stream(cue, now),
                    false => link.held.push(cue),
                }
            }
            Cue::Close(connection) => self.closing.push(connection),
        }
        Ok(())
    }

    /// What happens on a stream.
    fn stream(&mut self, cue: Cue, now: Duration) {
        match cue {
            Cue::Say(number, message) => {
                self.report.steps.0 += 1;
                self.say(number, message as usize, now);
            }
            Cue::End(number) => {
                self.report.steps.0 += 1;
                let shape = self.program.streams[number as usize].shape;
                let live = &mut self.live[number as usize];
                live.until = Some(match shape {
                    Shape::Watch | Shape::KeepAlive => now + SETTLE,
                    Shape::Unary | Shape::OtherStream => now + self.options.patience,
                });
                self.ending.push(number);
                self.end_if_done(number, now);
            }
            _ => {}
        }
    }

    fn say(&mut self, number: u32, message: usize, now: Duration) {
        let streaming = &self.program.streams[number as usize];
        let recorded = &self.book.streams[streaming.place];
        let Some((_, said)) = recorded.messages.get(message) else {
            return;
        };
        let live = &mut self.live[number as usize];
        if live.over {
            return;
        }
        let expected = self.plan.watches.get(&streaming.place);
        let expected = expected.map_or(&[][..], |all| all);
        let numbers = &self.known.numbers;
        let watches = &mut self.report.watches;
        let Some(said) = live.say(streaming, said, expected, numbers, watches) else {
            return;
        };
        // Each keepalive is timed as a call is, and the one answer of other streams.
        if streaming.shape != Shape::Watch {
            live.asked.push_back(now);
        }
        let wire = &mut self.links[streaming.connection as usize].wire;
        let stream = *live.id.get_or_insert_with(|| {
            let path = streaming.path as usize;
            let keep = streaming.shape != Shape::OtherStream;
            self.report.streams += 1;
            let text = &self.program.paths[path];
            wire.open(Who::Stream(number), path, text, keep)
        });
        self.report.bytes.0 += (PREFIX_LEN + said.len()) as u64;
        wire.send(stream, said, streaming.shape == Shape::OtherStream);
        self.is_dirty(streaming.connection);
    }

    /// Ends a stream that is to end, if it has what it waits for.
    fn end_if_done(&mut self, number: u32, now: Duration) {
        let live = &mut self.live[number as usize];
        let Some(until) = live.until else { return };
        let streaming = &self.program.streams[number as usize];
        if !live.over && !live.has_all(streaming) && now < until {
            return;
        }
        if !live.over {
            live.over = true;
            if let Some(id) = live.id {
                self.links[streaming.connection as usize].wire.cancel(id);
                self.is_dirty(streaming.connection);
            }
        }
        self.ending.retain(|ending| *ending != number);
    }

    /// Reads a connection, and takes in what came.
    fn serve(&mut self, connection: u32) -> Result<(), Lost> {
        let now = self.now();
        match self.links[connection as usize].poll_connect(now) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(false)) => {}
            Poll::Ready(Ok(true)) => {
                self.report.connections.0 += 1;
                self.is_dirty(connection);
            }
            Poll::Ready(Err(error)) => {
                let name = &self.name;
                return Err(Lost(format!("{name} takes no connection: {error}")));
            }
        }
        loop {
            let link = &mut self.links[connection as usize];
            let told = &mut self.told;
            let taken = match link.poll_take(&mut self.buffer, |fact| told.push(fact)) {
                Poll::Pending => break,
                Poll::Ready(taken) => taken,
            };
            if !link.wire.transmit().is_empty() {
                self.is_dirty(connection);
            }
            let mut told = std::mem::take(&mut self.told);
            for fact in told.drain(..) {
                self.heard = now;
                self.tell(fact, now);
            }
            self.told = told;
            taken.map_err(|how| self.gone(connection, &how))?;
        }
        self.has_room(connection, now);
        Ok(())
    }

    fn has_room(&mut self, connection: u32, now: Duration) {
        let link = &mut self.links[connection as usize];
        if !link.held.is_empty() && link.wire.has_room() {
            for cue in std::mem::take(&mut link.held) {
                self.stream(cue, now);
            }
        }
        self.schedule.has_room(connection);
    }

    fn gone(&self, connection: u32, how: &str) -> Lost {
        let number = self.program.connections[connection as usize].number;
        let name = &self.name;
        let calls = self.under_way;
        Lost(format!(
            "{name} is gone: {how} (connection {number} of the recording, {calls} calls under way)"
        ))
    }

    fn close_those_that_are_done(&mut self) {
        let (links, schedule) = (&mut self.links, &self.schedule);
        self.closing.retain(|&connection| {
            let link = &mut links[connection as usize];
            let is_done = schedule.left_on(connection) == 0
                && link.held.is_empty()
                && link.wire.open_streams() == 0
                && link.wire.transmit().is_empty()
                && link.is_open();
            if is_done {
                link.close();
            }
            !is_done
        });
    }

    /// What took too long.
    fn look_at_the_clock(&mut self) -> Result<(), Lost> {
        let now = self.now();
        let patience = self.options.patience;
        let silent = |what: &str| {
            let seconds = patience.as_secs_f64();
            Lost(format!("{} {what} within {seconds} s", self.name))
        };
        let mut late = Vec::new();
        for (number, link) in self.links.iter_mut().enumerate() {
            if !link.is_open() {
                if link.is_connecting() && now > link.since + patience {
                    return Err(silent("took no connection"));
                }
                continue;
            }
            while let Some(&call) = link.made.front() {
                let (stream, since) = self.made[call as usize];
                if !self.schedule.is_call_over(call) {
                    if now <= since + patience {
                        break;
                    }
                    if self.heard <= since {
                        return Err(silent("answered nothing"));
                    }
                    link.wire.cancel(stream);
                    late.push((number as u32, call));
                }
                link.made.pop_front();
            }
            let is_stuck = link.wire.open_streams() == 0 && !link.wire.has_room();
            if is_stuck && now > self.heard.max(link.since) + patience {
                return Err(silent("took no call on a connection"));
            }
        }
        for (connection, call) in late {
            self.is_dirty(connection);
            self.call_over(call, Code::DEADLINE_EXCEEDED, now);
        }
        for number in self.ending.clone() {
            self.end_if_done(number, now);
        }
        for number in 0..self.links.len() as u32 {
            if !self.links[number as usize].held.is_empty() {
                self.has_room(number, now);
            }
        }
        Ok(())
    }

    fn finish(mut self, ended: Ended) -> Report {
        self.report.took = self.began.elapsed();
        self.report.ended = ended;
        self.report.guards = self.known.guards;
        self.report.waited = self.schedule.waited;
        for (path, row) in self.program.paths.iter().zip(self.rows) {
            if row.calls() > 0 || !row.errors.is_empty() {
                let method = path.rsplit('.').next().unwrap_or(path);
                self.report.methods.insert(method.into(), row);
            }
        }
        self.report
    }
}
