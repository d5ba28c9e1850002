//! A fault as the words of a command, for whoever shows both.

use clap::{Args, Command, FromArgMatches};

use super::add::AddArgs;
use crate::cli::{Failure, usage};
use crate::fault::plan::FaultSpec;

/// A fault, and the command that adds it to a running proxy.
#[derive(Debug)]
pub(in crate::cli) struct CommandedFault {
    words: Vec<Box<str>>,
    /// What the command asks for.
    pub spec: FaultSpec,
}

impl CommandedFault {
    /// Reads what stands behind `etcdtap fault add`.
    ///
    /// # Errors
    /// As of that command.
    pub fn of(words: &[&str]) -> Result<CommandedFault, Failure> {
        let matches = AddArgs::augment_args(Command::new("add").no_binary_name(true))
            .try_get_matches_from(words)
            .and_then(|matches| AddArgs::from_arg_matches(&matches));
        let args = matches.map_err(|error| Failure::asked(usage::sentence(&error)))?;
        let fault = args.spec.fault()?;
        let spec = FaultSpec::from_json(&fault.to_string())
            .map_err(|errors| Failure::asked(errors.to_string()))?;
        Ok(CommandedFault {
            words: words.iter().map(|word| (*word).into()).collect(),
            spec,
        })
    }

    /// `etcdtap fault add …`, as a shell reads it.
    pub fn command(&self) -> String {
        let plain = |word: &str| {
            word.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=".contains(&byte))
        };
        let mut command = "etcdtap fault add".to_owned();
        for word in &self.words {
            command.push(' ');
            match plain(word) {
                true => command.push_str(word),
                false => command.push_str(&format!("'{}'", word.replace('\'', r"'\''"))),
            }
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_what_a_shell_reads() {
        let words = [
            "lost",
            "--watch",
            "drop_events",
            "--match",
            "{event: delete}",
        ];
        let fault = CommandedFault::of(&words).unwrap();
        assert_eq!(&*fault.spec.name, "lost");
        assert_eq!(
            fault.command(),
            "etcdtap fault add lost --watch drop_events --match '{event: delete}'"
        );
        assert!(CommandedFault::of(&["lost", "--watch", "nothing"]).is_err());
    }
}
