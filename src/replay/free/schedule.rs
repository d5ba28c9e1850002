//! What is to be done now. Sans-io: it is asked, and told what was done.
//!
//! By the clock everything is due at its own time, whatever became of what was
//! before it. At full speed a call is due when its connection has fewer calls under
//! way than it had at most in the recording; connections and streams, which have no
//! end of their own, follow the calls: they are due when all calls that were made
//! before them are over.
//!
//! In both cases a call waits for those that it cannot come before
//! ([`Unary::causes`](super::program::Unary::causes)): no client knows a revision
//! that is not there yet.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::pace::Pace;
use super::program::{Cue, Program};

/// Calls of a connection that wait for others while it goes on, at full speed: so
/// many and four times its concurrency.
const MOST_ASIDE: usize = 64;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Something that is not a call.
    Cue(Cue),
    /// A call is to be made; when it was due, if the clock says.
    Call(u32, Option<Duration>),
}

/// Where a drive stands.
#[derive(Debug)]
pub struct Schedule<'p> {
    program: &'p Program,
    pace: Pace,
    calls: Vec<State>,
    connections: Vec<Lane>,
    /// How much of the line has been given out.
    next: usize,
    /// At full speed: the place in the line up to which all calls are over.
    behind: usize,
    /// Calls that wait, by what they wait for.
    waiting: FxHashMap<u32, Vec<u32>>,
    /// Connections that may have something to do.
    look: VecDeque<u32>,
    left: usize,
    /// How many calls waited for another.
    pub waited: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not its turn yet.
    Later,
    /// It waits for so many others.
    Aside(u32),
    /// Its turn, or under way.
    Begun,
    Over,
}

#[derive(Debug, Default)]
struct Lane {
    open: bool,
    /// Calls whose turn it is, in order.
    ready: VecDeque<u32>,
    /// At full speed: how many of its calls have been looked at.
    taken: usize,
    under_way: usize,
    aside: usize,
    /// Calls of it that are not over.
    left: usize,
    /// It stands in `look`.
    looked_at: bool,
}

