//! The process's limit on open files.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard one: a relayed connection
/// takes two, and the usual soft limit of 1,024 is a default for `select`.
pub(super) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::debug!(
            "open files limit raised from {before:?} to {:?}",
            limit.maximum
        ),
        Err(error) => tracing::warn!("open files limit stays at {before:?}: {error}"),
    }
}
