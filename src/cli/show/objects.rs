//! `--object` and `--diff`: what a line's key holds, and what changed in it.

use serde_json::json;

use super::{Out, Trouble};
use crate::cli::look::Log;
use crate::kube::diff::{self, Print};
use crate::kube::tree::{Secrets, Tree};
use crate::record::objects::{Object, Objects, Stored};
use crate::record::reader::Line;
use crate::trace::{grouped, size};

/// Lines whose objects are looked for together.
const BATCH: usize = 500;

/// What is shown of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Object,
    Diff,
}

/// Shows the objects of the first `most` lines that pass.
pub(super) fn show(
    log: &mut Log,
    what: What,
    as_json: bool,
    colour: bool,
    most: u64,
    out: &mut Out,
) -> Result<(), Trouble> {
    let mut left = most;
    let mut without = 0;
    loop {
        let mut batch: Vec<Box<Line>> = Vec::new();
        while left > 0
            && batch.len() < BATCH
            && let Some(line) = log.next_record()?
        {
            match Objects::is_one(&line.line) {
                true => {
                    left -= 1;
                    batch.push(line);
                }
                false => without += 1,
            }
        }
        if batch.is_empty() {
            break;
        }
        let lines = || batch.iter().map(|line| &**line);
        let mut objects = Objects::find(log.recordings(), lines())?;
        if what == What::Diff {
            objects.look_into_lists(log.recordings(), lines())?;
        }
        for line in &batch {
            let object = objects.of(&line.line);
            let printed = log.print(line);
            let text = match (what, as_json) {
                (What::Object, false) => object_text(printed, &object),
                (What::Diff, false) => diff_text(printed, line, &object, &objects, colour),
                (_, true) => json_line(printed, what, line, &object, &objects),
            };
            out.write(text.as_bytes())?;
        }
    }
    out.flush()?;
    if without > 0 {
        let s = if without == 1 { " is" } else { "s are" };
        eprintln!("etcdtap: {} line{s} not about one object", grouped(without));
    }
    Ok(())
}

/// Why there is no object to be shown.
fn absence(object: &Object) -> Option<String> {
    let stored = match object {
        Object::Now(stored) | Object::Deleted(Some(stored)) => stored,
        Object::Deleted(None) => return Some("what it deleted is not in the recording".to_owned()),
        Object::Unknown | Object::None => {
            return Some("its value is not in the recording".to_owned());
        }
    };
    unreadable(stored)
}

/// Why a value cannot be shown.
fn unreadable(stored: &Stored) -> Option<String> {
    read(stored).err()
}

fn read(stored: &Stored) -> Result<Tree, String> {
    let length = size(stored.value.len() as u64);
    // A token that was hidden leaves the rest as it was; a value that was hidden
    // as a whole is no object any more.
    Tree::decode(&stored.value, Secrets::Hide).map_err(|error| match stored.hidden {
        true => format!("its value was hidden when it was recorded ({length})"),
        false => format!("{error} ({length})"),
    })
}

fn tree(object: &Object) -> Option<Tree> {
    match object {
        Object::Now(stored) | Object::Deleted(Some(stored)) => read(stored).ok(),
        _ => None,
    }
}

fn object_text(line: &[u8], object: &Object) -> String {
    let line = String::from_utf8_lossy(line);
    let mut text = format!("---\n# {}\n", line.trim_end());
    if let Object::Deleted(Some(stored)) = object {
        text.push_str(&format!(
            "# deleted; this is what was there, @{}\n",
            stored.revision
        ));
    }
    match (absence(object), tree(object)) {
        (None, Some(mut tree)) => {
            // Who did what is for --diff; kubectl does not show them either.
            tree.leave_out_managed_fields();
            text.push_str(&tree.yaml());
        }
        (why, _) => text.push_str(&format!("# {}\n", why.unwrap_or_default())),
    }
    text
}

fn diff_text(line: &[u8], of: &Line, object: &Object, objects: &Objects, colour: bool) -> String {
    let mut text = String::from_utf8_lossy(line).into_owned();
    let mut say = |what: &str| {
        for line in what.lines() {
            text.push_str("    ");
            text.push_str(line);
            text.push('\n');
        }
    };
    let now = match object {
        Object::Deleted(_) => {
            say("deleted");
            return text;
        }
        Object::Now(now) => now,
        Object::Unknown | Object::None => {
            say("its value is not in the recording");
            return text;
        }
    };
    if is_new(of) {
        say("created");
        return text;
    }
    let Some((before, sure)) = objects.previous(&of.line) else {
        say("what was there before is not in the recording");
        return text;
    };
    match (read(before), read(now)) {
        (Ok(old), Ok(new)) => {
            if !sure {
                say(&format!("since @{}", before.revision));
            }
            let changes = diff::diff(&old, &new).text(Print {
                colour,
                bookkeeping: false,
            });
            match changes.is_empty() {
                true => say("nothing but bookkeeping changed"),
                false => say(&changes),
            }
        }
        (Err(why), Err(_)) if before.value == now.value => {
            say(&format!("the same bytes as before; {why}"));
        }
        (_, Err(why)) | (Err(why), _) => {
            // Hidden values that are equal have equal stars.
            say(&format!("it changed; {why}"));
        }
    }
    text
}

/// Whether there was nothing before.
fn is_new(line: &Line) -> bool {
    line.line.verb.as_deref() == Some("create")
}

/// The line's own JSON, with what was asked for as its last fields.
fn json_line(line: &[u8], what: What, of: &Line, object: &Object, objects: &Objects) -> String {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end();
    let mut text = line.strip_suffix('}').unwrap_or(line).to_owned();
    let mut field = |name: &str, value: &str| {
        text.push_str(&format!(",\"{name}\":{value}"));
    };
    if let Some(why) = absence(object) {
        field("no_object", &json!(why).to_string());
    }
    let stored = match object {
        Object::Now(stored) | Object::Deleted(Some(stored)) => Some(stored),
        _ => None,
    };
    match what {
        What::Object => {
            if let (Some(stored), Some(tree)) = (stored, tree(object)) {
                field("object_revision", &stored.revision.to_string());
                field("object", &tree.json_line());
            }
        }
        What::Diff => {
            let before = objects.previous(&of.line);
            if let (Object::Now(now), false, Some((before, sure))) = (object, is_new(of), before) {
                field("before_revision", &before.revision.to_string());
                field("before_is_sure", &sure.to_string());
                if let (Ok(old), Ok(new)) = (read(before), read(now)) {
                    let changes = json!(diff::diff(&old, &new).changes);
                    field("changes", &changes.to_string());
                }
            }
        }
    }
    text.push_str("}\n");
    text
}
