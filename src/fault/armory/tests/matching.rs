//! Which calls a fault is about, term by term.

use super::*;

fn strikes(terms: &str, question: &Question) -> bool {
    let mut stand = Stand::with(&format!(
        "- {{name: a, match: {terms}, action: {{delay: {{request: 1s}}}}}}\n"
    ));
    stand.strikes(question)
}

const POD: &str = "/registry/pods/lab/web-0";

#[test]
fn every_term_hits_and_misses() {
    let get_pod = || get(POD);
    for (terms, hits) in [
        ("{}", true),
        ("{service: KV}", true),
        ("{service: Watch}", false),
        ("{service: etcdserverpb.KV}", true),
        ("{method: Range}", true),
        ("{method: KV/Range}", true),
        ("{method: [Put, KV/Txn]}", false),
        ("{verb: get}", true),
        ("{verb: [list, get]}", true),
        ("{verb: list}", false),
        ("{verb: create}", false),
        ("{resource: pods}", true),
        ("{resource: [secrets, deployments.apps]}", false),
        ("{group: \"\"}", true),
        ("{group: apps}", false),
        ("{namespace: l*b}", true),
        ("{namespace: kube-system}", false),
        ("{name: web-*}", true),
        ("{name: web}", false),
        ("{key: /registry/pods/lab/web-0}", true),
        ("{key: /registry/pods/lab/web}", false),
        ("{key_prefix: /registry/pods/}", true),
        (
            "{key_prefix: [/registry/secrets/, /registry/events/]}",
            false,
        ),
        ("{key_range: {from: /registry/p, to: /registry/q}}", true),
        ("{key_range: {from: /registry/q, to: /registry/r}}", false),
        ("{request_size: {min: 100, max: 100}}", true),
        ("{request_size: {min: 101}}", false),
        ("{request_size: {max: 99B}}", false),
        ("{user_agent: kube-apiserver*}", true),
        ("{user_agent: \"*etcdctl*\"}", false),
        ("{client: 10.0.0.0/8}", true),
        ("{client: [\"10.1.2.3:40000\", \"::1\"]}", true),
        ("{client: 10.1.2.4}", false),
        ("{tls_identity: apiserver*}", true),
        ("{tls_identity: kubelet*}", false),
        ("{sni: \"*.etcd.svc\"}", true),
        ("{sni: localhost}", false),
        ("{listener: \":12379\"}", true),
        ("{listener: \"127.0.0.1:2379\"}", false),
        // All terms must hold.
        (
            "{verb: get, resource: pods, namespace: lab, name: web-0}",
            true,
        ),
        (
            "{verb: get, resource: pods, namespace: lab, name: web-1}",
            false,
        ),
    ] {
        assert_eq!(strikes(terms, &get_pod()), hits, "{terms}");
    }
}

#[test]
fn lists_writes_and_watches() {
    for (terms, question, hits) in [
        ("{verb: list}", list("/registry/pods/"), true),
        ("{verb: get}", list("/registry/pods/"), false),
        ("{namespace: \"*\"}", list("/registry/pods/"), false),
        ("{namespace: \"*\"}", list("/registry/pods/lab/"), true),
        (
            "{key_prefix: /registry/pods/}",
            list("/registry/pods/"),
            true,
        ),
        ("{key_prefix: /registry/pods/}", list("/registry/"), false),
        ("{key: /registry/pods/}", list("/registry/pods/"), false),
        (
            "{resource: deployments.apps, verb: create}",
            create("/registry/deployments/lab/web"),
            true,
        ),
        ("{verb: update}", create(POD), false),
        (
            "{group: apps}",
            create("/registry/deployments/lab/web"),
            true,
        ),
        ("{verb: watch, name: web-0}", watch(POD), true),
        ("{verb: get}", watch(POD), false),
    ] {
        assert_eq!(strikes(terms, &question), hits, "{terms}");
    }
}

#[test]
fn what_a_call_lacks_does_not_fit() {
    let nameless = Question {
        user_agent: None,
        ..get(POD)
    };
    assert!(!strikes("{user_agent: \"*\"}", &nameless));
    let keyless = question(
        "/etcdserverpb.Lease/LeaseGrant",
        Request::Lease { id: 0, ttl: 5 },
    );
    assert!(!strikes("{key_prefix: /}", &keyless));
    assert!(strikes("{verb: lease_grant}", &keyless));
    let unsent = Question {
        bytes: 0,
        ..question("/etcdserverpb.KV/Range", Request::Unread)
    };
    assert!(!strikes("{request_size: {max: 5}}", &unsent));
    assert!(strikes("{method: Range}", &unsent));
    let outside = get("/elsewhere/a");
    assert!(!strikes("{verb: get}", &outside));
    assert!(strikes("{key_prefix: /elsewhere/}", &outside));
}

#[test]
fn the_head_alone_clears_most_calls() {
    let mut stand = Stand::with(
        "- {name: a, match: {verb: [list, watch], user_agent: kube*}, action: hang}\n\
         - {name: b, match: {verb: create}, action: duplicate}\n",
    );
    assert!(stand.armed());
    assert_eq!(stand.suspicion(&get(POD)), Suspicion::Judge);
    assert_eq!(stand.suspicion(&create(POD)), Suspicion::JudgeAndKeep);
    assert_eq!(stand.suspicion(&watch(POD)), Suspicion::Judge);
    let keepalive = question("/etcdserverpb.Lease/LeaseKeepAlive", Request::Unread);
    assert_eq!(stand.suspicion(&keepalive), Suspicion::None);
    let other = Question {
        user_agent: Some("etcdctl"),
        ..get(POD)
    };
    assert_eq!(stand.suspicion(&other), Suspicion::None);
    // Suspected, and then cleared by its request.
    assert!(!stand.strikes(&get(POD)));
}

#[test]
fn a_connection_that_no_fault_is_about_is_not_armed() {
    for (terms, armed) in [
        ("{client: 10.0.0.0/8, verb: list}", true),
        ("{client: 192.168.0.0/16}", false),
        ("{listener: \":2379\"}", false),
        ("{tls_identity: kubelet}", false),
        ("{sni: other}", false),
    ] {
        let mut stand = Stand::with(&format!("- {{name: a, match: {terms}, action: hang}}\n"));
        assert_eq!(stand.armed(), armed, "{terms}");
    }
}

#[test]
fn streams_that_live_on_lose_no_reply() {
    for action in ["lose_reply", "withhold_trailers", "duplicate"] {
        let mut stand = Stand::with(&format!("- {{name: a, action: {action}}}\n"));
        assert!(!stand.strikes(&watch(POD)), "{action}");
        assert!(stand.strikes(&get(POD)), "{action}");
        assert_eq!(stand.status().matched, 1, "{action}");
    }
    let mut stand = Stand::with("- {name: a, action: {delay: {each_request_message: 1s}}}\n");
    assert!(stand.strikes(&watch(POD)));
    assert!(!stand.strikes(&get(POD)));
}
