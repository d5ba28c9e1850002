//! Looking into recordings: what their commands have in common.

mod asked;
mod lines;
pub(super) mod moment;

pub(super) use asked::{Asked, LookFlags, WhichFlags};
pub(super) use lines::Log;

use std::process::ExitCode;

use super::Failure;
use crate::record::reader::{Refusal, Wholeness};

/// What a command ends with that did what it was asked for, with a part of the
/// recording missing.
const IN_PART: u8 = 1;

/// A recording that cannot be read at all.
pub(super) fn refused(refusal: &Refusal) -> Failure {
    Failure::asked(format!(
        "{refusal}; name a recording that `--record` wrote, or a folder of them"
    ))
}

/// Says on standard error what is missing, and what the process ends with. Only who
/// has `ended`, and so has seen the recording's end, knows whether it has one.
pub(super) fn said(wholeness: &Wholeness, unknown: u64, ended: bool) -> ExitCode {
    if let Some(sentence) = wholeness.sentence() {
        eprintln!("etcdtap: {sentence}");
    } else if ended && !wholeness.finished {
        eprintln!(
            "etcdtap: the recording has no end: it is still being written, or its writer was \
             killed, and what it had not written yet is missing"
        );
    }
    if unknown > 0 {
        let s = if unknown == 1 { " says" } else { "s say" };
        eprintln!(
            "etcdtap: {unknown} line{s} something that this version does not know; a later one \
             wrote the recording"
        );
    }
    match wholeness.is_whole() && unknown == 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(IN_PART),
    }
}
