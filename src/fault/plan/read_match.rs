//! Reading a fault's `match`.

use super::address::{ClientTerm, ListenerTerm};
use super::field::{Field, Fields, Findings};
use super::methods::{self, Known};
use super::scalar::{AnyOf, Glob, KeyText};
use super::terms::{
    GroupTerm, KeyRange, Match, MethodTerm, ResourceTerm, ServiceTerm, SizeRange, VerbTerm,
};
use super::watch::{CreatedTerm, EventTerm, RevisionRange};
use super::when::read_when;
use crate::filter::Vocabulary;
use crate::kube::operation::Verb;

const TERMS: &[&str] = &[
    "service",
    "method",
    "verb",
    "resource",
    "group",
    "namespace",
    "name",
    "key",
    "key_prefix",
    "key_range",
    "request_size",
    "user_agent",
    "client",
    "tls_identity",
    "sni",
    "listener",
    "watched_prefix",
    "watch_id",
    "start_revision",
    "created",
    "event",
    "when",
];

/// Reads the terms, of which `when` may speak of what is known by then; also gives their fields, for what is wrong among them.
pub(super) fn read_match<'n>(
    field: &Field<'n>,
    known_by_then: &Vocabulary,
    findings: &mut Findings,
) -> Option<(Match, Fields<'n>)> {
    let fields = field.map(findings, TERMS)?;
    let known = methods::all();
    let matches = Match {
        service: any(&fields, "service", findings, |field, findings| {
            service(field, known, findings)
        }),
        method: any(&fields, "method", findings, |field, findings| {
            method(field, known, findings)
        }),
        verb: any(&fields, "verb", findings, verb),
        resource: any(&fields, "resource", findings, |field, findings| {
            field.text_as(findings, "", |text| {
                let name = text.split('.').next().unwrap_or_default();
                if name.is_empty() || text.ends_with('.') {
                    return Err("is no resource; write pods, or deployments.apps".to_owned());
                }
                Ok(ResourceTerm(text.into()))
            })
        }),
        group: any(&fields, "group", findings, |field, findings| {
            Some(GroupTerm(field.text(findings)?.into()))
        }),
        namespace: any(&fields, "namespace", findings, glob),
        name: any(&fields, "name", findings, glob),
        key: any(&fields, "key", findings, key),
        key_prefix: any(&fields, "key_prefix", findings, key),
        key_range: any(&fields, "key_range", findings, key_range),
        request_size: (fields.get("request_size")).and_then(|field| sizes(&field, findings)),
        user_agent: any(&fields, "user_agent", findings, glob),
        client: any(&fields, "client", findings, |field, findings| {
            let hint = "write an IP address, a network such as 10.0.0.0/8, or IP:PORT";
            field.text_as(findings, hint, ClientTerm::parse)
        }),
        tls_identity: any(&fields, "tls_identity", findings, glob),
        sni: any(&fields, "sni", findings, glob),
        listener: any(&fields, "listener", findings, |field, findings| {
            field.text_as(findings, "write IP:PORT or :PORT", |text| {
                ListenerTerm::parse(text).ok_or_else(|| "is no address of a listener".to_owned())
            })
        }),
        watched_prefix: any(&fields, "watched_prefix", findings, key),
        watch_id: any(&fields, "watch_id", findings, |field, findings| {
            field.whole(findings)
        }),
        start_revision: (fields.get("start_revision"))
            .and_then(|field| revisions(&field, findings)),
        created: (fields.get("created")).and_then(|field| {
            let words = [
                ("before", CreatedTerm::Before),
                ("during", CreatedTerm::During),
            ];
            field.word(findings, "time", &words)
        }),
        event: any(&fields, "event", findings, |field, findings| {
            let kind = field.word(findings, "kind of event", &EventTerm::NAMES);
            kind.map(EventTerm)
        }),
        when: (fields.get("when")).and_then(|field| read_when(&field, known_by_then, findings)),
    };
    Some((matches, fields))
}

fn any<'n, T>(
    fields: &Fields<'n>,
    name: &str,
    findings: &mut Findings,
    read: impl FnMut(&Field<'n>, &mut Findings) -> Option<T>,
) -> AnyOf<T> {
    match fields.get(name) {
        Some(field) => field.any_of(findings, read),
        None => AnyOf::default(),
    }
}

fn service(field: &Field<'_>, known: &[Known], findings: &mut Findings) -> Option<ServiceTerm> {
    let text = field.text(findings)?;
    is_service(field, text, known, findings).then(|| ServiceTerm(text.into()))
}

/// Whether a service may be called so. One with a package may be of a schema
/// that is not known here.
fn is_service(field: &Field<'_>, text: &str, known: &[Known], findings: &mut Findings) -> bool {
    let mut names: Vec<&str> = known.iter().map(|known| known.short_service()).collect();
    names.dedup();
    let fits = text.contains('.') && !text.starts_with("etcdserverpb.")
        || names.contains(&text)
        || known.iter().any(|known| known.service == text);
    if !fits {
        let bare = text.strip_prefix("etcdserverpb.").unwrap_or(text);
        field.refuse_name(findings, "service", bare, names);
    }
    fits
}

