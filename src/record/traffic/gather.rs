//! From items to calls and steps of streams.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::call::{Call, CallNumber, Condition, Ended, Ending, Lane, Said, Shape};
use crate::http2::Side;
use crate::record::line::word;
use crate::record::reader::item::Path;
use crate::record::reader::{Item, Joined, Line, Message, Part};
use crate::record::schema::v1::Loss;
use crate::record::schema::{ChannelId, Channels};

/// The greatest message that is put together, in bytes; greater ones are
/// [`Condition::Cut`].
pub const MOST_MESSAGE: usize = 256 * 1024 * 1024;

/// Calls and streams that are open at a time. Beyond it the one that began first
/// is given out as it stands, with [`Ending::NotRecorded`].
pub const MOST_OPEN: usize = 65_536;

/// Bytes of open unary calls; beyond it likewise.
pub const MOST_BYTES: usize = 512 * 1024 * 1024;

/// How long a line waits for messages that ought to stand before it, in
/// nanoseconds of the recording.
const SLACK: u64 = 2_000_000_000;

/// Puts calls together from the items of a recording.
///
/// An iterator over [`Told`]. Unary calls come in the order in which it is known
/// that they are over, which is about that of their ends; what happens on streams
/// comes in the order in which it passed. What is left open at the recording's
/// end comes last, in the order in which it began.
///
/// It keeps calls that are open, at most [`MOST_OPEN`] and [`MOST_BYTES`], and the
/// parts of great messages, at most four times [`MOST_MESSAGE`].
#[derive(Debug)]
pub struct Traffic<I> {
    items: Joined<I>,
    open: FxHashMap<Lane, Open>,
    /// Of `open`, the unary ones.
    bytes: usize,
    next_number: u64,
    /// Lines whose messages have not come, in the order of their times.
    waiting: VecDeque<(u64, Lane, CallNumber)>,
    ready: VecDeque<Told>,
    over: bool,
}

/// What is told of the traffic.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A unary call is over.
    Call(Box<Call>),
    /// Something happened on a stream.
    Stream {
        /// The call's number.
        number: CallNumber,
        /// Where it was made.
        lane: Lane,
        /// What kind of stream it is.
        shape: Shape,
        /// What happened.
        step: Step,
    },
    /// A connection began; its number may have been used before, by a program that
    /// was started anew.
    Opened {
        /// The connection.
        connection: u64,
        /// When.
        at: u64,
    },
    /// A connection is over.
    Closed {
        /// The connection.
        connection: u64,
        /// When.
        at: u64,
    },
    /// Something was not recorded here.
    Loss(Loss),
}

/// What happens on a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It is there: what comes next is its first message, or its end.
    Began {
        /// The method's path.
        path: Path,
        /// When, in nanoseconds since 1970.
        at: u64,
    },
    /// One side sent a message.
    Said {
        /// Which.
        from: Side,
        /// How many messages it had sent before. Where numbers are left out,
        /// messages are missing.
        index: u64,
        /// The message.
        said: Said,
    },
    /// It is over.
    Ended(Ending),
}

#[derive(Debug)]
struct Open {
    number: CallNumber,
    path: Path,
    shape: Shape,
    request: Option<Said>,
    response: Option<Said>,
    ended: Option<Ended>,
    /// Whether the line says that there was an answer.
    expects: Expects,
    /// When the last that is known of it was whole.
    last: u64,
}

/// What a line says that its call's messages were.
#[derive(Debug, Clone, Copy, Default)]
struct Expects {
    request: bool,
    response: bool,
}

impl<I> Traffic<I> {
    /// Of items that were asked for with lines and messages.
    pub fn of(items: I) -> Traffic<I> {
        Traffic {
            items: Joined::new(items, MOST_MESSAGE),
            open: FxHashMap::default(),
            bytes: 0,
            next_number: 0,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            over: false,
        }
    }

