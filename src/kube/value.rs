//! What a stored value is, told from its first bytes.
//!
//! kube-apiserver stores built-in kinds as `k8s\0` and a `runtime.Unknown`
//! message, custom resources (and everything, in old clusters) as JSON, and
//! puts `k8s:enc:<provider>:<version>:<key name>:` before what it encrypts.

use super::wire::{Field, Fields};

/// Enough of a value for [`sniff`]: it never looks further.
pub const SNIFF_LEN: usize = 512;

/// Before a `runtime.Unknown` message (apimachinery's protobuf serializer).
pub(super) const PROTOBUF_MAGIC: &[u8] = b"k8s\0";

/// Before every encrypted value (the API server's encryption transformers).
const ENCRYPTED_MAGIC: &[u8] = b"k8s:enc:";

/// CBOR's self-described tag, which newer API servers write before CBOR.
const CBOR_MAGIC: &[u8] = b"\xd9\xd9\xf7";

/// What a stored value is. A part that the bytes at hand do not show in full
/// is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored<'v> {
    /// A Kubernetes object as protobuf: `k8s\0` and a `runtime.Unknown`.
    Protobuf {
        /// For example `apps/v1`.
        api_version: Option<&'v str>,
        /// For example `Deployment`.
        kind: Option<&'v str>,
    },
    /// A JSON object.
    Json {
        /// Its top-level `apiVersion`.
        api_version: Option<&'v str>,
        /// Its top-level `kind`.
        kind: Option<&'v str>,
    },
    /// A Kubernetes object as CBOR.
    Cbor,
    /// Encrypted at rest by the API server.
    Encrypted {
        /// `aescbc`, `aesgcm`, `secretbox`, `kms`.
        provider: Option<&'v str>,
        /// The provider's format: `v1`, `v2`.
        version: Option<&'v str>,
        /// The key's name in the EncryptionConfiguration; the plugin's with
        /// `kms`.
        key_name: Option<&'v str>,
    },
    /// Nothing but decimal digits: the value of `compact_rev_key`.
    Digits(&'v str),
    /// No bytes.
    Empty,
    /// Something else, or too little to tell.
    Other,
}

impl<'v> Stored<'v> {
    /// The object's `kind`, if the value shows it.
    pub fn kind(&self) -> Option<&'v str> {
        match *self {
            Stored::Protobuf { kind, .. } | Stored::Json { kind, .. } => kind,
            _ => None,
        }
    }

    /// The object's `apiVersion`, if the value shows it.
    pub fn api_version(&self) -> Option<&'v str> {
        match *self {
            Stored::Protobuf { api_version, .. } | Stored::Json { api_version, .. } => api_version,
            _ => None,
        }
    }
}

/// Says what a value is from its beginning, which may be cut anywhere: what it
/// names of an object stays so with more bytes. Looks at [`SNIFF_LEN`] bytes at most,
/// and allocates nothing.
pub fn sniff(prefix: &[u8]) -> Stored<'_> {
    let prefix = &prefix[..prefix.len().min(SNIFF_LEN)];
    if let Some(unknown) = prefix.strip_prefix(PROTOBUF_MAGIC) {
        return sniff_unknown(unknown);
    }
    if let Some(parts) = prefix.strip_prefix(ENCRYPTED_MAGIC) {
        return sniff_encrypted(parts);
    }
    if prefix.starts_with(CBOR_MAGIC) {
        return Stored::Cbor;
    }
    match prefix {
        [] => Stored::Empty,
        [b'{' | b' ' | b'\t' | b'\r' | b'\n', ..] => sniff_json(prefix).unwrap_or(Stored::Other),
        [b'0'..=b'9', ..] if prefix.len() <= 20 && prefix.iter().all(u8::is_ascii_digit) => {
            str::from_utf8(prefix).map_or(Stored::Other, Stored::Digits)
        }
        _ => Stored::Other,
    }
}

