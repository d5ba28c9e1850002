//! What the target said, taken in.

use std::time::Duration;

use super::{Drive, Who};
use crate::grpc::{Code, PREFIX_LEN};
use crate::record::traffic::{Ending, Shape};
use crate::replay::free::program::Asks;
use crate::replay::free::report::micros;
use crate::replay::free::wire::Told;

impl Drive<'_> {
    /// Takes in what a connection told.
    pub(super) fn tell(&mut self, fact: Told<Who>, now: Duration) {
        match fact {
            Told::Message(Who::Call(number), message) => {
                let call = &self.program.calls[number as usize];
                self.known.answered(call, &message);
            }
            Told::Ended(Who::Call(number), end) => {
                self.report.bytes.1 += end.got;
                self.call_over(number, end.code, now);
            }
            Told::Message(Who::Stream(number), message) => {
                self.report.bytes.1 += (PREFIX_LEN + message.len()) as u64;
                let streaming = &self.program.streams[number as usize];
                let live = &mut self.live[number as usize];
                match streaming.shape {
                    Shape::Watch => {
                        let answer = live.watched(&message, &mut self.report.watches);
                        if let (Some(answer), Some(id)) = (answer, live.id) {
                            let wire = &mut self.links[streaming.connection as usize].wire;
                            wire.send(id, answer, false);
                            self.is_dirty(streaming.connection);
                        }
                    }
                    _ => {
                        if let Some(asked) = live.asked.pop_front() {
                            let took = micros(now.saturating_sub(asked));
                            self.rows[streaming.path as usize].over(took, None, Code::OK);
                        }
                    }
                }
                self.end_if_done(number, now);
            }
            Told::Ended(Who::Stream(number), end) => {
                let streaming = &self.program.streams[number as usize];
                let live = &mut self.live[number as usize];
                live.over = true;
                let since = live.asked.pop_front();
                if streaming.shape == Shape::OtherStream {
                    self.report.bytes.1 += end.got;
                }
                let row = &mut self.rows[streaming.path as usize];
                if let Some(since) = since {
                    row.over(micros(now.saturating_sub(since)), None, end.code);
                } else if end.code != Code::OK {
                    *row.errors.entry(end.code.0).or_default() += 1;
                }
                let ending = &self.book.streams[streaming.place].ending;
                let as_recorded = matches!(ending, Ending::Ended(ended)
                    if Code::from_name(&ended.status) == Some(end.code));
                if end.code != Code::OK && !as_recorded {
                    self.report.new_errors += 1;
                }
                self.end_if_done(number, now);
            }
        }
    }

    /// A call is over.
    pub(super) fn call_over(&mut self, number: u32, code: Code, now: Duration) {
        let call = &self.program.calls[number as usize];
        let (_, since) = self.made[number as usize];
        self.under_way -= 1;
        self.report.steps.0 += 1;
        self.report.calling = now;
        self.schedule.over(number);
        let failed = code != Code::OK;
        if failed && !call.failed {
            self.report.new_errors += 1;
        }
        // What others did is no call of the recording.
        let Asks::Recorded(place) = call.asks else {
            return;
        };
        let recorded = &self.book.calls[place];
        let lasted = recorded.ended().saturating_sub(recorded.began());
        let recorded = match recorded.response.is_some() || call.failed {
            true => Some(micros(Duration::from_nanos(lasted))),
            false => None,
        };
        let took = micros(now.saturating_sub(since));
        self.rows[call.path as usize].over(took, recorded, code);
    }
}
