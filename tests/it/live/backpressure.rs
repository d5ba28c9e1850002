//! Big answers and slow readers: whoever does not read stops whoever writes,
//! and the proxy's memory stays small.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use etcd_client::GetOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::codegen::http::{Request, Response};

use super::patience::soon;
use super::proxy::Arguments;
use super::stack::{Stack, on_setups};

on_setups! {
    a_big_answer_passes_through_a_small_process: PLAIN_34, MTLS_35;
}

/// The most that the process may ever have held, in KiB.
const MEMORY: u64 = 64 * 1024;

/// More than all the buffers on the way could hide.
const BIG: u64 = 128 << 20;

/// Waits until a writer does not get on any more; how far it got.
async fn stuck(written: &AtomicU64) -> u64 {
    let mut before = written.load(Ordering::Relaxed);
    loop {
        // There is no event for "nothing happens".
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = written.load(Ordering::Relaxed);
        if now == before && now > 0 {
            return now;
        }
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_bytes_wait_for_their_reader() {
    const ASKED: &[u8] = b"no HTTP of any kind\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Arguments::new().pair(&upstream).start().await;
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; ASKED.len()];
        stream.read_exact(&mut asked).await.unwrap();
        let chunk = vec![b'x'; 64 << 10];
        while counter.fetch_add(chunk.len() as u64, Ordering::Relaxed) < BIG {
            stream.write_all(&chunk).await.unwrap();
        }
    });

    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    client.write_all(ASKED).await.unwrap();
    let held = soon("the writer to be stopped", stuck(&written)).await;
    assert!(held < BIG / 2, "{held} bytes went nowhere");
    let mut sink = tokio::io::sink();
    let read = tokio::io::copy(&mut client, &mut sink);
    assert!(soon("all of it", read).await.unwrap() >= BIG);
    let memory = proxy.memory("VmHWM");
    assert!(memory < MEMORY, "{memory} KiB");
}

/// Answers any call with one big Range response, as far as the windows allow,
/// and counts what it got rid of.
async fn serve_one_big_answer(listener: TcpListener, written: Arc<AtomicU64>) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    assert_eq!(request.uri().path(), "/etcdserverpb.KV/Range");
    tokio::spawn(async move { while connection.accept().await.is_some() {} });

    let head = Response::builder().header("content-type", "application/grpc");
    let mut body = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    let mut send = async |mut bytes: Bytes| {
        while !bytes.is_empty() {
            body.reserve_capacity(bytes.len());
            let capacity = poll_fn(|context| body.poll_capacity(context)).await;
            let capacity = capacity.unwrap().unwrap();
            let part = bytes.split_to(capacity.min(bytes.len()));
            written.fetch_add(part.len() as u64, Ordering::Relaxed);
            body.send_data(part, false).unwrap();
        }
    };

    // One key-value: field 2, length-delimited; within it the key (1) and a
    // value (5) of 1 MiB.
    let mut kv = vec![0x0a, 3];
    kv.extend(b"/kv");
    kv.extend([0x2a, 0x80, 0x80, 0x40]);
    kv.resize(kv.len() + (1 << 20), 0);
    let mut field = vec![0x12];
    let mut length = kv.len();
    while length > 0x7f {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(kv);
    let field = Bytes::from(field);
    let count = BIG >> 20;
    let mut prefix = vec![0];
    prefix.extend((field.len() as u32 * count as u32).to_be_bytes());
    send(prefix.into()).await;
    for _ in 0..count {
        send(field.clone()).await;
    }
    let mut trailers = tonic::codegen::http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    body.send_trailers(trailers).unwrap();
}

