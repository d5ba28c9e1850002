//! A diff as text for people: who, then what, `-` before and `+` after.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::super::tree::Node;
use super::{By, Change, Diff, Manager};

/// How a diff is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Print {
    /// With colours for a terminal.
    pub colour: bool,
    /// With changes that are accounts of others; see [`Change::bookkeeping`].
    pub bookkeeping: bool,
}

/// Of a long text that changed, so much of what stayed is shown.
const CONTEXT: usize = 40;

impl Diff {
    /// The changes by who made them; empty if there are none to show. The text
    /// is safe to show on a terminal.
    pub fn text(&self, print: Print) -> String {
        let shown = self
            .changes
            .iter()
            .filter(|change| print.bookkeeping || !change.bookkeeping);
        let mut groups: Vec<(&By, Vec<&Change>)> = Vec::new();
        for change in shown {
            match groups.iter_mut().find(|(by, _)| **by == change.by) {
                Some((_, changes)) => changes.push(change),
                None => groups.push((&change.by, vec![change])),
            }
        }
        let style = |style: Style| if print.colour { style } else { Style::new() };
        let mut text = Text {
            out: String::new(),
            who: style(Style::new().bold()),
            old: style(AnsiColor::Red.on_default()),
            new: style(AnsiColor::Green.on_default()),
        };
        for (by, changes) in groups {
            text.heading(by);
            changes.into_iter().for_each(|change| text.change(change));
        }
        text.out
    }
}

struct Text {
    out: String,
    who: Style,
    old: Style,
    new: Style,
}

// Writing to a String cannot fail.
impl Text {
    fn heading(&mut self, by: &By) {
        let names = |managers: &[Manager]| {
            let names: Vec<String> = managers.iter().map(name).collect();
            names.join(", ")
        };
        let text = match by {
            By::Wrote(managers) => format!("by {}", names(managers)),
            By::Owns(managers) => {
                format!("of {}, whose entry does not show a write", names(managers))
            }
            By::Unknown => "by nobody that the managed fields name".to_owned(),
        };
        let who = self.who;
        let _ = writeln!(self.out, "{who}{}{who:#}", safe(&text));
    }

    fn change(&mut self, change: &Change) {
        let path = match change.reordered {
            true => format!("{} (order)", change.path),
            false => change.path.to_string(),
        };
        if let (Some(Node::Text(old)), Some(Node::Text(new))) = (&change.old, &change.new) {
            if old.contains('\n') || new.contains('\n') {
                return self.lines(&path, old, new);
            }
            if old.len() + new.len() > 4 * CONTEXT {
                let (old, new) = around(old, new);
                self.side('-', &path, &Node::Text(old));
                self.side('+', &path, &Node::Text(new));
                return;
            }
        }
        if let Some(old) = &change.old {
            self.side('-', &path, old);
        }
        if let Some(new) = &change.new {
            self.side('+', &path, new);
        }
    }

    fn side(&mut self, sign: char, path: &str, node: &Node) {
        match node {
            Node::Map(members) if !members.is_empty() => self.block(sign, path, &node.yaml()),
            Node::List(values) if !values.is_empty() && values.iter().any(is_nested) => {
                self.block(sign, path, &node.yaml());
            }
            Node::Text(text) if text.contains('\n') => self.block(sign, path, &node.yaml()),
            Node::Hidden(hidden) => self.line(sign, &format!("{path}: {}", hidden.shown())),
            _ => self.line(sign, &format!("{path}: {}", node.json_line())),
        }
    }

    fn block(&mut self, sign: char, path: &str, yaml: &str) {
        self.line(sign, &format!("{path}:"));
        for line in yaml.lines() {
            self.line(sign, &format!("  {line}"));
        }
    }

    /// The lines of two texts that differ, with the number of the first.
    fn lines(&mut self, path: &str, old: &str, new: &str) {
        let (before, after): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
        let same = before
            .iter()
            .zip(&after)
            .take_while(|(a, b)| a == b)
            .count();
        let tail = before[same..]
            .iter()
            .rev()
            .zip(after[same..].iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        let _ = writeln!(self.out, "  {}: from line {} on", safe(path), same + 1);
        for line in &before[same..before.len() - tail] {
            self.line('-', &format!("  {line}"));
        }
        for line in &after[same..after.len() - tail] {
            self.line('+', &format!("  {line}"));
        }
    }

    fn line(&mut self, sign: char, text: &str) {
        let style = if sign == '-' { self.old } else { self.new };
        let _ = writeln!(self.out, "{style}{sign} {}{style:#}", safe(text));
    }
}

fn is_nested(node: &Node) -> bool {
    matches!(node, Node::Map(_) | Node::List(_))
}

/// `kubectl (Apply status) at 2026-11-22T06:29:22Z`.
fn name(manager: &Manager) -> String {
    let mut text = manager.manager.clone();
    let _ = write!(text, " ({}", manager.operation);
    if !manager.subresource.is_empty() {
        let _ = write!(text, " {}", manager.subresource);
    }
    text.push(')');
    if let Some(time) = &manager.time {
        let _ = write!(text, " at {time}");
    }
    text
}

/// Two texts without most of what they begin and end with in common.
fn around(old: &str, new: &str) -> (String, String) {
    let pairs = old.char_indices().zip(new.chars());
    let same = pairs
        .take_while(|((_, a), b)| a == b)
        .last()
        .map_or(0, |((at, a), _)| at + a.len_utf8());
    let tail: usize = old[same..]
        .chars()
        .rev()
        .zip(new[same..].chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    let cut = |text: &str| {
        let start = floor(text, same.saturating_sub(CONTEXT));
        let end = text.len() - tail;
        let end = ceil(text, (end + CONTEXT).min(text.len()));
        let before = if start > 0 { "…" } else { "" };
        let after = if end < text.len() { "…" } else { "" };
        format!("{before}{}{after}", &text[start..end])
    };
    (cut(old), cut(new))
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// Control characters, and those that hide or reverse text, as `\u{…}`.
fn safe(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => safe.extend(c.escape_unicode()),
            false => safe.push(c),
        }
    }
    safe
}
