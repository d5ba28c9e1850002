//! The text, cut into tokens.
//!
//! CEL has no `100ms`, keeps `namespace` for itself, and makes `has` a macro that
//! wants a field. So the text is cut here first, and the `cel` crate gets
//! [`Token::for_cel`]: names that are no words of CEL, and a name where a quantity
//! stood. Bounds of length and depth are kept here, too, before anything recurses.

use std::fmt::Write as _;
use std::ops::Range;

use super::mistake::Mistake;
use crate::notation::{parse_duration, parse_size};

/// Bytes of a filter.
pub(super) const TEXT_MAX: usize = 16 << 10;
/// Tokens of a filter.
const TOKENS_MAX: usize = 2048;
/// Brackets within brackets.
const DEPTH_MAX: usize = 32;

/// A word of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// Its bytes in the text.
    pub at: Range<usize>,
    pub is: Is,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    /// A name.
    Name,
    /// A number as CEL writes them, a text, or `true`, `false`, `null`, `in`.
    Cel,
    /// A text between quotes, with what stands before the first.
    Text,
    /// A duration in nanoseconds.
    Duration(i64),
    /// A number that was written with a unit of size.
    Size(i64),
    /// An operator, a bracket, a comma.
    Sign,
}

impl Token {
    /// How it stands in the text.
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        &text[self.at.clone()]
    }

    /// Writes it for the `cel` crate, in ASCII, whose places are the same however
    /// letters are counted. `nth` is which token it is.
    pub fn for_cel(&self, text: &str, nth: usize, out: &mut String) {
        let written = self.text(text);
        // Writing into a String cannot fail.
        let _ = match self.is {
            // What begins with an underscore is no word of CEL's own.
            Is::Name => write!(out, "_{written}"),
            // Our names never begin with a letter, so these are apart from them.
            Is::Duration(_) | Is::Size(_) => write!(out, "q{nth}"),
            Is::Text if !written.is_ascii() => in_ascii(written, out),
            Is::Cel | Is::Text | Is::Sign => write!(out, "{written}"),
        };
    }
}

/// The token that [`Token::for_cel`] wrote as this name.
pub(super) fn quantity<'t>(name: &str, tokens: &'t [Token]) -> Option<&'t Token> {
    tokens.get(name.strip_prefix('q')?.parse::<usize>().ok()?)
}

/// A text of CEL, with escapes for all that is not ASCII.
fn in_ascii(written: &str, out: &mut String) -> std::fmt::Result {
    let (prefix, quoted) = prefix(written);
    let quote = quoted.chars().next().unwrap_or('"');
    let raw = prefix.contains(['r', 'R']);
    let bytes = prefix.contains(['b', 'B']);
    if bytes {
        out.push('b');
    }
    out.push(quote);
    let inside = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    for letter in inside.chars() {
        match letter {
            '\\' if raw => out.push_str("\\\\"),
            letter if letter.is_ascii() => out.push(letter),
            letter if bytes => {
                let mut utf8 = [0; 4];
                for byte in letter.encode_utf8(&mut utf8).bytes() {
                    write!(out, "\\x{byte:02x}")?;
                }
            }
            letter => write!(out, "\\U{:08x}", u32::from(letter))?,
        }
    }
    out.push(quote);
    Ok(())
}

/// What stands before a text's first quote, and the rest.
fn prefix(written: &str) -> (&str, &str) {
    let quote = written.find(['"', '\'']).unwrap_or(0);
    written.split_at(quote)
}

