//! Reading a fault's `action`.

use super::action::{
    Action, Amount, Answer, CutShort, Duplicate, End, Execution, Instead, LoseReply, Plain, Rate,
    Reset, ResetCode, Stage, StatusCode,
};
use super::field::{Field, Findings};
use super::node::Value;
use super::read_connection::read_connection;
use super::read_delay::read_delay;
use super::read_watch::read_watch;
use super::scalar::Size;
use crate::fault::etcd_error::EtcdError;
use crate::grpc::Code;
use crate::http2::ErrorCode;
use crate::notation::parse_size;

/// The longest text of an error.
const LONGEST_MESSAGE: usize = 4096;

/// The slowest shared speed: the queue is a minute long.
const SLOWEST: f64 = 1.0 / 60.0;

/// The actions that need no settings, as they are then.
fn without_settings(name: &str) -> Option<Action> {
    Some(match name {
        "hang" => Action::Hang(Plain {}),
        "withhold_trailers" => Action::WithholdTrailers(Plain {}),
        "lose_reply" => Action::LoseReply(LoseReply::default()),
        "cut_short" => Action::CutShort(CutShort::default()),
        "duplicate" => Action::Duplicate(Duplicate::default()),
        _ => return None,
    })
}

pub(super) fn read_action(field: &Field<'_>, findings: &mut Findings) -> Option<Action> {
    if let Value::Text(name) = &field.node.value {
        let action = without_settings(name);
        if action.is_none() && Action::NAMES.contains(&name.as_str()) {
            let hint = match name.as_str() {
                "delay" => "write delay: {request: 200ms}",
                "rate" => "write rate: {calls_per_second: 5}",
                "error" => "write error: no-leader",
                "watch" => "write watch: drop_events, or watch: {stall: {for: 30s}}",
                "connection" => "write connection: reset",
                _ => "write reset: {at: request}",
            };
            field.refuse(findings, format!("\"{name}\" needs settings"), hint);
        } else if action.is_none() {
            field.refuse_name(findings, "action", name, Action::NAMES);
        }
        return action;
    }
    if field.node.value == Value::Null {
        field.refuse(
            findings,
            "it is not said what is done",
            "write it here, such as action: hang",
        );
        return None;
    }
    let fields = field.map(findings, &Action::NAMES)?;
    let (name, settings) = fields.one_of(&Action::NAMES, findings)?;
    if settings.node.value == Value::Null && without_settings(name).is_some() {
        let hint = format!("write {name}: {{}}, or action: {name}");
        settings.refuse(findings, "the value is missing", &hint);
        return None;
    }
    match name {
        "delay" => read_delay(&settings, findings).map(Action::Delay),
        "rate" => rate(&settings, findings).map(Action::Rate),
        "error" => answer(&settings, findings).map(Action::Error),
        "lose_reply" => lose_reply(&settings, findings).map(Action::LoseReply),
        "reset" => reset(&settings, findings).map(Action::Reset),
        "cut_short" => cut_short(&settings, findings).map(Action::CutShort),
        "duplicate" => duplicate(&settings, findings).map(Action::Duplicate),
        "watch" => read_watch(&settings, findings).map(Action::Watch),
        "connection" => read_connection(&settings, findings).map(Action::Connection),
        name => {
            settings.map(findings, &[])?;
            without_settings(name)
        }
    }
}

fn rate(field: &Field<'_>, findings: &mut Findings) -> Option<Rate> {
    let names = ["calls_per_second", "bytes_per_second"];
    let fields = field.map(findings, &names)?;
    let (name, value) = fields.one_of(&names, findings)?;
    if name == "bytes_per_second" {
        let bytes = value.size(findings)?;
        if bytes.0 == 0 {
            value.refuse(findings, "at this speed nothing ever passes", "use hang");
            return None;
        }
        return Some(Rate::BytesPerSecond(bytes));
    }
    let calls = value.number(findings)?;
    if calls >= SLOWEST && calls.is_finite() {
        return Some(Rate::CallsPerSecond(calls));
    }
    value.refuse(
        findings,
        format!("{calls} calls a second are too few"),
        "write at least 0.0167, which is one a minute",
    );
    None
}

pub(super) fn answer(field: &Field<'_>, findings: &mut Findings) -> Option<Answer> {
    if let Value::Text(name) = &field.node.value {
        if let Some(error) = EtcdError::named(name) {
            return Some(Answer::Etcd(error));
        }
        let hint = match crate::notation::nearest(name, EtcdError::names()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => "write one such as no-leader, too-many-requests or compacted, \
                     or {code: UNAVAILABLE, message: \"…\"}"
                .to_owned(),
        };
        field.refuse(findings, format!("etcd has no error \"{name}\""), &hint);
        return None;
    }
    let fields = field.map(findings, &["code", "message"])?;
    let code = fields
        .need("code", findings, "write a gRPC code such as UNAVAILABLE")
        .and_then(|field| status_code(&field, findings));
    let message = match fields.get("message") {
        Some(field) => message(&field, findings),
        None => Some(Box::default()),
    };
    Some(Answer::Status {
        code: code?,
        message: message?,
    })
}

pub(super) fn message(field: &Field<'_>, findings: &mut Findings) -> Option<Box<str>> {
    let text = field.text(findings)?;
    if text.len() > LONGEST_MESSAGE {
        let why = format!("the text is longer than {LONGEST_MESSAGE} bytes");
        field.refuse(findings, why, "shorten it");
        return None;
    }
    Some(text.into())
}

