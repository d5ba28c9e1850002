//! The shapes of etcd's messages, as far as redaction has to know them: which
//! fields are messages, keys and values. They are read from the schema once.

use std::sync::LazyLock;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use rustc_hash::FxHashMap;

use crate::etcd::schema::descriptor_pool;

/// What a length-delimited field of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A message of this shape.
    Nested(u16),
    /// The key that the message's values belong to.
    Key,
    /// The beginning of that key: the name of an election.
    Election,
    /// The end of a range that the message's values are compared with.
    RangeEnd,
    /// A value.
    Value,
    /// Any other text.
    Text,
    /// Nothing that the schema has.
    Unknown,
}

/// One message type.
#[derive(Debug)]
pub(super) struct Shape {
    /// By the fields' numbers.
    roles: Box<[Role]>,
    /// It has values.
    pub bears_value: bool,
    /// It has a key and no value: its key is that of the values beside it.
    pub lends_key: bool,
}

impl Shape {
    pub fn role(&self, number: u32) -> Role {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        self.roles.get(number).copied().unwrap_or(Role::Unknown)
    }
}

/// What a direction of a method carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    /// Messages of this shape.
    Messages(u16),
    /// The database itself.
    Database,
    /// Passwords or tokens.
    Credentials,
}

/// A method's two directions.
#[derive(Debug, Clone, Copy)]
pub(super) struct MethodShape {
    pub request: Carries,
    pub answer: Carries,
}

/// The shapes of all messages, and what the methods carry.
#[derive(Debug)]
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    services: FxHashMap<Box<str>, FxHashMap<Box<str>, MethodShape>>,
}

impl Shapes {
    /// What `proto/` states.
    pub fn built_in() -> &'static Shapes {
        static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
            let mut reading = Reading::default();
            let mut services = FxHashMap::default();
            for service in descriptor_pool().services() {
                let methods = service.methods().map(|method| {
                    let shape = MethodShape {
                        request: reading.carries(&method.input()),
                        answer: reading.carries(&method.output()),
                    };
                    (method.name().into(), shape)
                });
                let methods: FxHashMap<Box<str>, MethodShape> = methods.collect();
                services.insert(service.full_name().into(), methods);
            }
            let shapes = reading.shapes.into_iter();
            Shapes {
                // Each was put where its number points when it was read.
                shapes: shapes.flatten().collect(),
                services,
            }
        });
        &SHAPES
    }

    pub fn shape(&self, number: u16) -> &Shape {
        &self.shapes[usize::from(number)]
    }

    /// What a method carries, if it is one of etcd's.
    pub fn method(&self, service: &str, method: &str) -> Option<MethodShape> {
        self.services.get(service)?.get(method).copied()
    }

    /// All methods by service and name.
    #[cfg(test)]
    pub fn methods(&self) -> impl Iterator<Item = (&str, &str, MethodShape)> {
        self.services.iter().flat_map(|(service, methods)| {
            let methods = methods.iter();
            methods.map(move |(method, shape)| (&**service, &**method, *shape))
        })
    }
}

/// Fields that are credentials, whatever message they stand in.
const CREDENTIALS: [&str; 3] = ["password", "hashedPassword", "token"];

#[derive(Debug, Default)]
struct Reading {
    numbers: FxHashMap<String, u16>,
    shapes: Vec<Option<Shape>>,
}

impl Reading {
    fn carries(&mut self, message: &MessageDescriptor) -> Carries {
        if has_field(message, &mut Vec::new(), &|field| {
            CREDENTIALS.contains(&field.name())
        }) {
            return Carries::Credentials;
        }
        if message.fields().any(|field| field.name() == "blob") {
            return Carries::Database;
        }
        Carries::Messages(self.number(message))
    }

