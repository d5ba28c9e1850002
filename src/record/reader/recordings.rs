//! The files of a recording: found, put in order, read one after the other.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::item::Item;
use super::query::Query;
use super::recording::{About, Figures, Recording};
use super::refusal::Refusal;
use super::wholeness::Wholeness;

/// The ending of a recording's name.
const ENDING: &str = "mcap";

/// Files that are read as one recording.
#[derive(Debug)]
pub struct Recordings {
    files: Vec<PathBuf>,
    about: About,
}

/// A recording that is being read. An iterator; where it ends there may be more
/// later, if the recording is still written.
#[derive(Debug)]
pub struct Reading {
    query: Query,
    rest: VecDeque<PathBuf>,
    current: Option<Recording>,
    /// Of the files before `current`.
    wholeness: Wholeness,
    figures: Figures,
    /// The last file, where what comes after it is looked for.
    followed: Option<PathBuf>,
}

impl Recordings {
    /// Finds what is named: files, folders of files, and the parts of a recording
    /// that was rotated (`calls.0001.mcap`, …) by its name (`calls.mcap`). Files
    /// stand in the order in which they are named, those of one name or folder in
    /// the order of their times.
    ///
    /// # Errors
    /// If one of them is no recording, or cannot be read.
    pub fn open(named: &[PathBuf]) -> Result<Recordings, Refusal> {
        let mut files = Vec::new();
        for path in named {
            files.extend(find(path)?);
        }
        let mut about = None;
        for file in &files {
            let recording = open(file)?;
            about.get_or_insert_with(|| recording.about().clone());
        }
        Ok(Recordings {
            files,
            about: about.unwrap_or_default(),
        })
    }

    /// The files, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What the first of them says about the recording.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Reads them.
    pub fn read(&self, query: Query) -> Reading {
        Reading {
            query,
            rest: self.files.iter().cloned().collect(),
            current: None,
            wholeness: Wholeness {
                finished: true,
                ..Wholeness::default()
            },
            figures: Figures::default(),
            followed: None,
        }
    }
}

impl Reading {
    /// Reads one recording that need not be a file.
    pub fn of(recording: Recording, query: Query) -> Reading {
        Reading {
            query,
            rest: VecDeque::new(),
            current: Some(recording),
            wholeness: Wholeness {
                finished: true,
                ..Wholeness::default()
            },
            figures: Figures::default(),
            followed: None,
        }
    }

    /// From here on files that come after the last one are read as well. Whoever
    /// follows a recording that is being written asks again, after a little while,
    /// where the iterator has ended.
    pub fn follow(&mut self) {
        self.followed = self.rest.back().cloned().or(self.followed.take());
    }

    /// What is missing, as far as it was read.
    pub fn wholeness(&self) -> Wholeness {
        let mut wholeness = self.wholeness.clone();
        if let Some(current) = &self.current {
            wholeness.add(current.wholeness());
        }
        wholeness
    }

    /// How much was done to answer.
    pub fn figures(&self) -> Figures {
        let current = self.current.as_ref().map(Recording::figures);
        let current = current.unwrap_or_default();
        Figures {
            chunks: self.figures.chunks + current.chunks,
            unpacked: self.figures.unpacked + current.unpacked,
        }
    }

    fn step(&mut self) -> Result<Option<Item>, Refusal> {
        loop {
            if let Some(current) = &mut self.current {
                let item = current
                    .next(&self.query)
                    .map_err(|error| Refusal::Unreadable {
                        file: current.name().into(),
                        error,
                    })?;
                if item.is_some() {
                    return Ok(item);
                }
                if self.rest.is_empty() {
                    self.find_more();
                }
            }
            let Some(next) = self.rest.pop_front() else {
                return Ok(None);
            };
            let next = open(&next)?;
            if let Some(before) = self.current.replace(next) {
                self.wholeness.add(before.wholeness());
                let figures = before.figures();
                self.figures.chunks += figures.chunks;
                self.figures.unpacked += figures.unpacked;
            }
        }
    }

    /// Looks for files that came after the last one.
    fn find_more(&mut self) {
        let Some(last) = &self.followed else { return };
        let Some((stem, number)) = parts_of(last) else {
            return;
        };
        let Ok(mut siblings) = siblings(last, &stem) else {
            return;
        };
        siblings.retain(|(other, path)| {
            // One that has no bytes yet is no recording yet.
            *other > number && fs::metadata(path).is_ok_and(|about| about.len() >= 64)
        });
        if let Some((_, path)) = siblings.last() {
            self.followed = Some(path.clone());
        }
        self.rest.extend(siblings.into_iter().map(|(_, path)| path));
    }
}

impl Iterator for Reading {
    type Item = Result<Item, Refusal>;

    fn next(&mut self) -> Option<Result<Item, Refusal>> {
        self.step().transpose()
    }
}

fn open(path: &Path) -> Result<Recording, Refusal> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Refusal::Unreadable {
        file: name.as_str().into(),
        error,
    })?;
    Recording::open(file, &name)
}

/// The files that a name stands for.
fn find(path: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let unreadable = |error| Refusal::Unreadable {
        file: path.display().to_string().into(),
        error,
    };
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => {
            let mut files = Vec::new();
            for entry in fs::read_dir(path).map_err(unreadable)? {
                let file = entry.map_err(unreadable)?.path();
                if file.extension().is_some_and(|ending| ending == ENDING) && file.is_file() {
                    files.push(file);
                }
            }
            if files.is_empty() {
                return Err(Refusal::NoneThere {
                    folder: path.display().to_string().into(),
                });
            }
            by_time(files)
        }
        Ok(_) => Ok(vec![path.to_owned()]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let is_named = path.extension().is_some_and(|ending| ending == ENDING);
            let parts = match stem {
                Some(stem) if is_named => siblings(path, stem).unwrap_or_default(),
                _ => Vec::new(),
            };
            match parts.is_empty() {
                true => Err(unreadable(error)),
                false => Ok(parts.into_iter().map(|(_, path)| path).collect()),
            }
        }
        Err(error) => Err(unreadable(error)),
    }
}

/// In the order of what is recorded first in each; those that hold nothing yet
/// stand last.
fn by_time(files: Vec<PathBuf>) -> Result<Vec<PathBuf>, Refusal> {
    let mut timed = Vec::new();
    for path in files {
        let mut recording = match open(&path) {
            // Somebody has just begun it.
            Err(Refusal::Empty { .. }) => continue,
            recording => recording?,
        };
        let begins = recording.begins().map_err(|error| Refusal::Unreadable {
            file: path.display().to_string().into(),
            error,
        })?;
        timed.push((begins.unwrap_or(u64::MAX), path));
    }
    timed.sort();
    Ok(timed.into_iter().map(|(_, path)| path).collect())
}

/// `calls` and 3 of `calls.0003.mcap`; `calls` and 0 of `calls.mcap`.
fn parts_of(path: &Path) -> Option<(String, u64)> {
    let stem = path.file_stem()?.to_str()?;
    let numbered = stem.rsplit_once('.').and_then(|(name, number)| {
        let is_number = number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit());
        Some((name.to_owned(), number.parse().ok().filter(|_| is_number)?))
    });
    Some(numbered.unwrap_or_else(|| (stem.to_owned(), 0)))
}

/// The numbered files beside `path` of that name, in order.
fn siblings(path: &Path, stem: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_some_and(|ending| ending == ENDING)
            && let Some((name, number)) = parts_of(&file)
            && name == stem
            && number > 0
        {
            parts.push((number, file));
        }
    }
    parts.sort();
    Ok(parts)
}
