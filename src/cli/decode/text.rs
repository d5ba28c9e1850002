//! What was found out, as aligned text.

use std::borrow::Cow;
use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};

use super::finding::{Entry, Value};
use crate::kube::meta::ObjectMeta;
use crate::kube::object::{Encoding, Object};

impl Entry {
    /// Aligned text; nothing for a value that is only a problem.
    pub fn write_text(&self, out: &mut String, palette: &Palette) {
        let mut table = Table { out, palette };
        if let Some(key) = &self.key {
            table.row("key", printable(&key.key));
            if let Some(resource) = &key.resource {
                match (key.internal, &key.group) {
                    (true, _) => table.row(
                        "resource",
                        format_args!("{resource} (the API server's own)"),
                    ),
                    (_, Some(group)) => {
                        table.row("resource", format_args!("{resource}, group {group}"))
                    }
                    _ => table.row("resource", resource),
                }
            }
            if let Some(namespace) = &key.namespace {
                table.row("namespace", printable(namespace));
            }
            if let Some(name) = &key.name {
                table.row("name", printable(name));
            }
        }
        if let Some(revision) = self.mod_revision {
            table.row("mod revision", revision);
        }
        match &self.value {
            None | Some(Value::Unknown { .. }) => {}
            Some(Value::Object(object)) => table.object(object),
            Some(Value::Encrypted {
                provider,
                version,
                key_name,
                size,
            }) => {
                let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
                table.row("value", palette.strong("encrypted by the API server"));
                table.row(
                    "provider",
                    format_args!("{} {}", word(provider), word(version)),
                );
                table.row("key name", word(key_name));
                table.row("size", bytes(*size));
            }
            Some(Value::Number { digits }) => {
                table.row(
                    "value",
                    format_args!("{digits} (compact_rev_key holds such a number: a revision)"),
                );
            }
            Some(Value::Message { size, fields }) => {
                table.row(
                    "value",
                    "no known format, but it reads as protobuf; its outline:",
                );
                table.row("size", bytes(*size));
                for field in fields {
                    let _ = write!(
                        table.out,
                        "  {:indent$}{:<5}",
                        "",
                        field.number,
                        indent = field.depth * 2
                    );
                    let _ = match field.length {
                        Some(length) => write!(table.out, " {}, {}", field.shape, bytes(length)),
                        None => write!(table.out, " {}", field.shape),
                    };
                    let _ = match field.times {
                        1 => writeln!(table.out),
                        times => writeln!(table.out, ", {times} times"),
                    };
                }
            }
        }
    }
}

/// Label and text, one below the other. Writing to a String cannot fail.
struct Table<'t> {
    out: &'t mut String,
    palette: &'t Palette,
}

const LABEL_WIDTH: usize = 16;

impl Table<'_> {
    fn row(&mut self, label: &str, text: impl fmt::Display) {
        let style = self.palette.label;
        let _ = writeln!(self.out, "{style}{label:<LABEL_WIDTH$}{style:#}{text}");
    }

    /// Rows under one label.
    fn rows<T: fmt::Display>(&mut self, label: &str, texts: impl Iterator<Item = T>) {
        for (at, text) in texts.enumerate() {
            self.row(if at == 0 { label } else { "" }, text);
        }
    }

    fn object(&mut self, object: &Object) {
        let kind = printable(&object.kind);
        let kind = self.palette.strong(&kind);
        self.row(
            "kind",
            format_args!("{kind}, {}", printable(&object.api_version)),
        );
        let encoding = match object.encoding {
            Encoding::Protobuf => "protobuf",
            Encoding::Json => "JSON",
        };
        self.row(
            "stored as",
            format_args!("{encoding}, {}", bytes(object.size)),
        );
        for (label, text) in [
            ("content type", &object.content_type),
            ("encoding", &object.content_encoding),
        ] {
            if !text.is_empty() {
                self.row(label, printable(text));
            }
        }
        match &object.metadata {
            Some(meta) => self.metadata(meta),
            None => self.row("metadata", "none that can be read"),
        }
    }

    fn metadata(&mut self, meta: &ObjectMeta) {
        for (label, text) in [
            ("namespace", &meta.namespace),
            ("name", &meta.name),
            ("generated from", &meta.generate_name),
            ("uid", &meta.uid),
            ("version", &meta.resource_version),
        ] {
            if !text.is_empty() {
                self.row(label, printable(text));
            }
        }
        if meta.generation != 0 {
            self.row("generation", meta.generation);
        }
        if let Some(time) = meta.creation_timestamp {
            self.row("created", time);
        }
        if let Some(time) = meta.deletion_timestamp {
            match meta.deletion_grace_period_seconds {
                Some(grace) => self.row("deleted", format_args!("{time}, grace {grace} s")),
                None => self.row("deleted", time),
            }
        }
        self.rows(
            "finalizers",
            meta.finalizers.iter().map(|name| printable(name)),
        );
        self.rows(
            "owners",
            meta.owner_references.iter().map(|owner| {
                format!(
                    "{} {}, {}{}",
                    printable(&owner.kind),
                    printable(&owner.name),
                    printable(&owner.api_version),
                    if owner.controller {
                        ", its controller"
                    } else {
                        ""
                    },
                )
            }),
        );
        self.rows(
            "labels",
            meta.labels
                .iter()
                .map(|(key, value)| format!("{}={}", printable(key), printable(value))),
        );
        self.rows(
            "annotations",
            meta.annotations
                .iter()
                .map(|(key, size)| format!("{}, {}", printable(key), bytes(*size))),
        );
        self.rows(
            "managers",
            meta.managed_fields.iter().map(|managed| {
                let mut line = format!(
                    "{}, {} {}",
                    printable(&managed.manager),
                    printable(&managed.operation),
                    printable(&managed.api_version),
                );
                if !managed.subresource.is_empty() {
                    let _ = write!(line, " {}", printable(&managed.subresource));
                }
                if let Some(time) = managed.time {
                    let _ = write!(line, ", {time}");
                }
                line
            }),
        );
    }
}

