//! The layer of the command line.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{Layer, Origin};

/// What was given on the command line, by clap's list of arguments.
pub fn from_flags(command: &clap::Command, matches: &ArgMatches) -> Layer {
    let mut layer = Layer::default();
    for argument in command.get_arguments() {
        let Some(flag) = argument.get_long() else {
            continue;
        };
        let id = argument.get_id().as_str();
        // `--help` and its like are no settings and carry no values.
        if !matches!(matches.try_contains_id(id), Ok(true))
            || matches.value_source(id) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            layer.add(flag, value, Origin::Flag(flag.to_owned()));
        }
    }
    layer
}
