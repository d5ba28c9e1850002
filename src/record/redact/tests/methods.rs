//! What becomes of a message by its method alone.

use super::super::shape::Shapes;
use super::*;

const NEVER: [(&str, Side); 4] = [
    ("Authenticate", Side::Client),
    ("Authenticate", Side::Server),
    ("UserAdd", Side::Client),
    ("UserChangePassword", Side::Client),
];

const ALL: [Values; 3] = [Values::Redacted, Values::All, Values::None];

#[test]
fn passwords_and_tokens_of_the_user_administration_are_never_kept() {
    for values in ALL {
        let policy = policy(values, &[]);
        for (service, method, _) in Shapes::built_in().methods() {
            if service != "etcdserverpb.Auth" {
                continue;
            }
            for from in [Side::Client, Side::Server] {
                for compressed in [false, true] {
                    let treatment = treatment(&policy, service, method, from, compressed);
                    let never = NEVER.contains(&(method, from));
                    assert_eq!(treatment == Treatment::Never, never, "{method} {from}");
                }
            }
        }
        for (service, method) in [
            ("etcdserverpb.Auth", "UserRename"),
            ("etcdserverpb.auth", "Authenticate"),
            ("authpb.Auth", "UserAdd"),
            ("v4.auth.Users", "Add"),
            ("etcdserverpb.KV", "Authenticate"),
            ("example.Users", "ChangePassword"),
        ] {
            for from in [Side::Client, Side::Server] {
                let treatment = treatment(&policy, service, method, from, false);
                assert_eq!(treatment, Treatment::Never, "{service}/{method}");
            }
        }
    }
}

#[test]
fn not_even_a_hash_is_left_of_a_password() {
    use crate::etcd::schema::etcdserverpb::AuthenticateRequest;
    use prost::Message;
    let message = AuthenticateRequest {
        name: "root".to_owned(),
        password: "hunter2".to_owned(),
    };
    let message = message.encode_to_vec();
    for values in ALL {
        let (out, findings) = redacted(&policy(values, &[]), "Auth/Authenticate>", &message);
        assert_eq!(out, b"");
        let [found] = findings.redacted[..] else {
            panic!("{findings:?}");
        };
        assert_eq!((found.hash, found.why), (None, Why::Credentials));
        let mut redactor = begin(&policy(values, &[]), "Auth/UserAdd>", message.len());
        for byte in &message {
            let mut piece = vec![*byte];
            redactor.push(&mut piece);
            assert_eq!(piece, b"");
        }
        let mut rest = Vec::new();
        assert!(redactor.finish(&mut rest).whole);
        assert_eq!(rest, b"");
    }
}

#[test]
fn what_cannot_be_decoded_is_kept_as_length_and_hash() {
    let undecodable = [
        ("etcdserverpb.KV", "Range", Side::Server, true),
        ("etcdserverpb.KV", "Rename", Side::Client, false),
        ("example.Store", "Compare", Side::Server, false),
        ("", "", Side::Client, false),
        ("etcdserverpb.Maintenance", "Snapshot", Side::Server, false),
        ("etcdserverpb.Maintenance", "Snapshot", Side::Server, true),
    ];
    for (service, method, from, compressed) in undecodable {
        for (values, rules, expected) in [
            (Values::Redacted, &[][..], Treatment::LengthAndHash),
            (Values::None, &[], Treatment::LengthAndHash),
            (Values::All, &[], Treatment::Keep),
            // What a rule is about cannot be told.
            (Values::All, &["resource=pods"], Treatment::LengthAndHash),
        ] {
            let policy = policy(values, rules);
            let treatment = treatment(&policy, service, method, from, compressed);
            assert_eq!(treatment, expected, "{service}/{method}");
        }
        let message: Vec<u8> = (0..200).collect();
        let mut out = message.clone();
        let length = message.len() as u64;
        let mut redactor = Redactor::begin(&default(), service, method, from, compressed, length);
        redactor.push(&mut out);
        assert_eq!(out, expected::stars(&message));
        let mut rest = Vec::new();
        let findings = redactor.finish(&mut rest);
        assert_eq!(findings.redacted.len(), 1);
        assert_eq!(findings.redacted[0].hash, Some(default().hash(&message)));
        assert_eq!(findings.redacted[0].why, Why::Undecodable);
        assert!(findings.whole && rest.is_empty());
    }
    assert_eq!(
        treatment(
            &default(),
            "etcdserverpb.Maintenance",
            "Snapshot",
            Side::Client,
            false
        ),
        Treatment::Redact
    );
}

#[test]
fn contents_of_plain_http_are_kept_as_length_and_hash() {
    for (target, expected) in [
        ("/v3/kv/range", Treatment::LengthAndHash),
        ("/metrics", Treatment::LengthAndHash),
        ("/v3/auth/authenticate", Treatment::Never),
        ("/v3beta/auth/user/add", Treatment::Never),
        ("/v3/%61uth/authenticate", Treatment::Never),
        ("/V3/AUTH/user/changepw", Treatment::Never),
    ] {
        assert_eq!(treatment_of_http1(target), expected, "{target}");
    }
    // The length of a chunked answer is known at its end.
    let message = b"{\"kvs\":[{\"value\":\"aHVudGVyMg==\"}]}".repeat(5);
    for size in [1, 7, 40, 41, 42, 100, 1000] {
        let mut redactor = Redactor::begin_http1(&default(), "/v3/kv/range", None);
        let mut out = Vec::new();
        for piece in message.chunks(size) {
            let mut piece = piece.to_vec();
            redactor.push(&mut piece);
            out.extend(piece);
        }
        let mut rest = Vec::new();
        let findings = redactor.finish(&mut rest);
        out.extend(rest);
        assert_eq!(out, expected::stars(&message), "{size}");
        assert!(findings.whole);
    }
}

#[test]
fn an_empty_message_is_whole_and_nothing_is_found_in_it() {
    for path in ["KV/Range>", "KV/Unknown>", "Auth/Authenticate>", "KV/Put>"] {
        let redactor = begin(&default(), path, 0);
        let mut rest = Vec::new();
        let findings = redactor.finish(&mut rest);
        assert!(
            findings.whole && findings.is_empty() && rest.is_empty(),
            "{path}"
        );
    }
}
