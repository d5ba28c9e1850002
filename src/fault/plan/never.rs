//! Matches that can never hold: better said at once than waited for.
//!
//! Each value that is named must be able to hold along with the other terms; a
//! list of which a part never holds is a slip, too.

use super::action::Action;
use super::field::{Field, Fields, Findings};
use super::methods::{self, Known, lives_on, may_have_later_requests};
use super::read_watch::look_at_watch;
use super::terms::{Match, MethodTerm, ResourceTerm, VerbTerm, lies_within};
use crate::kube::operation::Verb;
use crate::kube::resources::{self, BuiltIn};

/// The methods that a match could be about.
pub(super) struct Meant {
    methods: Vec<&'static Known>,
    /// Whether a service is named that is not known here.
    open: bool,
}

impl Meant {
    fn of(matches: &Match) -> Meant {
        let known = methods::all();
        let is_unknown = |method: &MethodTerm| {
            !known
                .iter()
                .any(|known| method.fits(&known.service, &known.method))
        };
        let open = matches.method.iter().any(is_unknown)
            || matches
                .service
                .iter()
                .any(|service| !known.iter().any(|known| service.fits(&known.service)));
        let methods = known
            .iter()
            .filter(|known| {
                matches.service.holds(|term| term.fits(&known.service))
                    && (matches.method).holds(|term| term.fits(&known.service, &known.method))
                    && matches.verb.holds(|verb| can_be(known, *verb))
            })
            .collect();
        Meant { methods, open }
    }

    fn all(&self, is: impl Fn(&Known) -> bool) -> bool {
        !self.open && !self.methods.is_empty() && self.methods.iter().all(|known| is(known))
    }
}

/// Whether calls of this method can be this verb.
fn can_be(known: &Known, verb: VerbTerm) -> bool {
    verb.methods().contains(&known.name().0)
}

/// Looks at a match whose terms are each in order.
pub(super) fn look_at_match(matches: &Match, fields: &Fields<'_>, findings: &mut Findings) {
    methods_and_services(matches, fields, findings);
    methods_and_verbs(matches, fields, findings);
    keys_and_methods(matches, fields, findings);
    groups(matches, fields, findings);
    namespaces(matches, fields, findings);
    lists(matches, fields, findings);
    keys(matches, fields, findings);
}

/// Looks whether an action can do anything to the calls of a match.
pub(super) fn look_at_action(
    matches: &Match,
    action: &Action,
    field: &Field<'_>,
    findings: &mut Findings,
) {
    if let Action::Watch(watch) = action {
        look_at_watch(matches, watch, field, findings);
    } else if matches.asks_for_watch() {
        field.refuse(
            findings,
            "watched_prefix, watch_id, start_revision, created and event ask about watches, and this is \
             done to calls",
            "use action: {watch: …}, or leave them out",
        );
    }
    let meant = Meant::of(matches);
    if action.needs_an_end() && meant.all(|known| lives_on(&known.name().1)) {
        field.refuse(
            findings,
            format!(
                "{} waits for the whole answer, and a stream that lives as long as its client has none",
                action.name()
            ),
            "use hang, reset or delay, or match other methods",
        );
    }
    if let Action::Delay(delay) = action
        && delay.each_request_message.is_some()
        && meant.all(|known| !may_have_later_requests(&known.name().1))
    {
        field.refuse(
            findings,
            "each_request_message is about later messages of the client, and these calls have none",
            "use request, or match Watch or LeaseKeepAlive",
        );
    }
}

fn each<'n>(fields: &Fields<'n>, name: &str) -> Vec<Field<'n>> {
    fields
        .get(name)
        .map_or_else(Vec::new, |field| field.values())
}

fn methods_and_services(matches: &Match, fields: &Fields<'_>, findings: &mut Findings) {
    if matches.service.is_absent() {
        return;
    }
    let known = methods::all();
    for (method, field) in matches.method.iter().zip(each(fields, "method")) {
        let fits = known
            .iter()
            .filter(|known| matches.service.holds(|term| term.fits(&known.service)))
            .any(|known| method.fits(&known.service, &known.method));
        let unknown = matches
            .service
            .iter()
            .any(|service| !known.iter().any(|known| service.fits(&known.service)));
        if !fits && !unknown {
            let services: Vec<String> = matches.service.iter().map(ToString::to_string).collect();
            let owner = known
                .iter()
                .find(|known| method.fits(&known.service, &known.method));
            let hint = match owner {
                Some(owner) => format!("it is a method of {}", owner.short_service()),
                None => "leave \"service\" out".to_owned(),
            };
            let why = format!("{} has no method \"{method}\"", services.join(" or "));
            field.refuse(findings, why, &hint);
        }
    }
}

fn methods_and_verbs(matches: &Match, fields: &Fields<'_>, findings: &mut Findings) {
    if matches.verb.is_absent() || (matches.method.is_absent() && matches.service.is_absent()) {
        return;
    }
    let anything = Match {
        verb: Default::default(),
        ..matches.clone()
    };
    let meant = Meant::of(&anything);
    if meant.methods.is_empty() {
        return;
    }
    for (verb, field) in matches.verb.iter().zip(each(fields, "verb")) {
        if !meant.methods.iter().any(|known| can_be(known, *verb)) {
            let why = match meant.methods.as_slice() {
                [known] => format!("a call of {} is never a {verb}", short(known)),
                _ => format!("no call of the methods that are named is a {verb}"),
            };
            let of: Vec<String> = methods::all()
                .iter()
                .filter(|known| can_be(known, *verb))
                .map(short)
                .collect();
            field.refuse(
                findings,
                why,
                &format!("{verb} goes with {}", of.join(", ")),
            );
        }
    }
    for (method, field) in matches.method.iter().zip(each(fields, "method")) {
        let never = meant
            .methods
            .iter()
            .filter(|known| method.fits(&known.service, &known.method))
            .all(|known| !matches.verb.iter().any(|verb| can_be(known, *verb)));
        // With one method alone its verbs have been told.
        if never && matches.method.len() > 1 {
            field.refuse(
                findings,
                format!("a call of {method} is none of the verbs that are named"),
                "leave it out, or write a fault of its own for it",
            );
        }
    }
}

