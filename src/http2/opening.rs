//! What a connection speaks, told from its first bytes.
//!
//! etcd serves gRPC and HTTP/1.1 on one port, with or without TLS.

use super::frame::PREFACE;

/// The longest HTTP/1 method that is looked for.
const MAX_METHOD_LEN: usize = 32;

/// What the first bytes of a client say it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The whole HTTP/2 preface (RFC 9113, section 3.4).
    Http2,
    /// An HTTP/1 request line: a method and a space (RFC 9112, section 3).
    Http1,
    /// A TLS handshake record (RFC 8446, section 5.1).
    Tls,
    /// Any of them still: wait for more bytes.
    Undecided,
    /// None of them.
    Other,
}

/// Tells what `bytes`, a connection's first ones, begin. An answer other than
/// [`Opening::Undecided`] does not change when more bytes come.
pub fn sniff(bytes: &[u8]) -> Opening {
    if bytes.is_empty() {
        return Opening::Undecided;
    }
    if bytes.starts_with(PREFACE) {
        return Opening::Http2;
    }
    // Also while it reads "PRI ": a method and a space like any other, were it
    // not the preface so far.
    if PREFACE.starts_with(bytes) {
        return Opening::Undecided;
    }
    match bytes {
        [0x16] => return Opening::Undecided,
        [0x16, 0x03, ..] => return Opening::Tls,
        _ => {}
    }
    let method_len = bytes.iter().take_while(|byte| is_token(**byte)).count();
    match bytes.get(method_len) {
        _ if method_len > MAX_METHOD_LEN => Opening::Other,
        None => Opening::Undecided,
        Some(b' ') if method_len > 0 => Opening::Http1,
        Some(_) => Opening::Other,
    }
}

/// A character of a token, such as a method (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer for every prefix: undecided up to `at` bytes, then `answer`.
    fn decides(bytes: &[u8], at: usize, answer: Opening) {
        for cut in 0..=bytes.len() {
            let expected = if cut < at { Opening::Undecided } else { answer };
            assert_eq!(sniff(&bytes[..cut]), expected, "{cut} bytes of {bytes:?}");
        }
    }

    #[test]
    fn preface_needs_all_of_itself() {
        decides(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04",
            24,
            Opening::Http2,
        );
    }

    #[test]
    fn methods_that_begin_like_the_preface_are_http1() {
        decides(b"PUT /v3/kv/put HTTP/1.1\r\n", 4, Opening::Http1);
        decides(b"POST /v3/kv/range HTTP/1.1\r\n", 5, Opening::Http1);
        decides(b"PRIX / HTTP/1.1\r\n", 5, Opening::Http1);
        decides(b"PRI / HTTP/1.1\r\n", 5, Opening::Http1);
        decides(b"PRI * HTTP/1.1\r\n\r\n", 12, Opening::Http1);
        decides(b"GET /health HTTP/1.1\r\n", 4, Opening::Http1);
    }

    #[test]
    fn tls_is_known_by_two_bytes() {
        decides(&[0x16, 0x03, 0x01, 0x02, 0x00], 2, Opening::Tls);
        decides(&[0x16, 0x02, 0x01], 2, Opening::Other);
    }

    #[test]
    fn anything_else_is_other() {
        decides(b"\0\0\0\x04\0\0\0\0\0", 1, Opening::Other);
        decides(b" GET / HTTP/1.1", 1, Opening::Other);
        decides(b"SSH-2.0-OpenSSH_9.2\r\n", 20, Opening::Other);
        decides(&[b'A'; 40], 33, Opening::Other);
    }
}
