//! What a fault does, by flags.

use clap::Args;
use serde_json::{Map, Value, json};

use super::yaml;
use crate::cli::Failure;

const HEADING: &str = "What is done (one of these)";

/// What a fault does.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(super) struct ActionFlags {
    /// Hold the request back: 250ms, or between two times: 100ms..300ms
    #[arg(long, value_name = "WAIT", help_heading = HEADING)]
    delay_request: Option<String>,

    /// Hold the response back; both delays may be given
    #[arg(long, value_name = "WAIT", help_heading = HEADING)]
    delay_response: Option<String>,

    /// Answer with this error of etcd, such as no-leader, or with a gRPC code and --message
    #[arg(long, value_name = "ERROR", help_heading = HEADING)]
    error: Option<String>,

    /// The text of --error UNAVAILABLE and its like
    #[arg(long, value_name = "TEXT", help_heading = HEADING, requires = "error")]
    message: Option<String>,

    /// Let etcd execute the call, and lose its answer
    #[arg(long, help_heading = HEADING)]
    lose_reply: bool,

    /// Answer nothing, and let etcd have nothing
    #[arg(long, help_heading = HEADING)]
    hang: bool,

    /// Reset the stream, with this code if one is named
    #[arg(long, value_name = "CODE", num_args = 0..=1,
          default_missing_value = "", help_heading = HEADING)]
    reset: Option<String>,

    /// When --reset comes: request, head or message [default: request]
    #[arg(long, value_name = "STAGE", help_heading = HEADING, requires = "reset")]
    reset_at: Option<String>,

    /// Give the client all but the trailers
    #[arg(long, help_heading = HEADING)]
    withhold_trailers: bool,

    /// End the response after this much of it (50%, 1KiB), without an error
    #[arg(long, value_name = "AMOUNT", help_heading = HEADING)]
    cut_short: Option<String>,

    /// Let etcd execute the call twice
    #[arg(long, help_heading = HEADING)]
    duplicate: bool,

    /// Let so many calls pass a second
    #[arg(long, value_name = "N", help_heading = HEADING)]
    calls_per_second: Option<String>,

    /// Let responses pass with so many bytes a second
    #[arg(long, value_name = "SIZE", help_heading = HEADING)]
    bytes_per_second: Option<String>,

    /// Strike watches, open ones too: drop_events, stall, cancel, 'stall: {for: 30s}', …
    #[arg(long, value_name = "YAML", help_heading = HEADING)]
    watch: Option<String>,

    /// Do it to connections: refuse, silent, close, reset, goaway, blackhole, or with
    /// settings as YAML: 'half_open: {dead: to_client}'
    #[arg(long, value_name = "YAML", help_heading = HEADING)]
    connection: Option<String>,

    /// Anything that a plan can say, as YAML: 'delay: {each_response_message: 5ms}'
    #[arg(long, value_name = "YAML", help_heading = HEADING)]
    action: Option<String>,
}

impl ActionFlags {
    /// The action as a plan's JSON.
    pub(super) fn action(&self) -> Result<Value, Failure> {
        let mut given = self.given()?;
        let Some((flag, action)) = given.pop() else {
            return Err(Failure::asked(
                "it is not said what is done; write one of --delay-response, --error, \
                 --lose-reply, --hang, --reset and the others that --help lists",
            ));
        };
        match given.first() {
            Some((first, _)) => Err(Failure::asked(format!(
                "{first} and {flag} are two faults; leave one out, or add it under a name of its own"
            ))),
            None => Ok(action),
        }
    }

    /// Every action that was given, with its flag.
    fn given(&self) -> Result<Vec<(&'static str, Value)>, Failure> {
        let mut given = Vec::new();
        if let Some((flag, delay)) = self.delay() {
            given.push((flag, json!({ "delay": delay })));
        }
        if let Some(error) = &self.error {
            let answer = match &self.message {
                Some(message) => json!({ "code": error, "message": message }),
                None => json!(error),
            };
            given.push(("--error", json!({ "error": answer })));
        }
        if let Some(code) = &self.reset {
            let mut reset = Map::new();
            let at = self.reset_at.as_deref().unwrap_or("request");
            reset.insert("at".to_owned(), json!(at));
            if !code.is_empty() {
                reset.insert("code".to_owned(), json!(code));
            }
            given.push(("--reset", json!({ "reset": reset })));
        }
        for (flag, is_given, name) in [
            ("--lose-reply", self.lose_reply, "lose_reply"),
            ("--hang", self.hang, "hang"),
            (
                "--withhold-trailers",
                self.withhold_trailers,
                "withhold_trailers",
            ),
            ("--duplicate", self.duplicate, "duplicate"),
        ] {
            if is_given {
                given.push((flag, json!({ name: {} })));
            }
        }
        if let Some(after) = &self.cut_short {
            given.push(("--cut-short", json!({ "cut_short": { "after": after } })));
        }
        if let Some(text) = &self.calls_per_second {
            let calls = super::spec::number(text, "--calls-per-second", "100 or 0.5")?;
            given.push((
                "--calls-per-second",
                json!({ "rate": { "calls_per_second": calls } }),
            ));
        }
        if let Some(bytes) = &self.bytes_per_second {
            given.push((
                "--bytes-per-second",
                json!({ "rate": { "bytes_per_second": bytes } }),
            ));
        }
        if let Some(text) = &self.watch {
            let watch = yaml::read("--watch", text, "drop_events")?;
            given.push(("--watch", json!({ "watch": watch })));
        }
        if let Some(text) = &self.connection {
            let what = yaml::read("--connection", text, "reset")?;
            given.push(("--connection", json!({ "connection": what })));
        }
        if let Some(text) = &self.action {
            let action = yaml::read("--action", text, "delay: {response: 200ms}")?;
            given.push(("--action", action));
        }
        Ok(given)
    }

    fn delay(&self) -> Option<(&'static str, Value)> {
        let mut delay = Map::new();
        let mut last = None;
        for (flag, key, text) in [
            ("--delay-request", "request", &self.delay_request),
            ("--delay-response", "response", &self.delay_response),
        ] {
            if let Some(text) = text {
                delay.insert(key.to_owned(), wait(text));
                last = Some(flag);
            }
        }
        last.map(|flag| (flag, Value::Object(delay)))
    }
}

/// `250ms`, or `100ms..300ms`.
fn wait(text: &str) -> Value {
    match text.split_once("..") {
        Some((from, to)) => json!({ "uniform": { "from": from, "to": to } }),
        None => json!(text),
    }
}
