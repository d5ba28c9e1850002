//! The contents of plain HTTP requests and answers (the JSON gateway, `/metrics`):
//! of each its length and its hash, never a byte of it.
//!
//! Sans-io, on the recorder's thread. Nothing of a content is kept while it
//! passes, so it costs the same whatever its size.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::assembly::reason;
use super::batch::Lane;
use super::redact::{Findings, Policy, Redactor, Shown, metadata};
use super::schema::v1::{self, Content};
use crate::http1::Piece;

/// Those that are passing.
#[derive(Debug, Default)]
pub(super) struct Contents {
    open: FxHashMap<(u64, Lane), Open>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    content: Content,
    redactor: Redactor,
    /// When it began, in nanoseconds since the recorder's beginning.
    began: u64,
    /// A piece of it never came here, so what follows says nothing.
    torn: bool,
}

/// A content that is over: its record, and when it began.
pub(super) type Over = (Content, u64);

impl Contents {
    /// A piece passed on `connection`. Gives the content before it in the same lane,
    /// if nobody told its end.
    pub fn piece(
        &mut self,
        policy: &Arc<Policy>,
        connection: u64,
        of: Lane,
        piece: &Piece<'_>,
        at: u64,
    ) -> Option<Over> {
        let place = (connection, of);
        let mut before = None;
        if piece.offset == 0 {
            before = self.open.remove(&place).map(|open| open.close(None));
            let content = Content {
                connection,
                stream: of.stream.number(),
                index: piece.index,
                from: v1::Side::from(of.from).into(),
                method: piece.method.to_owned(),
                path: path(policy, piece.target),
                ..Content::default()
            };
            let open = Open {
                content,
                redactor: Redactor::begin_http1(policy, piece.target, None),
                began: at,
                torn: false,
            };
            self.open.insert(place, open);
        }
        // One whose beginning never came is not recorded.
        if let Some(open) = self.open.get_mut(&place) {
            open.torn |= open.content.size != piece.offset;
            if !open.torn {
                open.content.size += piece.bytes.len() as u64;
                self.scratch.clear();
                self.scratch.extend_from_slice(piece.bytes);
                open.redactor.push(&mut self.scratch);
            }
        }
        before
    }

    /// Whether nothing is at hand.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The content of a lane is over: it had `size` bytes, if that was told.
    pub fn end(&mut self, connection: u64, of: Lane, size: Option<u64>) -> Option<Over> {
        let open = self.open.remove(&(connection, of))?;
        Some(open.close(size))
    }

    /// Nothing more comes of a connection.
    pub fn gone(&mut self, connection: u64) -> Vec<Over> {
        let of_it = |(of, _): &(u64, Lane)| *of == connection;
        let gone = self.open.extract_if(|place, _| of_it(place));
        gone.map(|(_, open)| open.close(None)).collect()
    }
}

impl Open {
    fn close(mut self, size: Option<u64>) -> Over {
        let Findings { redacted, .. } = self.redactor.finish(&mut Vec::new());
        if let Some(all) = redacted.first() {
            self.content.reason = reason(all.why).into();
            self.content.hash = all
                .hash
                .map(|hash| bytes::Bytes::copy_from_slice(&hash.0))
                .unwrap_or_default();
        }
        self.content.cut = size != Some(self.content.size);
        (self.content, self.began)
    }
}

/// A target as it may stand in a file; empty if it may not.
fn path(policy: &Policy, target: &str) -> String {
    match metadata(policy, b":path", target.as_bytes()) {
        Shown::Value(path) => String::from_utf8_lossy(&path).into_owned(),
        Shown::LengthAndHash(..) | Shown::Length(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::redact::RecordingKey;
    use super::super::schema::v1::hidden::Reason;
    use super::*;
    use crate::http2::{Side, StreamId};

    const LANE: Lane = Lane {
        stream: StreamId::CONNECTION,
        from: Side::Server,
    };

    fn policy() -> Arc<Policy> {
        Arc::new(Policy::new(RecordingKey::from_bytes([3; 32])))
    }

    fn piece<'a>(target: &'a str, offset: u64, bytes: &'a [u8]) -> Piece<'a> {
        Piece {
            from: Side::Server,
            index: 4,
            method: "POST",
            target,
            offset,
            bytes,
        }
    }

    #[test]
    fn a_content_is_its_length_and_its_hash_however_it_is_cut() {
        let policy = policy();
        let whole = b"{\"kvs\":[{\"value\":\"aHVudGVyMg==\"}]}".repeat(9);
        for step in [1, 7, 41, 100, 1000] {
            let mut contents = Contents::default();
            for (n, bytes) in whole.chunks(step).enumerate() {
                let piece = piece("/v3/kv/range", (n * step) as u64, bytes);
                assert_eq!(contents.piece(&policy, 1, LANE, &piece, n as u64), None);
            }
            let (content, began) = contents.end(1, LANE, Some(whole.len() as u64)).unwrap();
            assert_eq!((content.size, content.cut), (whole.len() as u64, false));
            assert_eq!(content.hash[..], policy.hash(&whole).0);
            assert_eq!(content.reason(), Reason::Unreadable);
            assert_eq!((content.index, began), (4, 0));
            assert_eq!(&*content.path, "/v3/kv/range");
            assert!(contents.open.is_empty());
        }
    }

    #[test]
    fn of_credentials_not_even_the_hash_is_kept() {
        let mut contents = Contents::default();
        let piece = piece("/v3/auth/authenticate", 0, b"{\"password\":\"hunter2\"}");
        contents.piece(&policy(), 1, LANE, &piece, 0);
        let (content, _) = contents.end(1, LANE, Some(22)).unwrap();
        assert_eq!((content.size, content.cut), (22, false));
        assert!(content.hash.is_empty());
        assert_eq!(content.reason(), Reason::Credential);
    }

    #[test]
    fn what_lost_a_piece_or_its_end_is_cut_there() {
        let policy = policy();
        let mut contents = Contents::default();
        let mut take = |offset, bytes: &[u8]| {
            let piece = piece("/metrics", offset, bytes);
            contents.piece(&policy, 1, LANE, &piece, 0)
        };
        // Its beginning never came.
        assert_eq!(take(10, b"01234"), None);
        assert_eq!(take(0, b"01234"), None);
        assert_eq!(take(10, b"56789"), None);
        assert_eq!(take(15, b"56789"), None);
        let (content, _) = take(0, b"abc").unwrap();
        assert_eq!((content.size, content.cut), (5, true));
        assert_eq!(content.hash[..], policy.hash(b"01234").0);
        let [(content, _)] = &contents.gone(1)[..] else {
            panic!("one was open");
        };
        assert_eq!((content.size, content.cut), (3, true));
        assert!(contents.end(1, LANE, None).is_none());
    }
}
