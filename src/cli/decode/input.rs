//! Finds out how the input is written: bare, as hex or base64, or as one of
//! etcdctl's outputs.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use serde::Deserialize;

use super::Failure;
use super::finding::{Entry, Value};
use crate::kube::key::KeySpace;
use crate::kube::value::{Stored, sniff};

/// How the user says the input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    Unknown,
    Hex,
    Base64,
}

/// What was found in the input.
#[derive(Debug)]
pub(super) struct Input {
    pub entries: Vec<Entry>,
    /// What was assumed on the way; the user should know.
    pub notes: Vec<String>,
}

impl Input {
    pub fn read(space: &KeySpace, bytes: &[u8], spelling: Spelling) -> Result<Input, Failure> {
        let decoded = match spelling {
            Spelling::Hex => hex(bytes)
                .map(Some)
                .map_err(|at| Failure::input(format!("the input is not hex text: {at}")))?,
            Spelling::Base64 => base64(bytes)
                .map(Some)
                .map_err(|at| Failure::input(format!("the input is not base64 text: {at}")))?,
            Spelling::Unknown => None,
        };
        let spelled = decoded.is_some();
        let bytes = decoded.as_deref().unwrap_or(bytes);
        if bytes.is_empty() {
            return Err(Failure::input("the input is empty"));
        }
        let mut notes = Vec::new();
        if let Some(entries) = recognise(space, bytes, &mut notes)? {
            return Ok(Input { entries, notes });
        }
        if !spelled {
            // Nearly any word is valid base64, so the text counts as such only
            // if something known comes out.
            for (name, decoded) in [("hex", hex(bytes)), ("base64", base64(bytes))] {
                let Ok(decoded) = decoded else { continue };
                if let Some(entries) = recognise(space, &decoded, &mut notes)? {
                    notes.insert(
                        0,
                        format!("the input looked like {name} and was decoded as such"),
                    );
                    return Ok(Input { entries, notes });
                }
            }
        }
        Ok(Input {
            entries: vec![Entry::of_value(Value::unknown(bytes), bytes)],
            notes,
        })
    }
}

/// `None` if the bytes are nothing known.
fn recognise(
    space: &KeySpace,
    bytes: &[u8],
    notes: &mut Vec<String>,
) -> Result<Option<Vec<Entry>>, Failure> {
    if matches!(sniff(bytes), Stored::Json { kind: None, .. })
        && let Some(entries) = etcdctl_json(space, bytes)?
    {
        return Ok(Some(entries));
    }
    if let Some(value) = Value::known(bytes) {
        return Ok(Some(vec![Entry::of_value(value, bytes)]));
    }
    if let Some(entries) = keys(space, bytes) {
        return Ok(Some(entries));
    }
    // `etcdctl get KEY` prints the key, then the value, a line break after each.
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n')
        && let Some(mut entry) = Entry::of_key(space, &bytes[..end])
    {
        let value = &bytes[end + 1..];
        notes.push("the first line is a key and was taken for the key of what follows".to_owned());
        entry.hold(value);
        return Ok(Some(vec![entry]));
    }
    Ok(None)
}

/// Lines that are keys and nothing else (`etcdctl get --keys-only`).
fn keys(space: &KeySpace, bytes: &[u8]) -> Option<Vec<Entry>> {
    let text = str::from_utf8(bytes).ok()?;
    let lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    let entries: Option<Vec<_>> = lines
        .map(|line| Entry::of_key(space, line.as_bytes()))
        .collect();
    entries.filter(|entries| !entries.is_empty())
}

/// A RangeResponse as etcdctl and etcd's JSON gateway write it; the gateway
/// writes 64-bit numbers as texts.
#[derive(Deserialize)]
struct RangeResponse {
    header: Option<serde_json::Value>,
    kvs: Option<Vec<KeyValue>>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
    mod_revision: Option<serde_json::Value>,
}

