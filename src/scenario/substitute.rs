//! `${parameter}` in a tree: what is there, and what it becomes.
//!
//! A value that is a reference as a whole becomes the parameter's value with its
//! type; within a text it becomes text. `$${` is a plain `${`. Where the
//! parameter is nothing, the key whose value it is is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::parameter::{Kind, Parameter, Setting};
use crate::fault::plan::Place;
use crate::fault::plan::tree::{Field, Findings, Node, Value};
use crate::notation::nearest;

/// The values that parameters have; `None` is nothing.
pub(super) type Values = BTreeMap<Box<str>, Option<Setting>>;

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Plain(&'t str),
    Reference(&'t str),
}

/// Cuts a text at its references; what is wrong with it otherwise.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(escaped) = before.strip_suffix('$') {
            pieces.push(Piece::Plain(escaped));
            pieces.push(Piece::Plain("${"));
            rest = &from[2..];
            continue;
        }
        let end = from.find('}').ok_or("a \"${\" has no \"}\"")?;
        if !before.is_empty() {
            pieces.push(Piece::Plain(before));
        }
        pieces.push(Piece::Reference(from[2..end].trim()));
        rest = &from[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest));
    }
    Ok(pieces)
}

/// Looks at the references below a field: each must name a parameter, and stand
/// where it can. Notes which were used.
pub(super) fn look<'p>(
    field: &Field<'_>,
    parameters: &'p [Parameter],
    used: &mut BTreeSet<&'p str>,
    findings: &mut Findings,
) {
    match &field.node.value {
        Value::Text(text) => match pieces(text) {
            Err(why) => field.refuse(
                findings,
                why,
                "write ${NAME}, or $${ for the letters themselves",
            ),
            Ok(pieces) => {
                let whole = matches!(pieces.as_slice(), [Piece::Reference(_)]);
                for piece in pieces {
                    let Piece::Reference(name) = piece else {
                        continue;
                    };
                    let Some(parameter) = parameters.iter().find(|one| &*one.name == name) else {
                        unknown(field, name, parameters, findings);
                        continue;
                    };
                    used.insert(&parameter.name);
                    if !whole && parameter.kind == Kind::List {
                        let what = format!("\"{name}\" is a list and cannot stand within a text");
                        field.refuse(findings, what, "let it be the whole value");
                    } else if !whole && parameter.may_be_nothing() {
                        let what =
                            format!("\"{name}\" may be nothing and cannot stand within a text");
                        field.refuse(
                            findings,
                            what,
                            "let it be the whole value, or give it a default",
                        );
                    }
                }
            }
        },
        Value::List(nodes) => {
            for (at, node) in nodes.iter().enumerate() {
                let path = format!("{}[{at}]", field.path);
                look(&Field { node, path }, parameters, used, findings);
            }
        }
        Value::Map(entries) => {
            for (key, node) in entries {
                let path = below(&field.path, &key.text);
                if key.text.contains("${") {
                    let hint = "let it be the value of a key".to_owned();
                    let what = "a parameter cannot be a key".to_owned();
                    findings.add(key.place, &field.path, what, Some(hint));
                }
                look(&Field { node, path }, parameters, used, findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Whole(_) | Value::Number(_) => {}
    }
}

fn unknown(field: &Field<'_>, name: &str, parameters: &[Parameter], findings: &mut Findings) {
    let known = || parameters.iter().map(|one| &*one.name);
    let hint = match nearest(name, known()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None if parameters.is_empty() => {
            "list it under \"parameters\", or write $${ for the letters themselves".to_owned()
        }
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    };
    field.refuse(findings, format!("there is no parameter \"{name}\""), &hint);
}

/// A key's path.
pub(super) fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// A tree with values in the place of references; `None` if it is nothing. What
/// was put where is noted in `put`, so that whoever finds a value wrong can say
/// whose it is. References are those that [`look`] found right.
pub(super) fn substitute(
    node: &Node,
    values: &Values,
    put: &mut Vec<(Place, String)>,
) -> Option<Node> {
    let value = match &node.value {
        Value::Text(text) => text_of(text, node.place, values, put)?,
        Value::List(nodes) => {
            let mut list = Vec::with_capacity(nodes.len());
            for element in nodes {
                let Some(put) = substitute(element, values, put) else {
                    continue;
                };
                match (&element.value, put) {
                    // A list in the place of an element is more elements.
                    (
                        Value::Text(_),
                        Node {
                            value: Value::List(more),
                            ..
                        },
                    ) => list.extend(more),
                    (_, put) => list.push(put),
                }
            }
            Value::List(list)
        }
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .filter_map(|(key, node)| {
                    let put = substitute(node, values, put)?;
                    Some((key.clone(), put))
                })
                .collect(),
        ),
        other => other.clone(),
    };
    Some(Node {
        place: node.place,
        value,
    })
}

fn text_of(
    text: &str,
    place: Option<Place>,
    values: &Values,
    put: &mut Vec<(Place, String)>,
) -> Option<Value> {
    let Ok(pieces) = pieces(text) else {
        return Some(Value::Text(text.to_owned()));
    };
    let mut note = |name: &str, setting: &Setting| {
        put.extend(place.map(|place| (place, format!("${{{name}}} is \"{setting}\" here"))));
    };
    if let [Piece::Reference(name)] = pieces.as_slice() {
        let setting = values.get(*name)?.as_ref()?;
        note(name, setting);
        return Some(match setting {
            Setting::One(value) => value.clone(),
            Setting::List(texts) => Value::List(
                texts
                    .iter()
                    .map(|text| Node {
                        place,
                        value: Value::Text(text.clone()),
                    })
                    .collect(),
            ),
        });
    }
    let mut whole = String::new();
    for piece in pieces {
        match piece {
            Piece::Plain(text) => whole.push_str(text),
            Piece::Reference(name) => {
                if let Some(Some(setting)) = values.get(name) {
                    note(name, setting);
                    whole.push_str(&setting.to_string());
                }
            }
        }
    }
    Some(Value::Text(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_their_references() {
        use Piece::{Plain, Reference};
        for (text, cut) in [
            ("", vec![]),
            ("plain $ {text}", vec![Plain("plain $ {text}")]),
            ("${a}", vec![Reference("a")]),
            ("${ a }", vec![Reference("a")]),
            (
                "x${a}-${b}",
                vec![Plain("x"), Reference("a"), Plain("-"), Reference("b")],
            ),
            ("5$${a}", vec![Plain("5"), Plain("${"), Plain("a}")]),
        ] {
            assert_eq!(pieces(text), Ok(cut), "{text}");
        }
        assert!(pieces("${a").is_err());
    }
}