/// `runtime.Unknown`'s first field is the TypeMeta: 1 apiVersion, 2 kind.
fn sniff_unknown(unknown: &[u8]) -> Stored<'_> {
    let (mut api_version, mut kind) = (None, None);
    if let Some(Ok((1, Field::Bytes(meta) | Field::Cut(meta)))) = Fields::of(unknown).next() {
        for field in Fields::of(meta) {
            match field {
                Ok((1, Field::Bytes(text))) => api_version = api_version.or(printable(text)),
                Ok((2, Field::Bytes(text))) => kind = kind.or(printable(text)),
                _ => {}
            }
        }
    }
    Stored::Protobuf { api_version, kind }
}

fn sniff_encrypted(parts: &[u8]) -> Stored<'_> {
    let mut parts = Parts(parts);
    let provider = parts.next();
    // Without what stands before it a part's meaning is unknown.
    let version = provider.and_then(|_| parts.next());
    let key_name = version.and_then(|_| parts.next());
    Stored::Encrypted {
        provider,
        version,
        key_name,
    }
}

/// The colon-closed words before a ciphertext.
struct Parts<'v>(&'v [u8]);

impl<'v> Iterator for Parts<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        let colon = self.0.iter().position(|byte| *byte == b':')?;
        let part = &self.0[..colon];
        self.0 = &self.0[colon + 1..];
        printable(part)
    }
}

/// Text fit to be shown as a name: no control characters, not empty.
fn printable(text: &[u8]) -> Option<&str> {
    let text = str::from_utf8(text).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

/// Walks the members of a JSON object as far as the bytes reach. `None` if
/// this is not the beginning of an object.
fn sniff_json(bytes: &[u8]) -> Option<Stored<'_>> {
    let mut json = Json { rest: bytes };
    json.space();
    json.take(b'{')?;
    json.space();
    if !matches!(json.rest.first(), Some(b'"' | b'}')) {
        return None;
    }
    let (mut api_version, mut kind) = (None, None);
    while let Some((name, value)) = json.member() {
        match name {
            b"apiVersion" => api_version = api_version.or(value),
            b"kind" => kind = kind.or(value),
            _ => {}
        }
        if api_version.is_some() && kind.is_some() {
            break;
        }
    }
    Some(Stored::Json { api_version, kind })
}

/// A walk over JSON text that may end anywhere. `None` is the end of what can
/// be said.
struct Json<'v> {
    rest: &'v [u8],
}

impl<'v> Json<'v> {
    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// The next member's name, and its value where that is a plain string.
    fn member(&mut self) -> Option<(&'v [u8], Option<&'v str>)> {
        self.space();
        let name = self.string()?;
        self.space();
        self.take(b':')?;
        self.space();
        let value = if self.rest.first() == Some(&b'"') {
            // With an escape in it, the text in the value is not its meaning.
            Some(self.string()?)
                .filter(|text| !text.contains(&b'\\'))
                .and_then(printable)
        } else {
            self.skip()?;
            None
        };
        self.space();
        // The member is complete either way; what follows it matters only to
        // the next one.
        if self.take(b',').is_none() {
            self.rest = &[];
        }
        Some((name, value))
    }

