//! The channels of a recording and the schemas they carry.
//!
//! Every method of etcd has two channels, one a direction, whose schema is an
//! envelope made for it: `Meta` and the message. The rest of a recording has a
//! few channels of its own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, FileDescriptor, MethodDescriptor};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use rustc_hash::FxHashMap;

use crate::etcd::schema::descriptor_pool;
use crate::http2::Side;

/// The package `etcdtap.v1`, as `proto/etcdtap/v1` states it.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/etcdtap.v1.rs"));
}

/// The MCAP profile of a recording, by which it is known.
pub const PROFILE: &str = "etcdtap";

/// The version of the format that this program writes; it reads no later one.
pub const VERSION: u32 = 1;

/// A channel's number in every file of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub u16);

impl ChannelId {
    /// Lines of the log (`v1::LogLine`).
    pub const LOG: ChannelId = ChannelId(1);
    /// Header blocks (`v1::Headers`).
    pub const HEADERS: ChannelId = ChannelId(2);
    /// Messages without an envelope, and parts of great ones (`v1::Part`).
    pub const PARTS: ChannelId = ChannelId(3);
    /// What could not be recorded (`v1::Loss`).
    pub const LOSSES: ChannelId = ChannelId(4);
    /// Contents of plain HTTP (`v1::Content`).
    pub const CONTENTS: ChannelId = ChannelId(5);
    /// The first channel of a method; the two of the n-th method are `FIRST + 2n`
    /// (the client's) and the one after it.
    pub const FIRST_METHOD: u16 = 16;
}

/// A channel: its topic, and the message that stands on it.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its number.
    pub id: ChannelId,
    /// `/log`, or `/etcdserverpb.KV/Range/request`.
    pub topic: Box<str>,
    /// The full name of the schema's message.
    pub schema: Box<str>,
    /// Whose messages stand on it, if it is a method's.
    pub method: Option<MethodChannel>,
}

/// A method's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodChannel {
    /// The service, with its package.
    pub service: Box<str>,
    /// The method.
    pub method: Box<str>,
    /// Who sends what stands on it.
    pub from: Side,
}

/// All channels that there can be.
#[derive(Debug)]
pub struct Channels {
    channels: Vec<Channel>,
    by_method: FxHashMap<(Box<str>, Box<str>), u16>,
    pool: DescriptorPool,
}

/// An envelope as it stands on a method's channel.
#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    /// Where the message stood.
    #[prost(message, optional, tag = "1")]
    pub meta: Option<v1::Meta>,
    /// The message's own bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub message: bytes::Bytes,
}

const REQUEST: &str = "request";
const RESPONSE: &str = "response";

impl Channels {
    /// The channels of this version.
    pub fn all() -> &'static Channels {
        static ALL: LazyLock<Channels> = LazyLock::new(Channels::build);
        &ALL
    }

    /// The channel of a method's messages; `None` for a method that we do not
    /// know.
    pub fn of_method(&self, service: &str, method: &str, from: Side) -> Option<ChannelId> {
        // Looked up once a call begins, not once a byte.
        let key = (Box::from(service), Box::from(method));
        let first = *self.by_method.get(&key)?;
        Some(ChannelId(match from {
            Side::Client => first,
            Side::Server => first + 1,
        }))
    }

    /// What stands on a channel.
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        let found = self
            .channels
            .binary_search_by_key(&id, |channel| channel.id);
        found.ok().map(|at| &self.channels[at])
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter()
    }

    /// The descriptors of everything that can stand on a channel.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// A schema's data: the encoded `FileDescriptorSet` of its message, with all
    /// that it imports.
    pub fn schema_data(&self, channel: &Channel) -> Vec<u8> {
        let Some(message) = self.pool.get_message_by_name(&channel.schema) else {
            return Vec::new();
        };
        let mut set = FileDescriptorSet::default();
        let mut seen = HashSet::new();
        collect(&message.parent_file(), &mut seen, &mut set);
        set.encode_to_vec()
    }

    fn build() -> Channels {
        let mut pool = descriptor_pool().clone();
        let own = [
            (ChannelId::LOG, "/log", "etcdtap.v1.LogLine"),
            (ChannelId::HEADERS, "/headers", "etcdtap.v1.Headers"),
            (ChannelId::PARTS, "/parts", "etcdtap.v1.Part"),
            (ChannelId::LOSSES, "/losses", "etcdtap.v1.Loss"),
            (ChannelId::CONTENTS, "/contents", "etcdtap.v1.Content"),
        ];
        let mut channels: Vec<Channel> = own
            .into_iter()
            .map(|(id, topic, schema)| Channel {
                id,
                topic: topic.into(),
                schema: schema.into(),
                method: None,
            })
            .collect();
        let mut by_method = FxHashMap::default();
        let mut methods: Vec<MethodDescriptor> = descriptor_pool()
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .collect();
        methods.sort_by(|a, b| a.full_name().cmp(b.full_name()));
        for (n, method) in methods.iter().enumerate() {
            // There are some fifty methods; the build's own schema is no input.
            let first = ChannelId::FIRST_METHOD + 2 * n as u16;
            let service = method.parent_service().full_name().to_owned();
            let key = (service.as_str().into(), method.name().into());
            by_method.insert(key, first);
            pool.add_file_descriptor_proto(envelopes(method))
                .expect("envelopes are made of descriptors that are in the pool");
            for (from, id) in [(Side::Client, first), (Side::Server, first + 1)] {
                let direction = match from {
                    Side::Client => REQUEST,
                    Side::Server => RESPONSE,
                };
                channels.push(Channel {
                    id: ChannelId(id),
                    topic: format!("/{service}/{}/{direction}", method.name()).into(),
                    schema: format!("etcdtap.v1.{}", envelope_name(method, from)).into(),
                    method: Some(MethodChannel {
                        service: service.as_str().into(),
                        method: method.name().into(),
                        from,
                    }),
                });
            }
        }
        Channels {
            channels,
            by_method,
            pool,
        }
    }
}