fn method(field: &Field<'_>, known: &[Known], findings: &mut Findings) -> Option<MethodTerm> {
    let text = field.text(findings)?;
    let term = MethodTerm(text.into());
    let (service, method) = term.parts();
    if let Some(service) = service
        && !is_service(field, service, known, findings)
    {
        return None;
    }
    let of_service: Vec<&Known> = known
        .iter()
        .filter(|known| {
            service.is_none_or(|service| ServiceTerm(service.into()).fits(&known.service))
        })
        .collect();
    // A service that is not known here may have any method.
    if of_service.is_empty() || of_service.iter().any(|known| known.method == method) {
        return Some(term);
    }
    let kind = match service {
        Some(service) => format!("method of {service}"),
        None => "method".to_owned(),
    };
    let names = of_service.iter().map(|known| known.method.as_str());
    match service {
        Some(_) => field.refuse_name(findings, &kind, method, names),
        // All methods of all services would be no help.
        None => {
            let hint = match crate::notation::nearest(method, names) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => {
                    "write a method of a service that etcd does not have as package.Service/Method"
                        .to_owned()
                }
            };
            field.refuse(findings, format!("there is no method \"{method}\""), &hint);
        }
    }
    None
}

fn verb(field: &Field<'_>, findings: &mut Findings) -> Option<VerbTerm> {
    let text = field.text(findings)?;
    match text.parse() {
        Ok(verb @ (Verb::Conflict | Verb::Progress)) => {
            let why = format!("whether a call is a {verb} is known only when it was answered");
            let hint = match verb {
                Verb::Conflict => "match create, update or delete",
                _ => "match watch",
            };
            field.refuse(findings, why, hint);
            None
        }
        Ok(verb) => Some(VerbTerm(verb)),
        Err(_) => {
            let names = VerbTerm::all().map(Verb::as_str);
            field.refuse_name(findings, "verb", text, names);
            None
        }
    }
}

fn glob(field: &Field<'_>, findings: &mut Findings) -> Option<Glob> {
    field.text_as(findings, "", |text| {
        Glob::new(text).ok_or_else(|| "fits nothing; leave the key out, or write *".to_owned())
    })
}

fn key(field: &Field<'_>, findings: &mut Findings) -> Option<KeyText> {
    field.text_as(findings, "", |text| {
        KeyText::new(text).ok_or_else(|| "is no key; leave it out to mean every key".to_owned())
    })
}

fn key_range(field: &Field<'_>, findings: &mut Findings) -> Option<KeyRange> {
    let fields = field.map(findings, &["from", "to"])?;
    let hint = "write {from: /a, to: /b}; \"to\" is the first key behind the range";
    let from = fields.need("from", findings, hint);
    let to = fields.need("to", findings, hint);
    let range = KeyRange {
        from: key(&from?, findings)?,
        to: key(&to?, findings)?,
    };
    if range.from >= range.to {
        field.refuse(
            findings,
            format!(
                "no key is behind \"{}\" and before \"{}\"",
                range.from, range.to
            ),
            "write the smaller one as \"from\"",
        );
        return None;
    }
    Some(range)
}

fn sizes(field: &Field<'_>, findings: &mut Findings) -> Option<SizeRange> {
    let fields = field.map(findings, &["min", "max"])?;
    let given = fields.given(&["min", "max"]);
    if given.is_empty() {
        field.refuse(findings, "this says nothing", "write min, max or both");
        return None;
    }
    let sizes = SizeRange {
        min: fields.get("min").and_then(|field| field.size(findings)),
        max: fields.get("max").and_then(|field| field.size(findings)),
    };
    if let (Some(min), Some(max)) = (sizes.min, sizes.max)
        && min > max
    {
        let why = format!("no request has at least {min} and at most {max}");
        field.refuse(findings, why, "write the smaller one as \"min\"");
        return None;
    }
    Some(sizes)
}

fn revisions(field: &Field<'_>, findings: &mut Findings) -> Option<RevisionRange> {
    let fields = field.map(findings, &["min", "max"])?;
    let mut whole = |name| match fields.get(name) {
        Some(field) => field.whole(findings).map(Some),
        None => Some(None),
    };
    let range = RevisionRange {
        min: whole("min")?,
        max: whole("max")?,
    };
    match (range.min, range.max) {
        (None, None) => {
            field.refuse(findings, "it is not said which", "write {min: 1}");
            None
        }
        (Some(min), Some(max)) if min > max => {
            let why = format!("no revision is at least {min} and at most {max}");
            field.refuse(findings, why, "swap the two");
            None
        }
        _ => Some(range),
    }
}
