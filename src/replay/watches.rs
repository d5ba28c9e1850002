//! What a watch should bring, and what it brought.
//!
//! etcd bundles events as it likes, so what is compared is the sequence of events
//! of each watch, not of messages.

use prost::Message as _;

use super::compare::{Difference, Likeness, difference};
use super::mapped::key_value;
use super::numbering::Numbering;
use crate::etcd::schema::etcdserverpb::WatchResponse;
use crate::etcd::schema::mvccpb::Event;
use crate::record::redact::RecordingKey;
use crate::record::traffic::{Stream, WatchStep};

/// What a watch of the recording brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    /// Its recorded number on its stream; `None` if its creation was not answered.
    pub watch_id: Option<i64>,
    /// The revision at which it was created.
    pub created_at: Option<i64>,
    /// What it brought, in order.
    pub brought: Vec<Brought>,
    /// Up to which revision it is known to have brought all.
    pub covered: i64,
    /// The client gave it up.
    pub given_up: bool,
}

/// What a watch brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Brought {
    /// An event.
    Event(Box<Event>),
    /// etcd ended it.
    Canceled {
        /// Because it asked for what is compacted: up to this revision.
        compact_revision: i64,
        /// Why, in etcd's words.
        reason: String,
    },
}

/// A watch of the target, held against what was recorded.
#[derive(Debug, Clone, Default)]
pub struct Watching {
    /// Its number at the target.
    pub watch_id: i64,
    /// How much of what was expected has been brought.
    pub brought: usize,
    /// It was ended.
    pub over: bool,
}

/// How something that a watch brought is to what was recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// As an answer is.
    Like(Likeness),
    /// The recording does not reach so far.
    Beyond,
}

impl Expectation {
    /// The events of it.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.brought.iter().filter_map(|brought| match brought {
            Brought::Event(event) => Some(&**event),
            Brought::Canceled { .. } => None,
        })
    }

    /// Whether a watch has brought all of it.
    pub fn is_met(&self, watching: &Watching) -> bool {
        watching.over || watching.brought >= self.brought.len()
    }
}

/// What the watches of a recorded stream brought, in the order of their creation.
pub fn expectations(stream: &Stream) -> Vec<Expectation> {
    let mut expected: Vec<Expectation> = Vec::new();
    let mut created = 0;
    for (from, said) in &stream.messages {
        match WatchStep::read(*from, said) {
            WatchStep::Create(_) => expected.push(Expectation::default()),
            WatchStep::Cancel(cancel) => {
                for one in expected.iter_mut() {
                    one.given_up |= one.watch_id == Some(cancel.watch_id);
                }
            }
            WatchStep::Answer(answer) => {
                let revision = answer.header.as_ref().map_or(0, |header| header.revision);
                if answer.created {
                    if let Some(one) = expected.get_mut(created) {
                        one.watch_id = Some(answer.watch_id);
                        one.created_at = (revision > 0).then_some(revision);
                    }
                    created += 1;
                }
                // -1 is all of them: the answer to a progress request.
                let is_progress = !answer.created && !answer.canceled && answer.events.is_empty();
                for one in expected.iter_mut().take(created).rev() {
                    let its = one.watch_id == Some(answer.watch_id);
                    if is_progress && (its || answer.watch_id == -1) {
                        one.covered = one.covered.max(revision);
                    }
                    if its {
                        one.take(answer);
                        break;
                    }
                }
            }
            WatchStep::Progress | WatchStep::Unreadable(_) => {}
        }
    }
    expected
}

impl Expectation {
    fn take(&mut self, answer: WatchResponse) {
        for event in answer.events {
            let at = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            self.covered = self.covered.max(at);
            self.brought.push(Brought::Event(Box::new(event)));
        }
        if answer.canceled && !self.given_up {
            self.brought.push(Brought::Canceled {
                compact_revision: answer.compact_revision,
                reason: answer.cancel_reason,
            });
        }
    }
}

impl Watching {
    /// Holds an event against what was recorded.
    pub fn event(
        &mut self,
        event: &Event,
        expected: &Expectation,
        numbers: &mut Numbering,
        key: Option<&RecordingKey>,
    ) -> Verdict {
        let at = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
        let recorded = match expected.brought.get(self.brought) {
            Some(Brought::Event(recorded)) => recorded,
            Some(Brought::Canceled { .. }) => {
                return Verdict::Like(Likeness::Different(Difference {
                    field: "canceled".to_owned(),
                    recorded: "true".to_owned(),
                    answered: "an event".to_owned(),
                }));
            }
            // Whether it would have come the recording does not say.
            None if at > numbers.revision(expected.covered) => return Verdict::Beyond,
            None => {
                return Verdict::Like(Likeness::Different(Difference {
                    field: "events".to_owned(),
                    recorded: format!("{} of them", self.brought),
                    answered: "one more".to_owned(),
                }));
            }
        };
        self.brought += 1;
        Verdict::Like(events(recorded, event, numbers, key))
    }

    /// Holds its end against what was recorded.
    pub fn canceled(
        &mut self,
        answer: &WatchResponse,
        expected: &Expectation,
        numbers: &Numbering,
    ) -> Verdict {
        self.over = true;
        let wrong = |field: &str, recorded: String, answered: String| {
            Verdict::Like(Likeness::Different(Difference {
                field: field.to_owned(),
                recorded,
                answered,
            }))
        };
        match expected.brought.get(self.brought) {
            Some(Brought::Canceled {
                compact_revision,
                reason,
            }) => {
                self.brought += 1;
                let mapped = numbers.revision(*compact_revision);
                if mapped != answer.compact_revision {
                    wrong(
                        "compact_revision",
                        mapped.to_string(),
                        answer.compact_revision.to_string(),
                    )
                } else if *reason != answer.cancel_reason {
                    wrong(
                        "cancel_reason",
                        format!("{reason:?}"),
                        format!("{:?}", answer.cancel_reason),
                    )
                } else if mapped == *compact_revision {
                    Verdict::Like(Likeness::Equal)
                } else {
                    Verdict::Like(Likeness::UpToNumbering)
                }
            }
            Some(Brought::Event(_)) => wrong(
                "canceled",
                "an event".to_owned(),
                format!("true, {:?}", answer.cancel_reason),
            ),
            None => wrong(
                "canceled",
                "false".to_owned(),
                format!("true, {:?}", answer.cancel_reason),
            ),
        }
    }
}

fn events(
    recorded: &Event,
    brought: &Event,
    numbers: &mut Numbering,
    key: Option<&RecordingKey>,
) -> Likeness {
    let mut mapped = recorded.clone();
    if let Some(kv) = &mut mapped.kv {
        key_value(kv, brought.kv.as_ref(), numbers);
    }
    if let Some(kv) = &mut mapped.prev_kv {
        key_value(kv, brought.prev_kv.as_ref(), numbers);
    }
    if mapped == *brought {
        return match recorded == brought {
            true => Likeness::Equal,
            false => Likeness::UpToNumbering,
        };
    }
    let (mapped, brought) = (mapped.encode_to_vec(), brought.encode_to_vec());
    match difference("mvccpb.Event", &mapped, &brought, key) {
        Some(difference) => Likeness::Different(difference),
        None => Likeness::UpToNumbering,
    }
}
