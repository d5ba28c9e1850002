//! The files of a recording: what they are called, and which are kept.
//!
//! `--record calls.mcap` writes `calls.mcap`; after it is full, or if it is there
//! already, `calls.0001.mcap` and so on. The one that is being written has
//! `.partial` behind its name, and loses it when it is whole: a file without it
//! is finished. One that a crash left behind keeps what it has, under its
//! finished name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::redact::RecordingKey;

/// Behind the name of a file that is being written.
pub const PARTIAL: &str = "partial";

/// Behind a recording's name, for the file that holds its key.
pub const KEY: &str = "key";

/// The greatest number of a file.
const MOST_FILES: u32 = 999_999;

/// Which finished files are kept. The one that is being written always is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// At most so many.
    pub files: Option<u64>,
    /// At most so many bytes in all.
    pub bytes: Option<u64>,
    /// None that was finished longer ago.
    pub age: Option<Duration>,
}

/// The files that one recording has, or will have.
#[derive(Debug, Clone)]
pub struct Family {
    folder: PathBuf,
    stem: String,
    ending: String,
    named: PathBuf,
}

/// A file that is being written.
#[derive(Debug)]
pub struct Written {
    /// The open file.
    pub file: File,
    /// Its name as long as it is written.
    pub partial: PathBuf,
    /// Its name when it is whole.
    pub finished: PathBuf,
    /// Its number among the recording's files, from 0.
    pub number: u32,
}

/// What was there of a recording before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Files that a crash left behind, by their finished names.
    pub adopted: Vec<PathBuf>,
    /// Files that another process writes.
    pub in_use: Vec<PathBuf>,
}

/// Whether somebody writes a file.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

