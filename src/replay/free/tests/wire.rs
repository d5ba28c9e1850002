//! A connection against the h2 crate's server.

use bytes::{BufMut, Bytes, BytesMut};
use h2::server;
use http::{HeaderMap, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::grpc::Code;
use crate::replay::free::wire::{Broken, End, Told, Wire};

/// What the server saw of each request: path, content.
type Seen = Vec<(String, Bytes)>;

/// A server that answers each request, when it has all of it, with the same message;
/// `/x/refuse` with a status and no message.
async fn serve(io: DuplexStream, window: u32, table: u32) -> Seen {
    let mut connection = server::Builder::new()
        .initial_window_size(window)
        .header_table_size(table)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    let mut seen = Vec::new();
    let mut under_way = Vec::new();
    while let Some(accepted) = connection.accept().await {
        let Ok((request, mut answer)) = accepted else {
            break;
        };
        under_way.push(tokio::spawn(async move {
            let path = request.uri().path().to_owned();
            let mut body = request.into_body();
            let mut content = BytesMut::new();
            while let Some(chunk) = body.data().await {
                let chunk = chunk.unwrap();
                body.flow_control().release_capacity(chunk.len()).unwrap();
                content.put(chunk);
            }
            let content = content.freeze();
            let mut trailers = HeaderMap::new();
            if path == "/x/refuse" {
                let refused = Response::builder()
                    .header("grpc-status", "5")
                    .header("grpc-message", "no%20such")
                    .body(())
                    .unwrap();
                answer.send_response(refused, true).unwrap();
            } else {
                let mut sending = answer.send_response(Response::new(()), false).unwrap();
                sending.send_data(content.clone(), false).unwrap();
                trailers.insert("grpc-status", "0".parse().unwrap());
                sending.send_trailers(trailers).unwrap();
            }
            (path, content)
        }));
    }
    for task in under_way {
        seen.push(task.await.unwrap());
    }
    seen
}

/// Drives a wire until so many streams are over.
async fn drive(
    wire: &mut Wire<usize>,
    io: &mut DuplexStream,
    streams: usize,
    portion: usize,
) -> Result<Vec<Told<usize>>, Broken> {
    let mut told = Vec::new();
    let mut ended = 0;
    let mut buffer = vec![0; portion];
    while ended < streams {
        while !wire.transmit().is_empty() {
            let some = wire.transmit().len().min(portion);
            let sent = wire.transmit()[..some].to_vec();
            // What comes meanwhile must be read, or both wait for ever.
            let (mut read, mut write) = tokio::io::split(&mut *io);
            tokio::select! {
                wrote = write.write(&sent) => wire.written(wrote.unwrap()),
                got = read.read(&mut buffer) => {
                    let got = got.unwrap();
                    wire.take(&buffer[..got], |fact| told.push(fact))?;
                }
            }
        }
        ended = told
            .iter()
            .filter(|fact| matches!(fact, Told::Ended(..)))
            .count();
        if ended < streams {
            let got = io.read(&mut buffer).await.unwrap();
            assert!(got > 0, "the server closed");
            wire.take(&buffer[..got], |fact| told.push(fact))?;
            ended = told
                .iter()
                .filter(|fact| matches!(fact, Told::Ended(..)))
                .count();
        }
    }
    Ok(told)
}

async fn calls_of(sizes: &[usize], window: u32, table: u32, portion: usize) {
    let (client, server) = duplex(32 << 10);
    let server = tokio::spawn(serve(server, window, table));
    let mut io = client;
    let mut wire = Wire::new("127.0.0.1:2379");
    let paths = ["/etcdserverpb.KV/Range", "/x/y", "/etcdserverpb.KV/Txn"];
    for round in 0..2 {
        let mut messages = Vec::new();
        for (n, size) in sizes.iter().enumerate() {
            assert!(wire.has_room());
            let message = Bytes::from(vec![(n + round) as u8; *size]);
            let stream = wire.open(n, n % 3, paths[n % 3], true);
            wire.send(stream, message.clone(), true);
            messages.push(message);
        }
        let told = drive(&mut wire, &mut io, sizes.len(), portion)
            .await
            .unwrap();
        for (n, message) in messages.iter().enumerate() {
            let got = 5 + message.len() as u64;
            let end = End {
                code: Code::OK,
                message: String::new(),
                got,
            };
            assert!(told.contains(&Told::Message(n, message.clone())), "{n}");
            assert!(told.contains(&Told::Ended(n, end)), "{n}");
        }
        assert_eq!(wire.open_streams(), 0);
    }
    drop(io);
    let seen = server.await.unwrap();
    assert_eq!(seen.len(), 2 * sizes.len());
    for (path, _) in seen {
        assert!(paths.contains(&&*path), "{path}");
    }
}

#[tokio::test]
async fn messages_of_every_size_arrive_and_their_answers() {
    calls_of(
        &[0, 1, 100, 16_379, 16_380, 70_000, 1_000_000],
        65_535,
        4096,
        32 << 10,
    )
    .await;
}

#[tokio::test]
async fn small_windows_and_small_portions_only_slow_it() {
    calls_of(&[10, 40_000, 3, 20_000], 1_000, 4096, 7).await;
}

#[tokio::test]
async fn a_server_without_a_table_gets_plain_fields() {
    calls_of(&[1, 2, 3, 4, 5, 6, 7], 65_535, 0, 32 << 10).await;
}

#[tokio::test]
async fn a_status_without_an_answer_is_told() {
    let (client, server) = duplex(32 << 10);
    tokio::spawn(serve(server, 65_535, 4096));
    let mut io = client;
    let mut wire = Wire::new("localhost:1");
    let stream = wire.open(7, 0, "/x/refuse", true);
    wire.send(stream, Bytes::from_static(b"what"), true);
    let told = drive(&mut wire, &mut io, 1, 100).await.unwrap();
    let end = End {
        code: Code::NOT_FOUND,
        message: "no such".to_owned(),
        got: 0,
    };
    assert_eq!(told, [Told::Ended(7, end)]);
}

#[tokio::test]
async fn more_paths_than_the_table_takes_are_told_apart() {
    let (client, server) = duplex(32 << 10);
    let server = tokio::spawn(serve(server, 65_535, 4096));
    let mut io = client;
    let mut wire = Wire::new("localhost:1");
    let path = |n: usize| format!("/x/{n}{}", "y".repeat(n * 3));
    for n in (0..40).chain(0..40) {
        let stream = wire.open(n, n, &path(n), false);
        wire.send(stream, Bytes::new(), true);
    }
    drive(&mut wire, &mut io, 80, 4096).await.unwrap();
    drop(io);
    let mut seen: Vec<String> = server
        .await
        .unwrap()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    seen.sort_unstable();
    let mut asked: Vec<String> = (0..40).chain(0..40).map(path).collect();
    asked.sort_unstable();
    assert_eq!(seen, asked);
}

#[test]
fn what_is_no_http2_is_an_offence_and_goaway_is_said() {
    let mut wire: Wire<()> = Wire::new("localhost:1");
    let broken = wire.take(b"HTTP/1.1 400 Bad Request\r\n", |_| {});
    assert!(matches!(broken, Err(Broken::Offence(_))), "{broken:?}");

    let mut wire: Wire<()> = Wire::new("localhost:1");
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let goaway = [
        0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, b'n', b'o',
    ];
    wire.take(&settings, |_| {}).unwrap();
    let broken = wire.take(&goaway, |_| {}).unwrap_err();
    assert_eq!(
        broken.to_string(),
        "it sent GOAWAY ENHANCE_YOUR_CALM, \"no\""
    );
}