/// `KVRangeRequest`
fn envelope_name(method: &MethodDescriptor, from: Side) -> String {
    let direction = match from {
        Side::Client => "Request",
        Side::Server => "Response",
    };
    format!(
        "{}{}{direction}",
        method.parent_service().name(),
        method.name()
    )
}

/// A file with a method's two envelopes.
fn envelopes(method: &MethodDescriptor) -> FileDescriptorProto {
    let field = |name: &str, number, message: &str| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::Message.into()),
        type_name: Some(format!(".{message}")),
        ..FieldDescriptorProto::default()
    };
    let envelope = |from, message: &str| DescriptorProto {
        name: Some(envelope_name(method, from)),
        field: vec![
            field("meta", 1, "etcdtap.v1.Meta"),
            field("message", 2, message),
        ],
        ..DescriptorProto::default()
    };
    let (input, output) = (method.input(), method.output());
    let mut dependency = vec!["etcdtap/v1/message.proto".to_owned()];
    for file in [input.parent_file(), output.parent_file()] {
        if !dependency.iter().any(|known| known == file.name()) {
            dependency.push(file.name().to_owned());
        }
    }
    FileDescriptorProto {
        name: Some(format!(
            "etcdtap/v1/{}{}.proto",
            method.parent_service().name(),
            method.name()
        )),
        package: Some("etcdtap.v1".to_owned()),
        dependency,
        message_type: vec![
            envelope(Side::Client, input.full_name()),
            envelope(Side::Server, output.full_name()),
        ],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

/// A file after all that it imports: readers want them in that order.
fn collect(file: &FileDescriptor, seen: &mut HashSet<String>, set: &mut FileDescriptorSet) {
    if !seen.insert(file.name().to_owned()) {
        return;
    }
    for dependency in file.dependencies() {
        collect(&dependency, seen, set);
    }
    let mut file = file.file_descriptor_proto().clone();
    // What a schema is for is messages.
    file.service.clear();
    set.file.push(file);
}

impl Channel {
    /// The path of the calls whose messages stand on it: `/etcdserverpb.KV/Range`.
    pub fn path(&self) -> Option<Cow<'_, str>> {
        let method = self.method.as_ref()?;
        Some(Cow::Owned(format!("/{}/{}", method.service, method.method)))
    }
}

impl From<Side> for v1::Side {
    fn from(side: Side) -> v1::Side {
        match side {
            Side::Client => v1::Side::Client,
            Side::Server => v1::Side::Server,
        }
    }
}

impl v1::Side {
    /// Which side of a connection that is; `None` where none is named.
    pub fn side(self) -> Option<Side> {
        match self {
            v1::Side::Client => Some(Side::Client),
            v1::Side::Server => Some(Side::Server),
            v1::Side::Unspecified => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DynamicMessage;

    use super::*;
    use crate::etcd::schema::etcdserverpb::RangeRequest;

    #[test]
    fn every_method_has_two_channels_of_its_own() {
        let channels = Channels::all();
        let ids: HashSet<_> = channels.iter().map(|channel| channel.id).collect();
        let topics: HashSet<_> = channels.iter().map(|channel| &channel.topic).collect();
        let schemas: HashSet<_> = channels.iter().map(|channel| &channel.schema).collect();
        let count = channels.iter().count();
        assert!(count > 80, "{count}");
        assert_eq!(
            (ids.len(), topics.len(), schemas.len()),
            (count, count, count)
        );
        let range = channels
            .of_method("etcdserverpb.KV", "Range", Side::Server)
            .unwrap();
        let channel = channels.channel(range).unwrap();
        assert_eq!(&*channel.topic, "/etcdserverpb.KV/Range/response");
        assert_eq!(&*channel.schema, "etcdtap.v1.KVRangeResponse");
        assert!(
            channels
                .of_method("etcdserverpb.KV", "Rang", Side::Client)
                .is_none()
        );
    }

    #[test]
    fn a_schema_stands_alone_and_reads_an_envelope() {
        let channels = Channels::all();
        for channel in channels.iter() {
            let data = channels.schema_data(channel);
            let pool = DescriptorPool::decode(data.as_slice()).unwrap();
            assert!(
                pool.get_message_by_name(&channel.schema).is_some(),
                "{}",
                channel.schema
            );
        }
        let id = channels
            .of_method("etcdserverpb.KV", "Range", Side::Client)
            .unwrap();
        let channel = channels.channel(id).unwrap();
        let data = channels.schema_data(channel);
        assert!(data.len() < 6000, "{}", data.len());
        let pool = DescriptorPool::decode(data.as_slice()).unwrap();
        let message = RangeRequest {
            key: "/registry/pods/".into(),
            ..RangeRequest::default()
        };
        let envelope = Envelope {
            meta: Some(v1::Meta {
                connection: 7,
                ..v1::Meta::default()
            }),
            message: message.encode_to_vec().into(),
        };
        let schema = pool.get_message_by_name(&channel.schema).unwrap();
        let read = DynamicMessage::decode(schema, envelope.encode_to_vec().as_slice()).unwrap();
        let json = serde_json::to_value(&read).unwrap();
        assert_eq!(json["meta"]["connection"], "7");
        assert_eq!(json["message"]["key"], "L3JlZ2lzdHJ5L3BvZHMv");
    }
}
