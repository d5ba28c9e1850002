//! Where an answer is another one, field by field.

use std::fmt;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::mapped::Answer;
use super::numbering::Numbering;
use crate::etcd::Method;
use crate::etcd::schema::descriptor_pool;
use crate::etcd::schema::etcdserverpb as pb;
use crate::record::redact::{RecordingKey, redacted_hash, scrub_text};

/// How an answer is to the recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Likeness {
    /// They are equal, but for cluster, member and term.
    Equal,
    /// They are equal once the recorded one is put in the target's numbers.
    UpToNumbering,
    /// They are not.
    Different(Difference),
}

/// The first field in which two messages differ. What stands in a `value` is
/// never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: `responses[0].response_range.kvs[0].mod_revision`.
    pub field: String,
    /// What was recorded, in the target's numbers.
    pub recorded: String,
    /// What the target has.
    pub answered: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            field,
            recorded,
            answered,
        } = self;
        write!(f, "{field}: recorded {recorded}, answered {answered}")
    }
}

/// Holds a method's answer against the recorded one. `None` if that cannot be read, or
/// the method is none that is driven.
pub fn answers_of(
    method: Method,
    recorded: &Bytes,
    answered: &Bytes,
    numbers: &mut Numbering,
    key: Option<&RecordingKey>,
) -> Option<Likeness> {
    let answers = match method {
        Method::Range => answers::<pb::RangeResponse>,
        Method::Put => answers::<pb::PutResponse>,
        Method::DeleteRange => answers::<pb::DeleteRangeResponse>,
        Method::Txn => answers::<pb::TxnResponse>,
        Method::Compact => answers::<pb::CompactionResponse>,
        Method::LeaseGrant => answers::<pb::LeaseGrantResponse>,
        Method::LeaseRevoke => answers::<pb::LeaseRevokeResponse>,
        Method::LeaseTimeToLive => answers::<pb::LeaseTimeToLiveResponse>,
        _ => return None,
    };
    answers(recorded, answered, numbers, key)
}

/// Holds an answer against the recorded one. `None` if that cannot be read.
pub fn answers<A: Answer>(
    recorded: &Bytes,
    answered: &Bytes,
    numbers: &mut Numbering,
    key: Option<&RecordingKey>,
) -> Option<Likeness> {
    let mut recorded = A::decode(recorded.clone()).ok()?;
    let Ok(mut answered) = A::decode(answered.clone()) else {
        return Some(Likeness::Different(Difference {
            field: A::NAME.to_owned(),
            recorded: "an answer".to_owned(),
            answered: format!("{} bytes that are none", answered.len()),
        }));
    };
    recorded.strip();
    answered.strip();
    let same = recorded == answered;
    // Also where they are equal: numbers are learnt here.
    recorded.map(&answered, numbers);
    if recorded == answered {
        return Some(match same {
            true => Likeness::Equal,
            false => Likeness::UpToNumbering,
        });
    }
    let difference = difference(
        A::NAME,
        &recorded.encode_to_vec(),
        &answered.encode_to_vec(),
        key,
    );
    Some(match difference {
        Some(difference) => Likeness::Different(difference),
        None => Likeness::UpToNumbering,
    })
}

/// The first field in which two messages of a type differ.
pub fn difference(
    name: &str,
    recorded: &[u8],
    answered: &[u8],
    key: Option<&RecordingKey>,
) -> Option<Difference> {
    let descriptor = descriptor_pool().get_message_by_name(name)?;
    let recorded = DynamicMessage::decode(descriptor.clone(), recorded).ok()?;
    let answered = DynamicMessage::decode(descriptor, answered).ok()?;
    in_messages(&recorded, &answered, "", key)
}

fn in_messages(
    recorded: &DynamicMessage,
    answered: &DynamicMessage,
    path: &str,
    key: Option<&RecordingKey>,
) -> Option<Difference> {
    for field in recorded.descriptor().fields() {
        let (a, b) = (recorded.get_field(&field), answered.get_field(&field));
        let place = match path {
            "" => field.name().to_owned(),
            path => format!("{path}.{}", field.name()),
        };
        if field.containing_oneof().is_some() || field.supports_presence() {
            match (recorded.has_field(&field), answered.has_field(&field)) {
                (false, false) => continue,
                (true, true) => {}
                (has, _) => {
                    let word = |has| if has { "there" } else { "not there" };
                    return Some(Difference {
                        field: place,
                        recorded: word(has).to_owned(),
                        answered: word(!has).to_owned(),
                    });
                }
            }
        }
        if let Some(found) = in_values(&a, &b, &place, field.name(), key) {
            return Some(found);
        }
    }
    None
}

fn in_values(
    a: &Value,
    b: &Value,
    place: &str,
    name: &str,
    key: Option<&RecordingKey>,
) -> Option<Difference> {
    match (a, b) {
        (Value::Message(a), Value::Message(b)) => in_messages(a, b, place, key),
        (Value::List(a), Value::List(b)) => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                let found = in_values(a, b, &format!("{place}[{n}]"), name, key);
                if found.is_some() {
                    return found;
                }
            }
            (a.len() != b.len()).then(|| Difference {
                field: place.to_owned(),
                recorded: format!("{} of them", a.len()),
                answered: format!("{} of them", b.len()),
            })
        }
        (Value::Bytes(a), Value::Bytes(b)) if name == "value" => in_stored(a, b, place, key),
        (a, b) if a == b => None,
        (a, b) => Some(Difference {
            field: place.to_owned(),
            recorded: shown(a),
            answered: shown(b),
        }),
    }
}

/// Values, of which only lengths are told.
fn in_stored(a: &Bytes, b: &Bytes, place: &str, key: Option<&RecordingKey>) -> Option<Difference> {
    if a == b {
        return None;
    }
    let (mut recorded, mut answered) = (format!("{} bytes", a.len()), format!("{} bytes", b.len()));
    if let Some(hash) = redacted_hash(a).filter(|_| a.len() == b.len()) {
        match key.map(|key| key.hash(b) == hash) {
            // The value itself, which the recording does not have.
            Some(true) => return None,
            Some(false) => answered.push_str(" of another hash"),
            None => recorded.push_str(", hidden; without the recording's key nobody knows them"),
        }
    } else if a.len() == b.len() {
        let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(0);
        answered.push_str(&format!(", others from byte {at} on"));
    }
    Some(Difference {
        field: place.to_owned(),
        recorded,
        answered,
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            format!("{:?}", scrub_text(&text))
        }
        Value::String(text) => format!("{:?}", scrub_text(text)),
        Value::Bool(value) => value.to_string(),
        Value::I32(n) | Value::EnumNumber(n) => n.to_string(),
        Value::I64(n) => n.to_string(),
        Value::U32(n) => n.to_string(),
        Value::U64(n) => n.to_string(),
        _ => "another".to_owned(),
    }
}
