//! Our own statement of how Kubernetes writes its kinds as protobuf: field
//! numbers, the names the API shows, and when Go leaves a field out.
//!
//! The facts are those of the API from 1.20 to 1.35, fields given up in
//! between included. They stand in `*.fields`, one file an API group:
//!
//! ```text
//! = batch/v1beta1 < batch/v1        a version; it shares what it does not restate
//! kinds CronJob                     those of its messages that are stored
//!
//! CronJobSpec                       a message
//!  1 schedule! string               number, name, type
//!  2 startingDeadlineSeconds? int64
//!  9 ~ Inner                        shown as if its fields were the outer's
//! ```
//!
//! `!` is always shown, whatever its value. `?` may be absent in Go, so that a
//! zero that is there means something; without it Go writes every scalar and
//! shows none that is zero. `[]T` is a list, `{}T` a map from text. A type is
//! looked for in its own version, in those that it shares with, in `v1` and in
//! `meta/v1`; `group/version.Type` names another place.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// Every file of the statement.
const FILES: &[&str] = &[
    include_str!("meta.fields"),
    include_str!("core.fields"),
    include_str!("admissionregistration.fields"),
    include_str!("apiextensions.fields"),
    include_str!("apiregistration.fields"),
    include_str!("apiserverinternal.fields"),
    include_str!("apps.fields"),
    include_str!("autoscaling.fields"),
    include_str!("batch.fields"),
    include_str!("certificates.fields"),
    include_str!("coordination.fields"),
    include_str!("discovery.fields"),
    include_str!("events.fields"),
    include_str!("flowcontrol.fields"),
    include_str!("networking.fields"),
    include_str!("node.fields"),
    include_str!("policy.fields"),
    include_str!("rbac.fields"),
    include_str!("resource.fields"),
    include_str!("scheduling.fields"),
    include_str!("storage.fields"),
    include_str!("storagemigration.fields"),
];

/// The stated messages.
#[derive(Debug)]
pub struct Schema {
    messages: Vec<Message>,
    kinds: FxHashMap<(&'static str, &'static str), usize>,
    object_meta: usize,
}

/// One message.
#[derive(Debug)]
pub struct Message {
    /// Its name in Kubernetes' Go code, without its package.
    pub name: &'static str,
    /// Its fields, in the order in which the API shows them.
    pub fields: Vec<Rule>,
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its number on the wire.
    pub number: u32,
    /// Its name in JSON; empty for an inlined message.
    pub name: &'static str,
    /// One, a list, a map.
    pub shape: Shape,
    /// What one of its values is.
    pub of: Type,
    /// Shown even if it is empty.
    pub always: bool,
    /// Go keeps it as a pointer: absent and zero are two things.
    pub pointer: bool,
}

/// How many values a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// At most one.
    One,
    /// At most one message, whose fields are shown among the outer's.
    Inline,
    /// Any number.
    List,
    /// Any number, each under a text.
    Map,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// UTF-8 text.
    Text,
    /// Bytes, which JSON shows in base64.
    Bytes,
    /// A truth value.
    Bool,
    /// `int32` or `int64`; negative numbers are ten bytes long in both.
    Int,
    /// An IEEE double.
    Double,
    /// `meta/v1` Time: shown to the second, zero as `null`.
    Time,
    /// `meta/v1` MicroTime: shown to the microsecond.
    MicroTime,
    /// A quantity such as `500m`, kept as its text.
    Quantity,
    /// A number or a text.
    IntOrString,
    /// A message whose field 1 is JSON text: FieldsV1 and the JSON of schemas.
    Json,
    /// A whole object, as JSON or in an envelope of its own.
    RawExtension,
    /// A message whose field 1 is a list of texts.
    Texts,
    /// JSONSchemaPropsOrArray, by the schema's message.
    SchemaOrList(usize),
    /// JSONSchemaPropsOrBool, by the schema's message.
    SchemaOrBool(usize),
    /// JSONSchemaPropsOrStringArray, by the schema's message.
    SchemaOrTexts(usize),
    /// Another message; see [`Schema::message`].
    Message(usize),
}

impl Type {
    /// Whether it has a zero that Go may leave out of JSON.
    pub fn is_scalar(self) -> bool {
        matches!(
            self,
            Type::Text | Type::Bytes | Type::Bool | Type::Int | Type::Double
        )
    }
}

