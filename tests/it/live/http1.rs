//! HTTP/1.1 on etcd's port: health, version, metrics, the JSON gateway.

use super::http::{self, Http};
use super::stack::{Stack, on_setups};

on_setups! {
    plain_http_passes_and_is_logged: PLAIN_34, PLAIN_35;
}

async fn plain_http_passes_and_is_logged(stack: Stack) {
    let (etcd, proxy) = (stack.etcd.addresses()[0], stack.proxy.address());
    stack.etcdctl_direct().run(["put", "foo", "bar"]).await.ok();

    // {"key": "foo"}, both in base64 as the gateway wants them.
    let range = r#"{"key":"Zm9v"}"#;
    let same = [
        ("GET", "/health", "", 200),
        ("GET", "/version", "", 200),
        ("POST", "/v3/kv/range", range, 200),
        ("GET", "/nowhere", "", 404),
        ("POST", "/v3/kv/range", "{not json", 400),
    ];
    for (method, target, body, status) in same {
        let expected = http::once(etcd, method, target, body).await.unwrap();
        let seen = http::once(proxy, method, target, body).await.unwrap();
        assert_eq!(seen.status, status, "{method} {target}");
        assert_eq!(seen.body, expected.body, "{method} {target}");
        assert_eq!(seen.header("content-type"), expected.header("content-type"));
    }
    let metrics = http::once(proxy, "GET", "/metrics", "").await.unwrap();
    assert!(metrics.body.contains("etcd_server_has_leader 1"));
    assert!(metrics.body.len() > 10_000);

    // Several on one connection.
    let mut kept = Http::connect(proxy).await.unwrap();
    for _ in 0..3 {
        let answer = kept.request("GET", "/health", "").await.unwrap();
        assert!(answer.body.contains("true"));
    }
    let answer = kept.request("POST", "/v3/kv/range", range).await.unwrap();
    assert!(answer.body.contains(r#""value":"YmFy""#), "{}", answer.body);

    let requests = same.len() + 1 + 4;
    let log = &stack.proxy.log;
    let lines = log
        .wait_for_count("a request", requests, |line| line.is("http1"))
        .await;
    drop(kept);
    log.wait_for_count("an end", same.len() + 2, |line| line.is("connection"))
        .await;
    assert_eq!(
        log.all(|line| line.is("http1")).len(),
        requests,
        "one line each"
    );
    let mentions = |target: &str| {
        let mentioned = lines
            .iter()
            .filter(|line| line.0.to_string().contains(target));
        mentioned.count()
    };
    assert_eq!(mentions("/health"), 4);
    assert_eq!(mentions("/metrics"), 1);
    assert_eq!(mentions("/v3/kv/range"), 3);
    for line in &lines {
        assert!(line.number("duration_us").is_some());
        assert!(line.number("conn").is_some());
        assert_eq!(line.text("user_agent"), "etcdtap-test");
    }
    // The gateway calls etcd's own gRPC service inside etcd, not through us.
    assert!(log.all(|line| line.is("call")).is_empty());
}
