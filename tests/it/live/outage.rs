//! etcd gone, etcd back, etcd never there; clients gone in mid-call.

use std::time::Duration;

use etcd_client::{Client, ConnectOptions, LockOptions};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::etcd::Version;
use super::etcdctl::Etcdctl;
use super::log::Line;
use super::patience::{soon, until};
use super::ports;
use super::proxy::Arguments;
use super::stack::{Setup, Stack, on_setups};

on_setups! {
    a_client_survives_etcds_restart: PLAIN_34, PLAIN_35, MTLS_35;
    a_client_gone_in_mid_call_is_logged: PLAIN_35, MTLS_34;
    a_call_given_up_is_logged: PLAIN_34, PLAIN_35;
}

fn watch_ended(line: &Line) -> bool {
    line.is_call("Watch") && !matches!(line.text("status"), "OK" | "")
}

async fn a_client_survives_etcds_restart(mut stack: Stack) {
    let mut client = stack.client().await;
    client.put("/kept", "before", None).await.unwrap();
    let mut stream = client.watch("/kept", None).await.unwrap();
    assert!(stream.message().await.unwrap().unwrap().created());

    stack.etcd.kill(0).await;
    let ended = soon("the watch's end", stream.message()).await;
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    let log = stack.proxy.log.clone();
    log.wait_for("the lost watch", watch_ended).await;
    // A connection that etcd left says so; one that finds nobody says that.
    log.wait_for("the lost connection", |line| line.is("connection"))
        .await;
    let failed = soon("a failure", client.put("/kept", "meanwhile", None)).await;
    assert!(failed.is_err());
    log.wait_for("the refusal", |line| {
        line.is("connection") && line.text("message").contains("refused")
    })
    .await;
    assert!(stack.proxy.is_running());

    stack.etcd.restart(0).await;
    until("the same client gets through again", async || {
        client.get("/kept", None).await.ok()
    })
    .await;
    client.put("/kept", "after", None).await.unwrap();
    let kept = stack
        .client_direct()
        .await
        .get("/kept", None)
        .await
        .unwrap();
    assert_eq!(kept.kvs()[0].value(), b"after");
}

#[tokio::test]
async fn one_member_of_three_may_go() {
    let mut stack = Setup::THREE_35.start().await;
    let etcdctl = stack.etcdctl();
    etcdctl.run(["put", "/kept", "1"]).await.ok();
    stack.etcd.kill(1).await;
    until("the client has found the other two", async || {
        let put = etcdctl.run(["put", "/kept", "2"]).await;
        (put.code == Some(0)).then_some(())
    })
    .await;
    let health = etcdctl.run(["endpoint", "health"]).await;
    let direct = stack.etcdctl_direct().run(["endpoint", "health"]).await;
    assert_eq!(health.code, direct.code);
    let healthy = |printed: &super::etcdctl::Output| {
        let all = format!("{}{}", printed.stdout, printed.stderr);
        all.matches(" is healthy").count()
    };
    assert_eq!((healthy(&health), healthy(&direct)), (2, 2));
}

#[tokio::test]
async fn an_absent_etcd_looks_absent() {
    let nobody = format!("http://{}", ports::free());
    let proxy = Arguments::new().pair(&nobody).start().await;

    for version in [Version::V3_4, Version::V3_5] {
        let urls = [std::slice::from_ref(&nobody), &proxy.urls("http")].map(|urls| {
            let etcdctl = Etcdctl::of(version, urls);
            etcdctl
                .flag("--command-timeout", "1s")
                .flag("--dial-timeout", "1s")
        });
        let [direct, through] = urls;
        let expected = direct.run(["get", "a"]).await;
        let seen = through.run(["get", "a"]).await;
        assert_eq!(seen.code, expected.code);
        assert_eq!(seen.error(), expected.error());
        assert_ne!(seen.error(), "");
    }

    // Nobody waits for a time-out: the connection is reset at once.
    // That may be seen by whoever connects or by whoever reads.
    let reset = async {
        let mut client = TcpStream::connect(proxy.address()).await?;
        client.read(&mut [0]).await
    };
    let reset = tokio::time::timeout(Duration::from_secs(5), reset).await;
    let error = reset.expect("not kept waiting").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let refused = |line: &Line| line.is("connection") && line.text("message").contains("refused");
    proxy.log.wait_for("the refusal", refused).await;
}

async fn a_client_gone_in_mid_call_is_logged(stack: Stack) {
    let etcdctl = stack.etcdctl();
    let watching = etcdctl.spawn(["watch", "/w"]);
    let log = &stack.proxy.log;
    log.wait_for("the watch", |line| line.is("watch_created"))
        .await;
    watching.kill().await;
    let call = log.wait_for("its end", |line| line.is_call("Watch")).await;
    assert!(
        matches!(call.text("status"), "CANCELLED" | "UNKNOWN"),
        "{call:?}"
    );
    log.wait_for("the watch's end", |line| line.is("watch_canceled"))
        .await;
    log.wait_for("the connection's end", |line| line.is("connection"))
        .await;
    // Nobody else is disturbed.
    etcdctl.run(["put", "/w", "1"]).await.ok();
}

async fn a_call_given_up_is_logged(stack: Stack) {
    let mut holder = stack.client_direct().await;
    let lock = holder.lock("/locks/one", None).await.unwrap();

    // The second one waits for the lock, and gives up.
    let mut waiting = stack.client().await;
    waiting.put("/before", "", None).await.unwrap();
    let mut patient = waiting.clone();
    let call =
        tokio::spawn(async move { patient.lock("/locks/one", Some(LockOptions::new())).await });
    let queued = etcd_client::GetOptions::new()
        .with_prefix()
        .with_count_only();
    until("the second one is queued", async || {
        let queue = holder
            .get("/locks/one/", Some(queued.clone()))
            .await
            .unwrap();
        (queue.count() == 2).then_some(())
    })
    .await;
    call.abort();
    let log = &stack.proxy.log;
    let call = log
        .wait_for("the lock call", |line| line.is_call("Lock"))
        .await;
    assert_eq!(call.text("status"), "CANCELLED");
    assert!(call.number("duration_us").is_some());

    // The connection it was on goes on.
    waiting.put("/after", "", None).await.unwrap();
    holder.unlock(lock.key()).await.unwrap();

    // A deadline that passes is the client's own; the tap sees a reset.
    let options = ConnectOptions::new().with_timeout(Duration::from_secs(1));
    let mut hasty = Client::connect(stack.proxy.urls("http"), Some(options))
        .await
        .unwrap();
    let lock = holder.lock("/locks/two", None).await.unwrap();
    hasty.lock("/locks/two", None).await.unwrap_err();
    let late = |line: &Line| line.is_call("Lock");
    let calls = log.wait_for_count("a lock call", 2, late).await;
    assert!(matches!(
        calls[1].text("status"),
        "CANCELLED" | "DEADLINE_EXCEEDED"
    ));
    holder.unlock(lock.key()).await.unwrap();
}
