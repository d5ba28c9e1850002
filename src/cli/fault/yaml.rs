//! Pieces of YAML on the command line.

use serde_json::Value;

use crate::cli::Failure;

/// Reads the value of `flag`, as `example` shows it.
pub(super) fn read(flag: &str, text: &str, example: &str) -> Result<Value, Failure> {
    parse(text).map_err(|why| {
        Failure::asked(format!(
            "{flag}: \"{text}\" is no YAML: {why}; write it such as {flag} '{example}'"
        ))
    })
}

/// Reads any YAML.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let plain = error
            .without_snippet()
            .render_with_formatter(&serde_saphyr::UserMessageFormatter);
        plain.lines().next().unwrap_or_default().to_owned()
    })
}
