//! The layer of the environment: `ETCDTAP_` and the flag in capitals.

use std::ffi::OsString;

use super::{Layer, Origin};
use crate::notation::nearest;

const PREFIX: &str = "ETCDTAP_";

/// The variable that stands for `flag`: `ETCDTAP_LOG_FILE` for `log-file`.
pub fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// What the environment gives for the arguments of `command`. Repeatable ones
/// are separated by commas; an empty variable counts as absent.
pub fn from_environment(
    command: &clap::Command,
    lookup: &dyn Fn(&str) -> Option<OsString>,
) -> Layer {
    let mut layer = Layer::default();
    for argument in command.get_arguments() {
        let Some(flag) = argument.get_long() else {
            continue;
        };
        let name = variable(flag);
        let Some(value) = lookup(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let repeatable = matches!(argument.get_action(), clap::ArgAction::Append);
        match value.to_str() {
            Some(text) if repeatable => {
                for part in text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                {
                    layer.add(flag, part, Origin::Variable(name.clone()));
                }
            }
            _ => layer.add(flag, value, Origin::Variable(name)),
        }
    }
    layer
}

/// A variable that looks like a slip of one of ours, and the one it resembles.
/// Others that begin with `ETCDTAP_` are left alone: Kubernetes sets
/// `ETCDTAP_SERVICE_HOST` and its like in every pod beside a Service `etcdtap`.
pub fn suspicious(command: &clap::Command, name: &str) -> Option<String> {
    if !name.starts_with(PREFIX) {
        return None;
    }
    let known: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(variable))
        .collect();
    if known.iter().any(|variable| variable == name) {
        return None;
    }
    let meant = nearest(
        &name[PREFIX.len()..],
        known.iter().map(|variable| &variable[PREFIX.len()..]),
    )?;
    Some(format!("{PREFIX}{meant}"))
}
