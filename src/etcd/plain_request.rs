//! An HTTP/2 request that is no gRPC call: `/health`, `/metrics` and the JSON
//! gateway, asked by a client that speaks HTTP/2.

use std::sync::Arc;
use std::time::Instant;

use crate::http1::{Exchange, target_without_query};
use crate::http2::Side;

/// A request that has begun; `None` inside once its end was told.
#[derive(Debug)]
pub(super) struct PlainRequest(Option<Exchange>);

impl PlainRequest {
    pub fn new(
        method: &[u8],
        path: &[u8],
        user_agent: Option<Arc<str>>,
        started: Instant,
    ) -> PlainRequest {
        PlainRequest(Some(Exchange {
            protocol: "HTTP/2",
            started,
            first_byte: None,
            ended: started,
            method: String::from_utf8_lossy(method).into(),
            target: target_without_query(path),
            user_agent,
            status: None,
            request_bytes: 0,
            response_bytes: 0,
        }))
    }

    /// The answer's `:status`; interim ones (1xx) do not count.
    pub fn answered(&mut self, status: Option<u16>) {
        if let Some(exchange) = &mut self.0
            && status.is_some_and(|status| status >= 200)
        {
            exchange.status = status;
        }
    }

    /// A header block of the answer passed.
    pub fn first_byte(&mut self, now: Instant) {
        if let Some(exchange) = &mut self.0 {
            exchange.first_byte.get_or_insert(now);
        }
    }

    /// A part of a body passed.
    pub fn body(&mut self, from: Side, bytes: usize) {
        if let Some(exchange) = &mut self.0 {
            match from {
                Side::Client => exchange.request_bytes += bytes as u64,
                Side::Server => exchange.response_bytes += bytes as u64,
            }
        }
    }

    /// The finished exchange, once.
    pub fn finish(&mut self, now: Instant) -> Option<Exchange> {
        let mut exchange = self.0.take()?;
        exchange.ended = now;
        Some(exchange)
    }
}