impl<'p> Schedule<'p> {
    /// At the beginning.
    pub fn new(program: &'p Program, pace: Pace) -> Schedule<'p> {
        let lanes = program.connections.iter().map(|connection| Lane {
            left: connection.calls.len(),
            ..Lane::default()
        });
        Schedule {
            program,
            pace,
            calls: vec![State::Later; program.calls.len()],
            connections: lanes.collect(),
            next: 0,
            behind: 0,
            waiting: FxHashMap::default(),
            look: VecDeque::new(),
            left: program.calls.len(),
            waited: 0,
        }
    }

    /// Calls that are not over.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Calls of a connection that are not over.
    pub fn left_on(&self, connection: u32) -> usize {
        self.connections[connection as usize].left
    }

    /// Whether a call is over.
    pub fn is_call_over(&self, call: u32) -> bool {
        self.calls[call as usize] == State::Over
    }

    /// Whether all has been given out, and all calls are over.
    pub fn is_over(&self) -> bool {
        self.left == 0 && self.next == self.program.line.len()
    }

    /// When there is something to do that only the clock brings.
    pub fn due(&self) -> Option<Duration> {
        let (at, _) = self.program.line.get(self.next)?;
        match self.pace {
            Pace::Times(_) => Some(self.pace.due(at - self.program.began)),
            Pace::Max => None,
        }
    }

    /// A connection is open, or has room again.
    pub fn has_room(&mut self, connection: u32) {
        self.connections[connection as usize].open = true;
        self.look_at(connection);
    }

    /// A call is over, whatever came of it.
    pub fn over(&mut self, call: u32) {
        if self.calls[call as usize] == State::Over {
            return;
        }
        self.calls[call as usize] = State::Over;
        self.left -= 1;
        let connection = self.program.calls[call as usize].connection;
        let lane = &mut self.connections[connection as usize];
        lane.under_way = lane.under_way.saturating_sub(1);
        lane.left -= 1;
        self.look_at(connection);
        for waiting in self.waiting.remove(&call).unwrap_or_default() {
            let State::Aside(others) = self.calls[waiting as usize] else {
                continue;
            };
            if others > 1 {
                self.calls[waiting as usize] = State::Aside(others - 1);
                continue;
            }
            self.calls[waiting as usize] = State::Begun;
            let connection = self.program.calls[waiting as usize].connection;
            let lane = &mut self.connections[connection as usize];
            lane.aside -= 1;
            lane.ready.push_back(waiting);
            self.look_at(connection);
        }
    }

    /// The next thing to do now; `room` says whether a connection takes another call.
    /// [`has_room`](Schedule::has_room) must be told once it does.
    pub fn next(&mut self, now: Duration, mut room: impl FnMut(u32) -> bool) -> Option<Todo> {
        loop {
            if let Some(cue) = self.by_the_line(now) {
                return Some(Todo::Cue(cue));
            }
            let &connection = self.look.front()?;
            let has_room = self.connections[connection as usize].open && room(connection);
            if let Some(call) = self.call_on(connection, has_room) {
                let due = match self.pace {
                    Pace::Times(_) => {
                        let at = self.program.calls[call as usize].at;
                        Some(self.pace.due(at - self.program.began))
                    }
                    Pace::Max => None,
                };
                return Some(Todo::Call(call, due));
            }
            self.look.pop_front();
            self.connections[connection as usize].looked_at = false;
        }
    }

    /// What stands on the line, but for calls, which go to their connections.
    fn by_the_line(&mut self, now: Duration) -> Option<Cue> {
        while let Some(&(at, cue)) = self.program.line.get(self.next) {
            let is_due = match self.pace {
                Pace::Times(_) => self.pace.due(at - self.program.began) <= now,
                Pace::Max => matches!(cue, Cue::Call(_)) || self.all_over_before(at),
            };
            if !is_due {
                return None;
            }
            self.next += 1;
            match (cue, self.pace) {
                (Cue::Call(call), Pace::Times(_)) => {
                    let connection = self.program.calls[call as usize].connection;
                    if !self.set_aside(call) {
                        let lane = &mut self.connections[connection as usize];
                        lane.ready.push_back(call);
                        self.look_at(connection);
                    }
                }
                // The connection takes it itself.
                (Cue::Call(_), Pace::Max) => {}
                (cue, _) => return Some(cue),
            }
        }
        None
    }

    /// Whether all calls are over that were made before then.
    fn all_over_before(&mut self, at: u64) -> bool {
        while let Some(&(began, cue)) = self.program.line.get(self.behind) {
            if began >= at {
                return true;
            }
            if let Cue::Call(call) = cue
                && self.calls[call as usize] != State::Over
            {
                return false;
            }
            self.behind += 1;
        }
        true
    }

    /// The next call on a connection.
    fn call_on(&mut self, connection: u32, has_room: bool) -> Option<u32> {
        if !has_room {
            return None;
        }
        let at = connection as usize;
        let planned = &self.program.connections[at];
        let full = self.pace == Pace::Max && self.connections[at].under_way >= planned.concurrency;
        if full {
            return None;
        }
        let mut found = self.connections[at].ready.pop_front();
        if self.pace == Pace::Max {
            let most_aside = MOST_ASIDE + 4 * planned.concurrency;
            while found.is_none() && self.connections[at].aside < most_aside {
                let &call = planned.calls.get(self.connections[at].taken)?;
                self.connections[at].taken += 1;
                if !self.set_aside(call) {
                    found = Some(call);
                }
            }
        }
        let call = found?;
        self.calls[call as usize] = State::Begun;
        self.connections[at].under_way += 1;
        Some(call)
    }

    /// Lets a call wait, if it must.
    fn set_aside(&mut self, call: u32) -> bool {
        let planned = &self.program.calls[call as usize];
        let mut others = 0;
        for &cause in &planned.causes {
            if self.calls[cause as usize] != State::Over {
                self.waiting.entry(cause).or_default().push(call);
                others += 1;
            }
        }
        if others == 0 {
            self.calls[call as usize] = State::Begun;
            return false;
        }
        self.calls[call as usize] = State::Aside(others);
        self.connections[planned.connection as usize].aside += 1;
        self.waited += 1;
        true
    }

    fn look_at(&mut self, connection: u32) {
        let lane = &mut self.connections[connection as usize];
        if !lane.looked_at {
            lane.looked_at = true;
            self.look.push_back(connection);
        }
    }
}
