//! Which keys and which stored values are those of Secrets.
//!
//! In doubt they are: what is built on this keeps secrets out of files.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::value::PROTOBUF_MAGIC;
use super::wire::{Field, Fields};

/// Whether a key is that of an object of a resource `secrets`, whatever the
/// API server's `--etcd-prefix` and the resource's group: any segment but the
/// last is `secrets`. So a namespace of that name counts, too.
pub fn is_secret_key(key: &[u8]) -> bool {
    const SEGMENT: &[u8] = b"secrets/";
    static FINDER: LazyLock<Finder> = LazyLock::new(|| Finder::new(SEGMENT));
    FINDER
        .find_iter(key)
        .any(|at| at == 0 || key[at - 1] == b'/')
}

/// Whether a value says of itself that it is a Secret or a list of them, or
/// holds one: protobuf, JSON or CBOR. Encrypted values do not say.
///
/// `cut` says that this is only the beginning of the value.
pub fn is_secret_value(value: &[u8], cut: bool) -> bool {
    static IN_JSON: LazyLock<Finder> = LazyLock::new(|| Finder::new("\"Secret"));
    static IN_CBOR: LazyLock<Finder> = LazyLock::new(|| Finder::new("kind"));
    if let Some(unknown) = value.strip_prefix(PROTOBUF_MAGIC) {
        return is_secret_envelope(unknown);
    }
    match value.trim_ascii_start() {
        json @ [b'{' | b'[', ..] => IN_JSON.find(json).is_some() && holds_secret(json, cut),
        // A string follows its length; Kubernetes writes strings as bytes.
        [0xd9, 0xd9, 0xf7, cbor @ ..] => IN_CBOR.find_iter(cbor).any(|at| {
            cbor[at..]
                .get("kind".len() + 1..)
                .is_some_and(|kind| kind.starts_with(b"Secret"))
        }),
        _ => false,
    }
}

fn is_secret_kind(kind: &[u8]) -> bool {
    matches!(kind, b"Secret" | b"SecretList")
}

/// `runtime.Unknown`: 1 is the TypeMeta, of which 2 is the kind.
fn is_secret_envelope(unknown: &[u8]) -> bool {
    let metas = Fields::of(unknown).filter_map(|field| match field {
        Ok((1, Field::Bytes(meta) | Field::Cut(meta))) => Some(meta),
        _ => None,
    });
    metas.flat_map(Fields::of).any(
        |field| matches!(field, Ok((2, Field::Bytes(kind) | Field::Cut(kind))) if is_secret_kind(kind)),
    )
}

/// An object that is open at a place in JSON.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    /// It is an array.
    array: bool,
    /// Its `kind` is a Secret's.
    secret: bool,
    /// It has a member that holds a Secret's contents.
    contents: bool,
}

/// Whether JSON is a Secret, or holds one with its contents in it. An object
/// that only refers to a Secret has none. What is no JSON, or nested beyond
/// reason, is taken for one.
fn holds_secret(json: &[u8], cut: bool) -> bool {
    const DEEPEST: usize = 512;
    let mut open: Vec<Open> = Vec::new();
    let mut rest = json;
    // The member whose value comes next.
    let mut member: Option<&[u8]> = None;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'{' | b'[' => {
                if open.len() == DEEPEST {
                    return true;
                }
                member = None;
                open.push(Open {
                    array: *byte == b'[',
                    ..Open::default()
                });
            }
            b'}' | b']' => {
                let Some(closed) = open.pop() else {
                    return true;
                };
                if closed.secret && (closed.contents || open.is_empty()) {
                    return true;
                }
                if open.is_empty() {
                    return !rest.trim_ascii().is_empty();
                }
            }
            b'"' => {
                let Some(text) = string(&mut rest) else {
                    // It does not end.
                    return !cut || open.iter().any(|object| object.secret);
                };
                let Some(object) = open.last_mut().filter(|object| !object.array) else {
                    continue;
                };
                match member.take() {
                    None => {
                        object.contents |= matches!(text, b"data" | b"stringData");
                        member = Some(text);
                    }
                    Some(b"kind") => object.secret |= is_secret_kind(text),
                    Some(_) => {}
                }
            }
            b',' => member = None,
            _ => {}
        }
    }
    !cut || open.iter().any(|object| object.secret)
}

/// The text up to the closing quote, escapes as they stand.
fn string<'j>(rest: &mut &'j [u8]) -> Option<&'j [u8]> {
    let text = *rest;
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', &text[from..])?;
        if text[at] == b'"' {
            *rest = &text[at + 1..];
            return Some(&text[..at]);
        }
        // What follows a backslash is no end.
        from = text.len().min(at + 2);
    }
}