/// Cuts a filter into tokens.
pub(super) fn cut(text: &str) -> Result<Vec<Token>, Mistake> {
    if text.len() > TEXT_MAX {
        let what = format!("a filter has at most {TEXT_MAX} bytes, this one has more");
        return Err(Mistake::new(text, 0..0, what));
    }
    let mut cutter = Cutter { text, at: 0 };
    let mut tokens = Vec::new();
    let mut depth = Depth::default();
    while let Some(token) = cutter.next()? {
        if tokens.len() == TOKENS_MAX {
            let what = format!("a filter has at most {TOKENS_MAX} words and signs");
            return Err(Mistake::new(text, token.at, what));
        }
        depth.follow(text, &token)?;
        tokens.push(token);
    }
    match tokens.is_empty() {
        true => Err(Mistake::new(text, 0..0, "there is nothing here")
            .hint("write a condition such as resource == \"pods\"")),
        false => Ok(tokens),
    }
}

/// How deep the text goes.
#[derive(Default)]
struct Depth {
    brackets: usize,
    questions: usize,
}

impl Depth {
    fn follow(&mut self, text: &str, token: &Token) -> Result<(), Mistake> {
        match token.text(text) {
            "(" | "[" => self.brackets += 1,
            ")" | "]" => self.brackets = self.brackets.saturating_sub(1),
            "?" => self.questions += 1,
            _ => {}
        }
        if self.brackets > DEPTH_MAX || self.questions > DEPTH_MAX {
            let what = format!("this goes deeper than {DEPTH_MAX} brackets or questions");
            return Err(Mistake::new(text, token.at.clone(), what));
        }
        Ok(())
    }
}

struct Cutter<'t> {
    text: &'t str,
    at: usize,
}

/// Longest first.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "+", "-", "*",
    "/", "%", "?", ":", "{", "}",
];

