//! An HTTP/2 request that is no gRPC call: `/health`, `/metrics` and the JSON
//! gateway, asked by a client that speaks HTTP/2.

use std::sync::Arc;
use std::time::Instant;

use super::scribe::Scribe;
use crate::http1::{Exchange, Piece, target_without_query};
use crate::http2::{Side, StreamId};

/// A request that has begun.
#[derive(Debug)]
pub(super) struct PlainRequest {
    pub id: StreamId,
    /// `None` once its end was told.
    exchange: Option<Exchange>,
}

impl PlainRequest {
    pub fn new(
        id: StreamId,
        method: &[u8],
        path: &[u8],
        user_agent: Option<Arc<str>>,
        started: Instant,
    ) -> PlainRequest {
        let exchange = Exchange {
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
        };
        PlainRequest {
            id,
            exchange: Some(exchange),
        }
    }

    /// The answer's `:status`; interim ones (1xx) do not count.
    pub fn answered(&mut self, status: Option<u16>) {
        if let Some(exchange) = &mut self.exchange
            && status.is_some_and(|status| status >= 200)
        {
            exchange.status = status;
        }
    }

    /// A header block of the answer passed.
    pub fn first_byte(&mut self, now: Instant) {
        if let Some(exchange) = &mut self.exchange {
            exchange.first_byte.get_or_insert(now);
        }
    }

    /// A piece of the content of `from` passed, perhaps the `last` one, perhaps an
    /// empty one.
    pub fn content(
        &mut self,
        from: Side,
        (bytes, last): (&[u8], bool),
        now: Instant,
        scribe: Option<&mut (dyn Scribe + 'static)>,
    ) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        let offset = match from {
            Side::Client => exchange.request_bytes,
            Side::Server => exchange.response_bytes,
        };
        let size = offset + bytes.len() as u64;
        if let Some(scribe) = scribe {
            let piece = Piece {
                from,
                index: 0,
                method: &exchange.method,
                target: &exchange.target,
                offset,
                bytes,
            };
            if !bytes.is_empty() {
                scribe.content(self.id, &piece, now);
            }
            if last {
                scribe.content_ended(self.id, from, size, now);
            }
        }
        match from {
            Side::Client => exchange.request_bytes = size,
            Side::Server => exchange.response_bytes = size,
        }
    }

    /// The finished exchange, once.
    pub fn finish(&mut self, now: Instant) -> Option<Exchange> {
        let mut exchange = self.exchange.take()?;
        exchange.ended = now;
        Some(exchange)
    }
}
