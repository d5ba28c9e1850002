//! What a peer may not do on a stream, and the words for it.

use super::connection::MAX_OPEN_STREAMS;
use crate::http2::{ErrorCode, Offence, Side, StreamId};

/// Whether the client may open `stream`.
pub(super) fn check_opening(from: Side, stream: StreamId, open: usize) -> Result<(), Offence> {
    if stream.initiator() != Some(Side::Client) {
        return Err(Offence::new(
            from,
            ErrorCode::PROTOCOL_ERROR,
            stream,
            "RFC 9113 section 5.1.1",
            format!("opened stream {stream}, an even number"),
        ));
    }
    if open >= MAX_OPEN_STREAMS {
        return Err(Offence::new(
            from,
            ErrorCode::ENHANCE_YOUR_CALM,
            stream,
            "a bound of etcdtap",
            format!("holds more than {MAX_OPEN_STREAMS} streams open"),
        ));
    }
    Ok(())
}

/// A frame on a stream that is not open. Frames that cross a reset or an end
/// are legal leftovers (RFC 9113, section 5.1, "closed"); on a stream that
/// nobody has opened they are not ("idle").
pub(super) fn closed_or_idle(
    from: Side,
    stream: StreamId,
    last_client_stream: StreamId,
    frame: &str,
) -> Result<(), Offence> {
    // Pushed streams (even numbers) are not followed.
    if stream.initiator() == Some(Side::Server) || stream <= last_client_stream {
        return Ok(());
    }
    Err(Offence::new(
        from,
        ErrorCode::PROTOCOL_ERROR,
        stream,
        "RFC 9113 section 5.1",
        format!("sent {frame} on stream {stream}, which nobody has opened"),
    ))
}

pub(super) fn after_end(from: Side, stream: StreamId, frame: &str) -> Offence {
    Offence::new(
        from,
        ErrorCode::STREAM_CLOSED,
        stream,
        "RFC 9113 section 5.1",
        format!("sent {frame} on stream {stream} after END_STREAM"),
    )
}

pub(super) fn overrun(from: Side, stream: StreamId, by: i64) -> Offence {
    let place = if stream.is_connection() {
        "the connection's window".to_owned()
    } else {
        format!("the window of stream {stream}")
    };
    Offence::new(
        from,
        ErrorCode::FLOW_CONTROL_ERROR,
        stream,
        "RFC 9113 section 6.9.1",
        format!("sent {by} bytes more DATA than {place} allowed"),
    )
}

pub(super) fn overflow(from: Side, stream: StreamId, error: &crate::http2::Overflow) -> Offence {
    Offence::new(
        from,
        ErrorCode::FLOW_CONTROL_ERROR,
        stream,
        "RFC 9113 section 6.9.1",
        format!("sent a WINDOW_UPDATE on stream {stream} that {error}"),
    )
}