    /// What the items come from: a [`Reading`] says at the end what was missing.
    ///
    /// [`Reading`]: crate::record::reader::Reading
    pub fn items(&mut self) -> &mut I {
        self.items.items()
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Message(message) => {
                let Message {
                    times,
                    meta,
                    path,
                    data,
                } = *message;
                let Some(from) = meta.from().side() else {
                    return;
                };
                let said = Said::new(times, &meta, data);
                self.said(Lane::of(&meta), path, from, meta.index, said);
            }
            // Its other parts are missing, or it is greater than what is joined.
            Item::Part(part) if part.last || part.offset == 0 => self.torn(*part),
            Item::Part(_) | Item::Headers { .. } | Item::Content { .. } => {}
            Item::Line(line) => self.line(*line),
            Item::Loss { loss, .. } => self.ready.push_back(Told::Loss(*loss)),
        }
        while self.open.len() > MOST_OPEN || self.bytes > MOST_BYTES {
            let first = self.open.iter().min_by_key(|(_, open)| open.number);
            let Some((&lane, _)) = first else { break };
            self.finish(lane);
        }
    }

    /// A message of which not all parts are there.
    fn torn(&mut self, part: Part) {
        let Some(from) = part.meta.from().side() else {
            return;
        };
        let lane = Lane::of(&part.meta);
        let known = self.open.get(&lane).is_some_and(|open| {
            let said = match from {
                Side::Client => &open.request,
                Side::Server => &open.response,
            };
            open.shape == Shape::Unary && said.is_some()
        });
        if known {
            return;
        }
        let mut said = Said::new(part.times, &part.meta, part.data);
        said.condition = Condition::Cut;
        let path = known_path(&part.path);
        self.said(lane, path, from, part.meta.index, said);
    }

    fn said(&mut self, lane: Lane, path: Path, from: Side, index: u64, said: Said) {
        let path = asked_path(path);
        // A client's first message on a lane where it has sent one: another call,
        // of a program that counts from 1 again.
        let again = from == Side::Client
            && index == 0
            && self
                .open
                .get(&lane)
                .is_some_and(|open| open.request.is_some());
        if again {
            self.finish(lane);
        }
        let began = said.times.began;
        let open = self.begun(lane, path, began);
        let number = open.number;
        open.last = open.last.max(said.times.whole);
        if open.shape != Shape::Unary {
            let shape = open.shape;
            if from == Side::Client && index == 0 {
                // Only that there was one.
                open.request = Some(Said {
                    data: bytes::Bytes::new(),
                    ..said.clone()
                });
            }
            self.ready.push_back(Told::Stream {
                number,
                lane,
                shape,
                step: Step::Said { from, index, said },
            });
            return;
        }
        let length = said.data.len();
        let place = match from {
            Side::Client => &mut open.request,
            Side::Server => &mut open.response,
        };
        let before = place.replace(said).map_or(0, |said| said.data.len());
        let has_all = open.ended.is_some() && open.has_all();
        self.bytes = (self.bytes + length).saturating_sub(before);
        if has_all {
            self.finish(lane);
        }
    }

    fn begun(&mut self, lane: Lane, path: Path, at: u64) -> &mut Open {
        let (next, ready) = (&mut self.next_number, &mut self.ready);
        self.open.entry(lane).or_insert_with(|| {
            let number = CallNumber(*next);
            *next += 1;
            let shape = Shape::of(&path);
            if shape != Shape::Unary {
                ready.push_back(Told::Stream {
                    number,
                    lane,
                    shape,
                    step: Step::Began {
                        path: path.clone(),
                        at,
                    },
                });
            }
            Open {
                number,
                path,
                shape,
                request: None,
                response: None,
                ended: None,
                expects: Expects::default(),
                last: at,
            }
        })
    }

    fn line(&mut self, line: Line) {
        let Line { at, line } = line;
        self.give_up_waiting(at);
        let connection = line.conn;
        match (line.event.as_str(), line.state.as_deref()) {
            (word::CONNECTION, Some(word::OPENED)) => {
                // The line may stand behind the connection's first messages.
                self.close(connection, at);
                self.ready.push_back(Told::Opened { connection, at });
            }
            (word::CONNECTION, Some(word::CLOSED | word::FAILED)) => {
                self.close(connection, u64::MAX);
                self.ready.push_back(Told::Closed { connection, at });
            }
            (word::CALL, _) => {
                let (Some(service), Some(method), Some(stream)) =
                    (&line.service, &line.method, line.stream)
                else {
                    return;
                };
                // A keepalive that was answered; its stream goes on.
                if line.verb.as_deref() == Some("lease_keepalive") {
                    return;
                }
                let lane = Lane { connection, stream };
                let path = known_path(&format!("/{service}/{method}"));
                let ended = Ended::of(at, &line);
                let expects = Expects {
                    request: line.request_messages.unwrap_or(1) > 0,
                    response: line.response_messages.unwrap_or(1) > 0,
                };
                let open = self.begun(lane, path, ended.times.began);
                open.expects = expects;
                open.ended = Some(ended);
                match open.shape != Shape::Unary || open.has_all() {
                    true => self.finish(lane),
                    false => {
                        let number = open.number;
                        self.waiting.push_back((at, lane, number));
                    }
                }
            }
            _ => {}
        }
    }

    /// Gives out all calls of a connection that was over by then.
    fn close(&mut self, connection: u64, by: u64) {
        // Those whose line has come wait for their messages.
        self.finish_those(|lane, open| {
            lane.connection == connection && open.ended.is_none() && open.last < by
        });
    }

    fn give_up_waiting(&mut self, now: u64) {
        while let Some(&(at, lane, number)) = self.waiting.front()
            && at.saturating_add(SLACK) < now
        {
            self.waiting.pop_front();
            if self
                .open
                .get(&lane)
                .is_some_and(|open| open.number == number)
            {
                self.finish(lane);
            }
        }
    }

    fn finish(&mut self, lane: Lane) {
        let Some(open) = self.open.remove(&lane) else {
            return;
        };
        let ending = open.ended.map_or(Ending::NotRecorded, Ending::Ended);
        if open.shape != Shape::Unary {
            self.ready.push_back(Told::Stream {
                number: open.number,
                lane,
                shape: open.shape,
                step: Step::Ended(ending),
            });
            return;
        }
        let sides = [&open.request, &open.response].into_iter().flatten();
        let bytes: usize = sides.map(|said| said.data.len()).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.ready.push_back(Told::Call(Box::new(Call {
            number: open.number,
            lane,
            path: open.path,
            request: open.request,
            response: open.response,
            ending,
        })));
    }

    /// Gives out some of the calls that are open, in the order in which they began.
    fn finish_those(&mut self, which: impl Fn(&Lane, &Open) -> bool) {
        let lanes = self.open.iter();
        let mut lanes: Vec<(CallNumber, Lane)> = lanes
            .filter(|(lane, open)| which(lane, open))
            .map(|(lane, open)| (open.number, *lane))
            .collect();
        lanes.sort_unstable();
        for (_, lane) in lanes {
            self.finish(lane);
        }
    }
}

