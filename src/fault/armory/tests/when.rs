//! Filters in a match: over calls, watches and connections.

use super::*;
use crate::etcd::EventKind;
use crate::etcd::watch_verdict::{AskedWatch, Moment};
use crate::fault::plan::Action;

const POD: &str = "/registry/pods/lab/web-0";
const DEPLOYMENT: &str = "/registry/deployments/lab/web";

/// A fault with this filter, written so that YAML has nothing to say about it.
fn fault(when: &str, action: &str) -> String {
    let when = when.replace('\'', "''");
    format!("- {{name: a, match: {{when: '{when}'}}, action: {action}}}\n")
}

fn strikes(when: &str, question: &Question) -> bool {
    Stand::with(&fault(when, "{delay: {request: 1s}}")).strikes(question)
}

fn page(limit: i64) -> Question {
    let mut question = list("/registry/pods/");
    if let Request::Range(asked) = &mut question.request {
        asked.limit = limit;
    }
    question
}

/// Each also has to come past the glance, which skips by what a filter needs.
#[test]
fn calls_are_struck_for_which_the_filter_holds() {
    for (when, question, hits) in [
        ("true", get(POD), true),
        ("false", get(POD), false),
        (r#"resource == "pods""#, get(POD), true),
        (r#"resource == "pods""#, get(DEPLOYMENT), false),
        (r#"resource == "deployments.apps""#, get(DEPLOYMENT), true),
        (
            r#"resource == "deployments.extensions""#,
            get(DEPLOYMENT),
            false,
        ),
        (r#"resource != "pods""#, get(DEPLOYMENT), true),
        (r#"resource != "pods""#, get("/elsewhere/pods"), false),
        (r#"!(resource == "pods")"#, get("/elsewhere/pods"), true),
        (
            r#"resource == "nodes""#,
            get("/registry/minions/node-1"),
            true,
        ),
        (
            r#"resource == "services""#,
            get("/registry/services/specs/lab/web"),
            true,
        ),
        (
            r#"resource == "pods" || resource == "deployments""#,
            get(DEPLOYMENT),
            true,
        ),
        (
            r#"resource == "pods" || verb == "create""#,
            create(DEPLOYMENT),
            true,
        ),
        (
            r#"resource in ["nodes", "pods"] && namespace == "lab""#,
            get(POD),
            true,
        ),
        (r#"namespace == "la""#, get(POD), false),
        (
            r#"name == "web-0" && namespace != "kube-system""#,
            get(POD),
            true,
        ),
        (r#"name.matches("^web-[0-9]+$")"#, get(POD), true),
        (r#"verb == "get""#, get(POD), true),
        (r#"verb == "get""#, list("/registry/pods/"), false),
        (r#"verb in ["create", "update"]"#, create(POD), true),
        (r#"verb == "Range""#, get("/elsewhere/a"), true),
        (r#"verb == "Range""#, get(POD), false),
        (r#"verb == "watch""#, watch(POD), true),
        (r#"method == "Txn""#, create(POD), true),
        (r#"method == "Txn""#, get(POD), false),
        (r#"service == "KV""#, get(POD), true),
        (r#"service == "KV""#, watch(POD), false),
        ("limit > 100", page(500), true),
        ("limit > 100", page(50), false),
        ("limit > 100", page(0), false),
        ("!(limit > 100)", page(0), true),
        ("if_revision == 0", create(POD), true),
        ("request_bytes >= 100", get(POD), true),
        ("request_bytes > 1MiB", get(POD), false),
        (r#"key.startsWith("/registry/pods/")"#, get(POD), true),
        (r#"key == "/registry/pods/lab/web-0""#, get(POD), true),
        ("has(range_end)", list("/registry/pods/"), true),
        (
            r#"user_agent.startsWith("kube-apiserver/") && client.startsWith("10.1.2.3:")
               && identity == "apiserver-etcd-client" && sni.endsWith(".svc")
               && listener == "127.0.0.1:12379" && conn == 1 && stream == 1
               && upstream == "127.0.0.1:2379""#,
            get(POD),
            true,
        ),
    ] {
        assert_eq!(
            strikes(when, &question),
            hits,
            "{when} of {}",
            question.path
        );
    }
}

#[test]
fn a_filter_and_the_other_terms_must_hold() {
    let strikes = |terms: &str| {
        Stand::with(&format!("- {{name: a, match: {terms}, action: hang}}\n")).strikes(&get(POD))
    };
    assert!(strikes("{resource: pods, when: 'verb == \"get\"'}"));
    assert!(!strikes("{resource: pods, when: 'verb == \"list\"'}"));
    assert!(!strikes("{resource: secrets, when: 'verb == \"get\"'}"));
}

#[test]
fn what_a_filter_needs_clears_by_the_head_alone() {
    let mut stand = Stand::with(&fault(r#"verb == "create" && limit > 5"#, "hang"));
    assert!(stand.armed());
    assert_eq!(stand.suspicion(&get(POD)), Suspicion::None);
    assert_eq!(stand.suspicion(&create(POD)), Suspicion::Judge);
    let mut stand = Stand::with(&fault(r#"verb == "create" || limit > 5"#, "hang"));
    assert!(stand.armed());
    assert_eq!(stand.suspicion(&get(POD)), Suspicion::Judge);
}

#[test]
fn a_message_that_was_never_sent_has_no_size() {
    let unsent = Question {
        bytes: 0,
        ..question("/etcdserverpb.KV/Range", Request::Unread)
    };
    assert!(!strikes("request_bytes < 5", &unsent));
    assert!(strikes("!has(request_bytes)", &unsent));
}

#[test]
fn events_and_watches_are_asked_what_they_are() {
    let struck = |when: &str, action: &str, moment: Moment<'_>| {
        let mut stand = Stand::with(&fault(when, action));
        assert!(matches!(
            stand.armory.list(stand.now)[0].fault.action,
            Action::Watch(_)
        ));
        stand.refresh();
        let question = watch("/registry/pods/");
        let (method, name) = MethodName::parse(question.path.as_bytes());
        let call = asked(&stand.peers, &question, method, &name, &question.request);
        let watch = AskedWatch {
            call,
            key: b"/registry/pods/",
            range_end: b"/registry/pods0",
            start_revision: 7,
            watch_id: Some(3),
        };
        assert!(stand.judge.touches_watches(&call, stand.now));
        !stand
            .judge
            .judge_watch(&watch, moment, stand.now)
            .is_empty()
    };
    let event = |kind| Moment::Event {
        kind,
        key: POD.as_bytes(),
    };
    let standing = Moment::Standing {
        struck: &[],
        fresh: true,
    };
    for (when, hits) in [
        (r#"type == "DELETE""#, true),
        (r#"type == "PUT""#, false),
        (
            r#"name == "web-0" && watch_id == 3 && start_revision == 7"#,
            true,
        ),
        (r#"name == "web-1""#, false),
        (r#"has(range_end)"#, false),
        (
            r#"key == "/registry/pods/lab/web-0" && method == "Watch""#,
            true,
        ),
    ] {
        let action = "{watch: drop_events}";
        assert_eq!(
            struck(when, action, event(EventKind::Delete)),
            hits,
            "{when}"
        );
    }
    for (when, hits) in [
        (
            r#"resource == "pods" && has(range_end) && !has(name)"#,
            true,
        ),
        (r#"watch_id > 3"#, false),
        (r#"user_agent.contains("etcdctl")"#, false),
    ] {
        assert_eq!(struck(when, "{watch: stall}", standing), hits, "{when}");
    }
}

#[test]
fn connections_are_asked_who_they_are() {
    for (when, hits) in [
        (r#"client.startsWith("10.1.2.3:")"#, true),
        (r#"client.startsWith("10.1.2.4:")"#, false),
        (r#"identity == "apiserver-etcd-client""#, true),
        (r#"sni != "node1.etcd.svc""#, false),
        (
            r#"listener.endsWith(":12379") && upstream == "127.0.0.1:2379""#,
            true,
        ),
    ] {
        let stand = Stand::with(&fault(when, "{connection: close}"));
        let mut warden = stand.armory.warden(&stand.peers, true, stand.now);
        let struck = !warden.look(stand.now).strikes.is_empty();
        assert_eq!(struck, hits, "{when}");
    }
}
