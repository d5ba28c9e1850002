use super::*;

fn key(text: &str) -> KeyText {
    KeyText::new(text).expect("a key")
}

#[test]
fn methods_go_by_any_of_their_names() {
    let range = ("etcdserverpb.KV", "Range");
    for (wanted, fits) in [
        ("Range", true),
        ("KV/Range", true),
        ("etcdserverpb.KV/Range", true),
        ("Watch/Range", false),
        ("range", false),
        ("RangeStream", false),
    ] {
        assert_eq!(
            MethodTerm(wanted.into()).fits(range.0, range.1),
            fits,
            "{wanted}"
        );
    }
    assert!(ServiceTerm("KV".into()).fits("etcdserverpb.KV"));
    assert!(!ServiceTerm("V".into()).fits("etcdserverpb.KV"));
}

#[test]
fn resources_go_with_or_without_their_group() {
    let fits = |wanted: &str, group| ResourceTerm(wanted.into()).fits("deployments", group);
    assert!(fits("deployments", Some("apps")));
    assert!(fits("deployments.apps", Some("apps")));
    assert!(!fits("deployments.batch", Some("apps")));
    assert!(!fits("deployments.apps", None));
    assert!(GroupTerm("".into()).fits(None));
    assert!(!GroupTerm("".into()).fits(Some("apps")));
}

#[test]
fn a_prefix_holds_whole_ranges() {
    let pods = b"/registry/pods/";
    for (key, end, within) in [
        ("/registry/pods/a/b", None, true),
        ("/registry/pods/", Some("/registry/pods0"), true),
        ("/registry/pods/a/", Some("/registry/pods/a0"), true),
        ("/registry/pods/a\0", Some("/registry/pods0"), true),
        ("/registry/pods/", Some("/registry/secrets0"), false),
        ("/registry/pods/", Some("\0"), false),
        ("/registry/", Some("/registry0"), false),
        ("/registry/secrets/a", None, false),
    ] {
        let end = end.map(str::as_bytes);
        assert_eq!(
            lies_within(pods, key.as_bytes(), end),
            within,
            "{key} {end:?}"
        );
    }
    assert!(lies_within(b"a\xff", b"a\xff\x01", Some(b"b")));
}

#[test]
fn ranges_meet_if_they_share_a_key() {
    let range = KeyRange {
        from: key("/b"),
        to: key("/d"),
    };
    for (key, end, meets) in [
        ("/b", None, true),
        ("/c", None, true),
        ("/d", None, false),
        ("/a", None, false),
        ("/a", Some("/b"), false),
        ("/a", Some("/b\0"), true),
        ("/c", Some("/z"), true),
        ("/d", Some("/z"), false),
        ("/a", Some("\0"), true),
    ] {
        let end = end.map(str::as_bytes);
        assert_eq!(range.meets(key.as_bytes(), end), meets, "{key} {end:?}");
    }
}