    /// The text between two quotes, escapes left as they stand.
    fn string(&mut self) -> Option<&'v [u8]> {
        self.take(b'"')?;
        let mut escaped = false;
        for (at, byte) in self.rest.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let text = &self.rest[..at];
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                _ => {}
            }
        }
        None
    }

    /// Passes over a number, a word, an array or an object.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.rest.first()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    // At depth 0 this closes what the value stands in.
                    let Some(up) = depth.checked_sub(1) else {
                        return Some(());
                    };
                    depth = up;
                }
                b',' if depth == 0 => return Some(()),
                _ => {}
            }
            self.rest = &self.rest[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POD: &[u8] = b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x03raw\x1a\0\x22\0";

    fn json(text: &str) -> (Option<&str>, Option<&str>) {
        match sniff(text.as_bytes()) {
            Stored::Json { api_version, kind } => (api_version, kind),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn protobuf() {
        assert_eq!(
            sniff(POD),
            Stored::Protobuf {
                api_version: Some("v1"),
                kind: Some("Pod")
            }
        );
        assert_eq!(
            sniff(b"k8s\0\xff\xff"),
            Stored::Protobuf {
                api_version: None,
                kind: None
            }
        );
    }

    #[test]
    fn json_in_any_order() {
        let full = (Some("example.com/v1"), Some("Widget"));
        assert_eq!(
            json(r#"{"apiVersion":"example.com/v1","kind":"Widget","x":1}"#),
            full
        );
        assert_eq!(
            json(r#" { "kind" : "Widget" , "apiVersion" : "example.com/v1" } "#),
            full
        );
        let nested = r#"{"metadata":{"kind":"No","l":["{",{"kind":"No"}],"q":"\"}"},"n":-1.5e3,
            "t":true,"e":{},"apiVersion":"example.com/v1","kind":"Widget"}"#;
        assert_eq!(json(nested), full);
        assert_eq!(json("{}"), (None, None));
        assert_eq!(
            json(r#"{"kind":"Wid\u0067et","apiVersion":3}"#),
            (None, None)
        );
        assert_eq!(json(r#"{"kind":["Widget"]}"#), (None, None));
        assert_eq!(sniff(b"{kind"), Stored::Other);
    }

    #[test]
    fn encrypted_never_shows_ciphertext() {
        let encrypted = |provider, version, key_name| Stored::Encrypted {
            provider,
            version,
            key_name,
        };
        for (value, expected) in [
            (
                &b"k8s:enc:aescbc:v1:key1:\x01:\x02"[..],
                encrypted(Some("aescbc"), Some("v1"), Some("key1")),
            ),
            (
                b"k8s:enc:secretbox:v1:k:abc",
                encrypted(Some("secretbox"), Some("v1"), Some("k")),
            ),
            (
                b"k8s:enc:kms:v2:vault:\x0a\x05",
                encrypted(Some("kms"), Some("v2"), Some("vault")),
            ),
            (
                b"k8s:enc:aesgcm:v1:\x01\x02:x",
                encrypted(Some("aesgcm"), Some("v1"), None),
            ),
            (
                b"k8s:enc:aesgcm:v1:key",
                encrypted(Some("aesgcm"), Some("v1"), None),
            ),
            (b"k8s:enc:\x00:v1:key:", encrypted(None, None, None)),
            (b"k8s:enc:aes", encrypted(None, None, None)),
        ] {
            assert_eq!(sniff(value), expected, "{value:?}");
        }
    }

    #[test]
    fn the_rest() {
        assert_eq!(sniff(b""), Stored::Empty);
        assert_eq!(sniff(b"1234"), Stored::Digits("1234"));
        assert_eq!(sniff(b"12a"), Stored::Other);
        assert_eq!(sniff(b"k8s"), Stored::Other);
        assert_eq!(sniff(b"\xd9\xd9\xf7\xa0"), Stored::Cbor);
        assert_eq!(sniff(&[b'1'; 600]), Stored::Other);
    }

    #[test]
    fn a_cut_value_names_nothing_wrong() {
        let widget = br#"{"kind":"Widget","metadata":{"kind":"No"},"apiVersion":"example.com/v1"}"#;
        let sealed = b"k8s:enc:aescbc:v1:key1:ciphertext";
        for value in [POD, &widget[..], &sealed[..]] {
            let whole = sniff(value);
            for cut in 0..value.len() {
                let part = sniff(&value[..cut]);
                assert!(part.kind().is_none_or(|kind| whole.kind() == Some(kind)));
                assert!(
                    part.api_version()
                        .is_none_or(|v| whole.api_version() == Some(v))
                );
                if let Stored::Encrypted {
                    provider, key_name, ..
                } = part
                {
                    assert!(provider.is_none_or(|provider| provider == "aescbc"));
                    assert!(key_name.is_none_or(|name| name == "key1"));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            text in r#"[{}\[\],:"a-c \\]{0,40}"#,
        ) {
            sniff(&bytes);
            sniff(format!("{{\"{text}").as_bytes());
            for magic in [PROTOBUF_MAGIC, ENCRYPTED_MAGIC, CBOR_MAGIC] {
                sniff(&[magic, &bytes].concat());
            }
        }
    }
}
