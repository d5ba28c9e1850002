//! Which lines are asked for: the flags, and what the index can make of them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::moment::{self, Moment};
use super::refused;
use crate::cli::Failure;
use crate::filter::{self, Literal, Name};
use crate::notation::parse_duration;
use crate::record::reader::{AnyOf, Asked as Fact, Query, Recordings, Wants};
use crate::record::recall::Recalled;
use crate::record::schema::Channels;
use crate::trace::{Anchor, Filter};

const WHEN: &str = "Time";
const FILTERS: &str =
    "Filters (a line is shown if it passes all of them; repeat one for any of several)";

/// The flags that say which recording, and which of its lines.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct LookFlags {
    /// The recording: a file, a folder of them, or several, which are read in that order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// From this time on: 2026-11-03T08:05:32Z, 08:05, or -10m (before the recording's end)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = WHEN)]
    from: Option<String>,

    /// Up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = WHEN)]
    to: Option<String>,

    #[command(flatten)]
    which: WhichFlags,
}

/// The flags that say which of its lines.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct WhichFlags {
    /// Only lines about this key
    #[arg(long, value_name = "KEY", help_heading = FILTERS)]
    key: Vec<String>,

    /// Only that for which this holds, such as 'resource == "pods" && duration > 100ms'; see docs/filter.md
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true, help_heading = FILTERS)]
    filter: Option<String>,

    /// Only this gRPC method, such as Range or KV/Range
    #[arg(long, value_name = "NAME", help_heading = FILTERS)]
    method: Vec<Box<str>>,

    /// Only this operation, such as get, list, create, update, watch
    #[arg(long, value_name = "VERB", help_heading = FILTERS)]
    verb: Vec<Box<str>>,

    /// Only this resource, such as pods or deployments.apps
    #[arg(long, value_name = "NAME", help_heading = FILTERS)]
    resource: Vec<Box<str>>,

    /// Only this namespace
    #[arg(long, value_name = "NAME", help_heading = FILTERS)]
    namespace: Vec<Box<str>>,

    /// Only keys that begin with this
    #[arg(long, value_name = "PREFIX", help_heading = FILTERS)]
    key_prefix: Vec<String>,

    /// Only calls that take at least this long
    #[arg(long, value_name = "DURATION", help_heading = FILTERS)]
    min_duration: Option<String>,

    /// Only what failed
    #[arg(long, help_heading = FILTERS)]
    errors_only: bool,
}

/// Which lines of which recording.
#[derive(Debug)]
pub(in crate::cli) struct Asked {
    pub recordings: Recordings,
    pub query: Query,
    filter: Filter,
    keys: Vec<Box<[u8]>>,
}

impl LookFlags {
    /// All of a recording.
    pub fn of(file: &std::path::Path) -> LookFlags {
        LookFlags {
            files: vec![file.to_owned()],
            ..LookFlags::default()
        }
    }

    /// Opens the recording and reads the flags.
    pub fn asked(&self) -> Result<Asked, Failure> {
        self.which.asked(
            &self.files,
            ("--from", self.from.as_deref()),
            ("--to", self.to.as_deref()),
        )
    }
}

impl WhichFlags {
    /// Opens the recording and reads the flags, with those for the time by the
    /// names that a command has for them.
    pub fn asked(
        &self,
        files: &[PathBuf],
        from: (&str, Option<&str>),
        to: (&str, Option<&str>),
    ) -> Result<Asked, Failure> {
        let expression = match &self.filter {
            Some(text) => Some(
                text.parse::<filter::Filter>()
                    .map_err(|mistake| Failure::asked(format!("--filter: {}", mistake.drawn())))?,
            ),
            None => None,
        };
        let filter = Filter {
            methods: self.method.clone(),
            verbs: self.verb.clone(),
            resources: self.resource.clone(),
            namespaces: self.namespace.clone(),
            key_prefixes: (self.key_prefix.iter())
                .map(|prefix| prefix.as_bytes().into())
                .collect(),
            min_duration: self.min_duration()?,
            errors_only: self.errors_only,
            expression,
        };
        let (from_flag, to_flag) = (from.0, to.0);
        let from = moment(from_flag, from.1)?;
        let to = moment(to_flag, to.1)?;
        let keys: Vec<Box<[u8]>> = self.key.iter().map(|key| key.as_bytes().into()).collect();
        let recordings = Recordings::open(files).map_err(|refusal| refused(&refusal))?;
        let mut query = query(&filter, &keys);
        if from.is_some() || to.is_some() {
            let relative = [from, to].into_iter().flatten().any(Moment::is_relative);
            let span = match relative {
                true => recordings.span().map_err(|refusal| refused(&refusal))?,
                false => None,
            };
            // What holds nothing has no time that is any better.
            let span = span.unwrap_or_default();
            let bound = |moment: Option<Moment>| moment.map(|moment| moment.within(span));
            query.from = bound(from).max(query.from);
            query.to = match (bound(to), query.to) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            if let (Some(from), Some(to)) = (query.from, query.to)
                && to < from
            {
                return Err(Failure::asked(format!(
                    "{to_flag} is before {from_flag}; write the later time as {to_flag}"
                )));
            }
        }
        Ok(Asked {
            recordings,
            query,
            filter,
            keys,
        })
    }

