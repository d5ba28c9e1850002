//! Where the demonstration speaks beside the log.

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::sleep;

use crate::cli::call_log::Format;
use crate::trace::Colour;

/// How long a line of the log may wait before it is written: an event that comes
/// before the answer to its write waits for that.
const LOG_WRITTEN_WITHIN: Duration = Duration::from_millis(80);

/// Where the demonstration speaks beside the log.
#[derive(Debug)]
pub(super) struct Stage {
    pub format: Format,
    pub colour: Colour,
}

impl Stage {
    /// The title of a chapter, when the lines of the last one are written.
    pub async fn title(&self, title: &str) {
        sleep(LOG_WRITTEN_WITHIN).await;
        let style = anstyle::Style::new().bold();
        self.say(&format!("\n{}", self.styled(style, title)));
    }

    /// A command that somebody could give.
    pub fn command(&self, command: &str) {
        let style = anstyle::Style::new().dimmed();
        self.say(&self.styled(style, &format!("  $ {command}")));
    }

    /// What was found, when the lines that show it are written.
    pub async fn finding(&self, text: &str) {
        sleep(LOG_WRITTEN_WITHIN).await;
        self.say(text);
    }

    /// A line. Beside JSON it goes to standard error, which a pipe does not
    /// take. A closed output is no reason to stop: etcd has to be ended.
    pub fn say(&self, line: &str) {
        let _ = match self.format {
            Format::Json => writeln!(io::stderr(), "{line}"),
            Format::Pretty | Format::Off => writeln!(io::stdout(), "{line}"),
        };
    }

    fn styled(&self, style: anstyle::Style, text: &str) -> String {
        match self.colour {
            Colour::Always => format!("{style}{text}{style:#}"),
            Colour::Never => text.to_owned(),
        }
    }
}
