//! Where an export goes: standard output, a file or a folder. A file or folder
//! is written beside its place, under a name of its own, and gets its name when
//! it is whole; what stands there is not replaced unasked.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Failure, unwritten};

/// Bytes that wait for the disk.
const BUFFER: usize = 256 * 1024;

/// Where an export goes. What is not kept goes when this does.
#[derive(Debug)]
pub(super) struct Output {
    place: Place,
    force: bool,
    written: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Place {
    Pipe,
    File {
        path: PathBuf,
        beside: PathBuf,
        file: Option<File>,
    },
    Folder {
        path: PathBuf,
        beside: PathBuf,
        begun: HashSet<String>,
    },
    /// It has its name.
    Kept,
}

impl Output {
    /// Opens it; `-` is standard output.
    pub fn open(path: &Path, force: bool, folder: bool) -> Result<Output, Failure> {
        let place = if path == Path::new("-") {
            Place::Pipe
        } else {
            refuse_to_replace(path, force, folder)?;
            let beside = beside(path)?;
            if folder {
                let made = DirBuilder::new().mode(0o700).create(&beside);
                made.map_err(|error| unwritten(path, &error))?;
                Place::Folder {
                    path: path.to_owned(),
                    beside,
                    begun: HashSet::new(),
                }
            } else {
                let file = create(&beside).map_err(|error| unwritten(path, &error))?;
                Place::File {
                    path: path.to_owned(),
                    beside,
                    file: Some(file),
                }
            }
        };
        Ok(Output {
            place,
            force,
            written: Arc::default(),
        })
    }

    /// What a format that is one file is written to.
    pub fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        let inner: Box<dyn Write + Send> = match &self.place {
            Place::Pipe => Box::new(io::stdout()),
            Place::File {
                file: Some(file), ..
            } => Box::new(file.try_clone()?),
            _ => Box::new(io::sink()),
        };
        let counted = Counted {
            inner,
            written: Arc::clone(&self.written),
        };
        Ok(Box::new(BufWriter::with_capacity(BUFFER, counted)))
    }