fn status_code(field: &Field<'_>, findings: &mut Findings) -> Option<StatusCode> {
    let text = field.text(findings)?;
    match Code::from_name(text) {
        Some(Code::OK) => {
            field.refuse(
                findings,
                "OK is no error",
                "to end a response early use cut_short",
            );
            None
        }
        Some(code) => Some(StatusCode(code)),
        None => {
            let names = StatusCode::all().filter_map(Code::name);
            field.refuse_name(findings, "gRPC code", text, names);
            None
        }
    }
}

pub(super) fn reset_code(field: &Field<'_>, findings: &mut Findings) -> Option<ResetCode> {
    let text = field.text(findings)?;
    let code = ResetCode::all().find(|code| code.name() == Some(text));
    if code.is_none() {
        let names = ResetCode::all().filter_map(ErrorCode::name);
        field.refuse_name(findings, "HTTP/2 error code", text, names);
    }
    code.map(ResetCode)
}

/// Notes where REFUSED_STREAM would be a lie that nobody asked for.
fn honest(code: &Field<'_>, sent: ResetCode, lying: bool, findings: &mut Findings) -> Option<()> {
    if sent.0 == ErrorCode::REFUSED_STREAM && !lying {
        code.refuse(
            findings,
            "REFUSED_STREAM says that etcd did nothing, but here it has executed the call: \
             the client sends it again by itself, and a Txn runs twice",
            "use INTERNAL_ERROR, or ask for that with lying_server: true",
        );
        return None;
    }
    Some(())
}

fn lose_reply(field: &Field<'_>, findings: &mut Findings) -> Option<LoseReply> {
    let instead = ["answer", "reset", "silence"];
    let fields = field.map(findings, &["answer", "reset", "silence", "lying_server"])?;
    let lying_server = match fields.get("lying_server") {
        Some(field) => field.flag(findings)?,
        None => false,
    };
    let instead = if fields.given(&instead).is_empty() {
        Instead::Answer(Answer::default())
    } else {
        let (name, value) = fields.one_of(&instead, findings)?;
        match name {
            "answer" => Instead::Answer(answer(&value, findings)?),
            "reset" => {
                let code = reset_code(&value, findings)?;
                honest(&value, code, lying_server, findings)?;
                Instead::Reset(code)
            }
            _ => {
                if !value.flag(findings)? {
                    value.refuse(
                        findings,
                        "silence: false says nothing",
                        "write true, or leave the key out",
                    );
                    return None;
                }
                Instead::Silence
            }
        }
    };
    Some(LoseReply {
        instead,
        lying_server,
    })
}

fn reset(field: &Field<'_>, findings: &mut Findings) -> Option<Reset> {
    let fields = field.map(findings, &["at", "code", "after", "lying_server"])?;
    let at = fields
        .need("at", findings, "write at: request, at: head or at: message")
        .and_then(|field| {
            let stages = [
                ("request", Stage::Request),
                ("head", Stage::Head),
                ("message", Stage::Message),
            ];
            field.word(findings, "stage", &stages)
        });
    let lying_server = match fields.get("lying_server") {
        Some(field) => field.flag(findings)?,
        None => false,
    };
    let code_field = fields.get("code");
    let code = match &code_field {
        Some(field) => Some(reset_code(field, findings)?),
        None => None,
    };
    let after_field = fields.get("after");
    let after = match &after_field {
        Some(field) => Some(amount(field, findings)?),
        None => None,
    };
    let at = at?;
    if let (Some(field), true) = (&after_field, at != Stage::Message) {
        field.refuse(
            findings,
            "a part of a message passes only with at: message",
            "write at: message, or leave \"after\" out",
        );
        return None;
    }
    if let (Some(field), Some(code), true) = (&code_field, code, at != Stage::Request) {
        honest(field, code, lying_server, findings)?;
    }
    Some(Reset {
        at,
        code,
        after,
        lying_server,
    })
}

fn cut_short(field: &Field<'_>, findings: &mut Findings) -> Option<CutShort> {
    let fields = field.map(findings, &["after", "end"])?;
    let after = match fields.get("after") {
        Some(field) => amount(&field, findings),
        None => Some(Amount::default()),
    };
    let end = match fields.get("end") {
        Some(field) => {
            let ends = [("trailers", End::Trailers), ("end-stream", End::EndStream)];
            field.word(findings, "end", &ends)
        }
        None => Some(End::default()),
    };
    Some(CutShort {
        after: after?,
        end: end?,
    })
}

fn duplicate(field: &Field<'_>, findings: &mut Findings) -> Option<Duplicate> {
    let fields = field.map(findings, &["client_sees"])?;
    let client_sees = match fields.get("client_sees") {
        Some(field) => {
            let which = [("first", Execution::First), ("second", Execution::Second)];
            field.word(findings, "execution", &which)?
        }
        None => Execution::default(),
    };
    Some(Duplicate { client_sees })
}

fn amount(field: &Field<'_>, findings: &mut Findings) -> Option<Amount> {
    if let Value::Text(text) = &field.node.value
        && let Some(number) = text.strip_suffix('%')
    {
        let percent = number.parse::<u8>().ok();
        let percent = percent.filter(|percent| (1..=99).contains(percent));
        if percent.is_none() {
            let why = format!("\"{text}\" is no part of a message");
            field.refuse(findings, why, "write 1% to 99%, or a number of bytes");
        }
        return percent.map(Amount::Percent);
    }
    match &field.node.value {
        Value::Whole(bytes) => Some(Amount::Bytes(Size(*bytes))),
        Value::Text(text) => match parse_size(text) {
            Ok(bytes) => Some(Amount::Bytes(Size(bytes as u64))),
            Err(_) => {
                let why = format!("\"{text}\" is no part of a message");
                field.refuse(
                    findings,
                    why,
                    "write 50%, or a number of bytes such as 1KiB",
                );
                None
            }
        },
        _ => {
            field.refuse_kind(findings, "a part of a message such as 50% or 1KiB");
            None
        }
    }
}
