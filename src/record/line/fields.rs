//! The fields of a line in protobuf, as they are told.

use prost::Message;
use rustc_hash::FxHashMap;

use crate::http2::Side;
use crate::kube::token;
use crate::record::index::{About, Kind};
use crate::record::redact::scrub_text;
use crate::record::schema::v1;
use crate::record::schema::v1::log_line::Form;
use crate::relay::{ConnectionId, Peers};

/// The numbers of `LogLine`'s fields (`proto/etcdtap/v1/log.proto`).
pub(super) mod tag {
    pub const EVENT: u32 = 1;
    pub const CONN: u32 = 2;
    pub const STREAM: u32 = 3;
    pub const CLIENT: u32 = 4;
    pub const UPSTREAM: u32 = 5;
    pub const USER_AGENT: u32 = 6;
    pub const PROTOCOL: u32 = 7;
    pub const SERVICE: u32 = 8;
    pub const METHOD: u32 = 9;
    pub const PATH: u32 = 10;
    pub const VERB: u32 = 11;
    pub const KEY: u32 = 12;
    pub const RANGE_END: u32 = 13;
    pub const RESOURCE: u32 = 14;
    pub const GROUP: u32 = 15;
    pub const NAMESPACE: u32 = 16;
    pub const NAME: u32 = 17;
    pub const KIND: u32 = 18;
    pub const ENCRYPTION: u32 = 19;
    pub const TYPE: u32 = 20;
    pub const LIMIT: u32 = 21;
    pub const AT_REVISION: u32 = 22;
    pub const COUNT_ONLY: u32 = 23;
    pub const KEYS_ONLY: u32 = 24;
    pub const SERIALIZABLE: u32 = 25;
    pub const IF_REVISION: u32 = 26;
    pub const COMPACT_REVISION: u32 = 27;
    pub const LEASE: u32 = 28;
    pub const TTL: u32 = 29;
    pub const SUBJECT: u32 = 30;
    pub const STATUS: u32 = 31;
    pub const HTTP_STATUS: u32 = 32;
    pub const MESSAGE: u32 = 33;
    pub const ENDING: u32 = 34;
    pub const RESET: u32 = 35;
    pub const RESET_BY: u32 = 36;
    pub const LOST_BY: u32 = 37;
    pub const FAULT: u32 = 38;
    pub const DURATION_US: u32 = 39;
    pub const FIRST_BYTE_US: u32 = 40;
    pub const SLOW: u32 = 41;
    pub const REQUEST_BYTES: u32 = 42;
    pub const RESPONSE_BYTES: u32 = 43;
    pub const REQUEST_MESSAGES: u32 = 44;
    pub const RESPONSE_MESSAGES: u32 = 45;
    pub const REVISION: u32 = 46;
    pub const COMMITTED: u32 = 47;
    pub const COUNT: u32 = 48;
    pub const TOTAL: u32 = 49;
    pub const MORE: u32 = 50;
    pub const CONTINUE: u32 = 51;
    pub const MOD_REVISION: u32 = 52;
    pub const SUCCEEDED: u32 = 53;
    pub const GRANTED_TTL: u32 = 54;
    pub const WATCH_ID: u32 = 55;
    pub const LAG_US: u32 = 56;
    pub const START_REVISION: u32 = 57;
    pub const PROGRESS_NOTIFY: u32 = 58;
    pub const PREV_KV: u32 = 59;
    pub const CAUSE: u32 = 60;
    pub const EVENTS: u32 = 61;
    pub const HELD_US: u32 = 62;
    pub const DELIVERED: u32 = 63;
    pub const STATE: u32 = 64;
    pub const LISTENER: u32 = 65;
    pub const TLS_VERSION: u32 = 66;
    pub const SNI: u32 = 67;
    pub const ALPN: u32 = 68;
    pub const IDENTITY: u32 = 69;
    pub const BY: u32 = 70;
    pub const CODE: u32 = 71;
    pub const OFFENDING_STREAM: u32 = 72;
    pub const STREAMS: u32 = 73;
    pub const INTERPOSED: u32 = 74;
    pub const PINGS_ANSWERED: u32 = 75;
    pub const OF_CLIENT: u32 = 76;
    pub const OF_SERVER: u32 = 77;
    pub const CLUSTER_ID: u32 = 78;
    pub const MEMBER_ID: u32 = 79;
    pub const RAFT_TERM: u32 = 80;
    pub const EXTENT: u32 = 81;
    pub const EXTENT_OF: u32 = 82;
    pub const INTERNAL: u32 = 83;
    pub const GRANTED_LEASE: u32 = 84;
    pub const ASKED: u32 = 85;
    pub const ANSWERED: u32 = 86;
    pub const GUARDS_HELD: u32 = 87;
    pub const ANSWERED_US: u32 = 88;
}

/// Protobuf's wire types ("Encoding", Message Structure).
#[derive(Debug, Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
}

/// Writes fields, in whatever order they are told.
#[derive(Debug)]
pub(super) struct Fields<'o> {
    out: &'o mut Vec<u8>,
    /// Texts may hold tokens, which do not get into a file.
    scrubs: bool,
    about: About,
}

