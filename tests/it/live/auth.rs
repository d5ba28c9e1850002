//! Names and passwords pass, right ones and wrong ones, and are not logged.

use super::stack::{Stack, on_setups};

on_setups! {
    who_may_do_what_is_etcds_answer: PLAIN_34, PLAIN_35;
}

async fn who_may_do_what_is_etcds_answer(stack: Stack) {
    let etcdctl = stack.etcdctl();
    for command in [
        "user add root:rootpassword",
        "user grant-role root root",
        "role add reader",
        "role grant-permission reader read /open/ --prefix=true",
        "user add jane:janespassword",
        "user grant-role jane reader",
    ] {
        // etcd 3.4 has no root role until one is added.
        if command.contains("grant-role root") {
            etcdctl.run(["role", "add", "root"]).await;
        }
        etcdctl.run(command.split(' ')).await.ok();
    }
    etcdctl.run(["put", "/open/a", "1"]).await.ok();
    etcdctl.run(["auth", "enable"]).await.ok();

    let with = |user: &str| {
        let direct = stack.etcdctl_direct().user(user);
        (direct, stack.etcdctl().user(user))
    };
    let (direct, through) = with("jane:janespassword");
    let read = ["get", "/open/a"];
    let write = ["put", "/open/a", "2"];
    let read = stack.same_between(&direct, &through, &read).await;
    assert_eq!(read.stdout, "/open/a\n1\n");
    let refused = stack.same_between(&direct, &through, &write).await;
    assert!(
        refused.error().contains("permission denied"),
        "{}",
        refused.stderr
    );
    let (direct, through) = with("jane:wrongpassword");
    let refused = stack
        .same_between(&direct, &through, &["get", "/open/a"])
        .await;
    assert!(
        refused.error().contains("authentication failed"),
        "{}",
        refused.stderr
    );
    let refused = stack.same_either_way(&["get", "/open/a"]).await;
    assert_ne!(refused.code, Some(0));

    // The Rust client says the same of both, word for word.
    let options = || Some(etcd_client::ConnectOptions::new().with_user("jane", "wrongpassword"));
    let expected = etcd_client::Client::connect(stack.etcd.urls(), options()).await;
    let seen = etcd_client::Client::connect(stack.proxy.urls("http"), options()).await;
    let text = |outcome: Result<_, etcd_client::Error>| outcome.err().unwrap().to_string();
    assert_eq!(text(seen), text(expected));

    let (_, root) = with("root:rootpassword");
    root.run(["put", "/open/a", "3"]).await.ok();
    root.run(["auth", "disable"]).await.ok();

    let log = &stack.proxy.log;
    log.wait_for("a log-in", |line| {
        line.is_call("Authenticate") && line.text("status") == "OK"
    })
    .await;
    log.wait_for("a refusal", |line| {
        line.is_call("Put") && line.text("status") == "PERMISSION_DENIED"
    })
    .await;
    log.wait_for("the end of it", |line| line.is_call("AuthDisable"))
        .await;
    let written = std::fs::read_to_string(log.path()).unwrap() + &stack.proxy.errors.text();
    for secret in ["rootpassword", "janespassword", "wrongpassword"] {
        assert!(!written.contains(secret), "a password in the log");
    }
}