impl Cutter<'_> {
    fn next(&mut self) -> Result<Option<Token>, Mistake> {
        self.skip();
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        let (_, quoted) = prefix(rest);
        let before = rest.len() - quoted.len();
        let is_text = rest.starts_with(['"', '\''])
            || before <= 2
                && matches!(
                    rest[..before].to_ascii_lowercase().as_str(),
                    "r" | "b" | "br" | "rb"
                );
        let token = if is_text {
            self.quoted(before)?
        } else if first.is_ascii_digit() || is_fraction(rest) {
            self.number()?
        } else if first.is_ascii_alphabetic() || first == '_' {
            self.word()?
        } else {
            self.sign(first)?
        };
        self.at = token.at.end;
        Ok(Some(token))
    }

    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_ascii_start().len();
            let comment = match rest[blank..].starts_with("//") {
                true => rest[blank..].find('\n').unwrap_or(rest.len() - blank),
                false => 0,
            };
            self.at += blank + comment;
            if comment == 0 {
                return;
            }
        }
    }

    fn token(&self, len: usize, is: Is) -> Token {
        Token {
            at: self.at..self.at + len,
            is,
        }
    }

    fn wrong(&self, len: usize, what: impl Into<Box<str>>) -> Mistake {
        Mistake::new(self.text, self.at..self.at + len, what)
    }

    /// A text whose first quote stands `before` bytes from here.
    fn quoted(&self, before: usize) -> Result<Token, Mistake> {
        let rest = &self.text[self.at..];
        let raw = rest[..before].contains(['r', 'R']);
        let quote = rest.as_bytes()[before];
        let mut letters = rest[before + 1..].char_indices();
        while let Some((at, letter)) = letters.next() {
            let at = before + 1 + at;
            match letter {
                '\n' | '\r' => break,
                '\\' if !raw => {
                    if let Some((_, escaped)) = letters.next()
                        && !escaped.is_ascii_graphic()
                    {
                        let what = "this is no escape";
                        return Err(Mistake::new(
                            self.text,
                            self.at + at..self.at + at + 1 + escaped.len_utf8(),
                            what,
                        )
                        .hint("write \\\\ for a backslash"));
                    }
                }
                letter if u32::from(letter) == u32::from(quote) => {
                    let len = at + 1;
                    if len == before + 2 && rest.as_bytes().get(len) == Some(&quote) {
                        let what = "texts stand in one quote on each side here";
                        return Err(self.wrong(len + 1, what));
                    }
                    return Ok(self.token(len, Is::Text));
                }
                _ => {}
            }
        }
        let line = rest.lines().next().unwrap_or_default().len();
        let quote = char::from(quote);
        Err(self
            .wrong(line, "this text does not end")
            .hint(format!("put {quote} behind it")))
    }

    fn number(&self) -> Result<Token, Mistake> {
        let rest = &self.text[self.at..];
        let mut len = 0;
        for (at, letter) in rest.char_indices() {
            let goes_on = letter.is_ascii_alphanumeric()
                || matches!(letter, '_' | 'µ' | 'μ')
                || letter == '.' && is_fraction(&rest[at..]);
            if !goes_on {
                break;
            }
            len = at + letter.len_utf8();
        }
        let written = &rest[..len];
        let digits = written.trim_end_matches(['u', 'U']);
        let hexadecimal = digits
            .strip_prefix("0x")
            .is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if hexadecimal || digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(self.token(len, Is::Cel));
        }
        // Two letters look the same.
        let written = written.replace('μ', "µ");
        if let Ok(duration) = parse_duration(&written) {
            let nanos = i64::try_from(duration.as_nanos())
                .map_err(|_| self.wrong(len, format!("\"{written}\" is too long")))?;
            return Ok(self.token(len, Is::Duration(nanos)));
        }
        let error = match parse_size(&written) {
            Ok(size) => {
                let size = i64::try_from(size)
                    .map_err(|_| self.wrong(len, format!("\"{written}\" is too large")))?;
                return Ok(self.token(len, Is::Size(size)));
            }
            Err(_) if written.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                let what = format!("\"{written}\" is no whole number; facts are whole");
                return Err(self
                    .wrong(len, what)
                    .hint("write a duration with its unit: 1.5s"));
            }
            Err(error) if written.ends_with('B') => error,
            Err(_) => parse_duration(&written).err().unwrap_or_default(),
        };
        let (what, hint) = error.split_once("; ").unwrap_or((&error, ""));
        Err(self
            .wrong(len, what)
            .maybe((!hint.is_empty()).then(|| hint.to_owned())))
    }

    fn word(&self) -> Result<Token, Mistake> {
        let rest = &self.text[self.at..];
        let len = rest
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
            .unwrap_or(rest.len());
        let word = &rest[..len];
        let sign = match word.to_ascii_lowercase().as_str() {
            "and" => "&&",
            "or" => "||",
            "not" => "!",
            _ => {
                let is = match word {
                    "true" | "false" | "null" | "in" => Is::Cel,
                    _ => Is::Name,
                };
                return Ok(self.token(len, is));
            }
        };
        Err(self
            .wrong(len, format!("\"{word}\" is no operator here"))
            .hint(format!("write {sign}")))
    }

    fn sign(&self, first: char) -> Result<Token, Mistake> {
        let rest = &self.text[self.at..];
        if rest.starts_with("=~") || rest.starts_with('~') {
            let len = if first == '~' { 1 } else { 2 };
            return Err(self
                .wrong(len, "there is no such operator")
                .hint("write name.matches(\"pattern\")"));
        }
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            return match *sign {
                "{" | "}" => Err(self.wrong(1, "there are no maps in filters")),
                sign => Ok(self.token(sign.len(), Is::Sign)),
            };
        }
        let (what, hint) = match first {
            '=' => ("= alone compares nothing", "write =="),
            '&' => ("& alone joins nothing", "write &&"),
            '|' => ("| alone joins nothing", "write ||"),
            '“' | '”' | '„' | '‘' | '’' | '«' | '»' => {
                ("these are no quotes of a filter", "write \" or '")
            }
            '`' => ("these are no quotes of a filter", "write \" or '"),
            _ => (
                "this letter stands only within texts",
                "put texts in quotes",
            ),
        };
        Err(self.wrong(first.len_utf8(), what).hint(hint))
    }
}

/// Whether it is a point and then a digit.
fn is_fraction(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next() == Some(b'.') && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
}
