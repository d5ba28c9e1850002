//! The recording in this program: what a kube-apiserver did to an etcd in its first
//! seconds, without the values of Secrets and without tokens.

use std::io::Cursor;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::cli::Failure;
use crate::playback::Reading;
use crate::playback::reading::Told;
use crate::record::reader::{self, Item, Query, Recording, Refusal, Wants};
use crate::record::traffic::{Book, Traffic};
use crate::replay::Plan;

/// The file. `scripts/demo-recording` makes it.
pub(super) const FILE: &[u8] = include_bytes!("kube-apiserver.mcap");

/// Its name in sentences.
const NAME: &str = "the recording in this program";

/// The recording, read.
#[derive(Debug)]
pub(super) struct Bundled {
    /// Its calls and streams.
    pub book: Book,
    /// What is done in which order.
    pub plan: Plan,
    /// The `user-agent` of each connection.
    pub user_agents: FxHashMap<u64, Box<str>>,
}

impl Bundled {
    /// Reads the calls.
    ///
    /// # Errors
    /// If this program is damaged.
    pub fn read() -> Result<Bundled, Failure> {
        let mut user_agents = FxHashMap::default();
        let items = items()?.inspect(|item| {
            if let Ok(Item::Line(line)) = item
                && let Some(agent) = &line.line.user_agent
            {
                user_agents
                    .entry(line.line.conn)
                    .or_insert_with(|| agent.as_str().into());
            }
        });
        let mut traffic = Traffic::of(items);
        let book = Book::read(&mut traffic).map_err(damaged)?;
        drop(traffic);
        let plan = Plan::of(&book);
        Ok(Bundled {
            book,
            plan,
            user_agents,
        })
    }

    /// Reads what it says of the store.
    ///
    /// # Errors
    /// As of [`Bundled::read`].
    pub fn told() -> Result<Told, Failure> {
        let mut reading = Reading::default();
        for told in Traffic::of(items()?) {
            reading.handle(told.map_err(damaged)?);
        }
        Ok(reading.finish())
    }
}

fn items() -> Result<reader::Reading, Failure> {
    let recording = Recording::open(Cursor::new(Bytes::from_static(FILE)), NAME);
    let query = Query::all(Wants {
        lines: true,
        messages: true,
        headers: false,
    });
    Ok(reader::Reading::of(recording.map_err(damaged)?, query))
}

fn damaged(refusal: Refusal) -> Failure {
    Failure::failed(format!("this program is damaged: {refusal}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::traffic::Ending;
    use crate::replay::Presupposed;
    use crate::replay::plan::Act;

    #[test]
    fn the_recording_is_what_can_be_driven() {
        let bundled = Bundled::read().unwrap();
        assert_eq!(bundled.plan.presupposed, Presupposed::default());
        for step in &bundled.plan.steps {
            assert!(
                matches!(step.act, Act::Call(_) | Act::Create(..) | Act::End(_)),
                "{step:?} is not driven"
            );
        }
        // They stand to the end, which is why nothing ends them.
        let streams = &bundled.book.streams;
        assert!(streams.len() > 60);
        assert!(
            streams
                .iter()
                .all(|stream| stream.ending == Ending::NotRecorded)
        );
        let told = Bundled::told().unwrap();
        assert_eq!(told.unread, 0);
        assert_eq!(told.past.stood().map(|stood| stood.from), Some(1));
    }
}
