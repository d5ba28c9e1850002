//! One HTTP/1.1 request and its answer.

use std::time::Instant;

/// One HTTP/1.1 request and its answer, as they passed (RFC 9112).
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When the request line was whole.
    pub started: Instant,
    /// When the status line was whole.
    pub first_byte: Option<Instant>,
    /// When the answer's body was.
    pub ended: Instant,
    /// `GET`.
    pub method: Box<str>,
    /// The request target without its query, at most 1 KiB of it.
    pub target: Box<str>,
    /// The `User-Agent` header.
    pub user_agent: Option<Box<str>>,
    /// The answer's status code; `None` when the connection ended first.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
}