impl<'o> Fields<'o> {
    /// Behind what is in `out`.
    pub fn new(out: &'o mut Vec<u8>, scrubs: bool) -> Fields<'o> {
        // Most lines are shorter.
        out.reserve(512);
        Fields {
            out,
            scrubs,
            about: About::default(),
        }
    }

    /// What an index keeps of the fields.
    pub fn about(self) -> About {
        self.about
    }

    /// A number, or a truth.
    pub fn number(&mut self, tag: u32, number: impl Into<u64>) {
        self.begin(tag, Wire::Varint);
        self.varint(number.into());
    }

    /// A number, where there is one.
    pub fn optional(&mut self, tag: u32, number: Option<impl Into<u64>>) {
        if let Some(number) = number {
            self.number(tag, number);
        }
    }

    /// A number that may be less than zero.
    pub fn signed(&mut self, tag: u32, number: impl Into<i64>) {
        self.begin(tag, Wire::Varint);
        self.varint(number.into().cast_unsigned());
    }

    /// A number that may be less than zero, where there is one.
    pub fn optional_signed(&mut self, tag: u32, number: Option<impl Into<i64>>) {
        if let Some(number) = number {
            self.signed(tag, number);
        }
    }

    /// An id, which is great and needs all its bytes.
    pub fn fixed(&mut self, tag: u32, number: u64) {
        self.begin(tag, Wire::Fixed64);
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    /// Something that is so, or is not told.
    pub fn flag(&mut self, tag: u32, is_so: bool) {
        if is_so {
            self.number(tag, true);
        }
    }

    /// The revision, by which an index knows the line.
    pub fn revision(&mut self, revision: i64) {
        self.about.revision = Some(revision);
        self.signed(tag::REVISION, revision);
    }

    /// One of the two sides, where one is meant.
    pub fn side(&mut self, tag: u32, side: Option<Side>) {
        if let Some(side) = side {
            self.signed(tag, i32::from(v1::Side::from(side)));
        }
    }

    /// What kind of request or answer it was.
    pub fn form(&mut self, tag: u32, form: Form) {
        if form != Form::Unread {
            self.signed(tag, i32::from(form));
        }
    }

    /// A word of ours, or of a protocol.
    pub fn word(&mut self, tag: u32, word: &str) {
        self.sized(tag, word.as_bytes());
    }

    /// A text of somebody else's.
    pub fn text(&mut self, tag: u32, text: &str) {
        match self.scrubs {
            false => self.word(tag, text),
            true => self.word(tag, &scrub_text(text)),
        }
    }

    /// A text of somebody else's, where there is one.
    pub fn optional_text(&mut self, tag: u32, text: Option<&str>) {
        if let Some(text) = text {
            self.text(tag, text);
        }
    }

    /// A text by which an index knows the line.
    pub fn term(&mut self, tag: u32, text: &str, kind: Kind) {
        match self.scrubs {
            false => {
                self.about.add(kind, text.as_bytes());
                self.word(tag, text);
            }
            true => {
                let text = scrub_text(text);
                self.about.add(kind, text.as_bytes());
                self.word(tag, &text);
            }
        }
    }

    /// A key.
    pub fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        match self.scrubs {
            false => self.sized(tag, bytes),
            true => self.sized(tag, &scrub_bytes(bytes)),
        }
    }

    /// A key by which an index knows the line.
    pub fn key(&mut self, tag: u32, key: &[u8], kind: Kind) {
        match self.scrubs {
            false => {
                self.about.add(kind, key);
                self.sized(tag, key);
            }
            true => {
                let key = scrub_bytes(key);
                self.about.add(kind, &key);
                self.sized(tag, &key);
            }
        }
    }

    /// A message within the line; its texts are scrubbed already.
    pub fn message(&mut self, tag: u32, message: &impl Message) {
        self.sized(tag, &message.encode_to_vec());
    }

    /// Fields that are encoded already.
    pub fn encoded(&mut self, fields: &[u8]) {
        self.out.extend_from_slice(fields);
    }

    fn begin(&mut self, tag: u32, wire: Wire) {
        self.varint(u64::from(tag << 3 | wire as u32));
    }

    fn sized(&mut self, tag: u32, bytes: &[u8]) {
        self.begin(tag, Wire::Bytes);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }
}

fn scrub_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    token::scrub_tail(&mut bytes, 0);
    bytes
}

/// Connections whose fields are remembered. More of them at once are rare, and cost
/// no more than the time to write them.
const MOST: usize = 65_536;

/// The fields that every line of a connection has: its number and its two ends.
#[derive(Debug, Default)]
pub(super) struct Openings {
    known: FxHashMap<ConnectionId, Box<[u8]>>,
}

