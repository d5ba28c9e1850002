//! A recording's beginning, for every command that writes one: its key, what is
//! hidden in it, and why it cannot be written.

use std::io;
use std::path::PathBuf;

use super::{Failure, io_reason};
use crate::kube::key::KeySpace;
use crate::record::files::Family;
use crate::record::recorder::{Recorder, RecorderOptions};
use crate::record::redact::{Policy, Rule, Values};
use crate::trace::Anchor;

/// What may stand in a recording of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hiding {
    /// Which values stand in it.
    pub values: Values,
    /// What is hidden besides.
    pub rules: Vec<Rule>,
}

/// The file of a recording's key.
#[derive(Debug)]
pub(super) struct KeyFile {
    pub path: PathBuf,
    /// It was not there before.
    pub fresh: bool,
}

/// Begins the recording that `flag` names; of what passed at another time, as
/// `clock` says.
///
/// # Errors
/// When its file or its key cannot be created.
pub(super) fn start(
    flag: &str,
    options: RecorderOptions,
    hiding: &Hiding,
    key_space: KeySpace,
    clock: Option<Anchor>,
) -> Result<(Recorder, KeyFile), Failure> {
    let place = options.path.clone();
    let started = || {
        let family = Family::of(&options.path)?;
        let fresh = !family.key_path().exists();
        let (key, path) = family.key()?;
        let policy = Policy {
            values: hiding.values,
            rules: hiding.rules.clone(),
            key_space,
            ..Policy::new(key)
        };
        let recorder = match clock {
            None => Recorder::start(options, policy)?,
            Some(clock) => Recorder::start_at(options, policy, clock)?,
        };
        Ok((recorder, KeyFile { path, fresh }))
    };
    started().map_err(|error: io::Error| {
        let reason = match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => error.to_string(),
            _ => io_reason(&error),
        };
        Failure::asked(format!(
            "{flag}: {} cannot be written: {reason}; name a file in a folder that can be written to",
            place.display()
        ))
    })
}