impl Family {
    /// The files of the recording that is called `path`.
    ///
    /// # Errors
    /// If that names no file.
    pub fn of(path: &Path) -> io::Result<Family> {
        let named =
            |what: Option<&std::ffi::OsStr>| what.and_then(|name| name.to_str()).map(str::to_owned);
        let (Some(stem), Some(_)) = (named(path.file_stem()), path.file_name()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it names no file",
            ));
        };
        Ok(Family {
            folder: match path.parent() {
                Some(folder) if folder != Path::new("") => folder.to_owned(),
                _ => PathBuf::from("."),
            },
            stem,
            ending: named(path.extension()).map_or(String::new(), |ending| format!(".{ending}")),
            named: path.to_owned(),
        })
    }

    /// The file with a number.
    fn numbered(&self, number: u32) -> PathBuf {
        match number {
            0 => self.named.clone(),
            _ => {
                let name = format!("{}.{number:04}{}", self.stem, self.ending);
                self.folder.join(name)
            }
        }
    }

    /// The number of a file's name, if it is one of these.
    fn number(&self, name: &str) -> Option<(u32, bool)> {
        let (name, partial) = match name.strip_suffix(".partial") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let rest = name.strip_prefix(&self.stem)?.strip_suffix(&self.ending)?;
        match rest {
            "" => Some((0, partial)),
            _ => {
                let digits = rest.strip_prefix('.')?;
                let usual = digits.len() >= 4 && digits.bytes().all(|digit| digit.is_ascii_digit());
                usual.then(|| digits.parse().ok().map(|number| (number, partial)))?
            }
        }
    }

    /// All that are there: number, whether it is partial, path.
    fn present(&self) -> io::Result<Vec<(u32, bool, PathBuf)>> {
        let mut present = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some((number, partial)) = name.to_str().and_then(|name| self.number(name)) {
                present.push((number, partial, entry.path()));
            }
        }
        present.sort();
        Ok(present)
    }

    /// Gives files that a crash left behind their finished names, and says which;
    /// those without a byte go. What another process writes stays as it is.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn adopt(&self) -> io::Result<Left> {
        let mut left = Left::default();
        for (number, partial, path) in self.present()? {
            let finished = self.numbered(number);
            if !partial || finished.exists() {
                continue;
            }
            if is_locked(&path) {
                left.in_use.push(path);
            } else if fs::metadata(&path).is_ok_and(|about| about.len() == 0) {
                // Whatever is in its way is in the way of what comes, too.
                let _ = fs::remove_file(&path);
            } else if fs::rename(&path, &finished).is_ok() {
                left.adopted.push(finished);
            }
        }
        Ok(left)
    }

    /// Begins the next file.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn begin(&self) -> io::Result<Written> {
        let last = self.present()?.last().map(|(number, ..)| *number);
        let mut number = last.map_or(0, |last| last + 1);
        loop {
            let finished = self.numbered(number);
            let mut partial = finished.clone().into_os_string();
            partial.push(format!(".{PARTIAL}"));
            let partial = PathBuf::from(partial);
            let created = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&partial);
            match created {
                Ok(file) => {
                    // Where the file system has no locks, nobody can ask for one.
                    let _ = file.try_lock();
                    return Ok(Written {
                        file,
                        partial,
                        finished,
                        number,
                    });
                }
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && number < MOST_FILES =>
                {
                    number += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the recording's key is, or will be.
    pub fn key_path(&self) -> PathBuf {
        let mut path = self.named.clone().into_os_string();
        path.push(format!(".{KEY}"));
        PathBuf::from(path)
    }

    /// The recording's key: the one beside it, or a fresh one that is put there.
    ///
    /// # Errors
    /// If it can be neither read nor written, or is no key.
    pub fn key(&self) -> io::Result<(RecordingKey, PathBuf)> {
        let path = self.key_path();
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let key = RecordingKey::from_text(text.trim())
                    .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
                Ok((key, path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = RecordingKey::generate().map_err(|error| wrong(error.to_string()))?;
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)?;
                file.write_all(format!("{}\n", key.to_text()).as_bytes())?;
                Ok((key, path))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the finished files that are not to be kept, the oldest first;
    /// gives how many went.
    ///
    /// # Errors
    /// If the folder cannot be read or a file not be removed.
    pub fn retain(&self, retention: &Retention, now: SystemTime) -> io::Result<u64> {
        let mut finished = Vec::new();
        for (number, partial, path) in self.present()? {
            if partial {
                continue;
            }
            let about = match fs::metadata(&path) {
                Ok(about) => about,
                // Somebody took it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            finished.push((number, path, about.len(), about.modified().unwrap_or(now)));
        }
        let mut files = finished.len() as u64;
        let mut bytes: u64 = finished.iter().map(|(_, _, bytes, _)| bytes).sum();
        let mut removed = 0;
        for (_, path, length, modified) in finished {
            let old = now.duration_since(modified).unwrap_or_default();
            let goes = retention.files.is_some_and(|most| files > most)
                || retention.bytes.is_some_and(|most| bytes > most)
                || retention.age.is_some_and(|most| old > most);
            if !goes {
                break;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            (files, bytes, removed) = (files - 1, bytes - length, removed + 1);
        }
        Ok(removed)
    }
}

impl Written {
    /// The file is whole: it gets its name.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn finish(self) -> io::Result<PathBuf> {
        self.file.sync_data()?;
        fs::rename(&self.partial, &self.finished)?;
        Ok(self.finished)
    }

    /// The file is whole, and another one waits to be begun: it gets its name at
    /// once, and the disk takes its time. Until then a process that dies costs
    /// nothing, a machine that does may cost the file's end.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn finish_behind(self) -> io::Result<PathBuf> {
        let Written {
            file,
            partial,
            finished,
            ..
        } = self;
        fs::rename(&partial, &finished)?;
        let place = finished.clone();
        // Without a thread the system writes it when it likes.
        let _ = thread::Builder::new()
            .name("etcdtap-sync".to_owned())
            .spawn(move || {
                if let Err(error) = file.sync_data() {
                    tracing::warn!("{} may not be on the disk: {error}", place.display());
                }
            });
        Ok(finished)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn names_go_on_where_they_ended_and_a_crash_loses_none() {
        let folder = tempfile::tempdir().unwrap();
        let family = Family::of(&folder.path().join("calls.mcap")).unwrap();
        let first = family.begin().unwrap();
        assert!(first.partial.ends_with("calls.mcap.partial"));
        let mode = first.file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(first.finish().unwrap().ends_with("calls.mcap"));
        let second = family.begin().unwrap();
        assert!(second.finished.ends_with("calls.0001.mcap"));
        assert_eq!(second.number, 1);
        let mut second = second;
        second.file.write_all(b"x").unwrap();
        let left = family.adopt().unwrap();
        assert_eq!(left.in_use, [second.partial.clone()], "it is being written");
        assert!(left.adopted.is_empty());
        // As after a crash.
        let finished = second.finished.clone();
        drop(second);
        assert_eq!(family.adopt().unwrap().adopted, [finished]);
        // One in which nothing stands is none.
        drop(family.begin().unwrap());
        assert_eq!(family.adopt().unwrap(), Left::default());
        let third = family.begin().unwrap();
        assert!(third.finished.ends_with("calls.0002.mcap"));
        assert!(family.adopt().is_ok());
        fs::write(folder.path().join("calls.backup.mcap"), "").unwrap();
        fs::write(folder.path().join("other.mcap"), "").unwrap();
        drop(third.finish());
        assert_eq!(family.present().unwrap().len(), 3);
    }

    #[test]
    fn the_oldest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let family = Family::of(&folder.path().join("calls.mcap")).unwrap();
        for _ in 0..5 {
            let mut written = family.begin().unwrap();
            written.file.write_all(&[0; 100]).unwrap();
            written.finish().unwrap();
        }
        let now = SystemTime::now();
        let files = Retention {
            files: Some(4),
            ..Retention::default()
        };
        assert_eq!(family.retain(&files, now).unwrap(), 1);
        assert!(!folder.path().join("calls.mcap").exists());
        let bytes = Retention {
            bytes: Some(250),
            ..Retention::default()
        };
        assert_eq!(family.retain(&bytes, now).unwrap(), 2);
        let age = Retention {
            age: Some(Duration::from_secs(60)),
            ..Retention::default()
        };
        assert_eq!(family.retain(&age, now).unwrap(), 0);
        let later = now + Duration::from_secs(3600);
        assert_eq!(family.retain(&age, later).unwrap(), 2);
    }

    #[test]
    fn a_recording_has_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let family = Family::of(&folder.path().join("calls.mcap")).unwrap();
        let (key, path) = family.key().unwrap();
        assert!(path.ends_with("calls.mcap.key"));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(family.key().unwrap().0.hash(b"value"), key.hash(b"value"));
        fs::write(&path, "no key").unwrap();
        assert!(family.key().is_err());
    }
}