    fn min_duration(&self) -> Result<Option<Duration>, Failure> {
        let parsed = self.min_duration.as_deref().map(parse_duration).transpose();
        parsed.map_err(|why| Failure::asked(format!("--min-duration: {why}")))
    }
}

fn moment(flag: &str, text: Option<&str>) -> Result<Option<Moment>, Failure> {
    let parsed = text.map(moment::parse).transpose();
    parsed.map_err(|why| Failure::asked(format!("{flag}: {why}")))
}

impl Asked {
    /// Whether every line does, at any time.
    pub fn is_all(&self) -> bool {
        self.filter.is_empty()
            && self.keys.is_empty()
            && self.query.from.is_none()
            && self.query.to.is_none()
    }

    /// Whether a line passes.
    pub fn passes(&self, line: &Recalled<'_>, anchor: Anchor) -> bool {
        let is_key = || {
            let key = match line {
                Recalled::Call { operation, .. } | Recalled::Watch { operation, .. } => {
                    operation.key
                }
                _ => None,
            };
            key.is_some_and(|key| self.keys.iter().any(|wanted| **wanted == *key))
        };
        (self.keys.is_empty() || is_key()) && line.passes(&self.filter, anchor)
    }
}

/// What the index can make of it.
fn query(filter: &Filter, keys: &[Box<[u8]>]) -> Query {
    let mut query = Query::all(Wants::LINES);
    let mut all_of = |facts: Vec<Fact>| {
        if !facts.is_empty() {
            query.terms.push(AnyOf(facts));
        }
    };
    all_of(keys.iter().cloned().map(Fact::Key).collect());
    all_of(
        filter
            .namespaces
            .iter()
            .cloned()
            .map(Fact::Namespace)
            .collect(),
    );
    all_of(
        filter
            .resources
            .iter()
            .flat_map(|resource| {
                // With its group or without.
                let alone = resource.split('.').next().unwrap_or(resource);
                [resource.clone(), alone.into()]
            })
            .map(Fact::Resource)
            .collect(),
    );
    let methods: Option<Vec<Vec<Fact>>> =
        filter.methods.iter().map(|method| known(method)).collect();
    all_of(methods.unwrap_or_default().concat());
    let Some(expression) = &filter.expression else {
        return query;
    };
    let terms = expression.requires();
    for (name, fact) in [
        (Name::Key, Fact::Key as fn(Box<[u8]>) -> Fact),
        (Name::Resource, |text| Fact::Resource(as_text(&text))),
        (Name::Namespace, |text| Fact::Namespace(as_text(&text))),
        (Name::ObjectName, |text| Fact::Name(as_text(&text))),
        (Name::Method, |text| Fact::Method(as_text(&text))),
    ] {
        let values = terms.values(name).unwrap_or_default();
        let facts = values.iter().filter_map(|value| match value {
            Literal::Text(text) => Some(fact(text.clone())),
            Literal::Number(_) => None,
        });
        all_of(facts.collect());
    }
    let revisions = terms.values(Name::Revision).unwrap_or_default();
    let revisions = revisions.iter().filter_map(|value| match value {
        Literal::Number(revision) => Some(*revision),
        Literal::Text(_) => None,
    });
    let (least, most) = (revisions.clone().min(), revisions.max());
    query.revisions = least.zip(most).map(|(least, most)| least..=most);
    let time = |at: Option<i64>| at.and_then(|at| u64::try_from(at).ok());
    query.from = time(terms.from);
    query.to = time(terms.until);
    query
}

fn as_text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

/// The methods that a filter means, if it means one of etcd's: the index tells
/// great letters from small ones, the filter does not.
fn known(wanted: &str) -> Option<Vec<Fact>> {
    let method = wanted.rsplit('/').next().unwrap_or(wanted);
    let channels = Channels::all().iter();
    let names = channels.filter_map(|channel| channel.method.as_ref());
    let mut facts: Vec<Fact> = names
        .filter(|known| known.method.eq_ignore_ascii_case(method))
        .map(|known| Fact::Method(known.method.clone()))
        .collect();
    facts.dedup();
    (!facts.is_empty()).then_some(facts)
}
