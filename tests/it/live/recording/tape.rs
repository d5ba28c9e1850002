//! What stands in the files of a recording.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use etcdtap::http2::Side;
use etcdtap::record::reader::wholeness::Wholeness;
use etcdtap::record::reader::{
    Item, Joined, Query, Reading, Recording, Recordings, Refusal, Wants,
};
use etcdtap::record::schema::v1::LogLine;

/// A recording that was read to its end.
#[derive(Debug)]
pub struct Tape {
    pub items: Vec<Item>,
    pub wholeness: Wholeness,
}

/// What a recording has of a call.
#[derive(Debug, Default)]
pub struct Taped {
    /// The call's path, where a message of it is there.
    pub path: String,
    /// Its messages by who sent them, in the order of their numbers.
    pub asked: Vec<Vec<u8>>,
    pub answered: Vec<Vec<u8>>,
    /// Its line.
    pub line: Option<LogLine>,
}

impl Taped {
    /// Whether request, answer and line are there.
    pub fn is_whole(&self) -> bool {
        !self.asked.is_empty() && !self.answered.is_empty() && self.line.is_some()
    }
}

impl Tape {
    /// Reads these files.
    pub fn of(files: &[PathBuf]) -> Tape {
        let all = Query::all(Wants::ALL);
        let refused = |refused: Refusal| -> ! { panic!("{files:?}: {refused}") };
        let mut reading = match files {
            // By itself; by name, it would stand for all that follow it.
            [one] => {
                let name = one.to_string_lossy();
                let file = File::open(one).unwrap();
                let recording = Recording::open(file, &name).unwrap_or_else(|why| refused(why));
                Reading::of(recording, all)
            }
            _ => Recordings::open(files)
                .unwrap_or_else(|why| refused(why))
                .read(all),
        };
        let items = Joined::new(&mut reading, usize::MAX)
            .map(|item| item.unwrap())
            .collect();
        Tape {
            items,
            wholeness: reading.wholeness(),
        }
    }

    /// The lines of the log.
    pub fn lines(&self) -> impl Iterator<Item = &LogLine> {
        self.items.iter().filter_map(|item| match item {
            Item::Line(line) => Some(&line.line),
            _ => None,
        })
    }

    /// All calls, by connection and stream.
    pub fn calls(&self) -> BTreeMap<(u64, u32), Taped> {
        let mut calls: BTreeMap<(u64, u32), Taped> = BTreeMap::new();
        for item in &self.items {
            match item {
                Item::Message(message) => {
                    let meta = &message.meta;
                    let call = calls.entry((meta.connection, meta.stream)).or_default();
                    call.path = message.path.text().into_owned();
                    match message.from() {
                        Some(Side::Client) => call.asked.push(message.data.to_vec()),
                        Some(Side::Server) => call.answered.push(message.data.to_vec()),
                        None => panic!("a message of nobody"),
                    }
                }
                Item::Line(line) if line.line.event == "call" => {
                    let at = (line.line.conn, line.line.stream.unwrap());
                    let before = calls.entry(at).or_default().line.replace(line.line.clone());
                    assert!(before.is_none(), "two lines of a call: {before:?}");
                }
                _ => {}
            }
        }
        calls
    }

    /// The keys of the calls of a method that are there as a whole.
    pub fn whole_keys(&self, method: &str) -> BTreeSet<String> {
        let calls = self.calls().into_values().filter(Taped::is_whole);
        calls
            .filter(|call| call.path.ends_with(&format!("/{method}")))
            .filter_map(|call| call.line.unwrap().key)
            .map(|key| String::from_utf8(key.to_vec()).unwrap())
            .collect()
    }
}

/// The files of a recording in a folder, by name; its key is none of them.
pub fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| path.to_string_lossy().contains(".mcap") && !is(path, ".key"))
        .collect()
}

/// How a path ends.
pub fn is(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().ends_with(ending)
}

/// Bytes that do not pack.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    });
    bytes.take(length).collect()
}
