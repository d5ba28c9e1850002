//! Walking over a plan's tree: each step knows its path, and says what is wrong
//! with a node without stopping at it.

use super::error::{Place, PlanError};
use super::node::{Key, Node, Value};
use super::scalar::{AnyOf, Size, Span};
use crate::notation::{nearest, parse_duration, parse_size};

/// What has been found wrong so far.
#[derive(Debug)]
pub(crate) struct Findings {
    file: Box<str>,
    found: Vec<PlanError>,
}

impl Findings {
    pub fn new(file: &str) -> Findings {
        Findings {
            file: file.into(),
            found: Vec::new(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// All of them in the order of the text.
    pub fn into_errors(mut self) -> Vec<PlanError> {
        let place = |error: &PlanError| error.place.map(|at| (at.line, at.column));
        self.found.sort_by_key(place);
        self.found
    }

    /// Notes what is wrong at a place.
    pub fn add(&mut self, place: Option<Place>, path: &str, what: String, hint: Option<String>) {
        self.found.push(PlanError {
            file: self.file.clone(),
            place,
            path: path.into(),
            what: what.into(),
            hint: hint.map(Into::into),
        });
    }
}

/// A node on the way, with its path from the top.
#[derive(Debug, Clone)]
pub(crate) struct Field<'n> {
    pub node: &'n Node,
    pub path: String,
}

impl<'n> Field<'n> {
    /// The whole.
    pub fn top(node: &'n Node) -> Field<'n> {
        Field {
            node,
            path: String::new(),
        }
    }

    /// Notes what is wrong here.
    pub fn refuse(&self, findings: &mut Findings, what: impl Into<String>, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        findings.add(self.node.place, &self.path, what.into(), hint);
    }

    /// Notes that no `kind` (`verb`) has the name `text`; names the nearest of
    /// those that there are, or all of them.
    pub fn refuse_name<'a>(
        &self,
        findings: &mut Findings,
        kind: &str,
        text: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(text, known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("there are {}", known.join(", ")),
        };
        self.refuse(findings, format!("there is no {kind} \"{text}\""), &hint);
    }

    /// Notes that something else should stand here.
    pub fn refuse_kind(&self, findings: &mut Findings, wanted: &str) {
        let (given, hint) = match &self.node.value {
            Value::Null => {
                return self.refuse(
                    findings,
                    "the value is missing",
                    &format!("write {wanted}, or leave the key out"),
                );
            }
            Value::Bool(value) => (format!("{value}"), wanted.contains("text")),
            Value::Whole(value) => (format!("the number {value}"), wanted.contains("text")),
            Value::Number(value) => (format!("the number {value}"), wanted.contains("text")),
            Value::Text(text) => (format!("\"{text}\""), false),
            Value::List(_) => ("a list".to_owned(), false),
            Value::Map(_) => ("keys with values".to_owned(), false),
        };
        let hint = if hint { "put it in quotes" } else { "" };
        self.refuse(
            findings,
            format!("here should stand {wanted}, not {given}"),
            hint,
        );
    }

    /// A text.
    pub fn text(&self, findings: &mut Findings) -> Option<&'n str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => {
                self.refuse_kind(findings, "a text");
                None
            }
        }
    }

    /// A text that `read` makes something of; its error is the rest of a
    /// sentence that begins with the text.
    pub fn text_as<T>(
        &self,
        findings: &mut Findings,
        hint: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(findings)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(findings, format!("\"{text}\" {why}"), hint);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, findings: &mut Findings) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.refuse_kind(findings, "true or false");
                None
            }
        }
    }

    /// Any number.
    pub fn number(&self, findings: &mut Findings) -> Option<f64> {
        match self.node.value {
            Value::Whole(value) => Some(value as f64),
            Value::Number(value) => Some(value),
            _ => {
                self.refuse_kind(findings, "a number");
                None
            }
        }
    }

    /// A whole number that is not negative.
    pub fn whole(&self, findings: &mut Findings) -> Option<u64> {
        match self.node.value {
            Value::Whole(value) => Some(value),
            _ => {
                self.refuse_kind(findings, "a whole number that is not negative");
                None
            }
        }
    }

    /// A length of time.
    pub fn span(&self, findings: &mut Findings) -> Option<Span> {
        match &self.node.value {
            Value::Text(text) => match parse_duration(text) {
                Ok(duration) => Some(Span(duration)),
                Err(why) => {
                    self.refuse(findings, why, "");
                    None
                }
            },
            Value::Whole(number) => {
                self.refuse(
                    findings,
                    format!("{number} is a number without a unit"),
                    "write a duration such as 250us, 100ms, 5s or 1m30s",
                );
                None
            }
            _ => {
                self.refuse_kind(findings, "a duration such as 100ms or 5s");
                None
            }
        }
    }

    /// A number of bytes.
    pub fn size(&self, findings: &mut Findings) -> Option<Size> {
        match &self.node.value {
            Value::Whole(bytes) => Some(Size(*bytes)),
            Value::Text(text) => match parse_size(text) {
                Ok(bytes) => Some(Size(bytes as u64)),
                Err(why) => {
                    self.refuse(findings, why, "");
                    None
                }
            },
            _ => {
                self.refuse_kind(findings, "a number of bytes such as 65536 or 64KiB");
                None
            }
        }
    }

    /// One of several words.
    pub fn word<T: Copy>(
        &self,
        findings: &mut Findings,
        kind: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(findings)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            self.refuse_name(findings, kind, text, words.iter().map(|(word, _)| *word));
        }
        found.map(|(_, value)| *value)
    }

    /// Keys with values, none of which is unknown.
    pub fn map(&self, findings: &mut Findings, known: &[&'static str]) -> Option<Fields<'n>> {
        let Value::Map(entries) = &self.node.value else {
            self.refuse_kind(findings, "keys with values");
            return None;
        };
        let mut slipped = false;
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) {
                slipped = true;
                let hint = match (nearest(&key.text, known.iter().copied()), known) {
                    (Some(meant), _) => format!("did you mean \"{meant}\"?"),
                    (None, []) => "it has no settings; write {}".to_owned(),
                    (None, known) => format!("the keys are {}", known.join(", ")),
                };
                let what = format!("there is no key \"{}\" here", key.text);
                findings.add(key.place, &self.path, what, Some(hint));
            }
        }
        Some(Fields {
            whole: self.clone(),
            entries,
            slipped,
        })
    }

    /// The elements of a list.
    pub fn list(&self, findings: &mut Findings) -> Option<Vec<Field<'n>>> {
        match &self.node.value {
            Value::List(nodes) => Some(self.elements(nodes)),
            _ => {
                self.refuse_kind(findings, "a list");
                None
            }
        }
    }

    /// The values of a term: one, or a list of them.
    pub fn values(&self) -> Vec<Field<'n>> {
        match &self.node.value {
            Value::List(nodes) => self.elements(nodes),
            _ => vec![self.clone()],
        }
    }

    /// Reads one value, or a list of them, each by `read`.
    pub fn any_of<T>(
        &self,
        findings: &mut Findings,
        mut read: impl FnMut(&Field<'n>, &mut Findings) -> Option<T>,
    ) -> AnyOf<T> {
        if matches!(&self.node.value, Value::List(nodes) if nodes.is_empty()) {
            self.refuse(
                findings,
                "an empty list fits no call",
                "name what is meant, or leave the key out",
            );
        }
        let values = self.values();
        AnyOf::new(
            values
                .iter()
                .filter_map(|field| read(field, findings))
                .collect(),
        )
    }

    fn elements(&self, nodes: &'n [Node]) -> Vec<Field<'n>> {
        nodes
            .iter()
            .enumerate()
            .map(|(at, node)| Field {
                node,
                path: format!("{}[{at}]", self.path),
            })
            .collect()
    }
}

/// A map on the way.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'n> {
    pub whole: Field<'n>,
    entries: &'n [(Key, Node)],
    /// Whether it has an unknown key, which may be the one that is missing.
    slipped: bool,
}