fn short(known: &Known) -> String {
    format!("{}/{}", known.short_service(), known.method)
}

fn keys_and_methods(matches: &Match, fields: &Fields<'_>, findings: &mut Findings) {
    let meant = Meant::of(matches);
    if !matches.asks_for_key() || !meant.all(|known| !known.has_key()) {
        return;
    }
    let terms = [
        "resource",
        "group",
        "namespace",
        "name",
        "key",
        "key_prefix",
        "key_range",
    ];
    for field in fields.given(&terms) {
        let of: Vec<String> = meant.methods.iter().map(|known| short(known)).collect();
        let why = format!("a call of {} names no key", of.join(" or "));
        field.refuse(findings, why, "leave this term out");
    }
}

fn groups(matches: &Match, fields: &Fields<'_>, findings: &mut Findings) {
    let built_in: Vec<BuiltIn> = resources::built_in().collect();
    let known: Vec<&str> = built_in.iter().filter_map(|known| known.group).collect();
    let is_custom = |group: &str| group.contains('.') && !known.contains(&group);
    for (group, field) in matches.group.iter().zip(each(fields, "group")) {
        let name = &*group.0;
        if !name.is_empty() && !name.contains('.') && !known.contains(&name) {
            let hint = match crate::notation::nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "the core group is \"\"".to_owned(),
            };
            field.refuse(findings, format!("there is no API group \"{name}\""), &hint);
            return;
        }
    }
    for (term, field) in matches.resource.iter().zip(each(fields, "resource")) {
        let (resource, own) = term.parts();
        let rows: Vec<&BuiltIn> = built_in.iter().filter(|row| row.name == resource).collect();
        let has = |group: &str| match rows.first() {
            Some(row) => row.group.unwrap_or_default() == group || is_custom(group),
            // One that is not known here is custom, or newer than this table; the
            // keys of the latter name no group.
            None => group.contains('.') || group.is_empty(),
        };
        let told = |group: &str| match group {
            "" => format!("{resource} are not in the core group"),
            group => format!("{resource} are never in the group {group}"),
        };
        let hint = match rows.first() {
            Some(row) => format!("write {}", qualified(row)),
            None => format!("etcd's keys of {resource} name no group; write {resource} alone"),
        };
        if let Some(own) = own.filter(|own| !has(own)) {
            field.refuse(findings, told(own), &hint);
            continue;
        }
        let never = match own {
            Some(own) => !matches.group.holds(|group| &*group.0 == own),
            None => !matches.group.holds(|group| has(&group.0)),
        };
        if never {
            let why = match matches.group.first() {
                Some(group) if own.is_none() => told(&group.0),
                _ => format!("{term} are not in the group that is named"),
            };
            field.refuse(findings, why, "leave \"group\" out");
        }
    }
}

fn qualified(row: &BuiltIn) -> String {
    match row.group {
        Some(group) => format!("{}.{group}", row.name),
        None => row.name.to_owned(),
    }
}

fn namespaces(matches: &Match, fields: &Fields<'_>, findings: &mut Findings) {
    let Some(namespace) = fields.get("namespace") else {
        return;
    };
    let without = |term: &&ResourceTerm| {
        let (resource, group) = term.parts();
        resources::built_in().any(|row| {
            row.name == resource
                && !row.namespaced
                && group.is_none_or(|group| row.group == Some(group))
                && matches.group.holds(|group| group.fits(row.group))
        })
    };
    for term in matches.resource.iter().filter(without) {
        namespace.refuse(
            findings,
            format!("{term} are in no namespace"),
            "leave \"namespace\" out, or match other resources",
        );
    }
}

fn lists(matches: &Match, fields: &Fields<'_>, findings: &mut Findings) {
    let one = [("name", "name"), ("key", "one key")];
    for (verb, field) in matches.verb.iter().zip(each(fields, "verb")) {
        if !matches!(verb.0, Verb::List | Verb::ListPage) {
            continue;
        }
        for (term, has) in one {
            if fields.get(term).is_some() {
                let hint = match term {
                    "name" => "match get, or leave \"name\" out",
                    _ => "match get, or use key_prefix instead of key",
                };
                field.refuse(findings, format!("a {verb} has no {has}"), hint);
            }
        }
    }
}

fn keys(matches: &Match, fields: &Fields<'_>, findings: &mut Findings) {
    for (key, field) in matches.key.iter().zip(each(fields, "key")) {
        let key = key.bytes();
        if !matches
            .key_prefix
            .holds(|prefix| lies_within(prefix.bytes(), key, None))
        {
            field.refuse(
                findings,
                "the key is outside key_prefix",
                "leave \"key_prefix\" out",
            );
        }
        if !matches.key_range.holds(|range| range.meets(key, None)) {
            field.refuse(
                findings,
                "the key is outside key_range",
                "leave \"key_range\" out",
            );
        }
    }
    for (prefix, field) in matches.key_prefix.iter().zip(each(fields, "key_prefix")) {
        let prefix = prefix.bytes();
        let meets = matches.key_range.holds(|range| {
            let (from, to) = (range.from.bytes(), range.to.bytes());
            prefix < to && (prefix >= from || from.starts_with(prefix))
        });
        if !meets {
            field.refuse(
                findings,
                "no key with this prefix is in key_range",
                "leave one of the two out",
            );
        }
    }
}