/// Asks for everything with windows as wide as HTTP/2 has them.
async fn ask_with_wide_windows(proxy: SocketAddr) -> (impl Future, impl Future<Output = u64>) {
    let stream = TcpStream::connect(proxy).await.unwrap();
    let mut client = h2::client::Builder::new();
    client.initial_window_size(i32::MAX as u32);
    client.initial_connection_window_size(i32::MAX as u32);
    let (mut requests, connection) = client.handshake::<_, Bytes>(stream).await.unwrap();
    let request = Request::post("http://localhost/etcdserverpb.KV/Range")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut body) = requests.send_request(request, false).unwrap();
    // RangeRequest { key: "\0", range_end: "\0" }
    let range = Bytes::from_static(&[0, 0, 0, 0, 6, 0x0a, 1, 0, 0x12, 1, 0]);
    body.send_data(range, true).unwrap();
    let read = async move {
        let mut body = response.await.unwrap().into_body();
        let mut read = 0;
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            read += data.len() as u64;
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        drop(requests);
        read
    };
    (connection, read)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_for_its_reader() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Arguments::new().pair(&upstream).start().await;
    let written = Arc::new(AtomicU64::new(0));
    tokio::spawn(serve_one_big_answer(listener, Arc::clone(&written)));

    let (connection, read) = ask_with_wide_windows(proxy.address()).await;
    // The connection is driven until the answer comes, and then left alone.
    let mut connection = Box::pin(connection);
    let driven = async {
        while written.load(Ordering::Relaxed) == 0 {
            let tick = tokio::time::sleep(Duration::from_millis(5));
            tokio::select! { _ = &mut connection => break, () = tick => {} }
        }
    };
    soon("the answer's beginning", driven).await;
    let held = soon("the writer to be stopped", stuck(&written)).await;
    assert!(held < BIG / 2, "{held} bytes went nowhere");

    let all = async {
        tokio::select! {
            read = read => read,
            _ = connection => panic!("the connection ended first"),
        }
    };
    let read = soon("all of it", all).await;
    assert_eq!(read, written.load(Ordering::Relaxed));
    let call = proxy
        .log
        .wait_for("the call", |line| line.is_call("Range"))
        .await;
    assert_eq!(call.text("status"), "OK");
    assert_eq!(call.number("count"), Some(BIG as i64 >> 20));
    assert_eq!(call.number("response_bytes"), Some(read as i64 - 5));
    let memory = proxy.memory("VmHWM");
    assert!(memory < MEMORY, "{memory} KiB");
}

async fn a_big_answer_passes_through_a_small_process(stack: Stack) {
    const KEYS: usize = 60;
    let mut direct = stack.client_direct().await;
    for n in 0..KEYS {
        direct
            .put(format!("/big/{n:02}"), vec![n as u8; 1 << 20], None)
            .await
            .unwrap();
    }
    let client = stack.client().await;
    let mut client = client.kv_client().max_decoding_message_size(1 << 30);
    let options = GetOptions::new().with_prefix();
    let all = soon("the answer", client.get("/big/", Some(options)))
        .await
        .unwrap();
    assert_eq!(all.kvs().len(), KEYS);
    for (n, kv) in all.kvs().iter().enumerate() {
        assert!(kv.value().len() == 1 << 20 && kv.value().iter().all(|byte| *byte == n as u8));
    }
    let call = stack
        .proxy
        .log
        .wait_for("the call", |line| line.is_call("Range"))
        .await;
    assert_eq!(call.number("count"), Some(KEYS as i64));
    assert!(call.number("response_bytes").unwrap() > (KEYS as i64) << 20);
    let memory = stack.proxy.memory("VmHWM");
    assert!(memory < MEMORY, "{memory} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_holds_up_nobody_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Arguments::new().pair(&upstream).start().await;
    let mut slow = TcpStream::connect(proxy.address()).await.unwrap();
    slow.write_all(b"slow").await.unwrap();
    let (mut flood, _) = soon("a connection", listener.accept()).await.unwrap();
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    tokio::spawn(async move {
        let chunk = vec![0; 64 << 10];
        while flood.write_all(&chunk).await.is_ok() {
            counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
    });
    soon("the writer to be stopped", stuck(&written)).await;

    let mut quick = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut answering, _) = soon("a connection", listener.accept()).await.unwrap();
    for n in 0..1_000_u32 {
        let ping_pong = async {
            quick.write_all(&n.to_be_bytes()).await.unwrap();
            let mut seen = [0; 4];
            answering.read_exact(&mut seen).await.unwrap();
            answering.write_all(&seen).await.unwrap();
            quick.read_exact(&mut seen).await.unwrap();
            assert_eq!(seen, n.to_be_bytes());
        };
        soon("an answer", ping_pong).await;
    }
    let moved = written.load(Ordering::Relaxed);
    assert!(moved < BIG, "{moved}");
}