impl Open {
    /// Whether the messages that its line speaks of are there.
    fn has_all(&self) -> bool {
        (self.request.is_some() || !self.expects.request)
            && (self.response.is_some() || !self.expects.response)
    }
}

/// The path by the channel of the client's messages, whoever sent this one.
fn asked_path(path: Path) -> Path {
    let Some(method) = path.channel().and_then(|channel| channel.method.as_ref()) else {
        return path;
    };
    let asked = Channels::all().of_method(&method.service, &method.method, Side::Client);
    asked.map_or(path, Path::Known)
}

/// That of a method by its name, likewise.
fn known_path(path: &str) -> Path {
    let known: Option<ChannelId> = path
        .strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .and_then(|(service, method)| Channels::all().of_method(service, method, Side::Client));
    known.map_or_else(|| Path::Other(path.into()), Path::Known)
}

impl<I, E> Iterator for Traffic<I>
where
    I: Iterator<Item = Result<Item, E>>,
{
    type Item = Result<Told, E>;

    fn next(&mut self) -> Option<Result<Told, E>> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Some(Ok(told));
            }
            if self.over {
                return None;
            }
            match self.items.next() {
                Some(Ok(item)) => self.take(item),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.over = true;
                    self.finish_those(|_, _| true);
                }
            }
        }
    }
}