fn etcdctl_json(space: &KeySpace, bytes: &[u8]) -> Result<Option<Vec<Entry>>, Failure> {
    let Ok(response) = serde_json::from_slice::<RangeResponse>(bytes) else {
        return Ok(None);
    };
    let Some(kvs) = response.kvs else {
        let answer = response
            .header
            .is_some_and(|header| header.get("cluster_id").is_some());
        return match answer {
            true => Err(Failure::input(
                "this answer of etcd holds no keys: nothing was found there",
            )),
            false => Ok(None),
        };
    };
    let mut entries = Vec::with_capacity(kvs.len());
    for (at, kv) in kvs.into_iter().enumerate() {
        let bytes = |text: &str, what| {
            base64(text.as_bytes()).map_err(|why| {
                Failure::input(format!("{what} of kvs[{at}] is not base64 text: {why}"))
            })
        };
        let key = bytes(&kv.key, "the key")?;
        let value = bytes(&kv.value, "the value")?;
        let mut entry = Entry::of_any_key(space, &key);
        entry.mod_revision = kv.mod_revision.and_then(|revision| match revision {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        });
        // With --keys-only there are none.
        if !value.is_empty() {
            entry.hold(&value);
        }
        entries.push(entry);
    }
    Ok(Some(entries))
}

fn dense(text: &[u8]) -> Vec<u8> {
    text.iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect()
}

fn hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = dense(text);
    // `etcdctl --hex` writes \x6b\x38.
    if text.chunks(4).all(|escape| escape.starts_with(b"\\x")) {
        text = text
            .chunks(4)
            .flat_map(|escape| &escape[2..])
            .copied()
            .collect();
    }
    let digits = text.strip_prefix(b"0x").unwrap_or(&text);
    decoded(HEXLOWER_PERMISSIVE.decode(digits))
}

fn base64(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = dense(text);
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    text.truncate(text.len() - padding.min(2));
    let url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    decoded(if url {
        BASE64URL_NOPAD.decode(&text)
    } else {
        BASE64_NOPAD.decode(&text)
    })
}

