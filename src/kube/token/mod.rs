//! Tokens in bytes of any kind: service account tokens and other JSON web
//! tokens, plain or in the encodings in which they are stored.
//!
//! A JSON web token (RFC 7519) is `header.payload.signature`, each part in
//! base64url. The header is a JSON object, so a token begins with `eyJ`, and its
//! payload does, too. What begins with the headers that are common is taken for
//! a token at once; any other beginning needs the payload's.

mod decode;
mod run;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind, packed};

use decode::{Base64, Hex, Utf16};
pub use run::Run;
use run::RunKind;

/// What a header may be long before nobody is asked any more whether a payload
/// follows. Real ones have a hundred bytes; with certificates in them, some
/// thousand.
const MOST_HEADER: usize = 16 << 10;

/// A run of token characters is given in parts of at most so many bytes.
pub const MOST_RUN: usize = 32 << 10;

/// How far [`Search`] looks beyond the place where a token begins.
pub const LOOKAHEAD: usize = MOST_RUN + 256;

/// Headers that are told by their first member: `alg`, `typ`, `kid`.
const KNOWN_HEADERS: [&[u8; 8]; 3] = [b"eyJhbGci", b"eyJ0eXAi", b"eyJraWQi"];

/// Whether anything in `bytes` looks like the beginning of a token. `false` is
/// certain; it takes one fast pass.
pub fn suspected(bytes: &[u8]) -> bool {
    BEGINNINGS.find(bytes, 0).is_some()
}

/// How the characters of a token stand in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    /// In base64, which began so many bytes (modulo 3) before the token.
    Base64(u8),
    /// In base64 whose line was broken before so much of the token could be seen
    /// that it is known for one: what follows of a header that is known.
    Base64Rest,
    /// In base64 once more: the first is that of the token, the second that of
    /// its base64.
    Base64Twice(u8, u8),
    Hex,
    /// Two bytes a character, in either order.
    Utf16,
}

impl Encoding {
    fn run(self) -> RunKind {
        match self {
            Encoding::Plain => RunKind::Plain,
            Encoding::Base64(_) | Encoding::Base64Rest | Encoding::Base64Twice(..) => {
                RunKind::Base64
            }
            Encoding::Hex => RunKind::Hex,
            Encoding::Utf16 => RunKind::Utf16,
        }
    }
}

/// The search for what a token can begin with.
#[derive(Debug)]
struct Beginnings {
    /// With vector instructions, where the machine has them.
    fast: Option<packed::Searcher>,
    anywhere: AhoCorasick,
    encodings: Vec<(Vec<u8>, Encoding)>,
}

static BEGINNINGS: LazyLock<Beginnings> = LazyLock::new(|| Beginnings::new(true));

impl Beginnings {
    fn new(fast: bool) -> Beginnings {
        const BEGINNING: &[u8] = b"eyJ";
        let mut encodings = vec![
            (BEGINNING.to_vec(), Encoding::Plain),
            (b"65794a".to_vec(), Encoding::Hex),
            (b"65794A".to_vec(), Encoding::Hex),
            (b"e\0y\0J".to_vec(), Encoding::Utf16),
        ];
        for inner in 0..3 {
            let once = decode::certain_base64(BEGINNING, inner);
            for outer in 0..3 {
                let twice = decode::certain_base64(&once, outer);
                encodings.push((twice, Encoding::Base64Twice(inner, outer)));
            }
            encodings.push((once, Encoding::Base64(inner)));
        }
        for header in KNOWN_HEADERS {
            for alignment in 0..3 {
                let rest = [&header[3..], b"Oi"].concat();
                let rest = decode::certain_base64(&rest, alignment);
                encodings.push((rest, Encoding::Base64Rest));
            }
        }
        let patterns = || encodings.iter().map(|(pattern, _)| pattern);
        let fast = fast.then(|| packed::Searcher::new(patterns())).flatten();
        let anywhere = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(patterns())
            .expect("a dozen short patterns are no problem");
        Beginnings {
            fast,
            anywhere,
            encodings,
        }
    }

    /// Where the first beginning from `at` on stands.
    fn find(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let span = aho_corasick::Span::from(at..bytes.len());
        let found = match &self.fast {
            Some(fast) => fast.find_in(bytes, span),
            None => self.anywhere.find(Input::new(bytes).span(span)),
        };
        found.map(|found| found.start())
    }
}

/// Finds the tokens in a text or a value, each as the whole run of characters
/// that may belong to it; a run beyond [`MOST_RUN`] comes in parts.
///
/// The work is bounded by the length of the bytes: where somebody strews so many
/// beginnings that none of them can be looked at any more, what follows each is
/// taken for a token.
#[derive(Debug)]
pub struct Search<'b> {
    bytes: &'b [u8],
    /// Where the next token may begin.
    at: usize,
    /// Where none begins any more.
    until: usize,
    /// The run at `at` goes on.
    inside: Option<Run>,
    /// What may still be spent on doubts, in bytes looked at.
    patience: usize,
}

