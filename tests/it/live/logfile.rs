//! The call log as a file: filtered, moved away, or impossible to write.

use std::path::Path;

use rustix::process::Signal;

use super::log::{Line, Log};
use super::patience::until;
use super::proxy::Arguments;
use super::stack::Setup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_moved_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls.json");
    let arguments = Arguments::new().log_file(&path);
    let stack = Setup::PLAIN_34.start_with(arguments).await;
    let mut client = stack.client().await;
    let put = |key: &'static str| move |line: &Line| line.is_call("Put") && line.text("key") == key;

    client.put("/before", "1", None).await.unwrap();
    Log::at(&path)
        .wait_for("the first put", put("/before"))
        .await;
    let moved = dir.path().join("calls.json.1");
    std::fs::rename(&path, &moved).unwrap();
    stack.proxy.signal(Signal::HUP);
    until("there is a new file", async || path.exists().then_some(())).await;
    client.put("/after", "1", None).await.unwrap();
    Log::at(&path)
        .wait_for("the second put", put("/after"))
        .await;
    assert!(Log::at(&moved).all(put("/after")).is_empty());
    assert!(Log::at(&path).all(put("/before")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_no_traffic() {
    let arguments = Arguments::new().log_file(Path::new("/dev/full"));
    let mut stack = Setup::PLAIN_35.start_with(arguments).await;
    let mut client = stack.client().await;
    for n in 0..500 {
        client.put("/a", format!("{n}"), None).await.unwrap();
    }
    drop(client);
    assert_eq!(stack.proxy.terminate().await, Some(0));
    let errors = stack.proxy.errors.text();
    let said = errors.lines().any(|line| {
        line.to_lowercase().contains("dropped") && line.contains(|c: char| c.is_ascii_digit())
    });
    assert!(said, "{errors}");
    let lines = errors.lines().count();
    assert!(lines < 50, "{lines} lines of complaint");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_leave_out_the_rest() {
    let etcd = super::etcd::Etcd::of(super::etcd::Version::V3_5, 1)
        .start()
        .await;
    let cases: [(&[(&str, &str)], usize); 7] = [
        (&[("--method", "Put")], 3),
        (&[("--verb", "get")], 1),
        (&[("--resource", "pods")], 3),
        (&[("--resource", "pods"), ("--namespace", "default")], 2),
        (&[("--key-prefix", "/registry/secrets/")], 1),
        (&[("--min-duration", "1h")], 0),
        (&[], 5),
    ];
    for (filters, expected) in cases {
        let mut arguments = Arguments::new().pair(&etcd.urls()[0]);
        for (flag, value) in filters {
            arguments = arguments.flag(flag, value);
        }
        let mut proxy = arguments.start().await;
        let urls = proxy.urls("http");
        let mut client = etcd_client::Client::connect(urls, None).await.unwrap();
        client
            .put("/registry/pods/default/web", "1", None)
            .await
            .unwrap();
        client
            .put("/registry/pods/kube-system/dns", "1", None)
            .await
            .unwrap();
        client
            .put("/registry/secrets/default/token", "1", None)
            .await
            .unwrap();
        client
            .get("/registry/pods/default/web", None)
            .await
            .unwrap();
        client.delete("/nothing/here", None).await.unwrap();
        drop(client);
        assert_eq!(proxy.terminate().await, Some(0));
        let calls = proxy.log.all(|line| line.is("call"));
        assert_eq!(calls.len(), expected, "{filters:?}: {calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_only_means_errors_only() {
    let mut stack = Setup::PLAIN_34
        .start_with(Arguments::new().switch("--errors-only"))
        .await;
    let mut client = stack.client().await;
    client.put("/a", "1", None).await.unwrap();
    client.put("", "1", None).await.unwrap_err();
    drop(client);
    assert_eq!(stack.proxy.terminate().await, Some(0));
    let calls = stack.proxy.log.all(|line| line.is("call"));
    let [call] = calls.as_slice() else {
        panic!("one call, not {calls:?}");
    };
    assert_eq!(call.text("status"), "INVALID_ARGUMENT");
    assert!(call.text("message").contains("key is not provided"));
}
