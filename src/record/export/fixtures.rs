//! Lines for tests.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::record::schema::Channels;
use crate::record::schema::v1::LogLine;

/// A line in which every field says something, of whatever fields there are.
pub fn full_line() -> LogLine {
    let pool = Channels::all().pool();
    let message = pool.get_message_by_name("etcdtap.v1.LogLine").unwrap();
    LogLine::decode(full(message).encode_to_vec().as_slice()).unwrap()
}

fn full(of: MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        let value = some(&field);
        let value = if field.is_list() {
            Value::List(vec![value])
        } else {
            value
        };
        message.set_field(&field, value);
    }
    message
}

fn some(field: &FieldDescriptor) -> Value {
    let number = field.number();
    match field.kind() {
        Kind::Bool => Value::Bool(true),
        Kind::Int64 => Value::I64(number.into()),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number.into()),
        Kind::Uint32 => Value::U32(number),
        Kind::String => Value::String(format!("{}, \"{number}\"", field.name())),
        Kind::Bytes => Value::Bytes(format!("/registry/pods/lab/{number}").into()),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Message(inner) => Value::Message(full(inner)),
        other => panic!("a line has no {other:?}"),
    }
}
