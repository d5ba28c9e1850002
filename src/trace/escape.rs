//! How keys and foreign text are written, so that a line stays one line, a
//! terminal stays itself, and a key can be told back from its text.
//!
//! Keys are bytes. In text, a byte that is no part of valid UTF-8 is `\xNN`
//! and a backslash is doubled; everything else is itself. That is lossless,
//! and leaves the keys of Kubernetes as they are.

use std::io::Write;

use crate::kube::token::scrub;

/// Writes `text` as the inside of a JSON string.
pub(super) fn json_text(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        for character in text.chars() {
            json_char(character, out);
        }
    }
}

/// Writes a key as the inside of a JSON string.
pub(super) fn json_key(key: &[u8], out: &mut Vec<u8>) {
    if is_plain(key) {
        out.extend_from_slice(key);
        return;
    }
    for chunk in key.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                out.extend_from_slice(br"\\");
            }
            json_char(character, out);
        }
        for byte in chunk.invalid() {
            out.push(b'\\');
            hex_byte(*byte, out);
        }
    }
}

/// Writes a key for a terminal: beyond the rule for keys, what would move the
/// cursor, switch colours or hide is `\u{…}`.
pub(crate) fn shown_key(key: &[u8], out: &mut String) {
    for chunk in key.utf8_chunks() {
        for character in chunk.valid().chars() {
            shown_char(character, out);
        }
        for byte in chunk.invalid() {
            out.push_str("\\x");
            for digit in [byte >> 4, byte & 15] {
                out.push(HEX[usize::from(digit)] as char);
            }
        }
    }
}

/// Writes foreign text for a terminal, by the rule of [`shown_key`].
pub(super) fn shown_text(text: &str, out: &mut String) {
    shown_key(text.as_bytes(), out);
}

/// A key as the log has it, before JSON's own escapes: without tokens.
pub(crate) fn key_text(key: &[u8]) -> String {
    let mut out = String::with_capacity(key.len());
    for chunk in key.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                out.push('\\');
            }
            out.push(character);
        }
        for byte in chunk.invalid() {
            out.push_str("\\x");
            for digit in [byte >> 4, byte & 15] {
                out.push(HEX[usize::from(digit)] as char);
            }
        }
    }
    scrub(&out).into_owned()
}

/// Text that was escaped once, for a terminal: what acts on it is `\u{…}`.
pub(crate) fn quiet_text(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if acts_on_a_terminal(character) {
            // Writing to a String does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// Printable ASCII that JSON and our own rule leave as it is. Written without
/// an early exit, so that the compiler turns it into vector instructions.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, &byte| {
        plain & (0x20..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\')
    })
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex_byte(byte: u8, out: &mut Vec<u8>) {
    let digit = |nibble: u8| HEX[usize::from(nibble)];
    out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
}

fn json_char(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        // All of these are in the basic plane: four digits do.
        _ if acts_on_a_terminal(character) => {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn shown_char(character: char, out: &mut String) {
    use std::fmt::Write;
    match character {
        '\\' => out.push_str(r"\\"),
        _ if acts_on_a_terminal(character) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
        _ => out.push(character),
    }
}

/// Control characters, and those that hide or turn text around.
fn acts_on_a_terminal(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(key: &[u8]) -> String {
        let mut out = vec![b'"'];
        json_key(key, &mut out);
        out.push(b'"');
        String::from_utf8(out).expect("JSON is text")
    }

    fn shown(key: &[u8]) -> String {
        let mut out = String::new();
        shown_key(key, &mut out);
        out
    }

    /// The documented way back.
    fn read_back(text: &str) -> Vec<u8> {
        let mut key = Vec::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if let Some(hex) = rest.strip_prefix("\\x") {
                key.push(u8::from_str_radix(&hex[..2], 16).expect("hex"));
                rest = &hex[2..];
            } else if let Some(tail) = rest.strip_prefix("\\\\") {
                key.push(b'\\');
                rest = tail;
            } else {
                key.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[character.len_utf8()..];
            }
        }
        key
    }

    #[test]
    fn keys_of_kubernetes_are_themselves() {
        assert_eq!(
            json(b"/registry/pods/lab/web"),
            r#""/registry/pods/lab/web""#
        );
        assert_eq!(shown(b"/registry/pods/lab/web"), "/registry/pods/lab/web");
    }

    #[test]
    fn every_key_can_be_told_back_from_its_json() {
        let keys: [&[u8]; 7] = [
            b"",
            b"\0",
            b"a\xff\xfeb\"\\x41",
            "\u{202e}größe\u{1b}[31m".as_bytes(),
            b"\\xff",
            b"\xf0\x9f\x98",
            &std::array::from_fn::<u8, 256, _>(|byte| byte as u8),
        ];
        for key in keys {
            let line = json(key);
            assert!(!line.chars().any(acts_on_a_terminal), "{line}");
            let text: String = serde_json::from_str(&line).expect("valid JSON");
            assert_eq!(read_back(&text), key, "{line}");
        }
    }

    #[test]
    fn nothing_in_a_key_reaches_the_terminal_as_a_command() {
        assert_eq!(
            shown(b"/a\x1b[2J\x07\n\xc2\x9b\xff\\"),
            r"/a\u{1b}[2J\u{7}\u{a}\u{9b}\xff\\"
        );
    }

    #[test]
    fn foreign_text_in_json_stays_itself() {
        let mut out = vec![b'"'];
        json_text("say \"hi\"\\\n\u{7f}é\u{2028}", &mut out);
        out.push(b'"');
        let text: String = serde_json::from_slice(&out).expect("valid JSON");
        assert_eq!(text, "say \"hi\"\\\n\u{7f}é\u{2028}");
    }
}
