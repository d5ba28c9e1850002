//! Keeps secrets out of what is shown: the contents of Secrets, wherever such
//! an object stands in a tree, and tokens in any text.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use data_encoding::BASE64;

use super::{Hidden, Key, Node, Tree};
use crate::kube::secret::is_secret_value;
use crate::kube::token;

/// What is done with secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    /// They are replaced by a mark with their length.
    #[default]
    Hide,
    /// They stay.
    Show,
}

/// Of a Secret, all that is shown as it is. Whatever else it may hold is hidden,
/// fields that nobody knows yet included.
const OPEN: &[&str] = &["apiVersion", "kind", "metadata", "type", "immutable"];

impl Tree {
    /// Hides the contents of Secrets (the values in `data`, `stringData` and
    /// annotations, of which some repeat them) and every token.
    pub fn hide_secrets(&mut self) {
        if matches!(self.kind.as_str(), "Secret" | "SecretList") {
            hide_contents(&mut self.root);
        }
        hide(&mut self.root);
    }
}

/// Hides what a part of a tree says of itself to be secret.
fn hide(node: &mut Node) {
    match node {
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Hidden(_) => {}
        Node::Text(text) => {
            // Another object's JSON in a text, as `kubectl apply` leaves it.
            let is_json = text.trim_start().starts_with(['{', '[']);
            if is_json && is_secret_value(text.as_bytes(), false) {
                *node = hidden(text);
            } else if let Some(shown) = without_tokens(text) {
                *node = Node::Hidden(Hidden {
                    mark: mark(text),
                    shown,
                });
            }
        }
        Node::List(values) => values.iter_mut().for_each(hide),
        Node::Map(members) => {
            let named = |name: &str| members.iter().any(|(key, _)| key == name);
            let secret = members.iter().any(|(key, value)| {
                key == "kind" && matches!(value.text(), Some("Secret" | "SecretList"))
            });
            if secret && (named("data") || named("stringData")) {
                hide_contents(node);
            }
            if let Node::Map(members) = node {
                for (key, value) in members {
                    if let Some(shown) = without_tokens(key) {
                        *key = Key::Owned(shown);
                    }
                    hide(value);
                }
            }
        }
    }
}

/// Of a Secret, hides every value but those that are open.
fn hide_contents(secret: &mut Node) {
    let Node::Map(members) = secret else {
        hide_values(secret);
        return;
    };
    for (key, value) in members {
        match (&**key, value) {
            ("metadata", Node::Map(metadata)) => {
                for (key, value) in metadata {
                    if key == "annotations" || key.starts_with('#') {
                        hide_values(value);
                    }
                }
            }
            (key, _) if OPEN.contains(&key) => {}
            ("items", Node::List(items)) => items.iter_mut().for_each(hide_contents),
            (_, value) => hide_values(value),
        }
    }
}

fn hide_values(node: &mut Node) {
    match node {
        Node::Null | Node::Hidden(_) => {}
        Node::Text(text) => *node = hidden(text),
        Node::Bool(_) | Node::Number(_) => *node = hidden(&node.json_line()),
        Node::List(values) => values.iter_mut().for_each(hide_values),
        Node::Map(members) => members.iter_mut().for_each(|(_, value)| hide_values(value)),
    }
}

/// The length is that of the secret itself, where it stands in base64.
fn hidden(text: &str) -> Node {
    let length = BASE64
        .decode_len(text.len())
        .ok()
        .and_then(|_| BASE64.decode(text.as_bytes()).ok())
        .map_or(text.len(), |bytes| bytes.len());
    let shown = match length {
        1 => "(hidden, 1 byte)".to_owned(),
        length => format!("(hidden, {length} bytes)"),
    };
    Node::Hidden(Hidden {
        mark: mark(text),
        shown,
    })
}

/// The text with every token replaced; `None` if there is none in it.
fn without_tokens(text: &str) -> Option<String> {
    match token::scrub(text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(shown) => Some(shown),
    }
}

fn mark(secret: &str) -> u64 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    STATE.hash_one(secret)
}