impl<'b> Search<'b> {
    /// All tokens in `bytes`.
    pub fn new(bytes: &'b [u8]) -> Search<'b> {
        Search::part(bytes, bytes.len(), None)
    }

    /// The tokens that begin before `until` in a part of a text. Unless the part
    /// is the last, `until` lies [`LOOKAHEAD`] bytes before its end. `inside` is
    /// what [`Search::rest`] gave for the part before.
    pub fn part(bytes: &'b [u8], until: usize, inside: Option<Run>) -> Search<'b> {
        Search {
            bytes,
            at: 0,
            until,
            inside,
            patience: (64 << 10) + 4 * bytes.len(),
        }
    }

    /// Where the search has come to, and the run that goes on from there.
    pub fn rest(self) -> (usize, Option<Run>) {
        (self.at.max(self.until), self.inside)
    }

    /// The token found last ends at `end`, for what follows is something else.
    pub fn ended_at(&mut self, end: usize) {
        self.at = end;
        self.inside = None;
    }

    /// The run from `from` on, as far as it goes or may go.
    fn run(&mut self, from: usize, mut run: Run) -> Range<usize> {
        let limit = from + MOST_RUN;
        let end = run.end(self.bytes, from, limit);
        self.inside = (end >= limit).then_some(run);
        self.at = end;
        from..end
    }

    fn is_token(&mut self, at: usize, encoding: Encoding) -> bool {
        let chars = || self.bytes[at..].iter().copied();
        let before = |alignment: u8, first: u8| {
            // What the character before says of the first byte.
            let char = match self.bytes[..at] {
                // A line was broken here.
                [] | [.., b'\\', _] => return true,
                [.., char] => char,
            };
            match (alignment, decode::base64_value(char)) {
                (0, _) | (_, None) => true,
                (1, Some(bits)) => bits & 15 == first >> 4,
                (_, Some(bits)) => bits & 3 == first >> 6,
            }
        };
        let patience = &mut self.patience;
        match encoding {
            Encoding::Plain => begins_token(chars(), patience),
            Encoding::Base64(alignment) => {
                before(alignment, b'e')
                    && begins_token(Base64::new(chars(), alignment, b'e'), patience)
            }
            Encoding::Base64Twice(inner, outer) => {
                let first = decode::certain_base64(b"eyJ", inner)[0];
                let once = Base64::new(chars(), outer, first);
                before(outer, first) && begins_token(Base64::new(once, inner, b'e'), patience)
            }
            Encoding::Base64Rest => true,
            Encoding::Hex => begins_token(Hex::new(chars()), patience),
            Encoding::Utf16 => begins_token(Utf16::new(chars()), patience),
        }
    }
}

impl Iterator for Search<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.at < self.until
            && let Some(run) = self.inside.take()
        {
            let range = self.run(self.at, run);
            if !range.is_empty() {
                return Some(range);
            }
        }
        loop {
            let start = BEGINNINGS.find(self.bytes, self.at)?;
            if start >= self.until {
                return None;
            }
            // The same characters may be the beginning of several encodings.
            let here = BEGINNINGS.encodings.iter();
            let here = here.filter(|(pattern, _)| self.bytes[start..].starts_with(pattern));
            for (_, encoding) in here {
                if self.is_token(start, *encoding) {
                    return Some(self.run(start, Run::new(encoding.run())));
                }
            }
            self.at = start + 1;
        }
    }
}

/// Whether decoded characters, which begin with `eyJ`, are those of a token.
/// When there is no patience left, they are.
fn begins_token(mut chars: impl Iterator<Item = u8>, patience: &mut usize) -> bool {
    if *patience == 0 {
        return true;
    }
    let mut head = [0; 8];
    let mut is_token = false;
    let mut read = 0;
    while read < MOST_HEADER {
        let Some(char) = chars.next() else {
            break;
        };
        if let Some(place) = head.get_mut(read) {
            *place = char;
        }
        read += 1;
        if read == head.len() && KNOWN_HEADERS.contains(&&head) {
            is_token = true;
            break;
        }
        match char {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'.' => {
                is_token = chars.take(3).eq(*b"eyJ");
                break;
            }
            _ => break,
        }
    }
    *patience = patience.saturating_sub(read);
    is_token
}

/// The text without its tokens; instead of each stands how long it was.
pub fn scrub(text: &str) -> Cow<'_, str> {
    if !suspected(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut shown = 0;
    for range in Search::new(text.as_bytes()) {
        // A token's ends are ASCII, so these are whole characters.
        out.push_str(text.get(shown..range.start).unwrap_or_default());
        out.push_str(&instead(range.len()));
        shown = range.end;
    }
    if shown == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(shown..).unwrap_or_default());
    Cow::Owned(out)
}

/// [`scrub`] for what stands in `out` from `from` on.
pub fn scrub_tail(out: &mut Vec<u8>, from: usize) {
    if !suspected(&out[from..]) {
        return;
    }
    let tail = out.split_off(from);
    let mut shown = 0;
    for range in Search::new(&tail) {
        out.extend_from_slice(&tail[shown..range.start]);
        out.extend_from_slice(instead(range.len()).as_bytes());
        shown = range.end;
    }
    out.extend_from_slice(&tail[shown..]);
}

/// What stands in a text for a token. It has nothing in it that JSON escapes.
fn instead(length: usize) -> String {
    format!("[redacted: token of {length} bytes]")
}

#[cfg(test)]
mod tests;
