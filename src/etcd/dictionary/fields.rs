//! What a message of any shape says in etcd's vocabulary, found by the names
//! of its fields.
//!
//! Only names on the list below are read, so a value, a password or a token
//! has no way into a log from here. Messages are walked as they lie on the
//! wire and never decoded whole: the capture may have cut them short, and the
//! tracer needs a few small fields of what may be very large.

use prost_reflect::{Kind, MessageDescriptor};

/// The facts of one message. `None` where it has no such field, does not set
/// it, or was cut off before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// `key`, also of a `leader`, `kv` or `perm` inside; the `name` of a lock
    /// or an election, which is a prefix of keys.
    pub key: Option<Box<[u8]>>,
    /// `range_end`, also of a `perm` inside.
    pub range_end: Option<Box<[u8]>>,
    /// `revision` of a request.
    pub revision: Option<i64>,
    /// `header` of an answer.
    pub header: Option<HeaderFields>,
    /// `count` of an answer.
    pub count: Option<i64>,
    /// `ID`: of a lease or a member.
    pub id: Option<u64>,
    /// `lease`, also of a `leader` inside.
    pub lease: Option<i64>,
    /// `name` of a user or a role.
    pub name: Option<Box<str>>,
    /// `user` who is granted a role.
    pub user: Option<Box<str>>,
    /// `role`.
    pub role: Option<Box<str>>,
    /// `clientURLs` of all `members`: where clients may go around us.
    pub client_urls: Vec<Box<str>>,
}

/// What the header of an answer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeaderFields {
    /// The cluster's id.
    pub cluster_id: u64,
    /// The id of the member that answered.
    pub member_id: u64,
    /// The store's revision.
    pub revision: i64,
    /// The term of the leader.
    pub raft_term: u64,
}

impl Fields {
    pub(super) fn read(descriptor: &MessageDescriptor, message: &[u8]) -> Fields {
        let mut fields = Fields::default();
        walk(descriptor, message, |name, kind, value| match name {
            "key" => keep(&mut fields.key, value.bytes(kind)),
            "range_end" => keep(&mut fields.range_end, value.bytes(kind)),
            "revision" => keep(&mut fields.revision, value.integer(kind)),
            "count" => keep(&mut fields.count, value.integer(kind)),
            "ID" => keep(&mut fields.id, value.integer(kind).map(i64::cast_unsigned)),
            "lease" => keep(&mut fields.lease, value.integer(kind)),
            "name" if matches!(kind, Kind::Bytes) => keep(&mut fields.key, value.bytes(kind)),
            "name" => keep(&mut fields.name, value.text(kind)),
            "user" => keep(&mut fields.user, value.text(kind)),
            "role" => keep(&mut fields.role, value.text(kind)),
            "header" => keep(&mut fields.header, value.message(kind).map(header)),
            "leader" | "kv" | "perm" => {
                if let Some((descriptor, message)) = value.message(kind) {
                    let inner = keyed(descriptor, message, name == "leader");
                    keep(&mut fields.key, inner.key);
                    keep(&mut fields.range_end, inner.range_end);
                    keep(&mut fields.lease, inner.lease);
                }
            }
            "members" => {
                if let Some((descriptor, message)) = value.message(kind) {
                    walk(descriptor, message, |name, kind, value| {
                        if name == "clientURLs" {
                            fields.client_urls.extend(value.text(kind));
                        }
                    });
                }
            }
            _ => {}
        });
        fields
    }
}

/// The last one counts, as protobuf has it for a field that comes twice.
fn keep<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

fn header((descriptor, message): (&MessageDescriptor, &[u8])) -> HeaderFields {
    let mut header = HeaderFields::default();
    walk(descriptor, message, |name, kind, value| {
        let Some(number) = value.integer(kind) else {
            return;
        };
        match name {
            "cluster_id" => header.cluster_id = number.cast_unsigned(),
            "member_id" => header.member_id = number.cast_unsigned(),
            "revision" => header.revision = number,
            "raft_term" => header.raft_term = number.cast_unsigned(),
            _ => {}
        }
    });
    header
}

/// The key in a message that is about one. A stored key's lease is the
/// store's affair; a leader's lease is the caller's own.
fn keyed(descriptor: &MessageDescriptor, message: &[u8], with_lease: bool) -> Fields {
    let mut fields = Fields::default();
    walk(descriptor, message, |name, kind, value| match name {
        "key" => keep(&mut fields.key, value.bytes(kind)),
        "range_end" => keep(&mut fields.range_end, value.bytes(kind)),
        "lease" if with_lease => keep(&mut fields.lease, value.integer(kind)),
        _ => {}
    });
    fields
}

