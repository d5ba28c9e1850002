//! `match`: who is meant, and who beside it is not.

use etcd_client::{Client, ConnectOptions, GetOptions};

use super::arm::{arm, struck_once};
use super::documented::documented;
use super::objects::{create, delete, write};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    neighbours_of_what_is_meant_are_left_alone: PLAIN_34, MTLS_35;
    verbs_are_told_apart: MTLS_34, PLAIN_35;
    clients_are_told_apart: PLAIN_34, MTLS_35;
}

fn fault(name: &str, terms: &str) -> String {
    format!("  - {{name: {name}, match: {{{terms}}}, action: {{error: corrupt}}}}\n")
}

async fn neighbours_of_what_is_meant_are_left_alone(mut stack: Stack) {
    for (terms, meant, not) in [
        (
            "resource: pods",
            "/registry/pods/lab/a",
            "/registry/podtemplates/lab/a",
        ),
        (
            "resource: deployments.apps",
            "/registry/deployments/lab/a",
            "/registry/replicasets/lab/a",
        ),
        (
            "namespace: lab",
            "/registry/pods/lab/a",
            "/registry/pods/laboratory/a",
        ),
        (
            "namespace: 'lab*'",
            "/registry/pods/laboratory/a",
            "/registry/pods/other/a",
        ),
        (
            "name: web-*",
            "/registry/pods/lab/web-1",
            "/registry/pods/lab/db-1",
        ),
        (
            "key: /registry/pods/lab/a",
            "/registry/pods/lab/a",
            "/registry/pods/lab/aa",
        ),
        (
            "key_prefix: /registry/pods/",
            "/registry/pods/lab/a",
            "/registry/pod",
        ),
        ("key_range: {from: /b, to: /c}", "/b", "/c"),
        ("request_size: {min: 20}", "/registry/pods/lab/a", "/short"),
        ("method: KV/Range", "/a", ""),
    ] {
        let plan = format!("faults:\n{}", fault("meant", terms));
        arm(&mut stack, &plan).await;
        let mut client = stack.client().await;
        if !not.is_empty() {
            client.get(not, None).await.unwrap();
        }
        client.lease_grant(60, None).await.unwrap();
        client.get(meant, None).await.unwrap_err();
        if !not.is_empty() {
            client.get(not, None).await.unwrap();
        }
        let line = struck_once(&stack, "meant").await;
        assert_eq!(line.text("key"), meant, "{terms}");
    }
}

async fn verbs_are_told_apart(mut stack: Stack) {
    let verbs = [
        "get",
        "list",
        "list_page",
        "count",
        "create",
        "update",
        "delete",
        "lease_grant",
    ];
    for only in verbs {
        let name = format!("no-{}", only.replace('_', "-"));
        let plan = format!("faults:\n{}", fault(&name, &format!("verb: {only}")));
        arm(&mut stack, &plan).await;
        let mut client = stack.client().await;
        let key = format!("/registry/pods/lab/{name}");
        let prefix = || GetOptions::new().with_prefix();
        let mut failed = Vec::new();
        let created = client.txn(create(&key, "1")).await;
        let at = created
            .as_ref()
            .map_or(0, |answer| answer.header().unwrap().revision());
        let mut note = |verb, failure: bool| {
            if failure {
                failed.push(verb);
            }
        };
        note("create", created.is_err());
        note(
            "update",
            client.txn(write(&key, at.max(1), "2")).await.is_err(),
        );
        note("get", client.get(key.as_str(), None).await.is_err());
        let list = client.get("/registry/pods/", Some(prefix())).await;
        note("list", list.is_err());
        let page = client
            .get("/registry/pods/", Some(prefix().with_limit(1)))
            .await;
        note("list_page", page.is_err());
        let count = client
            .get("/registry/pods/", Some(prefix().with_count_only()))
            .await;
        note("count", count.is_err());
        note("delete", client.txn(delete(&key, at.max(1))).await.is_err());
        note("lease_grant", client.lease_grant(60, None).await.is_err());
        assert_eq!(failed, [only]);
    }
}

async fn clients_are_told_apart(mut stack: Stack) {
    arm(&mut stack, &documented(&["only-etcdctl"])).await;
    let mut client = stack.client().await;
    client.get("/registry/secrets/lab/a", None).await.unwrap();
    let read = stack
        .etcdctl()
        .run(["get", "/registry/secrets/lab/a"])
        .await;
    assert_eq!(read.error(), "Error: etcdserver: permission denied");

    let tls = stack.etcd.pki.is_some();
    for (terms, hit) in [
        ("tls_identity: 'kube-apiserver-*'", tls),
        ("tls_identity: somebody-else", false),
        ("sni: localhost", tls),
        ("sni: elsewhere", false),
        ("user_agent: 'tonic/*'", true),
        ("user_agent: tonic", false),
        ("client: 127.0.0.0/8", true),
        ("client: 10.0.0.0/8", false),
        ("listener: '127.0.0.1:1'", false),
    ] {
        arm(&mut stack, &format!("faults:\n{}", fault("who", terms))).await;
        let mut client = match &stack.etcd.pki {
            // By name, so that it tells the name in its handshake.
            Some(pki) => {
                let options = ConnectOptions::new().with_tls(pki.client_options());
                let url = stack.proxy.urls("https")[0].replace("127.0.0.1", "localhost");
                Client::connect([url], Some(options)).await.unwrap()
            }
            None => stack.client().await,
        };
        let failed = client.get("/a", None).await.is_err();
        assert_eq!(failed, hit, "{terms}");
    }
}
