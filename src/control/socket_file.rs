//! The file of a Unix socket: made for its owner alone, and removed at the end.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::umask;

use super::StartError;
use crate::notation::io_reason;

/// The file of a socket that listens; dropping this removes it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number: another file may have taken the name since.
    identity: (u64, u64),
}

/// Listens at `path`. What an earlier run left there is replaced.
pub(super) fn listen(path: &Path) -> Result<(UnixListener, SocketFile), StartError> {
    let failed = |error: io::Error| {
        let (place, reason) = (path.display(), io_reason(&error));
        StartError::Failed(format!("cannot listen on unix:{place}: {reason}"))
    };
    clear_the_way(path)?;
    // Nobody but the owner may connect, not even for the moment until a change
    // of the mode.
    let before = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound.map_err(failed)?;
    let metadata = std::fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: (metadata.dev(), metadata.ino()),
    };
    listener.set_nonblocking(true).map_err(failed)?;
    Ok((listener, file))
}

/// Removes a socket on which nobody listens any more, and nothing else.
fn clear_the_way(path: &Path) -> Result<(), StartError> {
    let place = path.display();
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(StartError::Asked(format!(
            "{place} is there already and is no socket; choose another path for the admin API"
        )));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| {
                let reason = io_reason(&error);
                StartError::Failed(format!(
                    "cannot replace the socket {place} that an earlier run left: {reason}"
                ))
            })
        }
        // Gone in between.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(StartError::Failed(format!(
            "another program listens on unix:{place}; end it, or choose another path"
        ))),
        Err(error) => Err(StartError::Failed(format!(
            "cannot tell whether somebody listens on unix:{place}: {}",
            io_reason(&error)
        ))),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            let (place, reason) = (self.path.display(), io_reason(&error));
            tracing::warn!("the admin API's socket {place} cannot be removed: {reason}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_its_owners_alone_and_goes_at_the_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tap.sock");
        let (listener, file) = listen(&path).expect("a socket");
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let live = listen(&path).expect_err("somebody listens");
        assert!(
            live.to_string().contains("another program listens"),
            "{live}"
        );
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn what_is_left_over_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tap.sock");
        drop(UnixListener::bind(&path).expect("a socket"));
        assert!(path.exists(), "a stale one");
        let (_listener, file) = listen(&path).expect("a socket in its place");

        // Somebody else's file under the same name stays.
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "precious").expect("written");
        drop(file);
        let refused = listen(&path).expect_err("a file");
        assert!(matches!(refused, StartError::Asked(_)), "{refused}");
        assert_eq!(std::fs::read(&path).expect("still there"), b"precious");

        let nowhere = listen(&dir.path().join("no/tap.sock")).expect_err("no folder");
        assert!(nowhere.to_string().contains("No such file"), "{nowhere}");
    }
}