    fn number(&mut self, message: &MessageDescriptor) -> u16 {
        if let Some(number) = self.numbers.get(message.full_name()) {
            return *number;
        }
        let number = u16::try_from(self.shapes.len()).expect("etcd has some hundred messages");
        self.numbers.insert(message.full_name().to_owned(), number);
        self.shapes.push(None);
        let is = |field: &FieldDescriptor, name: &str| {
            field.name() == name && field.kind() == Kind::Bytes
        };
        let has = |name: &str| message.fields().any(|field| is(&field, name));
        let bears_value = has("value");
        let most = message.fields().map(|field| field.number()).max();
        let mut roles = vec![Role::Unknown; most.map_or(0, |most| most as usize + 1)];
        for field in message.fields() {
            roles[field.number() as usize] = match field.kind() {
                Kind::Message(inner) => Role::Nested(self.number(&inner)),
                Kind::Bytes => match field.name() {
                    "value" => Role::Value,
                    "key" => Role::Key,
                    "name" if bears_value => Role::Election,
                    "range_end" if bears_value => Role::RangeEnd,
                    _ => Role::Text,
                },
                Kind::String => Role::Text,
                // Numbers in a row.
                _ if field.is_list() => Role::Text,
                _ => Role::Unknown,
            };
        }
        self.shapes[usize::from(number)] = Some(Shape {
            roles: roles.into_boxed_slice(),
            bears_value,
            lends_key: has("key") && !bears_value,
        });
        number
    }
}

/// Whether a message has such a field, or one in it does.
fn has_field(
    message: &MessageDescriptor,
    above: &mut Vec<String>,
    is: &dyn Fn(&FieldDescriptor) -> bool,
) -> bool {
    if above.iter().any(|name| name == message.full_name()) {
        return false;
    }
    above.push(message.full_name().to_owned());
    let found = message.fields().any(|field| {
        is(&field)
            || match field.kind() {
                Kind::Message(inner) => has_field(&inner, above, is),
                _ => false,
            }
    });
    above.pop();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_carry_credentials_or_the_database_are_these() {
        let mut special = Vec::new();
        for (service, method, shape) in Shapes::built_in().methods() {
            for (what, carries) in [("request", shape.request), ("answer", shape.answer)] {
                if !matches!(carries, Carries::Messages(_)) {
                    special.push(format!("{service}/{method} {what} {carries:?}"));
                }
            }
        }
        special.sort();
        assert_eq!(
            special,
            [
                "etcdserverpb.Auth/Authenticate answer Credentials",
                "etcdserverpb.Auth/Authenticate request Credentials",
                "etcdserverpb.Auth/UserAdd request Credentials",
                "etcdserverpb.Auth/UserChangePassword request Credentials",
                "etcdserverpb.Maintenance/Snapshot answer Database",
            ]
        );
    }

    #[test]
    fn every_field_that_holds_values_is_known_as_one() {
        let mut found = Vec::new();
        let messages = descriptor_pool().all_messages();
        // Our own are made here, from what was redacted.
        for message in messages.filter(|message| !message.package_name().starts_with("etcdtap")) {
            for field in message.fields() {
                if field.kind() == Kind::Bytes {
                    found.push(field.full_name().to_owned());
                }
            }
        }
        found.sort();
        // A new one has to be looked at: does it hold a value?
        assert_eq!(
            found,
            [
                "authpb.Permission.key",
                "authpb.Permission.range_end",
                "authpb.Role.name",
                "authpb.User.name",
                "authpb.User.password",
                "etcdserverpb.AuthRoleRevokePermissionRequest.key",
                "etcdserverpb.AuthRoleRevokePermissionRequest.range_end",
                "etcdserverpb.Compare.key",
                "etcdserverpb.Compare.range_end",
                "etcdserverpb.Compare.value",
                "etcdserverpb.DeleteRangeRequest.key",
                "etcdserverpb.DeleteRangeRequest.range_end",
                "etcdserverpb.LeaseTimeToLiveResponse.keys",
                "etcdserverpb.PutRequest.key",
                "etcdserverpb.PutRequest.value",
                "etcdserverpb.RangeRequest.key",
                "etcdserverpb.RangeRequest.range_end",
                "etcdserverpb.SnapshotResponse.blob",
                "etcdserverpb.WatchCreateRequest.key",
                "etcdserverpb.WatchCreateRequest.range_end",
                "mvccpb.KeyValue.key",
                "mvccpb.KeyValue.value",
                "v3electionpb.CampaignRequest.name",
                "v3electionpb.CampaignRequest.value",
                "v3electionpb.LeaderKey.key",
                "v3electionpb.LeaderKey.name",
                "v3electionpb.LeaderRequest.name",
                "v3electionpb.ProclaimRequest.value",
                "v3lockpb.LockRequest.name",
                "v3lockpb.LockResponse.key",
                "v3lockpb.UnlockRequest.key",
            ]
        );
    }
}