impl Openings {
    /// Those of the connection between `peers`, encoded.
    pub fn of(&mut self, peers: &Peers) -> &[u8] {
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.entry(peers.id).or_insert_with(|| {
            let mut out = Vec::new();
            let mut fields = Fields::new(&mut out, true);
            fields.number(tag::CONN, peers.id.0);
            fields.word(tag::CLIENT, &peers.client.to_string());
            fields.text(tag::UPSTREAM, &peers.upstream);
            out.into()
        })
    }

    /// The connection is over.
    pub fn forget(&mut self, peers: &Peers) {
        self.known.remove(&peers.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::schema::Channels;

    #[test]
    fn the_numbers_are_those_of_the_schema() {
        let message = Channels::all()
            .pool()
            .get_message_by_name("etcdtap.v1.LogLine")
            .unwrap();
        let told = [
            (tag::EVENT, "event"),
            (tag::CONN, "conn"),
            (tag::STREAM, "stream"),
            (tag::CLIENT, "client"),
            (tag::UPSTREAM, "upstream"),
            (tag::USER_AGENT, "user_agent"),
            (tag::PROTOCOL, "protocol"),
            (tag::SERVICE, "service"),
            (tag::METHOD, "method"),
            (tag::PATH, "path"),
            (tag::VERB, "verb"),
            (tag::KEY, "key"),
            (tag::RANGE_END, "range_end"),
            (tag::RESOURCE, "resource"),
            (tag::GROUP, "group"),
            (tag::NAMESPACE, "namespace"),
            (tag::NAME, "name"),
            (tag::KIND, "kind"),
            (tag::ENCRYPTION, "encryption"),
            (tag::TYPE, "type"),
            (tag::LIMIT, "limit"),
            (tag::AT_REVISION, "at_revision"),
            (tag::COUNT_ONLY, "count_only"),
            (tag::KEYS_ONLY, "keys_only"),
            (tag::SERIALIZABLE, "serializable"),
            (tag::IF_REVISION, "if_revision"),
            (tag::COMPACT_REVISION, "compact_revision"),
            (tag::LEASE, "lease"),
            (tag::TTL, "ttl"),
            (tag::SUBJECT, "subject"),
            (tag::STATUS, "status"),
            (tag::HTTP_STATUS, "http_status"),
            (tag::MESSAGE, "message"),
            (tag::ENDING, "ending"),
            (tag::RESET, "reset"),
            (tag::RESET_BY, "reset_by"),
            (tag::LOST_BY, "lost_by"),
            (tag::FAULT, "fault"),
            (tag::DURATION_US, "duration_us"),
            (tag::FIRST_BYTE_US, "first_byte_us"),
            (tag::SLOW, "slow"),
            (tag::REQUEST_BYTES, "request_bytes"),
            (tag::RESPONSE_BYTES, "response_bytes"),
            (tag::REQUEST_MESSAGES, "request_messages"),
            (tag::RESPONSE_MESSAGES, "response_messages"),
            (tag::REVISION, "revision"),
            (tag::COMMITTED, "committed"),
            (tag::COUNT, "count"),
            (tag::TOTAL, "total"),
            (tag::MORE, "more"),
            (tag::CONTINUE, "continue"),
            (tag::MOD_REVISION, "mod_revision"),
            (tag::SUCCEEDED, "succeeded"),
            (tag::GRANTED_TTL, "granted_ttl"),
            (tag::WATCH_ID, "watch_id"),
            (tag::LAG_US, "lag_us"),
            (tag::START_REVISION, "start_revision"),
            (tag::PROGRESS_NOTIFY, "progress_notify"),
            (tag::PREV_KV, "prev_kv"),
            (tag::CAUSE, "cause"),
            (tag::EVENTS, "events"),
            (tag::HELD_US, "held_us"),
            (tag::DELIVERED, "delivered"),
            (tag::STATE, "state"),
            (tag::LISTENER, "listener"),
            (tag::TLS_VERSION, "tls_version"),
            (tag::SNI, "sni"),
            (tag::ALPN, "alpn"),
            (tag::IDENTITY, "identity"),
            (tag::BY, "by"),
            (tag::CODE, "code"),
            (tag::OFFENDING_STREAM, "offending_stream"),
            (tag::STREAMS, "streams"),
            (tag::INTERPOSED, "interposed"),
            (tag::PINGS_ANSWERED, "pings_answered"),
            (tag::OF_CLIENT, "of_client"),
            (tag::OF_SERVER, "of_server"),
            (tag::CLUSTER_ID, "cluster_id"),
            (tag::MEMBER_ID, "member_id"),
            (tag::RAFT_TERM, "raft_term"),
            (tag::EXTENT, "extent"),
            (tag::EXTENT_OF, "extent_of"),
            (tag::INTERNAL, "internal"),
            (tag::GRANTED_LEASE, "granted_lease"),
            (tag::ASKED, "asked"),
            (tag::ANSWERED, "answered"),
            (tag::GUARDS_HELD, "guards_held"),
            (tag::ANSWERED_US, "answered_us"),
        ];
        assert_eq!(message.fields().count(), told.len());
        for (number, name) in told {
            let field = message.get_field(number).unwrap();
            assert_eq!(field.name(), name);
        }
    }
}