/// The colours of the text.
pub(super) struct Palette {
    label: Style,
    strong: Style,
}

impl Palette {
    pub fn new(colour: bool) -> Palette {
        match colour {
            true => Palette {
                label: Style::new().dimmed(),
                strong: Style::new().bold().fg_color(Some(AnsiColor::Cyan.into())),
            },
            false => Palette {
                label: Style::new(),
                strong: Style::new(),
            },
        }
    }

    fn strong(&self, text: &str) -> String {
        let style = self.strong;
        format!("{style}{text}{style:#}")
    }
}

fn bytes(size: usize) -> String {
    match size {
        1 => "1 byte".to_owned(),
        size => format!("{size} bytes"),
    }
}

/// Stored text may hold anything, a terminal must not obey it.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    match text.chars().any(char::is_control) {
        true => Cow::Owned(
            text.chars()
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .collect(),
        ),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::key::KeySpace;

    fn text(entry: &Entry) -> String {
        let mut out = String::new();
        entry.write_text(&mut out, &Palette::new(false));
        out
    }

    #[test]
    fn a_pod_as_text() {
        let value =
            Value::known(include_bytes!("../../../fixtures/objects/pod.bin")).expect("a pod");
        assert_eq!(
            text(&Entry::of_value(value, b"")),
            "\
kind            Pod, v1
stored as       protobuf, 747 bytes
namespace       lab
name            web-79f8dbfc8c-j7qgn
generated from  web-79f8dbfc8c-
uid             158ae10a-8a5b-4733-8eb7-ca51f1af944b
generation      1
created         2026-11-22T06:33:10Z
owners          ReplicaSet web-79f8dbfc8c, apps/v1, its controller
labels          app=web
                pod-template-hash=79f8dbfc8c
managers        kube-controller-manager-1.20, Update v1, 2026-11-22T06:33:10Z
"
        );
    }

    #[test]
    fn a_key_as_text() {
        let space = KeySpace::default();
        let entry = Entry::of_key(&space, b"/registry/deployments/lab/web").expect("a key");
        assert_eq!(
            text(&entry),
            "\
key             /registry/deployments/lab/web
resource        deployments, group apps
namespace       lab
name            web
"
        );
        let entry = Entry::of_key(&space, b"/registry/masterleases/10.0.0.1").expect("a key");
        assert!(text(&entry).contains("masterleases (the API server's own)"));
        assert!(!text(&Entry::of_any_key(&space, b"/x\x1b[31m")).contains('\x1b'));
    }

    #[test]
    fn colour_only_where_it_is_wanted() {
        let value = Value::known(b"k8s:enc:kms:v2:vault:zzz").expect("encrypted");
        let mut out = String::new();
        Entry::of_value(value.clone(), b"").write_text(&mut out, &Palette::new(true));
        assert!(out.contains('\x1b'));
        let plain = text(&Entry::of_value(value, b""));
        assert!(
            !plain.contains('\x1b') && plain.contains("provider        kms v2"),
            "{plain}"
        );
    }
}