/// The reason in words that show nothing of the input.
fn decoded(result: Result<Vec<u8>, data_encoding::DecodeError>) -> Result<Vec<u8>, String> {
    use data_encoding::DecodeKind;
    result.map_err(|error| match error.kind {
        DecodeKind::Length => "its length is wrong, a part is missing".to_owned(),
        DecodeKind::Symbol => format!("character {} does not belong there", error.position + 1),
        DecodeKind::Trailing | DecodeKind::Padding => "its end is cut or damaged".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};

    use super::*;
    use crate::cli::decode::finding::Output;
    use crate::kube::tree::Secrets;

    const POD: &[u8] = include_bytes!("../../../fixtures/objects/pod.bin");
    const POD_KEY: &str = "/registry/pods/lab/web-79f8dbfc8c-j7qgn";

    fn read(bytes: &[u8]) -> Input {
        Input::read(&KeySpace::default(), bytes, Spelling::Unknown).expect("readable")
    }

    fn json(input: &Input) -> String {
        let mut text = String::new();
        input
            .entries
            .iter()
            .for_each(|entry| entry.write_json(&mut text));
        text
    }

    #[test]
    fn a_value_in_every_spelling() {
        let bare = json(&read(POD));
        assert!(
            bare.contains(r#""kind":"Pod""#) && bare.contains("web-79f8dbfc8c-j7qgn"),
            "{bare}"
        );
        let mut with_newline = POD.to_vec();
        with_newline.push(b'\n');
        assert_eq!(json(&read(&with_newline)), bare);
        let escaped = POD
            .iter()
            .map(|byte| format!("\\x{byte:02x}"))
            .collect::<String>();
        for text in [HEXLOWER.encode(POD), BASE64.encode(POD), escaped] {
            let input = read(text.as_bytes());
            assert_eq!(json(&input), bare);
            assert_eq!(input.notes.len(), 1);
        }
        let wrapped = BASE64
            .encode(POD)
            .as_bytes()
            .chunks(76)
            .collect::<Vec<_>>()
            .join(&b'\n');
        let input = Input::read(&KeySpace::default(), &wrapped, Spelling::Base64).expect("base64");
        assert_eq!(json(&input), bare);
        assert!(input.notes.is_empty());
    }

    #[test]
    fn what_etcdctl_prints() {
        let kv = |key: &str, value: &[u8], revision: &str| {
            let (key, value) = (BASE64.encode(key.as_bytes()), BASE64.encode(value));
            format!(
                r#"{{"key":"{key}","create_revision":5,"mod_revision":{revision},"value":"{value}"}}"#
            )
        };
        let answer = format!(
            r#"{{"header":{{"cluster_id":1}},"kvs":[{},{},{}],"count":3}}"#,
            kv(POD_KEY, POD, "7"),
            kv("compact_rev_key", b"1234", "\"8\""),
            kv("/elsewhere", b"\xff\xff", "9"),
        );
        let input = read(answer.as_bytes());
        let [pod, compact, other] = &input.entries[..] else {
            panic!("{}", json(&input))
        };
        assert_eq!((pod.mod_revision, compact.mod_revision), (Some(7), Some(8)));
        assert!(pod.problem().is_none() && compact.problem().is_none());
        assert!(other.problem().is_some());

        let text = [POD_KEY.as_bytes(), b"\n", POD, b"\n"].concat();
        let input = read(&text);
        assert!(
            json(&input).contains(r#""resource":"pods""#)
                && json(&input).contains(r#""kind":"Pod""#)
        );

        let input = read(b"/registry/pods/lab/a\n\n/registry/nodes/b\n\n");
        assert_eq!(input.entries.len(), 2);

        let nothing = br#"{"header":{"cluster_id":1,"revision":3}}"#;
        let failure =
            Input::read(&KeySpace::default(), nothing, Spelling::Unknown).expect_err("no keys");
        assert_eq!(failure.code, 1);
    }

    #[test]
    fn whole_objects() {
        let kv = |key: &str, value: &[u8]| {
            let (key, value) = (BASE64.encode(key.as_bytes()), BASE64.encode(value));
            format!(r#"{{"key":"{key}","mod_revision":7,"value":"{value}"}}"#)
        };
        let secret = br#"{"kind":"Secret","apiVersion":"v1","data":{"a":"aHVudGVyMg=="}}"#;
        let answer = format!(
            r#"{{"header":{{"cluster_id":1}},"kvs":[{},{},{},{}]}}"#,
            kv(POD_KEY, POD),
            kv("/registry/secrets/lab/db", secret),
            kv("compact_rev_key", b"1234"),
            kv("/registry/secrets/lab/x", b"k8s:enc:aescbc:v1:key1:hunter2"),
        );
        let print = |output, secrets| {
            let mut text = String::new();
            let entries = read(answer.as_bytes()).entries;
            let problems = entries
                .iter()
                .filter_map(|entry| entry.write_object(&mut text, output, secrets).err());
            let problems: Vec<String> = problems.collect();
            (text, problems)
        };
        let (yaml, problems) = print(Output::Yaml, Secrets::Hide);
        assert!(
            yaml.starts_with(&format!(
                "# {POD_KEY}, mod revision 7\napiVersion: v1\nkind: Pod\n"
            )),
            "{yaml}"
        );
        assert!(
            yaml.contains("---\n# /registry/secrets/lab/db, mod revision 7\nkind: Secret\n"),
            "{yaml}"
        );
        assert!(
            yaml.contains("(hidden, 7 bytes)") && !yaml.contains("aHVu"),
            "{yaml}"
        );
        assert!(
            problems[0].contains("no Kubernetes object") && problems[1].contains("encrypted"),
            "{problems:?}"
        );
        let (json, _) = print(Output::Json, Secrets::Show);
        assert!(json.contains(r#""a": "aHVudGVyMg==""#), "{json}");
        // Nor is it in what a panic or a test would print.
        assert!(!format!("{:?}", read(secret)).contains("aHVu"));
        // As it stands on a terminal: the value and a line break.
        let mut text = String::new();
        let input = read(&[POD, b"\n"].concat());
        let printed = input.entries[0].write_object(&mut text, Output::Yaml, Secrets::Hide);
        assert_eq!(printed, Ok(()));
        assert!(text.starts_with("apiVersion: v1\nkind: Pod\n"), "{text}");
    }

    #[test]
    fn what_cannot_be_read() {
        for (bytes, spelling) in [
            (&b""[..], Spelling::Unknown),
            (b"zz", Spelling::Hex),
            (b"abc", Spelling::Hex),
            (b"a!bc", Spelling::Base64),
        ] {
            assert!(
                Input::read(&KeySpace::default(), bytes, spelling).is_err(),
                "{bytes:?}"
            );
        }
        for bytes in [
            &b"hello world"[..],
            b"k8s\0\x0a\x09",
            b"{\"a\":",
            b"\xd9\xd9\xf7",
        ] {
            let input = read(bytes);
            assert!(input.entries[0].problem().is_some(), "{}", json(&input));
        }
    }

    #[test]
    fn what_is_no_object_but_known() {
        for bytes in [
            &b"k8s:enc:aescbc:v1:key1:\x01\x02"[..],
            b"1234\n",
            b"\x0a\x02ab\x10\x05",
        ] {
            assert!(read(bytes).entries[0].problem().is_none(), "{bytes:?}");
        }
        assert!(!json(&read(b"k8s:enc:secretbox:v1:k:hunter2")).contains("hunter2"));
    }
}
