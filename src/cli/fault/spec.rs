//! A fault by flags: its name, which calls, when and how often.

use clap::Args;
use serde_json::{Map, Value, json};

use super::action::ActionFlags;
use super::yaml;
use crate::cli::Failure;

const CALLS: &str = "Which calls (all of these must hold; repeat one for any of several)";
const WHEN: &str = "When";

/// A fault by flags.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(super) struct SpecFlags {
    /// The fault's name: lower-case letters, digits and hyphens
    #[arg(value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    action: ActionFlags,

    /// What the request does: get, list, create, update, delete, watch
    #[arg(long, value_name = "VERB", help_heading = CALLS)]
    verb: Vec<String>,

    /// The resource: pods, or with its group deployments.apps
    #[arg(long, value_name = "NAME", help_heading = CALLS)]
    resource: Vec<String>,

    /// The namespace, with * for any letters
    #[arg(long, value_name = "NAME", help_heading = CALLS)]
    namespace: Vec<String>,

    /// The object's name, with * for any letters
    #[arg(long, value_name = "NAME", help_heading = CALLS)]
    object: Vec<String>,

    /// The gRPC method: Range, KV/Range
    #[arg(long, value_name = "NAME", help_heading = CALLS)]
    method: Vec<String>,

    /// Exactly this key of etcd
    #[arg(long, value_name = "KEY", help_heading = CALLS)]
    key: Vec<String>,

    /// Keys that begin with this
    #[arg(long, value_name = "PREFIX", help_heading = CALLS)]
    key_prefix: Vec<String>,

    /// The client's user agent, with * for any letters
    #[arg(long, value_name = "TEXT", help_heading = CALLS)]
    user_agent: Vec<String>,

    /// The client's address: an IP address, a CIDR or IP:PORT
    #[arg(long, value_name = "ADDR", help_heading = CALLS)]
    client: Vec<String>,

    /// Our own address that was called: IP:PORT or :PORT
    #[arg(long, value_name = "ADDR", help_heading = CALLS)]
    listener: Vec<String>,

    /// Those for which this holds, such as 'resource == "pods" && limit > 100'; see docs/filter.md
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true, help_heading = CALLS)]
    when: Option<String>,

    /// Anything that a plan can say, as YAML: '{request_size: {min: 1KiB}}'
    #[arg(long = "match", value_name = "YAML", help_heading = CALLS)]
    matches: Option<String>,

    /// How likely each of these calls is to be struck, such as 0.1 [default: 1]
    #[arg(long, value_name = "P", help_heading = WHEN)]
    probability: Option<String>,

    /// Only the first so many calls
    #[arg(long, value_name = "N", help_heading = WHEN)]
    first: Option<String>,

    /// Only every so manieth call
    #[arg(long, value_name = "N", help_heading = WHEN)]
    every: Option<String>,

    /// Strike at most so many calls
    #[arg(long, value_name = "N", help_heading = WHEN)]
    at_most: Option<String>,

    /// Begin after this time
    #[arg(long, value_name = "DURATION", help_heading = WHEN)]
    start: Option<String>,

    /// Strike for this long
    #[arg(long, value_name = "DURATION", help_heading = WHEN)]
    duration: Option<String>,

    /// Begin again this often; needs a shorter --duration
    #[arg(long, value_name = "DURATION", help_heading = WHEN)]
    repeat: Option<String>,
}

impl SpecFlags {
    /// The fault as JSON. Its values are judged by the proxy.
    pub(super) fn fault(&self) -> Result<Value, Failure> {
        let Some(name) = &self.name else {
            return Err(Failure::asked(
                "the fault has no name; write one, such as slow-lists, or give --file FILE",
            ));
        };
        let mut fault = Map::new();
        fault.insert("name".to_owned(), json!(name));
        fault.insert("action".to_owned(), self.action.action()?);
        let matches = self.matches()?;
        if !matches.is_empty() {
            fault.insert("match".to_owned(), Value::Object(matches));
        }
        if let Some(text) = &self.probability {
            let number = number(text, "--probability", "0.1")?;
            fault.insert("probability".to_owned(), number);
        }
        for (flag, key, text) in [
            ("--first", "first", &self.first),
            ("--every", "every", &self.every),
            ("--at-most", "at_most", &self.at_most),
        ] {
            if let Some(text) = text {
                fault.insert(key.to_owned(), number(text, flag, "3")?);
            }
        }
        for (key, text) in [
            ("start", &self.start),
            ("duration", &self.duration),
            ("repeat", &self.repeat),
        ] {
            if let Some(text) = text {
                fault.insert(key.to_owned(), json!(text));
            }
        }
        Ok(Value::Object(fault))
    }

    fn matches(&self) -> Result<Map<String, Value>, Failure> {
        let mut matches = match &self.matches {
            None => Map::new(),
            Some(text) => match yaml::read("--match", text, "{verb: list, resource: pods}")? {
                Value::Object(matches) => matches,
                _ => {
                    return Err(Failure::asked(format!(
                        "--match: \"{text}\" has no keys; write it such as --match '{{verb: list, resource: pods}}'"
                    )));
                }
            },
        };
        for (flag, key, values) in [
            ("--verb", "verb", &self.verb),
            ("--resource", "resource", &self.resource),
            ("--namespace", "namespace", &self.namespace),
            ("--object", "name", &self.object),
            ("--method", "method", &self.method),
            ("--key", "key", &self.key),
            ("--key-prefix", "key_prefix", &self.key_prefix),
            ("--user-agent", "user_agent", &self.user_agent),
            ("--client", "client", &self.client),
            ("--listener", "listener", &self.listener),
        ] {
            if values.is_empty() {
                continue;
            }
            // One by itself, so that what is said about it names no place in a list.
            let values = match values.as_slice() {
                [one] => json!(one),
                many => json!(many),
            };
            if matches.insert(key.to_owned(), values).is_some() {
                return Err(Failure::asked(format!(
                    "{flag}: --match says {key} already; leave one of them out"
                )));
            }
        }
        if let Some(when) = &self.when
            && matches.insert("when".to_owned(), json!(when)).is_some()
        {
            return Err(Failure::asked(
                "--when: --match says when already; leave one of them out",
            ));
        }
        Ok(matches)
    }
}

/// Reads a number, whole or not.
pub(super) fn number(text: &str, flag: &str, example: &str) -> Result<Value, Failure> {
    match serde_json::from_str(text) {
        Ok(number @ Value::Number(_)) => Ok(number),
        _ => Err(Failure::asked(format!(
            "{flag}: \"{text}\" is no number; write one such as {example}"
        ))),
    }
}
