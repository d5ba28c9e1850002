use super::super::fixtures::{Time, a_little_of_everything, call};
use super::super::{Format, Options, Pipeline};
use super::*;
use crate::etcd::{Request, Response};
use crate::grpc::Code;

/// `event verb-or-state` of the lines that pass.
fn passing(filter: Filter) -> Vec<String> {
    let time = Time::new();
    let options = Options {
        filter,
        ..Options::new(Format::Json)
    };
    let mut pipeline = Pipeline::new(options, time.anchor());
    for event in a_little_of_everything(time) {
        pipeline.handle_event(event);
    }
    pipeline.finish();
    assert_eq!(
        pipeline.lines(),
        pipeline.output().iter().filter(|b| **b == b'\n').count() as u64
    );
    let text = String::from_utf8(pipeline.output().clone()).expect("text");
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let word = |name: &str| line[name].as_str().map(str::to_owned);
            let fault = || line["fault"][0]["name"].as_str().map(str::to_owned);
            let what = word("verb").or(word("state")).or(word("path"));
            let what = what.or_else(fault);
            format!(
                "{} {}",
                word("event").expect("every line has it"),
                what.expect("one of them")
            )
        })
        .collect()
}

fn words(words: &[&str]) -> Vec<Box<str>> {
    words.iter().map(|word| (*word).into()).collect()
}

#[test]
fn nothing_asked_everything_passes() {
    assert!(Filter::default().is_empty());
    assert_eq!(passing(Filter::default()).len(), 18);
}

#[test]
fn methods() {
    let by = |method| {
        passing(Filter {
            methods: words(&[method]),
            ..Filter::default()
        })
    };
    assert_eq!(by("Txn").len(), 3);
    assert_eq!(by("kv/txn").len(), 3);
    assert_eq!(by("etcdserverpb.KV/Txn").len(), 3);
    assert!(by("Lease/Txn").is_empty());
    assert_eq!(by("Watch").len(), 4);
    assert_eq!(by("GET"), ["http1 /health"]);
}

#[test]
fn verbs_resources_namespaces_and_keys() {
    let verbs = Filter {
        verbs: words(&["Conflict", "status", "progress"]),
        ..Filter::default()
    };
    assert_eq!(
        passing(verbs),
        ["call conflict", "call Status", "watch_progress progress"]
    );
    let resources = Filter {
        resources: words(&["configmaps", "secrets"]),
        ..Filter::default()
    };
    assert_eq!(passing(resources), ["call create", "watch_event create"]);
    let namespaces = Filter {
        namespaces: words(&["kube-system"]),
        ..Filter::default()
    };
    assert_eq!(
        passing(namespaces),
        ["call get", "call conflict", "call delete"]
    );
    let keys = Filter {
        key_prefixes: vec![(*b"/odd\xff").into()],
        ..Filter::default()
    };
    assert_eq!(passing(keys), ["call Range"]);
}

#[test]
fn a_group_may_be_named_and_then_counts() {
    let object = crate::kube::key::KeySpace::default();
    let object = object
        .parse(b"/registry/deployments/lab/web")
        .expect("in it");
    assert!(is_resource(&object, "deployments"));
    assert!(is_resource(&object, "deployments.apps"));
    assert!(!is_resource(&object, "deployments.extensions"));
    assert!(!is_resource(&object, "deploymentsx"));
    assert!(!is_resource(&object, "deploy"));
}

#[test]
fn slowness_and_errors() {
    let slow = Filter {
        min_duration: Some(Duration::from_millis(2)),
        ..Filter::default()
    };
    assert_eq!(passing(slow), ["call get", "http1 /health"]);
    let errors = Filter {
        errors_only: true,
        ..Filter::default()
    };
    assert_eq!(
        passing(errors),
        [
            "call delete",
            "call Status",
            "watch_canceled watch",
            "http1 /health",
            "connection tracing_stopped",
            "fault black-hole",
            "connection failed"
        ]
    );
}

#[test]
fn terms_are_all_asked() {
    let both = Filter {
        resources: words(&["pods"]),
        errors_only: true,
        ..Filter::default()
    };
    assert_eq!(passing(both), ["call delete", "watch_canceled watch"]);
}

#[test]
fn a_cancelled_stream_did_not_fail() {
    let errors = Filter {
        errors_only: true,
        ..Filter::default()
    };
    let passes = |path: &str, code, request| {
        let mut call = call(Time::new(), path, request, Response::Unread);
        call.status.code = code;
        errors.passes_call(&CallFacts {
            call: &call,
            operation: &Operation::default(),
            slow: false,
            anchor: Time::new().anchor(),
        })
    };
    let keepalive = Request::Lease { id: 7, ttl: 0 };
    for (path, code, request, failed) in [
        ("Watch/Watch", Code::CANCELLED, Request::Unread, false),
        ("Watch/Watch", Code::UNAVAILABLE, Request::Unread, true),
        (
            "Lease/LeaseKeepAlive",
            Code::CANCELLED,
            Request::Unread,
            false,
        ),
        ("Lease/LeaseKeepAlive", Code::CANCELLED, keepalive, true),
        ("KV/Range", Code::CANCELLED, Request::Unread, true),
        ("KV/Range", Code::OK, Request::Unread, false),
    ] {
        let path = format!("/etcdserverpb.{path}");
        assert_eq!(passes(&path, code, request), failed, "{path} {code}");
    }
}
