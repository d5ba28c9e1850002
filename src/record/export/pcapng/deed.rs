//! What happens on a connection.

use std::sync::Arc;

use bytes::Bytes;

use crate::grpc::Code;
use crate::http2::{ErrorCode, Side, StreamId};
use crate::record::schema::v1::headers::Field;
use crate::record::schema::v1::{self, LogLine};

/// The fields of a header block.
pub(super) type Fields = Arc<[(String, String)]>;

/// Bytes of a hidden header value at most: what stands for it says nothing.
const MOST_STARS: u64 = 8192;

/// Something that happens on a connection.
#[derive(Debug)]
pub(super) enum Deed {
    /// It is opened.
    Open,
    /// A call begins, as its line says.
    Asked {
        stream: StreamId,
        path: Arc<str>,
        agent: Option<Arc<str>>,
    },
    /// A call begins, as its first message says.
    Request {
        stream: StreamId,
        path: Arc<str>,
        block: Option<Fields>,
    },
    /// Its answer does.
    Response {
        stream: StreamId,
        path: Arc<str>,
        block: Option<Fields>,
    },
    /// A message passes, or a part of one.
    Piece(Box<Piece>),
    /// A call ends.
    End(Ending),
    /// The connection does.
    Close(Box<Closing>),
}

/// A message, or a part of one.
#[derive(Debug)]
pub(super) struct Piece {
    pub stream: StreamId,
    pub path: Arc<str>,
    pub from: Side,
    /// Where it begins in the message.
    pub offset: u64,
    /// The message's size, known from its beginning on.
    pub size: u64,
    pub compressed: bool,
    pub cut: bool,
    pub last: bool,
    pub data: Bytes,
}

/// How a call ends.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub stream: StreamId,
    pub path: Arc<str>,
    pub how: How,
}

/// See [`Ending`].
#[derive(Debug, Clone)]
pub(super) enum How {
    /// The server's trailers.
    Trailers {
        code: Code,
        message: Option<Arc<str>>,
    },
    /// The server's END_STREAM without any.
    NoTrailers,
    /// RST_STREAM.
    Reset { by: Side, code: ErrorCode },
    /// Nothing more is seen of it.
    Lost,
}

/// How a connection ends.
#[derive(Debug)]
pub(super) struct Closing {
    /// Whose end went first.
    pub by: Side,
    /// The GOAWAY frames that were seen.
    pub goaways: Vec<(Side, u32, ErrorCode, String)>,
}

impl Deed {
    /// What ends something comes after what is in it, if at the same moment.
    pub fn rank(&self) -> u8 {
        match self {
            Deed::Close(_) => 2,
            Deed::End(_) => 1,
            _ => 0,
        }
    }

    /// Memory that it takes, about.
    pub fn bytes(&self) -> usize {
        256 + match self {
            Deed::Piece(piece) => piece.data.len(),
            _ => 0,
        }
    }
}

impl Ending {
    /// As a call's line tells it; `None` if that says no stream or no path.
    pub fn of(line: &LogLine) -> Option<Ending> {
        let stream = StreamId::from_bits(line.stream.filter(|stream| *stream > 0)?);
        let path = format!("/{}/{}", line.service.as_deref()?, line.method.as_deref()?);
        let side = |side: Option<i32>| v1::Side::try_from(side?).ok()?.side();
        let how = match line.ending.as_deref() {
            Some("no_trailers") => How::NoTrailers,
            Some("reset" | "injected_reset") => How::Reset {
                by: side(line.reset_by).unwrap_or(Side::Server),
                code: error_code(line.reset.as_deref().unwrap_or("CANCEL")),
            },
            Some("connection_lost" | "tracing_stopped") => How::Lost,
            // The server's own trailers, or those that a fault gave.
            _ => How::Trailers {
                code: code(line.status.as_deref().unwrap_or("OK")),
                message: line.message.as_deref().map(Into::into),
            },
        };
        Some(Ending {
            stream,
            path: path.into(),
            how,
        })
    }
}

impl Closing {
    /// As a connection's line tells it.
    pub fn of(line: &LogLine) -> Closing {
        let by = line.by.and_then(|by| v1::Side::try_from(by).ok()?.side());
        let reports = [
            (Side::Client, &line.of_client),
            (Side::Server, &line.of_server),
        ];
        let goaways = reports.into_iter().filter_map(|(side, report)| {
            let goaway = report.as_ref()?.goaway.as_ref()?;
            let code = error_code(&goaway.code);
            Some((side, goaway.last_stream, code, goaway.debug.clone()))
        });
        Closing {
            by: by.unwrap_or(Side::Client),
            goaways: goaways.collect(),
        }
    }
}

/// A field of a recorded block; stars where its value is hidden.
pub(super) fn field(field: &Field) -> (String, String) {
    let value = match field.hidden_length {
        0 => field.value.clone(),
        hidden => "*".repeat(hidden.min(MOST_STARS) as usize),
    };
    (field.name.clone(), value)
}

/// A status, as the log names it: `UNAVAILABLE`, `CODE_42`.
fn code(name: &str) -> Code {
    let number = || name.strip_prefix("CODE_")?.parse().ok().map(Code);
    Code::from_name(name)
        .or_else(number)
        .unwrap_or(Code::UNKNOWN)
}

/// An error code, as the log names it: `CANCEL`, `0x2a`.
fn error_code(name: &str) -> ErrorCode {
    let named = (0..=0xd)
        .map(ErrorCode)
        .find(|code| code.name() == Some(name));
    let number = || {
        let hex = name.strip_prefix("0x")?;
        u32::from_str_radix(hex, 16).ok().map(ErrorCode)
    };
    named.or_else(number).unwrap_or(ErrorCode::INTERNAL_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_the_log_writes_them() {
        assert_eq!(code("UNAVAILABLE"), Code::UNAVAILABLE);
        assert_eq!(code("CODE_42"), Code(42));
        assert_eq!(error_code("CANCEL"), ErrorCode::CANCEL);
        assert_eq!(error_code("0x2a"), ErrorCode(0x2a));
    }

    #[test]
    fn a_hidden_value_is_stars_and_a_lying_length_no_burden() {
        let hidden = Field {
            name: "authorization".to_owned(),
            hidden_length: u64::MAX,
            ..Field::default()
        };
        let (_, value) = field(&hidden);
        assert_eq!(value.len(), 8192);
    }
}
