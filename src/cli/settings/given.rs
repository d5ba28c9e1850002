//! One value as it was given, and where.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::Failure;

/// Where a value was given; every sentence about it begins with this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line, by its long name.
    Flag(String),
    /// An environment variable, by its name.
    Variable(String),
    /// A line of the configuration file.
    File {
        /// The file.
        path: Arc<Path>,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// The key, with its parents: `tls.cert`.
        key: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(f, "--{name}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File {
                path,
                line,
                column,
                key,
            } => write!(f, "{}:{line}:{column}: {key}", path.display()),
        }
    }
}

/// One value as it was given, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The value, unread.
    pub value: OsString,
    /// Where it stood.
    pub origin: Origin,
}

impl Given {
    /// The value as text.
    ///
    /// # Errors
    /// When it is no UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        self.value
            .to_str()
            .ok_or_else(|| self.wrong("the value is no UTF-8 text; write it in UTF-8"))
    }

    /// The value as a path.
    ///
    /// # Errors
    /// When it is empty.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        if self.value.is_empty() {
            return Err(self.wrong("the path is empty; name a file or leave the setting out"));
        }
        Ok(PathBuf::from(&self.value))
    }

    /// The value read by `parse`, which says the rest of the sentence when it
    /// cannot.
    ///
    /// # Errors
    /// When `parse` refuses it.
    pub fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Failure> {
        parse(self.text()?).map_err(|why| self.wrong(&why))
    }

    /// A sentence about this value.
    pub fn wrong(&self, why: &str) -> Failure {
        Failure::asked(format!("{}: {why}", self.origin))
    }
}

/// What one place (the command line, the environment, the file) gave, by the
/// long name of the flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer(BTreeMap<String, Vec<Given>>);

impl Layer {
    /// Adds a value of `flag`.
    pub fn add(&mut self, flag: &str, value: impl Into<OsString>, origin: Origin) {
        let value = value.into();
        self.0
            .entry(flag.to_owned())
            .or_default()
            .push(Given { value, origin });
    }

    /// What this layer gave for `flag`; `None` when it was silent.
    pub fn given(&self, flag: &str) -> Option<&[Given]> {
        self.0.get(flag).map(Vec::as_slice)
    }

    /// Every flag that this layer speaks of, with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Given])> {
        self.0
            .iter()
            .map(|(flag, given)| (flag.as_str(), given.as_slice()))
    }
}

/// All layers, the strongest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers(Vec<Layer>);

impl Layers {
    /// Of these layers, an earlier one wins over a later one.
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Layers {
        Layers(layers.into_iter().collect())
    }

    /// Adds a layer that is weaker than all others.
    pub fn push_weaker(&mut self, layer: Layer) {
        self.0.push(layer);
    }

    /// The values of `flag`, of the strongest layer that speaks of it.
    pub fn all(&self, flag: &str) -> &[Given] {
        self.0
            .iter()
            .find_map(|layer| layer.given(flag))
            .unwrap_or_default()
    }

    /// The value of a `flag` that takes one.
    pub fn one(&self, flag: &str) -> Option<&Given> {
        self.all(flag).last()
    }

    /// The value of `flag` read by `parse`.
    ///
    /// # Errors
    /// When it was given and `parse` refuses it.
    pub fn parse<T>(
        &self,
        flag: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        self.one(flag).map(|given| given.parse(parse)).transpose()
    }

    /// The value of `flag` as a path.
    ///
    /// # Errors
    /// When it was given empty.
    pub fn path(&self, flag: &str) -> Result<Option<PathBuf>, Failure> {
        self.one(flag).map(Given::path).transpose()
    }

    /// Whether the switch `flag` is on.
    ///
    /// # Errors
    /// When it says neither yes nor no.
    pub fn switch(&self, flag: &str) -> Result<bool, Failure> {
        Ok(self.parse(flag, parse_switch)?.unwrap_or(false))
    }
}

/// Reads yes or no.
fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!(
            "\"{text}\" is neither yes nor no; write true or false"
        )),
    }
}

/// For tests and messages: values are shown as the user wrote them.
impl AsRef<OsStr> for Given {
    fn as_ref(&self) -> &OsStr {
        &self.value
    }
}
