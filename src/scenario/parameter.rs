//! What of a scenario may be set.

use std::fmt;

use crate::fault::plan::tree::{Field, Findings, Node, Value};

/// Something of a scenario that may be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name: lower-case letters, digits and underscores.
    pub name: Box<str>,
    /// What its values are.
    pub kind: Kind,
    /// What it is for.
    pub about: Box<str>,
    /// What it is when nobody sets it.
    pub(super) default: Default,
    /// A value for whoever has to give one; only where there is no default.
    pub(super) example: Option<Setting>,
}

/// What a parameter is when nobody sets it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Default {
    /// There is none: it has to be set.
    Needed,
    /// Nothing: the key whose value it is, is left out.
    Nothing,
    /// A value.
    Value(Setting),
}

/// What a parameter's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Texts; on the command line with commas between them.
    List,
    /// A length of time: `100ms`, `5s`.
    Duration,
    /// A number of bytes: `64KiB`.
    Size,
    /// Any number.
    Number,
    /// A whole number that is not negative.
    Whole,
    /// `true` or `false`.
    Flag,
}

impl Kind {
    /// Every kind with its word.
    pub(super) const WORDS: [(&'static str, Kind); 7] = [
        ("text", Kind::Text),
        ("list", Kind::List),
        ("duration", Kind::Duration),
        ("size", Kind::Size),
        ("number", Kind::Number),
        ("whole", Kind::Whole),
        ("flag", Kind::Flag),
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Kind::WORDS.iter();
        let word = words.find(|(_, kind)| kind == self);
        f.pad(word.map_or("", |(word, _)| word))
    }
}

impl Parameter {
    /// What it is when nobody sets it, as it may be given again; `None` if it
    /// has to be set, an empty text if it is nothing.
    pub fn default(&self) -> Option<String> {
        match &self.default {
            Default::Needed => None,
            Default::Nothing => Some(String::new()),
            Default::Value(setting) => Some(setting.to_string()),
        }
    }

    /// A value for whoever has to give one.
    pub fn example(&self) -> Option<String> {
        self.example.as_ref().map(Setting::to_string)
    }

    /// Whether it may be nothing, so that the key it stands at is left out.
    pub fn may_be_nothing(&self) -> bool {
        self.default == Default::Nothing
    }

    /// Reads a value that was given as a text. `None` is nothing.
    pub(super) fn read(&self, text: &str, findings: &mut Findings) -> Option<Option<Setting>> {
        if text.is_empty() && self.may_be_nothing() {
            return Some(None);
        }
        let node = Node {
            place: None,
            value: self.kind.spelled(text),
        };
        let field = Field {
            node: &node,
            path: self.name.to_string(),
        };
        Setting::read(self.kind, &field, findings).map(Some)
    }
}

impl Kind {
    /// A text of the command line, as it would stand in YAML.
    fn spelled(self, text: &str) -> Value {
        let plain = || Value::Text(text.to_owned());
        match self {
            Kind::Text | Kind::Duration => plain(),
            Kind::List => Value::List(
                text.split(',')
                    .map(|part| Node {
                        place: None,
                        value: Value::Text(part.trim().to_owned()),
                    })
                    .collect(),
            ),
            Kind::Size => text.parse().map_or_else(|_| plain(), Value::Whole),
            Kind::Number | Kind::Whole => match (text.parse(), text.parse()) {
                (Ok(whole), _) => Value::Whole(whole),
                (_, Ok(number)) if f64::is_finite(number) => Value::Number(number),
                _ => plain(),
            },
            Kind::Flag => text.parse().map_or_else(|_| plain(), Value::Bool),
        }
    }
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setting {
    /// One value, ready to stand in a tree.
    One(Value),
    /// A list of texts.
    List(Vec<String>),
}

impl Setting {
    /// Reads a value of a kind.
    pub fn read(kind: Kind, field: &Field<'_>, findings: &mut Findings) -> Option<Setting> {
        Some(Setting::One(match kind {
            Kind::Text => Value::Text(field.text(findings)?.to_owned()),
            Kind::Duration => Value::Text(field.span(findings)?.to_string()),
            Kind::Size => Value::Text(field.size(findings)?.to_string()),
            Kind::Number => {
                field.number(findings)?;
                field.node.value.clone()
            }
            Kind::Whole => Value::Whole(field.whole(findings)?),
            Kind::Flag => Value::Bool(field.flag(findings)?),
            Kind::List => {
                let values = field.values();
                let texts: Option<Vec<String>> = values
                    .iter()
                    .map(|one| one.text(findings).map(str::to_owned))
                    .collect();
                let texts = texts?;
                if texts.is_empty() || texts.iter().any(String::is_empty) {
                    field.refuse(findings, "a text of the list is empty", "write one or more");
                    return None;
                }
                return Some(Setting::List(texts));
            }
        }))
    }

    /// What kind a default is of, if it does not say so itself.
    pub fn kind_of(value: &Value) -> Kind {
        match value {
            Value::Bool(_) => Kind::Flag,
            Value::Whole(_) => Kind::Whole,
            Value::Number(_) => Kind::Number,
            Value::List(_) => Kind::List,
            Value::Text(_) | Value::Null | Value::Map(_) => Kind::Text,
        }
    }
}

impl fmt::Display for Setting {
    /// As it may be given on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::List(texts) => f.write_str(&texts.join(",")),
            Setting::One(Value::Text(text)) => f.write_str(text),
            Setting::One(Value::Whole(number)) => number.fmt(f),
            Setting::One(Value::Number(number)) => number.fmt(f),
            Setting::One(Value::Bool(flag)) => flag.fmt(f),
            // `read` makes no others.
            Setting::One(Value::Null | Value::List(_) | Value::Map(_)) => Ok(()),
        }
    }
}
