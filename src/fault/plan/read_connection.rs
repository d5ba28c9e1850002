//! Reading what is done to a connection.

use super::action::{Plain, ResetCode};
use super::connection::{
    Bandwidth, ConnectionAction, Direction, Goaway, HalfOpen, Latency, PingFault, Struck, TlsFault,
    Towards,
};
use super::delay::Wait;
use super::field::{Field, Fields, Findings};
use super::node::Value;
use super::read_action::reset_code;
use super::read_delay::{DISTRIBUTIONS, read_drawn, read_wait};
use super::scalar::Span;
use super::terms::Match;
use crate::filter::Name;
use crate::http2::ErrorCode;

/// The terms that a connection can be told by.
const TERMS: [&str; 5] = ["listener", "client", "tls_identity", "sni", "when"];

/// Those of them that only a finished handshake shows.
const OF_THE_HANDSHAKE: [&str; 2] = ["tls_identity", "sni"];

/// The same, as filters call it.
const SHOWN_BY_THE_HANDSHAKE: [Name; 4] = [Name::TlsVersion, Name::Sni, Name::Alpn, Name::Identity];

/// The actions that need no settings, as they are then.
fn without_settings(name: &str) -> Option<ConnectionAction> {
    Some(match name {
        "refuse" => ConnectionAction::Refuse(Plain {}),
        "silent" => ConnectionAction::Silent(Plain {}),
        "close" => ConnectionAction::Close(Struck::default()),
        "reset" => ConnectionAction::Reset(Struck::default()),
        "goaway" => ConnectionAction::Goaway(Goaway::default()),
        "blackhole" => ConnectionAction::Blackhole(Plain {}),
        _ => return None,
    })
}

pub(super) fn read_connection(
    field: &Field<'_>,
    findings: &mut Findings,
) -> Option<ConnectionAction> {
    if let Value::Text(name) = &field.node.value {
        let action = without_settings(name);
        if action.is_none() && ConnectionAction::NAMES.contains(&name.as_str()) {
            let hint = match name.as_str() {
                "half_open" => "write half_open: {dead: to_client}",
                "bandwidth" => "write bandwidth: {bytes_per_second: 64KiB}",
                "latency" => "write latency: 100ms",
                "ping" => "write ping: unanswered",
                "tls" => "write tls: stall",
                _ => "write max_concurrent_streams: 10",
            };
            field.refuse(findings, format!("\"{name}\" needs settings"), hint);
        } else if action.is_none() {
            field.refuse_name(
                findings,
                "action on connections",
                name,
                ConnectionAction::NAMES,
            );
        }
        return action;
    }
    let fields = field.map(findings, &ConnectionAction::NAMES)?;
    let (name, settings) = fields.one_of(&ConnectionAction::NAMES, findings)?;
    if settings.node.value == Value::Null && without_settings(name).is_some() {
        let hint = format!("write {name}: {{}}, or connection: {name}");
        settings.refuse(findings, "the value is missing", &hint);
        return None;
    }
    match name {
        "close" => struck(&settings, findings).map(ConnectionAction::Close),
        "reset" => struck(&settings, findings).map(ConnectionAction::Reset),
        "goaway" => goaway(&settings, findings).map(ConnectionAction::Goaway),
        "half_open" => half_open(&settings, findings).map(ConnectionAction::HalfOpen),
        "bandwidth" => bandwidth(&settings, findings).map(ConnectionAction::Bandwidth),
        "latency" => latency(&settings, findings).map(ConnectionAction::Latency),
        "ping" => ping(&settings, findings).map(ConnectionAction::Ping),
        "max_concurrent_streams" => {
            streams(&settings, findings).map(ConnectionAction::MaxConcurrentStreams)
        }
        "tls" => {
            let ways = [("stall", TlsFault::Stall), ("fail", TlsFault::Fail)];
            let fault = settings.word(findings, "TLS fault", &ways)?;
            Some(ConnectionAction::Tls(fault))
        }
        name => {
            settings.map(findings, &[])?;
            without_settings(name)
        }
    }
}

/// Notes the terms of a match that a connection cannot be told by.
pub(super) fn look_at_terms(
    action: &ConnectionAction,
    matches: &Match,
    terms: &Fields<'_>,
    findings: &mut Findings,
) {
    for name in terms.names() {
        let Some(field) = terms.get(name) else {
            continue;
        };
        if !TERMS.contains(&name) {
            let what = format!("a fault on connections cannot look at \"{name}\"");
            let hint = "match by listener, client, tls_identity or sni, or leave it out";
            field.refuse(findings, what, hint);
        } else if action.precedes_the_handshake() && OF_THE_HANDSHAKE.contains(&name) {
            let what = format!(
                "{} strikes before the TLS handshake, when \"{name}\" is not known yet",
                action.name()
            );
            field.refuse(findings, what, "match by listener or client");
        }
    }
    let asked = |name: &&Name| {
        matches
            .when
            .as_ref()
            .is_some_and(|when| when.0.asks(**name))
    };
    if action.precedes_the_handshake()
        && let Some(name) = SHOWN_BY_THE_HANDSHAKE.iter().find(asked)
        && let Some(field) = terms.get("when")
    {
        let what = format!(
            "{} strikes before the TLS handshake, when \"{name}\" is not known yet",
            action.name()
        );
        field.refuse(findings, what, "ask about client, listener or upstream");
    }
}

