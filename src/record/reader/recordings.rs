//! The files of a recording: found, put in order, read one after the other.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::item::Item;
use super::query::{Query, Wants};
use super::recording::{About, Figures, Recording};
use super::refusal::Refusal;
use super::runs::Runs;
use super::wholeness::Wholeness;
use crate::record::files::PARTIAL;

/// The usual ending of a recording's name.
const ENDING: &str = "mcap";

/// Files that are read as one recording.
#[derive(Debug)]
pub struct Recordings {
    files: Vec<PathBuf>,
    about: About,
    /// Another file was begun and has no bytes: its writer is at it, or was killed.
    begun: bool,
}

/// A recording that is being read. An iterator; where it ends there may be more
/// later, if the recording is still written.
#[derive(Debug)]
pub struct Reading {
    query: Query,
    rest: VecDeque<PathBuf>,
    current: Option<Recording>,
    runs: Runs,
    /// Of the files before `current`.
    wholeness: Wholeness,
    figures: Figures,
    /// The last file, where what comes after it is looked for.
    followed: Option<PathBuf>,
}

impl Recordings {
    /// Finds what is named: files, folders of recordings, and by its name
    /// (`calls.mcap`) all files that a recording has ([`files`]): `calls.0001.mcap`
    /// and so on, and the one that is being written. Files stand in the order in
    /// which they are named, those of a folder in the order of their times. Each is
    /// read once, even if a shell made `calls*.mcap` name it twice: in its place
    /// among the recording's files.
    ///
    /// [`files`]: crate::record::files
    ///
    /// # Errors
    /// If one of them is no recording, or cannot be read.
    pub fn open(named: &[PathBuf]) -> Result<Recordings, Refusal> {
        let found = named
            .iter()
            .map(|path| find(path))
            .collect::<Result<Vec<_>, Refusal>>()?;
        let mut files: Vec<PathBuf> = Vec::new();
        for some in &found {
            let has_a_place = |path| found.iter().any(|all| all.len() > 1 && all.contains(path));
            for path in some {
                let stands_here = some.len() > 1 || !has_a_place(path);
                if stands_here && !files.contains(path) {
                    files.push(path.clone());
                }
            }
        }
        let mut about = None;
        let mut begun = None;
        let mut read = Vec::with_capacity(files.len());
        for file in files {
            match open(&file) {
                Err(empty @ Refusal::Empty { .. }) if is_partial(&file) => begun = Some(empty),
                recording => {
                    let recording = recording?;
                    about.get_or_insert_with(|| recording.about().clone());
                    read.push(file);
                }
            }
        }
        // What others hold can be read without it.
        if read.is_empty()
            && let Some(empty) = begun
        {
            return Err(empty);
        }
        Ok(Recordings {
            files: read,
            about: about.unwrap_or_default(),
            begun: begun.is_some(),
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

    /// From when to when they reach, by their indexes, in nanoseconds since 1970;
    /// `None` if they hold nothing.
    ///
    /// # Errors
    /// If one of them cannot be read any more.
    pub fn span(&self) -> Result<Option<(u64, u64)>, Refusal> {
        let nothing = Query {
            from: Some(u64::MAX),
            ..Query::all(Wants::LINES)
        };
        let mut span = None;
        for file in &self.files {
            let mut recording = open(file)?;
            let read = recording.next(&nothing);
            read.map_err(|error| Refusal::Unreadable {
                file: recording.name().into(),
                error,
            })?;
            span = match (span, recording.span()) {
                (Some((from, to)), Some((also_from, also_to))) => {
                    Some((also_from.min(from), also_to.max(to)))
                }
                (one, other) => one.or(other),
            };
        }
        Ok(span)
    }

    /// Reads them.
    pub fn read(&self, query: Query) -> Reading {
        Reading {
            query,
            rest: self.files.iter().cloned().collect(),
            current: None,
            runs: Runs::default(),
            wholeness: Wholeness {
                finished: !self.begun,
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
        let mut runs = Runs::default();
        runs.begin(recording.about());
        Reading {
            query,
            rest: VecDeque::new(),
            current: Some(recording),
            runs,
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
                if let Some(mut item) = item {
                    self.runs.number(&mut item);
                    return Ok(Some(item));
                }
                // Before another was begun this one may have been written to: it is
                // asked once more.
                if self.rest.is_empty() && self.find_more() {
                    continue;
                }
            }
            let Some(next) = self.rest.pop_front() else {
                return Ok(None);
            };
            let next = open(&next)?;
            self.runs.begin(next.about());
            if let Some(before) = self.current.replace(next) {
                self.wholeness.add(before.wholeness());
                let figures = before.figures();
                self.figures.chunks += figures.chunks;
                self.figures.unpacked += figures.unpacked;
            }
        }
    }

    /// Looks for files that came after the last one.
    fn find_more(&mut self) -> bool {
        let Some(last) = &self.followed else {
            return false;
        };
        let Some(last) = Part::of(last) else {
            return false;
        };
        let Ok(mut family) = last.family() else {
            return false;
        };
        family.retain(|part| {
            // One that has no bytes yet is no recording yet.
            part.number > last.number && fs::metadata(&part.path).is_ok_and(|about| about.len() > 0)
        });
        let Some(newest) = family.last() else {
            return false;
        };
        self.followed = Some(newest.path.clone());
        self.rest.extend(family.into_iter().map(|part| part.path));
        true
    }
}

impl Iterator for Reading {
    type Item = Result<Item, Refusal>;

    fn next(&mut self) -> Option<Result<Item, Refusal>> {
        self.step().transpose()
    }
}

fn open(path: &Path) -> Result<Recording, Refusal> {
    let mut name = path.display().to_string();
    let mut file = File::open(path);
    // It may have been finished between then and now.
    if let Err(error) = &file
        && error.kind() == io::ErrorKind::NotFound
        && is_partial(path)
    {
        let finished = path.with_extension("");
        file = File::open(&finished);
        name = finished.display().to_string();
    }
    let file = file.map_err(|error| Refusal::Unreadable {
        file: name.as_str().into(),
        error,
    })?;
    Recording::open(file, &name)
}

/// Whether a file is being written, or was when its writer was killed.
fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == PARTIAL)
}

/// The files that a name stands for.
fn find(path: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let unreadable = |error| Refusal::Unreadable {
        file: path.display().to_string().into(),
        error,
    };
    let about = match fs::metadata(path) {
        Ok(about) => Some(about),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(error)),
    };
    if about.as_ref().is_some_and(|about| about.is_dir()) {
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if Part::of(&file).is_some_and(|part| part.ending == ENDING) && file.is_file() {
                files.push(file);
            }
        }
        let files = by_time(files)?;
        return match files.is_empty() {
            true => Err(Refusal::NoneThere {
                folder: path.display().to_string().into(),
            }),
            false => Ok(files),
        };
    }
    let family = match Part::of(path) {
        Some(part) if part.number == 0 && !part.is_partial => part.family().unwrap_or_default(),
        _ => Vec::new(),
    };
    match (family.is_empty(), about) {
        (false, _) => Ok(family.into_iter().map(|part| part.path).collect()),
        (true, Some(_)) => Ok(vec![path.to_owned()]),
        (true, None) => Err(unreadable(io::ErrorKind::NotFound.into())),
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

/// A file's name, taken apart: `calls`, 3, `mcap` and partial, of
/// `calls.0003.mcap.partial`; 0 is `calls.mcap`'s.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    number: u64,
    is_partial: bool,
    stem: String,
    ending: String,
    path: PathBuf,
}

impl Part {
    fn of(path: &Path) -> Option<Part> {
        let name = path.file_name()?.to_str()?;
        let (name, is_partial) = match name
            .strip_suffix(PARTIAL)
            .and_then(|name| name.strip_suffix('.'))
        {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let numbered = stem.rsplit_once('.').and_then(|(stem, number)| {
            let usual = number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit());
            Some((stem, number.parse().ok().filter(|_| usual)?))
        });
        let (stem, number) = numbered.unwrap_or((stem, 0));
        Some(Part {
            number,
            is_partial,
            stem: stem.to_owned(),
            ending: ending.to_owned(),
            path: path.to_owned(),
        })
    }

    /// All files of the recording, in order.
    fn family(&self) -> io::Result<Vec<Part>> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut family = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            // With the folder as the user wrote it.
            let path = self.path.with_file_name(name);
            if let Some(part) = Part::of(&path)
                && (&part.stem, &part.ending) == (&self.stem, &self.ending)
                && path.is_file()
            {
                family.push(part);
            }
        }
        family.sort();
        // It was finished while we looked.
        family.dedup_by_key(|part| part.number);
        Ok(family)
    }
}
