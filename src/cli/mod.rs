//! The command line: one file a command.

mod admin;
mod call_log;
pub mod decode;
pub mod demo;
mod diagnostics;
mod export;
mod failure;
pub mod fault;
mod import;
mod interruption;
mod look;
mod playback;
mod progress;
pub mod proxy;
mod recording;
mod replay;
pub mod scenario;
mod scorecard;
pub mod settings;
mod show;
mod stats;
#[cfg(test)]
mod tests;
mod usage;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

pub use failure::Failure;

use crate::net::signals;
use crate::notation::io_reason;

const ABOUT: &str = "\
Stands between kube-apiserver and etcd, relays every byte as it came, and logs
what the API server does to etcd in Kubernetes' own terms.";

const EXAMPLES: &str = "\
Examples:
  See it work, with an etcd of its own:
    etcdtap demo

  Put it in front of an etcd:
    etcdtap proxy --listen 127.0.0.1:12379 --upstream http://127.0.0.1:2379

  Say what a stored value is:
    etcdctl get /registry/pods/default/web --print-value-only | etcdtap decode

  Break something on purpose, in a proxy that runs with --admin:
    etcdtap fault add slow-lists --delay-response 250ms --verb list --resource pods

  Or a whole incident, and see how the API server takes it:
    etcdtap scenario run leader-election

  Say from the log how clients took it:
    etcdtap scorecard calls.ndjson --expect 'recovery < 10s'

  Make a recording of what tcpdump captured:
    etcdtap import etcd.pcap

  Look into a recording, and count what is in it:
    etcdtap show calls.mcap --key /registry/pods/lab/web-0
    etcdtap stats calls.mcap --resource pods

  Take it to other tools:
    etcdtap export calls.mcap --to parquet -o calls.parquet

  Drive it again, and see whether another etcd answers the same:
    etcdtap replay calls.mcap --target http://127.0.0.1:2379

  Ask it as if it were etcd:
    etcdtap playback calls.mcap --listen 127.0.0.1:12379 --at 08:05:32";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  etcdtap completions bash > /etc/bash_completion.d/etcdtap
  etcdtap completions zsh > \"${fpath[1]}/_etcdtap\"
  etcdtap completions fish > ~/.config/fish/completions/etcdtap.fish";

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(name = "etcdtap", version, about = ABOUT, after_help = EXAMPLES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Proxy(Box<proxy::ProxyFlags>),
    Demo(demo::DemoArgs),
    Decode(decode::DecodeArgs),
    Fault(fault::FaultArgs),
    Scenario(scenario::ScenarioArgs),
    Scorecard(scorecard::ScorecardArgs),
    Import(import::ImportArgs),
    Show(Box<show::ShowArgs>),
    Stats(Box<stats::StatsArgs>),
    Export(Box<export::ExportArgs>),
    Replay(Box<replay::ReplayArgs>),
    Playback(playback::PlaybackArgs),
    Completions(Completions),
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
struct Completions {
    /// Which shell
    shell: Shell,
}

/// Parses the arguments and runs the command they name.
pub fn run() -> ExitCode {
    let mut command = Arguments::command();
    let matches = match command.try_get_matches_from_mut(std::env::args_os()) {
        Ok(matches) => matches,
        Err(error) => return refused(&error),
    };
    match dispatch(command, &matches) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("etcdtap: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(mut command: clap::Command, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let arguments = Arguments::from_arg_matches(matches)
        .map_err(|error| Failure::asked(usage::sentence(&error)))?;
    if writes_files(&arguments.command) {
        // Without it that limit ends this program as it ends others.
        let _ = signals::outlive_file_limits();
    }
    match arguments.command {
        Command::Proxy(_) => {
            let (Some(flags), Some(matches)) = (
                command.find_subcommand("proxy"),
                matches.subcommand_matches("proxy"),
            ) else {
                return Err(Failure::asked(
                    "there is no command; --help lists what there is",
                ));
            };
            proxy::run(flags, matches)
        }
        Command::Demo(args) => demo::run(&args),
        Command::Decode(args) => Ok(decode::run(args)),
        Command::Fault(args) => fault::run(args),
        Command::Scenario(args) => scenario::run(args),
        Command::Scorecard(args) => scorecard::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Playback(args) => playback::run(&args),
        Command::Completions(Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "etcdtap", &mut script);
            match io::Write::write_all(&mut io::stdout(), &script) {
                Ok(()) => Ok(ExitCode::SUCCESS),
                // `completions bash | head` is no failure worth a sentence.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
                Err(error) => Err(Failure::failed(format!(
                    "standard output cannot be written: {}",
                    io_reason(&error)
                ))),
            }
        }
    }
}

/// Whether a command writes files, which may come to the limit of a file's size.
fn writes_files(command: &Command) -> bool {
    matches!(
        command,
        Command::Proxy(_) | Command::Demo(_) | Command::Import(_) | Command::Export(_)
    )
}

/// Prints what clap has to say: help and version as they are, all else as one
/// sentence.
fn refused(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`--help | head`) is nothing to complain about.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            eprintln!("etcdtap: {}", usage::sentence(error));
            ExitCode::from(2)
        }
    }
}

/// Prints to standard output. Somebody who stopped reading is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::Write::write_all(&mut io::stdout().lock(), text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(format!(
            "standard output cannot be written: {}",
            io_reason(&error)
        ))),
        _ => Ok(()),
    }
}

/// The environment, as the settings read it.
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
