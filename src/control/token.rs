//! The secret that a client shows.

use std::fmt;
use std::path::Path;

use subtle::ConstantTimeEq;

use super::StartError;
use crate::notation::io_reason;

/// Shorter ones can be guessed.
const LEAST_BYTES: usize = 16;
/// Longer ones are some other file.
const MOST_BYTES: usize = 4096;

/// The secret that a client shows (RFC 6750). It is never shown in a log.
#[derive(Clone)]
pub(super) struct Token(Box<str>);

impl Token {
    /// Reads the file, without the white space around its content.
    pub(super) fn read(path: &Path) -> Result<Token, StartError> {
        let place = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let reason = io_reason(&error);
            StartError::Failed(format!("cannot read the token in {place}: {reason}"))
        })?;
        Token::new(text.trim())
            .map_err(|why| StartError::Asked(format!("the token in {place} {why}")))
    }

    pub(super) fn new(text: &str) -> Result<Token, String> {
        if !(LEAST_BYTES..=MOST_BYTES).contains(&text.len()) {
            return Err(format!(
                "has {} characters; write one of {LEAST_BYTES} to {MOST_BYTES}, such as `openssl rand -hex 32` makes",
                text.len()
            ));
        }
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Token(text.into())),
            false => Err(
                "is no single word of ASCII; write one such as `openssl rand -hex 32` makes"
                    .to_owned(),
            ),
        }
    }

    /// Whether the value of `authorization` shows this token. How long that
    /// takes says nothing about where the two differ.
    pub(super) fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let Some((scheme, shown)) = authorization.split_at_checked(7) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(self.0.as_bytes().ct_eq(shown))
    }

    /// The value of `authorization` that shows it.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_will_do() {
        let token = Token::new("0123456789abcdef").expect("a token");
        assert!(token.is_shown_by(b"Bearer 0123456789abcdef"));
        assert!(token.is_shown_by(b"bearer 0123456789abcdef"));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer 0123456789abcdeF",
            b"Bearer 0123456789abcdef ",
            b"Bearer 0123456789abcde",
            b"Basic 0123456789abcdef",
            b"0123456789abcdef",
        ] {
            assert!(!token.is_shown_by(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn what_guards_nothing_is_refused() {
        for wrong in ["", "short", "two words of a secret", "geheim-geheim-gehäim"] {
            assert!(Token::new(wrong).is_err(), "{wrong}");
        }
    }
}
