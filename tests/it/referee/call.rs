//! The calls of the models: etcd's methods, with protobuf that can be read.

use super::hpack::Field;
use super::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Range,
    Put,
    Watch,
    KeepAlive,
    /// A method that nobody knows.
    Unknown,
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::Range,
        Kind::Range,
        Kind::Put,
        Kind::Put,
        Kind::Watch,
        Kind::KeepAlive,
        Kind::Unknown,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Kind::Range => "/etcdserverpb.KV/Range",
            Kind::Put => "/etcdserverpb.KV/Put",
            Kind::Watch => "/etcdserverpb.Watch/Watch",
            Kind::KeepAlive => "/etcdserverpb.Lease/LeaseKeepAlive",
            Kind::Unknown => "/example.Test/Call",
        }
    }

    pub fn of(head: &[Field]) -> Option<Kind> {
        let path = head.iter().find(|field| field.name == b":path")?;
        let mut all = Kind::ALL.into_iter();
        all.find(|kind| kind.path().as_bytes() == path.value)
    }

    pub fn is_unary(self) -> bool {
        !matches!(self, Kind::Watch | Kind::KeepAlive)
    }
}

/// With gRPC's prefix.
pub fn prefixed(message: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    out
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 128 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
}

fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn header(revision: u64) -> Vec<u8> {
    let mut out = Vec::new();
    number(1, 77, &mut out);
    number(2, 88, &mut out);
    number(3, revision, &mut out);
    number(4, 2, &mut out);
    out
}

fn pair(revision: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(1, format!("/registry/pods/{revision}").as_bytes(), &mut out);
    number(2, revision, &mut out);
    number(3, revision, &mut out);
    bytes(5, value, &mut out);
    out
}

/// How large a message is: mostly small, seldom larger than every window.
pub fn size(random: &mut Random) -> usize {
    match random.below(100) {
        0..60 => random.below(200),
        60..88 => random.below(3000),
        88..96 => random.below(20_000),
        _ => random.below(90_000),
    }
}

/// The `n`th request of a call, with prefix.
pub fn request(kind: Kind, n: u64, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    let filler = size(random);
    match kind {
        Kind::Range => bytes(1, format!("/registry/pods/{n}").as_bytes(), &mut out),
        Kind::Put => {
            bytes(1, format!("/registry/pods/{n}").as_bytes(), &mut out);
            bytes(2, &random.bytes(filler), &mut out);
        }
        Kind::Watch => {
            let mut create = Vec::new();
            bytes(1, b"/registry/pods/", &mut create);
            bytes(2, b"/registry/pods0", &mut create);
            bytes(1, &create, &mut out);
        }
        Kind::KeepAlive => number(1, 1 + n, &mut out),
        Kind::Unknown => out = random.bytes(filler),
    }
    prefixed(&out)
}

/// The `n`th response of a call, with prefix.
pub fn response(kind: Kind, n: u64, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    let filler = size(random);
    match kind {
        Kind::Range => {
            bytes(1, &header(n + 1), &mut out);
            bytes(2, &pair(n + 1, &random.bytes(filler)), &mut out);
            number(4, 1, &mut out);
        }
        Kind::Put => bytes(1, &header(n + 1), &mut out),
        Kind::Watch => {
            bytes(1, &header(n + 1), &mut out);
            if n == 0 {
                number(3, 1, &mut out);
            } else {
                let mut event = Vec::new();
                bytes(2, &pair(n + 1, &random.bytes(filler)), &mut event);
                bytes(11, &event, &mut out);
            }
        }
        Kind::KeepAlive => {
            bytes(1, &header(n + 1), &mut out);
            number(2, 1 + n, &mut out);
            number(3, 60, &mut out);
        }
        Kind::Unknown => out = random.bytes(filler),
    }
    prefixed(&out)
}

/// The fields that open a call.
pub fn request_head(kind: Kind, random: &mut Random) -> Vec<Field> {
    let mut head = vec![
        Field::new(":method", "POST"),
        Field::new(":scheme", "http"),
        Field::new(":path", kind.path()),
        Field::new(":authority", "etcd.kube-system:2379"),
        Field::new("content-type", "application/grpc"),
        Field::new("user-agent", "grpc-go/1.81.0"),
        Field::new("te", "trailers"),
    ];
    if random.chance(50) {
        head.push(Field::new(
            "grpc-timeout",
            &format!("{}m", random.within(1, 9999)),
        ));
    }
    if random.chance(20) {
        head.push(Field::never("authorization", "very secret"));
    }
    if random.chance(20) {
        head.push(Field::new("x-request", &random.next().to_string()));
    }
    head
}

/// The fields that open a response.
pub fn response_head(random: &mut Random) -> Vec<Field> {
    let mut head = vec![
        Field::new(":status", "200"),
        Field::new("content-type", "application/grpc"),
    ];
    if random.chance(20) {
        head.push(Field::new("x-member", &random.below(5).to_string()));
    }
    if random.chance(10) {
        head.push(Field::never("set-cookie", "very secret"));
    }
    head
}

pub fn trailers(code: u32, random: &mut Random) -> Vec<Field> {
    let mut trailers = vec![
        Field::new("grpc-status", &code.to_string()),
        Field::new(
            "grpc-message",
            if code == 0 { "" } else { "etcdserver: no" },
        ),
    ];
    if random.chance(20) {
        trailers.push(Field::new("x-took", &random.below(1000).to_string()));
    }
    trailers
}
