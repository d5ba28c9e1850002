//! Which scenario is meant, and what of it is set.

use std::path::Path;

use crate::cli::Failure;
use crate::cli::fault::plan_file::{shown, text};
use crate::scenario::{Incident, Scenario, Shipped};

/// Whether a word names a file rather than a scenario that ships: names have
/// neither slashes nor dots.
pub(in crate::cli) fn is_file(word: &str) -> bool {
    word == "-" || word.contains(['/', '.'])
}

/// The scenario's text, and what errors call it.
pub(super) fn written(word: &str) -> Result<(String, String), Failure> {
    if is_file(word) {
        let path = Path::new(word);
        return Ok((shown(path), text(path)?));
    }
    match Shipped::named(word) {
        Ok(found) => Ok((found.name.to_owned(), found.text.to_owned())),
        Err(Some(meant)) => Err(Failure::asked(format!(
            "there is no scenario \"{word}\"; did you mean \"{meant}\"?"
        ))),
        Err(None) => Err(Failure::asked(format!(
            "there is no scenario \"{word}\"; `etcdtap scenario list` shows those that there are, \
             and a file is named with its path: ./{word}"
        ))),
    }
}

/// The scenario that a name or a path means.
pub(in crate::cli) fn scenario(word: &str) -> Result<Scenario, Failure> {
    let (file, text) = written(word)?;
    Scenario::from_yaml(&file, &text).map_err(|errors| Failure::asked(errors.to_string()))
}

/// Reads `NAME=VALUE`.
pub(in crate::cli) fn setting(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim(), value)),
        _ => Err(format!("\"{text}\" sets nothing; write it such as for=10s")),
    }
}

/// The scenario with these settings.
pub(super) fn incident(scenario: &Scenario, settings: &[String]) -> Result<Incident, Failure> {
    let settings = settings.iter().map(|text| setting(text));
    let settings: Result<Vec<_>, String> = settings.collect();
    let settings = settings.map_err(|why| Failure::asked(format!("--set: {why}")))?;
    scenario
        .with(settings)
        .map_err(|errors| Failure::asked(errors.to_string()))
}
