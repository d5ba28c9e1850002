//! How far the characters of a token go.

/// A run of token characters, told character by character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    kind: RunKind,
    /// Characters since the run or its line began.
    line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunKind {
    /// What may stand in a bearer token (RFC 6750, `b64token`).
    Plain,
    /// Base64 of either alphabet, in one line or in lines.
    Base64,
    Hex,
    Utf16,
}

/// Lines of base64 have so many characters (PEM, MIME).
const FULL_LINES: [usize; 2] = [64, 76];

/// How far a broken line may be indented.
const MOST_INDENT: usize = 64;

impl Run {
    pub(super) fn new(kind: RunKind) -> Run {
        Run { kind, line: 0 }
    }

    /// Where the run that stands at `at` ends. One that goes on is left behind
    /// the first character that reaches `limit`.
    pub(super) fn end(&mut self, bytes: &[u8], mut at: usize, limit: usize) -> usize {
        while at < limit {
            at += match self.step(&bytes[at..]) {
                0 => break,
                step => step,
            };
        }
        at
    }

    /// How many bytes the next character takes; 0 if there is none.
    fn step(&mut self, rest: &[u8]) -> usize {
        let Some(char) = rest.first() else {
            return 0;
        };
        match self.kind {
            RunKind::Plain => match rest {
                // In a URL some of them may be escaped.
                [b'%', high @ b'2'..=b'7', low, ..] => {
                    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
                    3 * usize::from(is_token_char(digit(*high) << 4 | digit(*low)))
                }
                _ => usize::from(is_token_char(*char)),
            },
            RunKind::Hex => usize::from(char.is_ascii_hexdigit()),
            RunKind::Utf16 => match (is_token_char(*char), rest.get(1)) {
                (true, Some(0)) => 2,
                (true, _) => 1,
                (false, _) => 0,
            },
            RunKind::Base64 => {
                let step = base64_step(rest);
                if step > 0 {
                    self.line += 1;
                    return step;
                }
                let line = std::mem::take(&mut self.line);
                self.next_line(rest, line).unwrap_or(0)
            }
        }
    }

    /// The bytes of a line's end, if the base64 goes on behind it: if the line
    /// before was full or the next one is.
    fn next_line(&self, rest: &[u8], line: usize) -> Option<usize> {
        let ends = ["\r\n", "\n", "\\r\\n", "\\n"].map(str::as_bytes);
        let end = ends.into_iter().find(|end| rest.starts_with(end))?;
        let indented = &rest[end.len()..];
        let indent = indented
            .iter()
            .take(MOST_INDENT)
            .take_while(|char| matches!(char, b' ' | b'\t'))
            .count();
        let (mut next, mut rest) = (0, &indented[indent..]);
        while next <= FULL_LINES[1] {
            match base64_step(rest) {
                0 => break,
                step => rest = &rest[step..],
            }
            next += 1;
        }
        let goes_on = next > 0 && [line, next].iter().any(|line| FULL_LINES.contains(line));
        goes_on.then_some(end.len() + indent)
    }
}

fn base64_step(rest: &[u8]) -> usize {
    match rest {
        [
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' | b'=',
            ..,
        ] => 1,
        // As JSON may escape it.
        [b'\\', b'/', ..] => 2,
        _ => 0,
    }
}

fn is_token_char(char: u8) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}
