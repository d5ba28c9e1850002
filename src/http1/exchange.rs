//! One plain HTTP request and its answer.

use std::sync::Arc;
use std::time::Instant;

/// One plain HTTP request and its answer, as they passed (RFC 9112, or RFC 9113
/// where the client speaks HTTP/2 to etcd's plain endpoints).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// `HTTP/1.1`, `HTTP/1.0` or `HTTP/2`.
    pub protocol: &'static str,
    /// When the request line was whole.
    pub started: Instant,
    /// When the answer's head was whole.
    pub first_byte: Option<Instant>,
    /// When its body was.
    pub ended: Instant,
    /// `GET`.
    pub method: Box<str>,
    /// The request target without its query, at most 1 KiB of it.
    pub target: Box<str>,
    /// The `User-Agent` header.
    pub user_agent: Option<Arc<str>>,
    /// The answer's status code; `None` when the connection ended first.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
}

/// A request target without its query (which may hold a token), at most 1 KiB
/// of it.
pub fn target_without_query(target: &[u8]) -> Box<str> {
    const MOST: usize = 1024;
    let end = target
        .iter()
        .position(|byte| *byte == b'?')
        .unwrap_or(target.len())
        .min(MOST);
    String::from_utf8_lossy(&target[..end]).into()
}