/// A fault that strikes a connection once.
fn struck(field: &Field<'_>, findings: &mut Findings) -> Option<Struck> {
    let fields = field.map(findings, &["after"])?;
    Some(Struck {
        after: after(&fields, findings)?,
    })
}

/// `None` if it is wrong.
fn after(fields: &Fields<'_>, findings: &mut Findings) -> Option<Option<Span>> {
    match fields.get("after") {
        Some(field) => {
            let age = field.span(findings)?;
            if age.0 > Wait::LONGEST {
                let why = format!("no connection is waited for until it is {age} old");
                field.refuse(findings, why, "write 24h or less");
                return None;
            }
            Some(Some(age))
        }
        None => Some(None),
    }
}

fn goaway(field: &Field<'_>, findings: &mut Findings) -> Option<Goaway> {
    let fields = field.map(findings, &["code", "debug", "graceful", "after"])?;
    let code = match fields.get("code") {
        Some(field) => reset_code(&field, findings),
        None => Some(ResetCode(ErrorCode::NO_ERROR)),
    };
    let debug = match fields.get("debug") {
        Some(field) => debug(&field, findings),
        None => Some(Box::default()),
    };
    let graceful = match fields.get("graceful") {
        Some(field) => field.flag(findings),
        None => Some(true),
    };
    let after = after(&fields, findings);
    Some(Goaway {
        code: code?,
        debug: debug?,
        graceful: graceful?,
        after: after?,
    })
}

fn debug(field: &Field<'_>, findings: &mut Findings) -> Option<Box<str>> {
    let text = field.text(findings)?;
    let most = Goaway::LONGEST_DEBUG;
    if text.len() > most {
        let why = format!("the text is longer than {most} bytes");
        field.refuse(findings, why, "shorten it");
        return None;
    }
    Some(text.into())
}

fn half_open(field: &Field<'_>, findings: &mut Findings) -> Option<HalfOpen> {
    let fields = field.map(findings, &["dead"])?;
    let dead = fields.need("dead", findings, "write dead: to_client or dead: to_etcd")?;
    let ways = [
        ("to_client", Towards::ToClient),
        ("to_etcd", Towards::ToEtcd),
    ];
    Some(HalfOpen {
        dead: dead.word(findings, "direction", &ways)?,
    })
}

/// `None` if it is wrong.
fn direction(fields: &Fields<'_>, findings: &mut Findings) -> Option<Direction> {
    let Some(field) = fields.get("direction") else {
        return Some(Direction::Both);
    };
    let ways = [
        ("both", Direction::Both),
        ("to_client", Direction::ToClient),
        ("to_etcd", Direction::ToEtcd),
    ];
    field.word(findings, "direction", &ways)
}

fn bandwidth(field: &Field<'_>, findings: &mut Findings) -> Option<Bandwidth> {
    let fields = field.map(findings, &["bytes_per_second", "direction"])?;
    let speed = fields
        .need(
            "bytes_per_second",
            findings,
            "write bytes_per_second: 64KiB",
        )
        .and_then(|field| {
            let bytes = field.size(findings)?;
            if bytes.0 == 0 {
                let hint = "use blackhole or half_open";
                field.refuse(findings, "at this speed nothing ever passes", hint);
                return None;
            }
            Some(bytes)
        });
    let direction = direction(&fields, findings);
    Some(Bandwidth {
        bytes_per_second: speed?,
        direction: direction?,
    })
}

fn latency(field: &Field<'_>, findings: &mut Findings) -> Option<Latency> {
    if !matches!(field.node.value, Value::Map(_)) {
        return Some(Latency {
            wait: read_wait(field, findings)?,
            direction: Direction::Both,
        });
    }
    let mut known = DISTRIBUTIONS.to_vec();
    known.extend(["at_most", "direction"]);
    let fields = field.map(findings, &known)?;
    let wait = read_drawn(&fields, findings);
    let direction = direction(&fields, findings);
    Some(Latency {
        wait: wait?,
        direction: direction?,
    })
}

fn ping(field: &Field<'_>, findings: &mut Findings) -> Option<PingFault> {
    if let Value::Text(_) = field.node.value {
        let text = field.text(findings)?;
        if text == "unanswered" {
            return Some(PingFault::Unanswered);
        }
        let why = format!("\"{text}\" is nothing that becomes of PINGs");
        field.refuse(findings, why, "write unanswered, or {delay: 5s}");
        return None;
    }
    let fields = field.map(findings, &["delay"])?;
    let hint = "write ping: unanswered, or ping: {delay: 5s}";
    let wait = fields.need("delay", findings, hint)?;
    read_wait(&wait, findings).map(PingFault::Delay)
}

fn streams(field: &Field<'_>, findings: &mut Findings) -> Option<u32> {
    let number = field.whole(findings)?;
    let streams = u32::try_from(number).ok();
    if streams.is_none() {
        let why = format!("{number} is more than HTTP/2 can say");
        field.refuse(findings, why, "write a smaller number, such as 10");
    }
    streams
}
