//! One sentence for what clap refuses.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Says in one sentence what was wrong with the command line.
pub fn sentence(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    // clap names an argument with its value: `--drain <DURATION>`, `<SHELL>`,
    // `<FILE>...`.
    let name = |kind| {
        text(kind).map(|name| match name.split_once([' ', '[']) {
            Some((flag, _)) if flag.starts_with("--") => flag.to_owned(),
            _ => name.trim_matches(['<', '>', '.']).to_owned(),
        })
    };
    let argument = name(ContextKind::InvalidArg);
    let value = text(ContextKind::InvalidValue);
    let meant = |kind| match text(kind) {
        Some(meant) => format!("; did you mean {meant}?"),
        None => "; --help lists what there is".to_owned(),
    };
    match (error.kind(), argument, value) {
        (ErrorKind::UnknownArgument, Some(argument), _) if argument.starts_with('-') => {
            format!(
                "there is no flag {argument}{}",
                meant(ContextKind::SuggestedArg)
            )
        }
        (ErrorKind::UnknownArgument, Some(argument), _) => {
            format!("\"{argument}\" is one argument too many; --help shows the usage")
        }
        (ErrorKind::InvalidSubcommand, ..) => {
            let command = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!(
                "there is no command \"{command}\"{}",
                meant(ContextKind::SuggestedSubcommand)
            )
        }
        (ErrorKind::InvalidValue, Some(argument), value)
            if value.as_deref().unwrap_or("").is_empty() =>
        {
            format!("{argument}: the value is missing")
        }
        (ErrorKind::InvalidValue, Some(argument), Some(value)) => {
            let known = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(known)) => known.join(", "),
                _ => String::new(),
            };
            format!("{argument}: \"{value}\" is not known; write one of {known}")
        }
        (ErrorKind::ArgumentConflict, Some(argument), _) => match name(ContextKind::PriorArg) {
            Some(prior) if prior != argument => {
                format!("{argument} and {prior} exclude each other; leave one out")
            }
            _ => format!("{argument} is given twice; give it once"),
        },
        (ErrorKind::MissingRequiredArgument, Some(argument), _) => {
            format!("{argument} is missing; --help shows the usage")
        }
        (ErrorKind::TooManyValues, Some(argument), Some(value)) => {
            format!("{argument} takes no value; leave \"{value}\" out")
        }
        _ => first_line(error),
    }
}

/// clap's own first line, without its label.
fn first_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let line = rendered.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
