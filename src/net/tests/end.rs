//! The end: draining, cutting, the second signal.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::stage::{self, Stage, read_all, read_n, start, to};
use crate::net::Served;

/// A Watch call's opening as HTTP/2: preface, SETTINGS, HEADERS.
fn watch_opening() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // :method POST, :scheme http, :path, :authority, content-type
    let mut block = vec![0x83, 0x86];
    let literals: [(u8, &str); 2] = [(0x04, "/etcdserverpb.Watch/Watch"), (0x01, "etcd")];
    for (name, value) in literals {
        block.push(name);
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    block.extend([0x0f, 0x10, 16]);
    block.extend(b"application/grpc");
    bytes.extend([0, 0, block.len() as u8, 1, 4, 0, 0, 0, 1]);
    bytes.extend(block);
    bytes
}

/// A stage with one watch open.
async fn watching(drain: Duration) -> (Stage, TcpStream, TcpStream) {
    let (listener, url) = stage::upstream().await;
    let mut config = to(&url);
    config.drain = drain;
    let stage = start(config);
    let mut client = stage.connect().await;
    let mut upstream = stage::accept(&listener).await;
    let opening = watch_opening();
    client.write_all(&opening).await.expect("a write");
    assert_eq!(read_n(&mut upstream, opening.len()).await, opening);
    (stage, client, upstream)
}

#[tokio::test]
async fn idle_connections_close_at_once() {
    let (listener, url) = stage::upstream().await;
    let mut config = to(&url);
    config.drain = Duration::from_secs(60);
    let stage = start(config);
    let mut client = stage.connect().await;
    let mut upstream = stage::accept(&listener).await;
    let request = b"GET /health HTTP/1.1\r\n\r\n";
    client.write_all(request).await.expect("a write");
    assert_eq!(read_n(&mut upstream, request.len()).await, request);
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    upstream.write_all(answer).await.expect("a write");
    assert_eq!(read_n(&mut client, answer.len()).await, answer);
    stage.shutdown.signal();
    assert_eq!(read_all(&mut client).await.expect("a proper end"), b"");
    assert_eq!(read_all(&mut upstream).await.expect("a proper end"), b"");
    assert_eq!(
        &*stage.connection_ended().await.how,
        "etcdtap was told to end"
    );
    TcpStream::connect(stage.address)
        .await
        .expect_err("nobody listens");
    assert_eq!(
        stage.ended().await,
        Served {
            connections: 1,
            cut: 0,
            left: 0
        }
    );
}

#[tokio::test]
async fn an_open_call_has_its_time_then_is_cut() {
    let (stage, mut client, mut upstream) = watching(Duration::from_millis(300)).await;
    let asked = Instant::now();
    stage.shutdown.signal();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Still carried: a PING.
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    client.write_all(&ping).await.expect("a write");
    assert_eq!(read_n(&mut upstream, ping.len()).await, ping);
    assert_eq!(read_all(&mut client).await.expect("a proper end"), b"");
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        stage.ended().await,
        Served {
            connections: 1,
            cut: 1,
            left: 0
        }
    );
}

#[tokio::test]
async fn what_cannot_be_read_has_the_whole_time() {
    let (listener, url) = stage::upstream().await;
    let stage = start(to(&url));
    let mut client = stage.connect().await;
    let mut upstream = stage::accept(&listener).await;
    client.write_all(b"\x00garbage").await.expect("a write");
    assert_eq!(read_n(&mut upstream, 8).await, b"\x00garbage");
    let asked = Instant::now();
    stage.shutdown.signal();
    tokio::time::sleep(Duration::from_millis(100)).await;
    upstream.write_all(b"answer").await.expect("a write");
    assert_eq!(read_n(&mut client, 6).await, b"answer");
    assert_eq!(read_all(&mut client).await.expect("a proper end"), b"");
    assert!(asked.elapsed() >= Duration::from_millis(300));
    let served = stage.ended().await;
    assert_eq!((served.cut, served.left), (1, 0));
}

#[tokio::test]
async fn a_call_that_ends_ends_the_drain() {
    let (stage, mut client, mut upstream) = watching(Duration::from_secs(60)).await;
    stage.shutdown.signal();
    // RST_STREAM, CANCEL.
    let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    client.write_all(&reset).await.expect("a write");
    assert_eq!(read_n(&mut upstream, reset.len()).await, reset);
    assert_eq!(
        stage.ended().await,
        Served {
            connections: 1,
            cut: 0,
            left: 0
        }
    );
}

#[tokio::test]
async fn the_second_signal_ends_at_once() {
    let (stage, _client, _upstream) = watching(Duration::from_secs(60)).await;
    let asked = Instant::now();
    stage.shutdown.signal();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stage.shutdown.signal();
    assert_eq!(
        stage.ended().await,
        Served {
            connections: 1,
            cut: 1,
            left: 0
        }
    );
    assert!(asked.elapsed() < Duration::from_secs(5));
}