/// A field's value as it lies on the wire.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    /// What is left of a value whose end is cut off.
    Cut(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn integer(self, kind: &Kind) -> Option<i64> {
        match (kind, self) {
            (Kind::Int64 | Kind::Uint64 | Kind::Int32 | Kind::Uint32, Wire::Varint(n)) => {
                Some(n.cast_signed())
            }
            (Kind::Sint64 | Kind::Sint32, Wire::Varint(n)) => {
                Some((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
            }
            (Kind::Fixed64 | Kind::Sfixed64, Wire::Fixed64(n)) => Some(n.cast_signed()),
            (Kind::Fixed32, Wire::Fixed32(n)) => Some(n.into()),
            (Kind::Sfixed32, Wire::Fixed32(n)) => Some(n.cast_signed().into()),
            _ => None,
        }
    }

    /// Never a part: the beginning of a key is the name of another key.
    fn bytes(self, kind: &Kind) -> Option<Box<[u8]>> {
        match (kind, self) {
            (Kind::Bytes | Kind::String, Wire::Bytes(bytes)) => Some(bytes.into()),
            _ => None,
        }
    }

    fn text(self, kind: &Kind) -> Option<Box<str>> {
        match (kind, self) {
            (Kind::String, Wire::Bytes(bytes)) => str::from_utf8(bytes).ok().map(Into::into),
            _ => None,
        }
    }

    /// A part is good enough here: its own fields are whole or absent.
    fn message<'k>(self, kind: &'k Kind) -> Option<(&'k MessageDescriptor, &'a [u8])> {
        match (kind, self) {
            (Kind::Message(descriptor), Wire::Bytes(bytes) | Wire::Cut(bytes)) => {
                Some((descriptor, bytes))
            }
            _ => None,
        }
    }
}

/// Shows every field that the descriptor knows, in the order of the wire, up
/// to the end of the bytes or the first that are not protobuf.
fn walk<'a>(
    descriptor: &MessageDescriptor,
    mut bytes: &'a [u8],
    mut show: impl FnMut(&str, &Kind, Wire<'a>),
) {
    while let Some((number, value)) = next_field(&mut bytes) {
        if let Some(field) = descriptor.get_field(number) {
            show(field.name(), &field.kind(), value);
        }
    }
}

fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Wire<'a>)> {
    let tag = varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok()?;
    let value = match tag & 7 {
        0 => Wire::Varint(varint(bytes)?),
        1 => Wire::Fixed64(u64::from_le_bytes(*bytes.split_off(..8)?.first_chunk()?)),
        2 => {
            let length = varint(bytes)?;
            match usize::try_from(length)
                .ok()
                .and_then(|n| bytes.split_off(..n))
            {
                Some(value) => Wire::Bytes(value),
                None => Wire::Cut(std::mem::take(bytes)),
            }
        }
        5 => Wire::Fixed32(u32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?)),
        // Groups went away with proto2, and etcd never had any.
        _ => return None,
    };
    Some((number, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::etcd::schema::v3lockpb;
    use crate::etcd::schema::{authpb, descriptor_pool, etcdserverpb, mvccpb, v3electionpb};

    fn read(name: &str, message: &[u8]) -> Fields {
        let descriptor = descriptor_pool()
            .get_message_by_name(name)
            .expect("a message of ours");
        Fields::read(&descriptor, message)
    }

    fn header() -> Option<etcdserverpb::ResponseHeader> {
        Some(etcdserverpb::ResponseHeader {
            cluster_id: u64::MAX,
            member_id: 7,
            revision: 41,
            raft_term: 3,
        })
    }

    const HEADER: HeaderFields = HeaderFields {
        cluster_id: u64::MAX,
        member_id: 7,
        revision: 41,
        raft_term: 3,
    };

    #[test]
    fn a_request_for_a_range() {
        let request = etcdserverpb::RangeRequest {
            key: "/registry/pods/".into(),
            range_end: "/registry/pods0".into(),
            revision: 12,
            limit: 500,
            ..Default::default()
        };
        let fields = read("etcdserverpb.RangeRequest", &request.encode_to_vec());
        assert_eq!(
            fields,
            Fields {
                key: Some(b"/registry/pods/"[..].into()),
                range_end: Some(b"/registry/pods0"[..].into()),
                revision: Some(12),
                ..Default::default()
            }
        );
    }

    #[test]
    fn an_answer_has_its_header_and_count_but_none_of_the_keys_it_lists() {
        let response = etcdserverpb::RangeResponse {
            header: header(),
            kvs: vec![mvccpb::KeyValue {
                key: "/registry/secrets/a/b".into(),
                value: "hush".into(),
                ..Default::default()
            }],
            more: true,
            count: 9,
        };
        let fields = read("etcdserverpb.RangeResponse", &response.encode_to_vec());
        assert_eq!(
            fields,
            Fields {
                header: Some(HEADER),
                count: Some(9),
                ..Default::default()
            }
        );
    }

    #[test]
    fn locks_and_elections_are_about_keys() {
        let lock = v3lockpb::LockRequest {
            name: "jobs".into(),
            lease: 5,
        };
        let fields = read("v3lockpb.LockRequest", &lock.encode_to_vec());
        assert_eq!(fields.key.as_deref(), Some(&b"jobs"[..]));
        assert_eq!((fields.lease, fields.name), (Some(5), None));

        let won = v3electionpb::CampaignResponse {
            header: header(),
            leader: Some(v3electionpb::LeaderKey {
                name: "boss".into(),
                key: "boss/5".into(),
                rev: 8,
                lease: 5,
            }),
        };
        let fields = read("v3electionpb.CampaignResponse", &won.encode_to_vec());
        assert_eq!(fields.key.as_deref(), Some(&b"boss/5"[..]));
        assert_eq!((fields.lease, fields.header), (Some(5), Some(HEADER)));

        let leader = v3electionpb::LeaderResponse {
            header: header(),
            kv: Some(mvccpb::KeyValue {
                key: "boss/5".into(),
                value: "hush".into(),
                ..Default::default()
            }),
        };
        let fields = read("v3electionpb.LeaderResponse", &leader.encode_to_vec());
        assert_eq!(fields.key.as_deref(), Some(&b"boss/5"[..]));
    }

    #[test]
    fn leases_and_members_have_ids() {
        let revoke = etcdserverpb::LeaseRevokeRequest { id: 0x1234 };
        let fields = read("etcdserverpb.LeaseRevokeRequest", &revoke.encode_to_vec());
        assert_eq!(fields.id, Some(0x1234));

        let member = |id, url: &str| etcdserverpb::Member {
            id,
            name: "infra".into(),
            client_ur_ls: vec![url.into()],
            ..Default::default()
        };
        let list = etcdserverpb::MemberListResponse {
            header: header(),
            members: vec![
                member(1, "https://10.0.0.1:2379"),
                member(2, "https://10.0.0.2:2379"),
            ],
        };
        let fields = read("etcdserverpb.MemberListResponse", &list.encode_to_vec());
        assert_eq!(
            fields,
            Fields {
                header: Some(HEADER),
                client_urls: vec![
                    "https://10.0.0.1:2379".into(),
                    "https://10.0.0.2:2379".into()
                ],
                ..Default::default()
            }
        );
    }

    #[test]
    fn users_and_roles_are_named_and_their_secrets_are_not() {
        let add = etcdserverpb::AuthUserAddRequest {
            name: "root".into(),
            password: "hush".into(),
            hashed_password: "hush".into(),
            options: None,
        };
        let fields = read("etcdserverpb.AuthUserAddRequest", &add.encode_to_vec());
        let only_the_name = Fields {
            name: Some("root".into()),
            ..Default::default()
        };
        assert_eq!(fields, only_the_name);

        let token = etcdserverpb::AuthenticateResponse {
            header: None,
            token: "hush".into(),
        };
        let fields = read("etcdserverpb.AuthenticateResponse", &token.encode_to_vec());
        assert_eq!(fields, Fields::default());

        let grant = etcdserverpb::AuthUserGrantRoleRequest {
            user: "ann".into(),
            role: "reader".into(),
        };
        let fields = read(
            "etcdserverpb.AuthUserGrantRoleRequest",
            &grant.encode_to_vec(),
        );
        assert_eq!(fields.user.as_deref(), Some("ann"));
        assert_eq!(fields.role.as_deref(), Some("reader"));

        let permit = etcdserverpb::AuthRoleGrantPermissionRequest {
            name: "reader".into(),
            perm: Some(authpb::Permission {
                key: "/a".into(),
                range_end: "/b".into(),
                ..Default::default()
            }),
        };
        let fields = read(
            "etcdserverpb.AuthRoleGrantPermissionRequest",
            &permit.encode_to_vec(),
        );
        assert_eq!(fields.name.as_deref(), Some("reader"));
        assert_eq!(fields.key.as_deref(), Some(&b"/a"[..]));
        assert_eq!(fields.range_end.as_deref(), Some(&b"/b"[..]));
    }

    #[test]
    fn a_field_of_the_same_name_and_another_type_is_left_alone() {
        let status = etcdserverpb::StatusResponse {
            header: header(),
            leader: 7,
            ..Default::default()
        };
        let fields = read("etcdserverpb.StatusResponse", &status.encode_to_vec());
        assert_eq!(fields.key, None);
        assert_eq!(fields.header, Some(HEADER));
    }

    #[test]
    fn a_message_cut_short_still_tells_what_came_before() {
        let put = etcdserverpb::PutRequest {
            key: "/registry/a".into(),
            value: vec![0; 4096].into(),
            lease: 4,
            ..Default::default()
        };
        let bytes = put.encode_to_vec();
        let fields = read("etcdserverpb.PutRequest", &bytes[..64]);
        assert_eq!(fields.key.as_deref(), Some(&b"/registry/a"[..]));
        assert_eq!(fields.lease, None);
        // Half a key is none.
        assert_eq!(
            read("etcdserverpb.PutRequest", &bytes[..9]),
            Fields::default()
        );

        // Within the header, the numbers that are whole.
        let bytes = etcdserverpb::PutResponse {
            header: header(),
            prev_kv: None,
        }
        .encode_to_vec();
        let fields = read("etcdserverpb.PutResponse", &bytes[..bytes.len() - 2]);
        let cut = HeaderFields {
            raft_term: 0,
            ..HEADER
        };
        assert_eq!(fields.header, Some(cut));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in descriptor_pool().all_messages() {
                Fields::read(&message, &bytes);
            }
        }
    }
}
