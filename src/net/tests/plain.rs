//! Plaintext on both sides: bytes, ends, resets, back-pressure.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::stage::{self, SOON, echo, noise, read_all, read_n, start, to};

#[tokio::test]
async fn bytes_come_back_as_they_left() {
    let (listener, url) = stage::upstream().await;
    let stage = start(to(&url));
    let client = stage.connect().await;
    tokio::spawn(echo(stage::accept(&listener).await));
    let sent = noise(1_000_003);
    let (mut read, mut write) = client.into_split();
    let (_, got) = tokio::join!(
        async {
            write.write_all(&sent).await.expect("the echo takes it");
            write.shutdown().await.expect("an end");
        },
        read_all(&mut read)
    );
    assert!(got.expect("the echo's end") == sent);
    let ended = stage.connection_ended().await;
    assert_eq!(
        (ended.bytes.client, ended.bytes.server),
        (1_000_003, 1_000_003)
    );
    assert_eq!(&*ended.how, "client closed");
    assert_eq!(ended.peers.listener, stage.address);
    assert_eq!(format!("http://{}", ended.peers.upstream), url);
}

#[tokio::test]
async fn a_closed_half_leaves_the_other_open() {
    let (listener, url) = stage::upstream().await;
    let stage = start(to(&url));
    for client_first in [true, false] {
        let client = stage.connect().await;
        let upstream = stage::accept(&listener).await;
        let (mut first, mut second) = match client_first {
            true => (client, upstream),
            false => (upstream, client),
        };
        first.write_all(b"that is all").await.expect("a write");
        first.shutdown().await.expect("an end");
        assert_eq!(read_all(&mut second).await.expect("an end"), b"that is all");
        // Longer than the pump leaves an unread socket alone.
        tokio::time::sleep(Duration::from_millis(400)).await;
        second.write_all(b"thank you").await.expect("a write");
        assert_eq!(read_n(&mut first, 9).await, b"thank you");
        drop(second);
        assert_eq!(read_all(&mut first).await.expect("an end"), b"");
        let ended = stage.connection_ended().await;
        let how = if client_first {
            "client closed"
        } else {
            "upstream closed"
        };
        assert_eq!(&*ended.how, how);
    }
}

#[tokio::test]
async fn a_reset_is_passed_on() {
    let (listener, url) = stage::upstream().await;
    let stage = start(to(&url));
    for by_client in [true, false] {
        let client = stage.connect().await;
        let upstream = stage::accept(&listener).await;
        let (mut resetting, mut other) = match by_client {
            true => (client, upstream),
            false => (upstream, client),
        };
        resetting.write_all(b"last words").await.expect("a write");
        assert_eq!(read_n(&mut other, 10).await, b"last words");
        resetting.set_zero_linger().expect("an option");
        drop(resetting);
        let error = read_all(&mut other).await.expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let ended = stage.connection_ended().await;
        let who = if by_client { "client" } else { "upstream" };
        assert_eq!(&*ended.how, format!("{who} reset the connection"));
    }
}

#[tokio::test]
async fn a_reset_of_a_stalled_writer_is_passed_on() {
    let (listener, url) = stage::upstream().await;
    let stage = start(to(&url));
    let client = stage.connect().await;
    let mut upstream = stage::accept(&listener).await;
    // Until nothing moves: the proxy does not read from the client any more.
    let chunk = vec![7; 64 * 1024];
    while let Ok(written) = timeout(Duration::from_millis(300), async {
        client.writable().await
    })
    .await
    {
        written.expect("a live socket");
        let _ = client.try_write(&chunk);
    }
    client.set_zero_linger().expect("an option");
    drop(client);
    let ended = stage.connection_ended().await;
    assert_eq!(&*ended.how, "client reset the connection");
    let error = read_all(&mut upstream).await.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_slow_reader_slows_its_writer() {
    let (listener, url) = stage::upstream().await;
    let stage = start(to(&url));
    let client = stage.connect().await;
    let mut upstream = stage::accept(&listener).await;
    let chunk = noise(64 * 1024);
    let mut sent = 0;
    // Kernels hold some megabytes at both hops; a proxy that reads on would
    // take all of this.
    const TOO_MUCH: usize = 200 * 1024 * 1024;
    while sent < TOO_MUCH {
        let writable = timeout(Duration::from_millis(500), client.writable()).await;
        if writable.is_err() {
            break;
        }
        if let Ok(n) = client.try_write(&chunk[sent % chunk.len()..]) {
            sent += n;
        }
    }
    assert!(sent < TOO_MUCH, "the writer was never stopped");
    // And not a byte was lost.
    let reading = tokio::spawn(async move {
        let mut got = 0;
        while got < sent {
            let rest = (64 * 1024).min(sent - got);
            let bytes = read_n(&mut upstream, rest).await;
            let expected = noise(64 * 1024);
            for (at, byte) in bytes.iter().enumerate() {
                assert_eq!(
                    *byte,
                    expected[(got + at) % expected.len()],
                    "at {}",
                    got + at
                );
            }
            got += rest;
        }
    });
    timeout(SOON, reading)
        .await
        .expect("in time")
        .expect("the same bytes");
}

#[tokio::test]
async fn last_words_before_a_close_arrive() {
    let (listener, url) = stage::upstream().await;
    let stage = start(to(&url));
    let mut client = stage.connect().await;
    let mut upstream = stage::accept(&listener).await;
    client.write_all(b"unread").await.expect("a write");
    tokio::time::sleep(Duration::from_millis(50)).await;
    upstream.write_all(b"go away").await.expect("a write");
    // With bytes unread, the close is a reset.
    drop(upstream);
    assert_eq!(read_n(&mut client, 7).await, b"go away");
    let error = read_all(&mut client).await.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