impl Schema {
    /// All that is stated, read on first use.
    pub fn built_in() -> &'static Schema {
        static BUILT_IN: LazyLock<Schema> = LazyLock::new(|| {
            // The files are part of the program, and a test reads them all.
            read(FILES).expect("the stated fields can be read")
        });
        &BUILT_IN
    }

    /// The message of a stored kind, for example `apps/v1` and `Deployment`.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        let at = self.kinds.get(&(api_version, kind))?;
        Some(&self.messages[*at])
    }

    /// The message of a [`Type`].
    pub fn message(&self, id: usize) -> &Message {
        &self.messages[id]
    }

    /// ObjectMeta, which kinds that are not stated have, too.
    pub fn object_meta(&self) -> &Message {
        &self.messages[self.object_meta]
    }

    /// Every stored kind: `apiVersion` and `kind`.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.kinds.keys().copied()
    }
}

/// A version, as far as it has been read.
struct Section {
    shares_with: Option<&'static str>,
    kinds: Vec<&'static str>,
    own: FxHashMap<&'static str, usize>,
}

/// A field whose type is still a name.
struct Line {
    rule: Rule,
    of: &'static str,
}

/// Reads the notation; the error names the line.
fn read(files: &[&'static str]) -> Result<Schema, String> {
    let mut sections: FxHashMap<&'static str, Section> = FxHashMap::default();
    let mut drafts: Vec<(&'static str, &'static str, Vec<Line>)> = Vec::new();
    for file in files {
        let mut version = "";
        for text in file.lines() {
            let wrong = || format!("{version}: {text:?} cannot be read");
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if let Some(heading) = text.strip_prefix("= ") {
                let (name, shares_with) = match heading.split_once(" < ") {
                    Some((name, other)) => (name, Some(other)),
                    None => (heading, None),
                };
                version = name;
                let section = Section {
                    shares_with,
                    kinds: Vec::new(),
                    own: FxHashMap::default(),
                };
                if sections.insert(name, section).is_some() {
                    return Err(format!("{name} stands there twice"));
                }
                continue;
            }
            let section = sections.get_mut(version).ok_or_else(wrong)?;
            if let Some(kinds) = text.strip_prefix("kinds ") {
                section.kinds.extend(kinds.split(' '));
            } else if let Some(field) = text.strip_prefix(' ') {
                let (_, _, fields) = drafts.last_mut().ok_or_else(wrong)?;
                fields.push(line(field).ok_or_else(wrong)?);
            } else if section.own.insert(text, drafts.len()).is_none() {
                drafts.push((version, text, Vec::new()));
            } else {
                return Err(format!("{version}: {text} stands there twice"));
            }
        }
    }
    let find = |version: &str, name: &str| {
        let mut at = Some(version);
        let shared = std::iter::from_fn(|| {
            let section = sections.get(at.take()?)?;
            at = section.shares_with;
            Some(section)
        });
        shared
            .chain(sections.get("v1"))
            .chain(sections.get("meta/v1"))
            .find_map(|section| section.own.get(name).copied())
    };
    let of = |version: &str, name: &str| {
        let schema = || find(version, "JSONSchemaProps");
        Some(match name {
            "string" => Type::Text,
            "bytes" => Type::Bytes,
            "bool" => Type::Bool,
            "int32" | "int64" => Type::Int,
            "double" => Type::Double,
            "Time" => Type::Time,
            "MicroTime" => Type::MicroTime,
            "Quantity" => Type::Quantity,
            "IntOrString" => Type::IntOrString,
            "FieldsV1" | "JSON" => Type::Json,
            "RawExtension" => Type::RawExtension,
            "ExtraValue" => Type::Texts,
            "JSONSchemaPropsOrArray" => Type::SchemaOrList(schema()?),
            "JSONSchemaPropsOrBool" => Type::SchemaOrBool(schema()?),
            "JSONSchemaPropsOrStringArray" => Type::SchemaOrTexts(schema()?),
            _ => Type::Message(match name.rsplit_once('.') {
                Some((version, name)) => find(version, name)?,
                None => find(version, name)?,
            }),
        })
    };
    let mut messages = Vec::with_capacity(drafts.len());
    for (version, name, lines) in &drafts {
        let mut fields: Vec<Rule> = Vec::with_capacity(lines.len());
        for line in lines {
            let of = of(version, line.of)
                .ok_or_else(|| format!("{version}: {name} names {}, which is nowhere", line.of))?;
            let rule = Rule { of, ..line.rule };
            if rule.shape == Shape::Inline && !matches!(of, Type::Message(_)) {
                return Err(format!("{version}: {name} inlines what is no message"));
            }
            if fields.iter().any(|other| other.number == rule.number) {
                return Err(format!("{version}: {name} has {} twice", rule.number));
            }
            fields.push(rule);
        }
        messages.push(Message { name, fields });
    }
    let mut kinds = FxHashMap::default();
    for (version, section) in &sections {
        for kind in &section.kinds {
            let at = find(version, kind)
                .ok_or_else(|| format!("{version}: kind {kind} has no message"))?;
            kinds.insert((*version, *kind), at);
        }
    }
    let object_meta = find("meta/v1", "ObjectMeta").ok_or("there is no ObjectMeta")?;
    Ok(Schema {
        messages,
        kinds,
        object_meta,
    })
}

/// `3 name!? []type`.
fn line(text: &'static str) -> Option<Line> {
    let mut words = text.split(' ');
    let (number, name, of) = (words.next()?, words.next()?, words.next()?);
    let (name, pointer) = match name.strip_suffix('?') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (name, always) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (shape, of) = match (of.strip_prefix("[]"), of.strip_prefix("{}")) {
        (Some(of), _) => (Shape::List, of),
        (_, Some(of)) => (Shape::Map, of),
        _ if name == "~" => (Shape::Inline, of),
        _ => (Shape::One, of),
    };
    let rule = Rule {
        number: number.parse().ok().filter(|number| *number > 0)?,
        name: if shape == Shape::Inline { "" } else { name },
        shape,
        // Found out when all names are known.
        of: Type::Text,
        always,
        pointer,
    };
    (words.next().is_none() && !of.is_empty()).then_some(Line { rule, of })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(message: &'static Message, name: &str) -> &'static Rule {
        message
            .fields
            .iter()
            .find(|rule| rule.name == name)
            .expect(name)
    }

    #[test]
    fn every_file_reads_and_the_kinds_of_the_built_in_groups_are_there() {
        let schema = Schema::built_in();
        assert!(schema.kinds().count() > 90);
        for (api_version, kind) in [
            ("v1", "Pod"),
            ("v1", "RangeAllocation"),
            ("v1", "Secret"),
            ("apps/v1", "ControllerRevision"),
            ("batch/v1beta1", "CronJob"),
            ("coordination.k8s.io/v1", "Lease"),
            ("discovery.k8s.io/v1beta1", "EndpointSlice"),
            ("events.k8s.io/v1", "Event"),
            ("flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema"),
            ("networking.k8s.io/v1beta1", "Ingress"),
            ("policy/v1beta1", "PodSecurityPolicy"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ] {
            let message = schema.kind(api_version, kind).expect(kind);
            assert_eq!(message.fields[0].name, "metadata", "{kind}");
            assert_eq!(message.fields[0].number, 1, "{kind}");
        }
        assert!(schema.kind("v1", "PodSpec").is_none());
        assert!(schema.kind("apps/v2", "Deployment").is_none());
    }

    #[test]
    fn names_that_are_not_camel_case_are_kubernetes_own() {
        let schema = Schema::built_in();
        let pod = schema.kind("v1", "Pod").expect("Pod");
        let Type::Message(status) = field(pod, "status").of else {
            panic!("a message")
        };
        assert_eq!(field(schema.message(status), "podIP").number, 6);
        assert_eq!(field(schema.message(status), "podIPs").shape, Shape::List);
    }

    #[test]
    fn a_version_shares_what_it_does_not_restate() {
        let schema = Schema::built_in();
        let shares = |version: &str| {
            let kind = schema
                .kind(version, "PriorityLevelConfiguration")
                .expect("there");
            let Type::Message(spec) = field(kind, "spec").of else {
                panic!("a message")
            };
            let Type::Message(limited) = field(schema.message(spec), "limited").of else {
                panic!("a message")
            };
            schema.message(limited).fields[0].name
        };
        assert_eq!(
            shares("flowcontrol.apiserver.k8s.io/v1"),
            "nominalConcurrencyShares"
        );
        assert_eq!(
            shares("flowcontrol.apiserver.k8s.io/v1beta1"),
            "assuredConcurrencyShares"
        );
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (text, part) in [
            ("A\n", "cannot be read"),
            ("= v1\n 1 a string\n", "cannot be read"),
            ("= v1\nA\n 0 a string\n", "cannot be read"),
            ("= v1\nA\n 1 a B\n", "nowhere"),
            ("= v1\nA\n 1 a string\n 1 b string\n", "twice"),
            ("= v1\nkinds B\nA\n", "no message"),
            ("= v1\nA\nA\n", "twice"),
            ("= v1\nA\n 1 ~ string\n", "inlines"),
        ] {
            let error = read(&[text]).expect_err(text);
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
