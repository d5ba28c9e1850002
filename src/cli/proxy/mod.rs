//! `etcdtap proxy`.

pub(super) mod address;
pub(super) mod armed;
mod faults;
mod flags;
mod measured;
mod recording;
mod resolve;
mod resolved;
mod serve;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::ArgMatches;

pub use flags::ProxyFlags;
pub(super) use resolve::parse_format;
pub use resolve::resolve;
pub use resolved::{Faults, FilterArgs, Log, ProxyArgs, Route, Scenario};
pub(super) use serve::{current_thread, multi_thread};

pub use super::call_log::Format;
use super::settings::{self, Layers};
use super::{Failure, diagnostics};

/// Reads the settings of all places and runs the proxy until a signal.
pub(super) fn run(command: &clap::Command, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    diagnostics::start("warn,etcdtap=info");
    warn_of_slips(command);
    let mut layers = Layers::new([
        settings::from_flags(command, matches),
        settings::from_environment(command, &super::environment),
    ]);
    if let Some(path) = layers.path("config")? {
        layers.push_weaker(settings::from_file(&path)?);
    }
    serve::serve(resolve(&layers)?)
}

/// A variable with a slip in its name would be passed over in silence.
fn warn_of_slips(command: &clap::Command) {
    for (name, _) in std::env::vars_os() {
        if let Some(meant) = name
            .to_str()
            .and_then(|name| settings::suspicious(command, name))
        {
            tracing::warn!(
                "the environment variable {} is not known and ignored; did you mean {meant}?",
                name.display()
            );
        }
    }
}