impl<'n> Fields<'n> {
    /// The value of a key, if it is there.
    pub fn get(&self, name: &str) -> Option<Field<'n>> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.text == name)?;
        let path = match self.whole.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        Some(Field { node, path })
    }

    /// The keys that are there, in the order of the text.
    pub fn names(&self) -> impl Iterator<Item = &'n str> + use<'n> {
        self.entries.iter().map(|(key, _)| key.text.as_str())
    }

    /// The value of a key that has to be there.
    pub fn need(&self, name: &str, findings: &mut Findings, hint: &str) -> Option<Field<'n>> {
        let field = self.get(name);
        if field.is_none() && !self.slipped {
            let what = format!("there is no \"{name}\" here");
            self.whole.refuse(findings, what, hint);
        }
        field
    }

    /// The keys of `names` that are there, in the order of the text.
    pub fn given(&self, names: &[&str]) -> Vec<Field<'n>> {
        self.entries
            .iter()
            .filter(|(key, _)| names.contains(&key.text.as_str()))
            .filter_map(|(key, _)| self.get(&key.text))
            .collect()
    }

    /// The one key of `names` that is there, with its name; notes if there are
    /// none or several.
    pub fn one_of(
        &self,
        names: &[&'static str],
        findings: &mut Findings,
    ) -> Option<(&'static str, Field<'n>)> {
        let mut given = self
            .entries
            .iter()
            .filter_map(|(key, _)| names.iter().find(|name| **name == key.text));
        let Some(first) = given.next() else {
            if !self.slipped {
                let hint = format!("write one of {}", names.join(", "));
                self.whole.refuse(findings, "this says nothing", &hint);
            }
            return None;
        };
        if let Some(second) = given.next()
            && let Some(field) = self.get(second)
        {
            let what = format!("\"{first}\" and \"{second}\" cannot stand together");
            field.refuse(findings, what, "keep one of them");
        }
        self.get(first).map(|field| (*first, field))
    }
}
