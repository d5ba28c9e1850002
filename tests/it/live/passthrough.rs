//! What is no HTTP at all passes as it came: bytes, half-closes, resets,
//! silence. The upstream is a socket in the test's own hands.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::log::Line;
use super::patience::soon;
use super::proxy::{Arguments, Proxy};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A proxy in front of a socket that the test answers on.
async fn in_between() -> (Proxy, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Arguments::new().pair(&upstream).start().await;
    (proxy, listener)
}

/// A connection through the proxy: the client's end, the server's end.
async fn ends(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    let (server, _) = soon("the upstream connection", listener.accept())
        .await
        .unwrap();
    (client, server)
}

/// Bytes that look like nothing; the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let step = move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(step).collect()
}

/// Sends from one end and expects it at the other, while that reads.
async fn passes(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    let mut seen = vec![0; bytes.len()];
    let both = async { tokio::join!(from.write_all(bytes), to.read_exact(&mut seen)) };
    let (sent, read) = soon("the bytes", both).await;
    sent.unwrap();
    read.unwrap();
    assert!(
        seen == bytes,
        "the bytes that leave are the bytes that came"
    );
}

fn warnings(proxy: &Proxy) -> usize {
    proxy.errors.count(|line| line.contains("WARN"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_reaches_the_other_side_with_one_warning() {
    let with_preface = |rest: &[u8]| [PREFACE, EMPTY_SETTINGS, rest].concat();
    // A header block on stream 1 that refers to an entry of a table that is
    // empty; and a frame longer than anybody allowed.
    let bad_hpack = [&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0xff][..], &noise(3, 50_000)].concat();
    let too_long = [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &noise(4, 50_000)].concat();
    let openings = [
        noise(1, 100_000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n and so on".to_vec(),
        with_preface(&noise(2, 50_000)),
        with_preface(&bad_hpack),
        with_preface(&too_long),
    ];
    for (n, opening) in openings.iter().enumerate() {
        let (proxy, listener) = in_between().await;
        let (mut client, mut server) = ends(&proxy, &listener).await;
        passes(&mut client, &mut server, opening).await;
        passes(&mut server, &mut client, &noise(9, 70_000)).await;
        passes(&mut client, &mut server, &noise(10, 300_000)).await;
        passes(&mut server, &mut client, &noise(11, 300_000)).await;
        proxy.errors.wait_for(|line| line.contains("WARN")).await;
        drop((client, server));
        proxy
            .log
            .wait_for("the end", |line| line.is("connection"))
            .await;
        let said = proxy.errors.text();
        assert_eq!(warnings(&proxy), 1, "opening {n}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_nonsense_is_named() {
    let (proxy, listener) = in_between().await;
    let (mut client, mut server) = ends(&proxy, &listener).await;
    let opening = [PREFACE, EMPTY_SETTINGS].concat();
    passes(&mut client, &mut server, &opening).await;
    passes(&mut server, &mut client, b"SSH-2.0-OpenSSH_9.2\r\n").await;
    passes(&mut server, &mut client, &noise(5, 10_000)).await;
    let warning = proxy.errors.wait_for(|line| line.contains("WARN")).await;
    assert!(warning.contains("server"), "{warning}");
    passes(&mut client, &mut server, &noise(6, 10_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let (proxy, listener) = in_between().await;
    let (mut client, mut server) = ends(&proxy, &listener).await;
    let opening = [PREFACE, EMPTY_SETTINGS].concat();
    for byte in &opening {
        passes(&mut client, &mut server, &[*byte]).await;
    }
    passes(&mut server, &mut client, EMPTY_SETTINGS).await;
    // A PING and its answer.
    let ping = |flags| [&[0, 0, 8, 6, flags, 0, 0, 0, 0][..], b"etcdtap!"].concat();
    passes(&mut client, &mut server, &ping(0)).await;
    passes(&mut server, &mut client, &ping(1)).await;
    assert_eq!(warnings(&proxy), 0, "{}", proxy.errors.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_goodbye_is_passed_on() {
    let (proxy, listener) = in_between().await;
    for by_client in [true, false] {
        let (client, server) = ends(&proxy, &listener).await;
        let (mut first, mut second) = match by_client {
            true => (client, server),
            false => (server, client),
        };
        passes(&mut first, &mut second, b"all I have to say").await;
        first.shutdown().await.unwrap();
        let mut rest = Vec::new();
        soon("the end", second.read_to_end(&mut rest))
            .await
            .unwrap();
        assert!(rest.is_empty());
        // The other direction stays open as long as it likes.
        passes(&mut second, &mut first, &noise(7, 200_000)).await;
        second.shutdown().await.unwrap();
        soon("the end", first.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty());
    }
    let closed = |line: &Line| line.is("connection");
    proxy.log.wait_for_count("an end", 2, closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_passed_on() {
    let (proxy, listener) = in_between().await;
    for by_client in [true, false] {
        let (client, server) = ends(&proxy, &listener).await;
        let (mut first, mut second) = match by_client {
            true => (client, server),
            false => (server, client),
        };
        passes(&mut first, &mut second, b"hello").await;
        first.set_zero_linger().unwrap();
        drop(first);
        let mut rest = Vec::new();
        let error = soon("the reset", second.read_to_end(&mut rest))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_silence() {
    let (proxy, listener) = in_between().await;
    let (mut client, mut server) = ends(&proxy, &listener).await;
    let opening = [PREFACE, EMPTY_SETTINGS].concat();
    passes(&mut client, &mut server, &opening).await;
    let mut byte = [0];
    let ear = client.read(&mut byte);
    let heard = tokio::time::timeout(Duration::from_secs(1), ear).await;
    assert!(heard.is_err(), "nobody speaks in etcd's place: {heard:?}");
    passes(&mut server, &mut client, EMPTY_SETTINGS).await;
}
