//! Handshake messages, as far as they are needed (RFC 8446, section 4; RFC 5246,
//! section 7.4).

/// A message that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message<'a> {
    ClientHello {
        random: [u8; 32],
        server_name: Option<&'a [u8]>,
    },
    ServerHello {
        random: [u8; 32],
        version: u16,
        suite: u16,
        alpn: Option<&'a [u8]>,
    },
    /// The server wants another hello first.
    HelloRetryRequest,
    /// What TLS 1.3 says under encryption instead of in the ServerHello.
    EncryptedExtensions {
        alpn: Option<&'a [u8]>,
    },
    /// The body of a Certificate message.
    Certificate(&'a [u8]),
    Finished,
    KeyUpdate,
    /// A request for a new handshake in TLS 1.2.
    HelloRequest,
    Other,
}

/// The largest message that is waited for: certificates may be long.
const MAX_MESSAGE: usize = 256 << 10;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// What a ServerHello's random bytes are when it is a HelloRetryRequest: the
/// SHA-256 of that name.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The first message in `bytes`, and how long it is; `None` if it is not whole.
///
/// # Errors
/// It says to be longer than any message is.
pub(super) fn next(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, TooLong> {
    let Some([kind, length @ ..]) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let length =
        usize::from(length[0]) << 16 | usize::from(length[1]) << 8 | usize::from(length[2]);
    if length > MAX_MESSAGE {
        return Err(TooLong);
    }
    let Some(body) = bytes.get(4..4 + length) else {
        return Ok(None);
    };
    let message = match kind {
        0 => Message::HelloRequest,
        1 => client_hello(body).unwrap_or(Message::Other),
        2 => server_hello(body).unwrap_or(Message::Other),
        8 => Message::EncryptedExtensions {
            alpn: extension(body, ALPN).and_then(first_protocol),
        },
        11 => Message::Certificate(body),
        20 => Message::Finished,
        24 => Message::KeyUpdate,
        _ => Message::Other,
    };
    Ok(Some((message, 4 + length)))
}

/// A message says to be longer than any is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

fn client_hello(body: &[u8]) -> Option<Message<'_>> {
    let random = *body.get(2..)?.first_chunk()?;
    let mut rest = Rest(body.get(34..)?);
    rest.vector(1)?; // session
    rest.vector(2)?; // suites
    rest.vector(1)?; // compression
    // One name in a list of names, each with its type.
    let server_name = extension(rest.0, SERVER_NAME).and_then(|names| {
        let mut names = Rest(Rest(names).vector(2)?);
        match names.byte()? {
            0 => names.vector(2),
            _ => None,
        }
    });
    Some(Message::ClientHello {
        random,
        server_name,
    })
}

fn server_hello(body: &[u8]) -> Option<Message<'_>> {
    let legacy = number(body)?;
    let random = *body.get(2..)?.first_chunk()?;
    if random == RETRY {
        return Some(Message::HelloRetryRequest);
    }
    let mut rest = Rest(body.get(34..)?);
    rest.vector(1)?; // session
    let suite = number(rest.0)?;
    let extensions = rest.0.get(3..)?; // suite and compression
    let version = extension(extensions, SUPPORTED_VERSIONS).and_then(number);
    Some(Message::ServerHello {
        random,
        version: version.unwrap_or(legacy),
        suite,
        alpn: extension(extensions, ALPN).and_then(first_protocol),
    })
}

/// The content of one extension in a list of them, its length in front.
fn extension(list: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = Rest(Rest(list).vector(2)?);
    loop {
        let kind = number(rest.0)?;
        rest.0 = rest.0.get(2..)?;
        let content = rest.vector(2)?;
        if kind == wanted {
            return Some(content);
        }
    }
}

/// The first of a list of protocol names.
fn first_protocol(list: &[u8]) -> Option<&[u8]> {
    Rest(Rest(list).vector(2)?).vector(1)
}

/// The first certificate of a Certificate message.
pub(super) fn leaf(body: &[u8], tls13: bool) -> Option<&[u8]> {
    let mut rest = Rest(body);
    if tls13 {
        rest.vector(1)?; // what a request for it said
    }
    Rest(rest.vector(3)?).vector(3)
}

fn number(bytes: &[u8]) -> Option<u16> {
    bytes
        .first_chunk()
        .map(|octets| u16::from_be_bytes(*octets))
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// A run of bytes whose length stands in front of it in so many bytes.
    fn vector(&mut self, width: usize) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_at_checked(width)?;
        let length = length
            .iter()
            .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}
