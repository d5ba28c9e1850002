//! A recording from what was given: its file, what it hides, what bounds it.

use std::num::NonZeroU64;
use std::time::Duration;

use super::resolve::refuse;
use super::resolved::Record;
use crate::cli::Failure;
use crate::cli::recording::{self, Hiding};
use crate::cli::settings::Layers;
use crate::kube::key::KeySpace;
use crate::notation::{parse_duration, parse_size};
use crate::record::files::Retention;
use crate::record::queue::{DEFAULT_QUEUE_BYTES, Overflow};
use crate::record::recorder::{Recorded, Recorder, RecorderOptions};
use crate::record::redact::{Rule, Values};

/// How old what was recorded may get before it is written, by default.
const FLUSH: Duration = Duration::from_secs(1);

/// zstd's level by default: the one that keeps up.
const LEVEL: u32 = 1;

/// The flags that say how a recording is made.
const FLAGS: [&str; 11] = [
    "record-values",
    "redact",
    "record-overflow",
    "record-queue",
    "record-flush",
    "record-compression",
    "record-rotate-size",
    "record-rotate-every",
    "record-keep-files",
    "record-keep-size",
    "record-keep-for",
];

/// Reads the settings of a recording.
pub(super) fn record(given: &Layers) -> Result<Option<Record>, Failure> {
    let Some(path) = given.path("record")? else {
        return match FLAGS.into_iter().find(|flag| given.one(flag).is_some()) {
            Some(flag) => Err(refuse(
                given,
                flag,
                "nothing is recorded; add --record FILE, or leave this out",
            )),
            None => Ok(None),
        };
    };
    let rules = given
        .all("redact")
        .iter()
        .map(|one| one.parse(|text| Rule::parse(text).map_err(|error| error.to_string())))
        .collect::<Result<Vec<_>, Failure>>()?;
    let values = given
        .parse("record-values", |text| {
            Values::parse(text).map_err(|error| error.to_string())
        })?
        .unwrap_or(Values::Redacted);
    Ok(Some(Record {
        hiding: Hiding { values, rules },
        options: RecorderOptions {
            path,
            compression: given
                .parse("record-compression", parse_compression)?
                .unwrap_or(Some(LEVEL)),
            flush: given.parse("record-flush", parse_flush)?.unwrap_or(FLUSH),
            rotate_bytes: given.parse("record-rotate-size", parse_rotate_size)?,
            rotate_every: given.parse("record-rotate-every", parse_rotate_every)?,
            retention: Retention {
                files: given
                    .parse("record-keep-files", parse_count)?
                    .map(NonZeroU64::get),
                bytes: given
                    .parse("record-keep-size", parse_size)?
                    .map(|bytes| bytes as u64),
                age: given.parse("record-keep-for", parse_duration)?,
            },
            queue_bytes: given
                .parse("record-queue", parse_queue)?
                .unwrap_or(DEFAULT_QUEUE_BYTES),
            overflow: given
                .parse("record-overflow", parse_overflow)?
                .unwrap_or_default(),
            patience: None,
        },
    }))
}

/// Begins it.
///
/// # Errors
/// When its file or its key cannot be created.
pub(super) fn start(record: &Record, key_space: KeySpace) -> Result<Recorder, Failure> {
    let Record { hiding, options } = record;
    let (recorder, key) = recording::start("--record", options.clone(), hiding, key_space, None)?;
    tracing::info!(
        "recording to {}, values {}; whoever has {} can tell whether a value is the one they think",
        options.path.display(),
        hiding.values.as_str(),
        key.path.display()
    );
    Ok(recorder)
}

/// Says how it went.
pub(super) fn say_what_was_recorded(recorded: &Recorded) {
    let lost = &recorded.lost;
    tracing::info!(
        "recorded {} records in {} bytes and {} files{}",
        recorded.records,
        recorded.bytes,
        recorded.files,
        match &recorded.last {
            Some(last) => format!(", the last of them {}", last.display()),
            None => String::new(),
        }
    );
    if lost.calls > 0 || lost.lines > 0 {
        tracing::warn!(
            "{} calls ({} messages, {} bytes) and {} lines were not recorded: the disk could not keep up",
            lost.calls,
            lost.messages,
            lost.bytes,
            lost.lines
        );
    }
    if recorded.waited > Duration::ZERO {
        tracing::warn!(
            "traffic waited {:.3} s for the disk",
            recorded.waited.as_secs_f64()
        );
    }
    if let Some(trouble) = &recorded.trouble {
        tracing::error!("the recording is not whole: {trouble}");
    }
}

fn parse_compression(text: &str) -> Result<Option<u32>, String> {
    match text {
        "none" => Ok(None),
        _ => match text.parse() {
            Ok(level) if (1..=19).contains(&level) => Ok(Some(level)),
            _ => Err(format!(
                "\"{text}\" is no level of zstd; write 1 (fast) to 19 (small), or none"
            )),
        },
    }
}

fn parse_flush(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        time if time < Duration::from_millis(10) => Err(format!(
            "\"{text}\" is less than 10ms, which would write little else than beginnings; write more, such as 1s"
        )),
        time => Ok(time),
    }
}

fn parse_rotate_size(text: &str) -> Result<u64, String> {
    match parse_size(text)? as u64 {
        bytes if bytes < 1 << 16 => Err(format!(
            "\"{text}\" is less than 64KiB, the size of an empty file's neighbours; write more, such as 1GiB"
        )),
        bytes => Ok(bytes),
    }
}

fn parse_rotate_every(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        time if time < Duration::from_secs(1) => Err(format!(
            "\"{text}\" is less than 1s; write more, such as 1h"
        )),
        time => Ok(time),
    }
}

fn parse_count(text: &str) -> Result<NonZeroU64, String> {
    text.parse()
        .map_err(|_| format!("\"{text}\" is no number of files from 1 on"))
}

fn parse_queue(text: &str) -> Result<usize, String> {
    match parse_size(text)? {
        bytes if bytes < 1 << 20 => Err(format!(
            "\"{text}\" is less than 1MiB, too little for one great message; write more, such as 64MiB"
        )),
        bytes => Ok(bytes),
    }
}

fn parse_overflow(text: &str) -> Result<Overflow, String> {
    match text {
        "drop" => Ok(Overflow::Drop),
        "block" => Ok(Overflow::Block),
        _ => Err(format!(
            "\"{text}\" is neither drop (leave calls out, and say how many) nor block (let traffic wait)"
        )),
    }
}