/// Where the text that holds the byte at `at` ends in a stored value, as far as
/// the value's own structure says it: an object in protobuf is a tree of fields.
pub fn text_end(value: &[u8], at: usize) -> usize {
    let Some(unknown) = value.strip_prefix(PROTOBUF_MAGIC) else {
        return value.len();
    };
    let (mut offset, mut bytes) = (PROTOBUF_MAGIC.len(), unknown);
    let mut end = value.len();
    while offset < at {
        let Some((start, length)) = field_around(bytes, at - offset) else {
            break;
        };
        bytes = &bytes[start..start + length];
        offset += start;
        end = offset + length;
    }
    end
}

/// The field of a message that holds the byte at `at`; `None` where it is no
/// message.
fn field_around(message: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut around = None;
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next() {
        let end = message.len() - fields.left();
        match field {
            Ok((_, Field::Bytes(bytes))) => {
                let start = end - bytes.len();
                if (start..end).contains(&at) {
                    around = Some((start, bytes.len()));
                }
            }
            Ok((_, Field::Cut(_))) | Err(_) => return None,
            Ok(_) => {}
        }
    }
    around
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets_are_told_by_any_segment_but_the_last() {
        for secret in [
            "/registry/secrets/lab/web",
            "/registry/secrets/lab/",
            "/registry/secrets/",
            "secrets/x",
            "/kubernetes.io/secrets/lab/web",
            "/registry/example.com/secrets/lab/web",
            "/a//secrets//web",
            "/registry/configmaps/secrets/web",
        ] {
            assert!(is_secret_key(secret.as_bytes()), "{secret}");
        }
        for other in [
            "",
            "/registry/secrets",
            "/registry/configmaps/lab/secrets",
            "/registry/bitnami.com/sealedsecrets/lab/web",
            "/registry/secretsx/lab/web",
            "/registry/Secrets/lab/web",
        ] {
            assert!(!is_secret_key(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn values_say_that_they_are_secrets() {
        for secret in [
            &b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\x03raw\x1a\0\x22\0"[..],
            b"k8s\0\x12\x03raw\x0a\x0c\x0a\x02v1\x12\x06Secret",
            b"k8s\0\x0a\x10\x0a\x02v1\x12\x0aSecretList",
            br#"{"kind":"Secret","apiVersion":"v1","data":{"a":"Yg=="}}"#,
            br#" { "apiVersion" : "v1" , "data" : { "a" : "}\"" } , "kind" : "Secret" }"#,
            br#"{"kind":"SecretList","items":[]}"#,
            br#"{"kind":"List","items":[{"data":{},"kind":"Secret"}]}"#,
            br#"{"kind":"ManifestWork","spec":{"manifests":[{"kind":"Secret","stringData":{}}]}}"#,
            // No JSON at all, but it speaks of Secrets.
            br#"{"a":"Secret"#,
            br#"{{{ "kind": "Secret" "#,
            b"\xd9\xd9\xf7\xa2\x44kind\x46Secret",
        ] {
            assert!(is_secret_value(secret, false), "{}", secret.escape_ascii());
        }
        for other in [
            &b""[..],
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x06Secret",
            b"k8s:enc:aescbc:v1:key1:Secret",
            br#"{"kind":"Event","involvedObject":{"kind":"Secret","name":"x"}}"#,
            br#"{"kind":"ConfigMap","data":{"kind":"Secrets"}}"#,
            br#"{"kind":"Widget","a":["kind","Secret"]}"#,
            b"Secret",
        ] {
            assert!(!is_secret_value(other, false), "{}", other.escape_ascii());
        }
    }

    #[test]
    fn the_beginning_of_a_secret_says_so_as_soon_as_it_shows_it() {
        let secret = br#"{"apiVersion":"v1","kind":"Secret","data":{"password":"aHVudGVyMg=="}}"#;
        let shown = memchr::memmem::find(secret, b"Secret\"").unwrap() + "Secret\"".len();
        for cut in 0..secret.len() {
            assert_eq!(is_secret_value(&secret[..cut], true), cut >= shown, "{cut}");
        }
    }

    #[test]
    fn a_text_ends_where_its_field_does() {
        // Unknown.raw { 1: { 2: "abc", 3: "tok" }, 4: 7 }
        let value = b"k8s\0\x0a\x04\x0a\x02v1\x12\x0e\x0a\x0a\x12\x03abc\x1a\x03tok\x20\x07";
        let at = memchr::memmem::find(value, b"tok").unwrap();
        assert_eq!(text_end(value, at), at + 3);
        assert_eq!(text_end(value, at + 1), at + 3);
        assert_eq!(text_end(b"{\"a\":1}", 3), 7);
        let cut = &value[..value.len() - 1];
        assert_eq!(text_end(cut, at), cut.len());
    }
}
