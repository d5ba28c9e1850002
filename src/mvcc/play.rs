//! How a store goes on as its recording did.

use bytes::Bytes;

use super::past::Future;
use super::store::Store;
use super::timeline::{Life, Place, State, What};

impl Store {
    /// Lets happen what the recording says, up to one of its revisions. Revisions of
    /// the store's own come on top: everything is numbered on.
    pub fn play(&mut self, future: &mut Future, up_to: i64) {
        while let Some(entry) = future.entries.first_entry()
            && *entry.key() <= up_to
        {
            let (recorded, entries) = entry.remove_entry();
            self.play_one(recorded, entries);
        }
        self.revision = self.revision.max(up_to.saturating_add(self.ahead));
    }

    fn play_one(&mut self, recorded: i64, entries: Vec<(Bytes, Place, What)>) {
        let revision = recorded.saturating_add(self.ahead);
        if revision <= self.revision {
            return;
        }
        let mut changed = Vec::new();
        for (key, place, mut what) in entries {
            let own = self.overwritten.contains(&key);
            let state = self.state(&key, self.revision);
            match &mut what {
                // What is known of the key here is not what the recording knows.
                What::Absent | What::Unknown if own => continue,
                What::Absent | What::Unknown => {}
                What::Delete if own && !matches!(state, State::Present(..)) => continue,
                What::Delete => changed.push(key.clone()),
                What::Put(version) => {
                    let before = match state {
                        State::Present(_, before) => before.life,
                        _ => None,
                    };
                    if own || self.ahead > 0 {
                        version.life = match (before, version.life) {
                            (Some(life), _) => Some(Life {
                                created: life.created,
                                version: life.version + 1,
                            }),
                            (None, _) if matches!(state, State::Absent) => Some(Life {
                                created: revision,
                                version: 1,
                            }),
                            (None, life) => life,
                        };
                    }
                    changed.push(key.clone());
                }
            }
            let sub = place.sub;
            let timeline = self.keys.entry(key).or_default();
            timeline.push(Place { revision, sub }, what);
        }
        let before = self.revision;
        self.revision = revision;
        self.hang(before, &changed);
        if !changed.is_empty() {
            self.changed.insert(revision, changed);
        }
    }
}
