//! The command line as a whole: its help, its completions, its refusals.

use clap::{CommandFactory, Parser};
use clap_complete::Shell;

use super::{Arguments, usage};

const COMMANDS: [&str; 12] = [
    "proxy",
    "demo",
    "decode",
    "fault",
    "scenario",
    "scorecard",
    "import",
    "export",
    "replay",
    "show",
    "stats",
    "completions",
];

fn sentence(line: &[&str]) -> String {
    let line = std::iter::once(&"etcdtap").chain(line);
    usage::sentence(&Arguments::try_parse_from(line).unwrap_err())
}

#[test]
fn claps_own_checks_pass() {
    Arguments::command().debug_assert();
}

#[test]
fn every_help_has_an_example() {
    for name in COMMANDS {
        let mut command = Arguments::command();
        let help = command.find_subcommand_mut(name).unwrap();
        let help = help.render_long_help().to_string();
        assert!(
            help.contains("Examples:") || help.contains("For example:"),
            "{help}"
        );
        assert!(help.contains(&format!("etcdtap {name}")), "{help}");
    }
    let whole = Arguments::command().render_long_help().to_string();
    for name in &COMMANDS[..11] {
        assert!(whole.contains(&format!("etcdtap {name}")), "{whole}");
    }
}

#[test]
fn every_flag_of_the_scorecard_is_documented() {
    documented("scorecard", include_str!("../../docs/scorecard.md"));
}

#[test]
fn every_flag_of_replay_is_documented() {
    documented("replay", include_str!("../../docs/replay.md"));
}

#[test]
fn every_flag_of_import_is_documented() {
    documented("import", include_str!("../../docs/import.md"));
}

#[test]
fn every_flag_of_playback_is_documented() {
    documented("playback", include_str!("../../docs/playback.md"));
}

fn documented(name: &str, page: &str) {
    let mut command = Arguments::command();
    let command = command.find_subcommand_mut(name).unwrap();
    for flag in command.get_arguments().filter_map(|one| one.get_long()) {
        assert!(page.contains(&format!("--{flag}")), "--{flag}");
    }
}

#[test]
fn every_flag_for_looking_is_documented() {
    let page = include_str!("../../docs/looking.md");
    let mut command = Arguments::command();
    for name in ["show", "stats"] {
        let command = command.find_subcommand_mut(name).unwrap();
        for flag in command.get_arguments().filter_map(|one| one.get_long()) {
            assert!(page.contains(&format!("--{flag}")), "--{flag}");
        }
    }
}

#[test]
fn every_command_about_faults_has_an_example() {
    let mut command = Arguments::command();
    for (group, least) in [("fault", 7), ("scenario", 4)] {
        let fault = command.find_subcommand_mut(group).unwrap();
        let names: Vec<String> = fault
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect();
        assert!(names.len() >= least, "{names:?}");
        for name in names {
            let help = fault.find_subcommand_mut(&name).unwrap();
            let help = help.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{help}");
            assert!(help.contains(&format!("etcdtap {group} {name}")), "{help}");
        }
    }
}

#[test]
fn completions_know_the_flags() {
    for shell in [
        Shell::Bash,
        Shell::Elvish,
        Shell::Fish,
        Shell::PowerShell,
        Shell::Zsh,
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "etcdtap", &mut script);
        let script = String::from_utf8(script).unwrap();
        for word in ["upstream-server-name", "demo", "decode", "delay-response"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn a_wrong_line_is_one_sentence() {
    for (line, expected) in [
        (
            &["prox"][..],
            "there is no command \"prox\"; did you mean proxy?",
        ),
        (
            &["proxy", "--lisen", "a"],
            "there is no flag --lisen; did you mean --listen?",
        ),
        (
            &["proxy", "--zzzz"],
            "there is no flag --zzzz; --help lists what there is",
        ),
        (
            &["proxy", "--drain", "5s", "--drain", "6s"],
            "--drain is given twice; give it once",
        ),
        (&["proxy", "--drain"], "--drain: the value is missing"),
        (
            &["demo", "x"],
            "\"x\" is one argument too many; --help shows the usage",
        ),
        (
            &["completions", "fush"],
            "SHELL: \"fush\" is not known; write one of bash, elvish, fish, powershell, zsh",
        ),
        (&["completions"], "SHELL is missing; --help shows the usage"),
        (
            &["fault", "remove"],
            "NAME is missing; --help shows the usage",
        ),
        (
            &["fault", "add", "a", "--message", "b"],
            "--error is missing; --help shows the usage",
        ),
        (
            &["decode", "--hex", "--base64"],
            "--hex and --base64 exclude each other; leave one out",
        ),
        (
            &["demo", "--keep=5"],
            "--keep takes no value; leave \"5\" out",
        ),
    ] {
        assert_eq!(sentence(line), expected);
    }
}
