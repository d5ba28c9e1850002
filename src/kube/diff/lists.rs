//! Which item of an old list is which of a new one.

use rustc_hash::FxHashMap;

use super::super::tree::{Key, Node};
use super::Step;
use super::owners::Scopes;

/// What tells items apart where nobody says it, in this order: the merge keys
/// of the built-in kinds, and the usual ones of custom resources.
const KEYS: &[&[&str]] = &[
    &["name"],
    &["key"],
    &["type"],
    &["uid"],
    &["ip"],
    &["id"],
    &["manager", "operation", "apiVersion", "subresource"],
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["mountPath"],
    &["devicePath"],
    &["topologyKey", "whenUnsatisfiable"],
    &["conditionType"],
];

/// Two items that are the same one, or one that has no counterpart.
pub(super) struct Pair {
    pub step: Step,
    pub old: Option<usize>,
    pub new: Option<usize>,
}

/// How two lists belong together.
pub(super) struct Matching {
    pub pairs: Vec<Pair>,
    /// If what stayed changed places: what names the items, before and after.
    pub order: Option<(Vec<Node>, Vec<Node>)>,
}

impl Matching {
    pub fn of(old: &[Node], new: &[Node], scopes: &Scopes<'_>) -> Matching {
        let stated = scopes.list_keys();
        let stated = stated.iter().find_map(|keys| keyed(keys, old, new));
        let guessed = || {
            let keys = KEYS.iter().filter(|keys| has_first(keys, old, new));
            keys.copied().find_map(|keys| keyed(keys, old, new))
        };
        if let Some(matching) = stated.or_else(guessed) {
            return matching;
        }
        match scopes.is_set() {
            true => as_set(old, new),
            false => by_place(old, new),
        }
    }
}

/// A guess needs the member that gives it its sense.
fn has_first(keys: &[&str], old: &[Node], new: &[Node]) -> bool {
    old.iter()
        .chain(new)
        .all(|item| keys.iter().take(1).all(|key| item.member(key).is_some()))
}

/// The members of a map by their names; of two of a name the later.
pub(super) fn by_name(members: &[(Key, Node)]) -> FxHashMap<&str, &Node> {
    members.iter().map(|(key, node)| (&**key, node)).collect()
}

/// The text that tells an item apart: its keys' values, which must be scalars.
pub(super) fn identity<K: AsRef<str>>(item: &Node, keys: &[K]) -> Option<String> {
    if !matches!(item, Node::Map(_)) {
        return None;
    }
    let mut identity = String::new();
    for key in keys {
        match item.member(key.as_ref()) {
            Some(Node::List(_) | Node::Map(_)) => return None,
            Some(scalar) => identity.push_str(&scalar.json_line()),
            None => {}
        }
        // JSON text has no bare line break.
        identity.push('\n');
    }
    Some(identity)
}

/// `None` if the keys do not tell every item from every other.
fn keyed<K: AsRef<str>>(keys: &[K], old: &[Node], new: &[Node]) -> Option<Matching> {
    let index = |items: &[Node]| {
        let mut index = FxHashMap::default();
        for (at, item) in items.iter().enumerate() {
            if index.insert(identity(item, keys)?, at).is_some() {
                return None;
            }
        }
        Some(index)
    };
    let (before, after) = (index(old)?, index(new)?);
    let step = |item: &Node| {
        let named = keys
            .iter()
            .filter_map(|key| Some((key.as_ref().to_owned(), item.member(key.as_ref())?.clone())));
        Step::Keyed(named.collect())
    };
    matched(old, new, step, |item| identity(item, keys), &before, &after)
}

fn as_set(old: &[Node], new: &[Node]) -> Matching {
    let index = |items: &[Node]| -> FxHashMap<String, usize> {
        let items = items.iter().enumerate();
        items.map(|(at, item)| (item.json_line(), at)).collect()
    };
    let (before, after) = (index(old), index(new));
    let step = |item: &Node| Step::Value(item.clone());
    matched(
        old,
        new,
        step,
        |item| Some(item.json_line()),
        &before,
        &after,
    )
    .unwrap_or_else(|| by_place(old, new))
}

fn matched(
    old: &[Node],
    new: &[Node],
    step: impl Fn(&Node) -> Step,
    identity: impl Fn(&Node) -> Option<String>,
    before: &FxHashMap<String, usize>,
    after: &FxHashMap<String, usize>,
) -> Option<Matching> {
    let mut pairs = Vec::new();
    let mut kept = Vec::new();
    for (at, item) in new.iter().enumerate() {
        let old = before.get(&identity(item)?).copied();
        kept.extend(old.map(|old| (old, at)));
        pairs.push(Pair {
            step: step(item),
            old,
            new: Some(at),
        });
    }
    for (at, item) in old.iter().enumerate() {
        if !after.contains_key(&identity(item)?) {
            pairs.push(Pair {
                step: step(item),
                old: Some(at),
                new: None,
            });
        }
    }
    let order = (!kept.is_sorted_by_key(|(old, _)| *old)).then(|| {
        let name = |node: &Node| match step(node) {
            Step::Keyed(keys) if keys.len() == 1 => keys[0].1.clone(),
            Step::Keyed(keys) => Node::Map(
                keys.into_iter()
                    .map(|(key, value)| (Key::Owned(key), value))
                    .collect(),
            ),
            Step::Value(value) => value,
            Step::Member(_) | Step::Index(_) => Node::Null,
        };
        let after = kept.iter().map(|(_, at)| name(&new[*at])).collect();
        kept.sort_by_key(|(old, _)| *old);
        (kept.iter().map(|(at, _)| name(&old[*at])).collect(), after)
    });
    Some(Matching { pairs, order })
}

/// What both lists begin and end with stays; what is between goes by place.
fn by_place(old: &[Node], new: &[Node]) -> Matching {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[same..]
        .iter()
        .rev()
        .zip(new[same..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let pairs = (same..old_end.max(new_end)).map(|at| Pair {
        step: Step::Index(at),
        old: (at < old_end).then_some(at),
        new: (at < new_end).then_some(at),
    });
    Matching {
        pairs: pairs.collect(),
        order: None,
    }
}