    /// Appends to the files of a folder.
    pub fn append(&mut self, files: Vec<(String, Vec<u8>)>) -> io::Result<()> {
        let Place::Folder { beside, begun, .. } = &mut self.place else {
            return Ok(());
        };
        for (name, bytes) in files {
            let path = beside.join(&name);
            let mut file = if begun.insert(name) {
                if let Some(parent) = path.parent() {
                    let mut folders = DirBuilder::new();
                    folders.recursive(true).mode(0o700).create(parent)?;
                }
                create(&path)?
            } else {
                OpenOptions::new().append(true).open(&path)?
            };
            file.write_all(&bytes)?;
            let length = bytes.len() as u64;
            self.written.fetch_add(length, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether it is standard output.
    pub fn is_pipe(&self) -> bool {
        matches!(self.place, Place::Pipe)
    }

    /// Says that it cannot be written.
    pub fn unwritten(&self, error: &io::Error) -> Failure {
        match &self.place {
            Place::File { path, .. } | Place::Folder { path, .. } => unwritten(path, error),
            Place::Pipe | Place::Kept => unwritten(Path::new("standard output"), error),
        }
    }

    /// It is whole: it gets its name.
    pub fn keep(&mut self) -> Result<(), Failure> {
        match &mut self.place {
            Place::Pipe | Place::Kept => return Ok(()),
            Place::File { path, beside, file } => {
                let synced = file.take().map_or(Ok(()), |file| file.sync_all());
                let named = synced.and_then(|()| name_file(beside, path, self.force));
                named.map_err(|error| not_named(path, &error))?;
            }
            Place::Folder { path, beside, .. } => {
                if self.force && path.exists() {
                    fs::remove_dir_all(&*path).map_err(|error| unwritten(path, &error))?;
                }
                // A folder never takes the name of one that has something in it.
                fs::rename(&*beside, &*path).map_err(|error| not_named(path, &error))?;
            }
        }
        self.place = Place::Kept;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Nobody can be told any more.
        let _ = match &self.place {
            Place::File { beside, .. } => fs::remove_file(beside),
            Place::Folder { beside, .. } => fs::remove_dir_all(beside),
            Place::Pipe | Place::Kept => Ok(()),
        };
    }
}

fn not_named(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => there(path),
        _ => unwritten(path, error),
    }
}

fn there(path: &Path) -> Failure {
    Failure::asked(format!(
        "{} is there already; name another place, or replace it with --force",
        path.display()
    ))
}

fn refuse_to_replace(path: &Path, force: bool, folder: bool) -> Result<(), Failure> {
    let Ok(about) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !force {
        return Err(there(path));
    }
    match (folder, about.is_dir()) {
        (false, false) => Ok(()),
        (false, true) => Err(Failure::asked(format!(
            "{} is a folder; name a file",
            path.display()
        ))),
        (true, false) => Err(Failure::asked(format!(
            "{} is no folder, and this format is one; name another place",
            path.display()
        ))),
        (true, true) if is_a_report(path).unwrap_or(false) => Ok(()),
        (true, true) => Err(Failure::asked(format!(
            "{} holds more than a report of ours, and --force would remove it; name another place",
            path.display()
        ))),
    }
}

/// Whether a folder holds nothing but what an export writes.
fn is_a_report(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name != "traffic.json" && !name.starts_with("client-") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `.calls.parquet.4711.partial`, in the same folder.
fn beside(path: &Path) -> Result<PathBuf, Failure> {
    let Some(name) = path.file_name() else {
        return Err(Failure::asked(format!(
            "{} is no name of a file; write one such as calls.parquet",
            path.display()
        )));
    };
    let name = name.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}.partial", std::process::id())))
}

/// A recording tells of a cluster: what comes out of it is its reader's alone.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn name_file(beside: &Path, path: &Path, force: bool) -> io::Result<()> {
    if force {
        return fs::rename(beside, path);
    }
    // A link never replaces what came there meanwhile; a renaming would.
    match fs::hard_link(beside, path) {
        Ok(()) => fs::remove_file(beside),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // There are file systems without links.
        Err(_) if !path.exists() => fs::rename(beside, path),
        Err(error) => Err(error),
    }
}

/// Counts what passes.
struct Counted {
    inner: Box<dyn Write + Send>,
    written: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.written.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path, force: bool, bytes: &[u8]) -> Result<(), Failure> {
        let mut output = Output::open(path, force, false)?;
        let mut writer = output.writer().unwrap();
        writer.write_all(bytes).unwrap();
        writer.flush().unwrap();
        output.keep()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_file_is_there_when_it_is_whole_and_replaced_only_if_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.csv");
        {
            let output = Output::open(&path, false, false).unwrap();
            output.writer().unwrap().write_all(b"half").unwrap();
        }
        assert!(names(folder.path()).is_empty());
        written(&path, false, b"one").unwrap();
        let refused = written(&path, false, b"two").unwrap_err();
        assert!(refused.to_string().contains("--force"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        written(&path, true, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["calls.csv"]);
    }

    #[test]
    fn what_came_there_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.csv");
        let mut output = Output::open(&path, false, false).unwrap();
        fs::write(&path, "somebody else's").unwrap();
        assert!(output.keep().is_err());
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
        assert_eq!(names(folder.path()), ["calls.csv"]);
    }

    #[test]
    fn a_folder_is_replaced_only_if_it_is_a_report() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let write = |force| {
            let mut output = Output::open(&path, force, true)?;
            let files = vec![("client-1/watch.json".to_owned(), b"{}".to_vec())];
            output.append(files.clone()).unwrap();
            output.append(files).unwrap();
            output.keep()
        };
        write(false).unwrap();
        let file = path.join("client-1/watch.json");
        assert_eq!(fs::read(&file).unwrap(), b"{}{}");
        assert!(write(false).is_err());
        write(true).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"{}{}");
        fs::write(path.join("thesis.tex"), "").unwrap();
        let refused = write(true).unwrap_err();
        assert!(refused.to_string().contains("would remove"), "{refused}");
        assert!(path.join("thesis.tex").exists());
    }
}
