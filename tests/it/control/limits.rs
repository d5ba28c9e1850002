//! What one client can take from the others.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::exchange::{Answer, Ask};
use super::service::Options;
use crate::live::patience::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_and_the_idle_ones_end() {
    let service = Options::default().start();
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(TcpStream::connect(service.tcp()).await.unwrap());
    }
    let asked = Instant::now();
    // Has to wait for one of them to be given up.
    let answer = Ask::new("GET", "/healthz").of(&service).await;
    assert_eq!(answer.status, 200);
    let waited = asked.elapsed();
    assert!(waited > Duration::from_secs(5), "{waited:?}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let service = Options::default().start();
    let address = service.tcp();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/faults HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    soon("the end", read).await.unwrap();
    assert_eq!(Answer::parse(&received).status, 408);
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded() {
    let service = Options::default().start();
    let address = service.tcp();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/faults HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let (mut from, mut to) = stream.split();
    let send = async {
        for _ in 0..17 {
            if to.write_all(chunk.as_bytes()).await.is_err() {
                break;
            }
        }
    };
    let mut received = Vec::new();
    let read = from.read_to_end(&mut received);
    let _ = soon("the end", async { tokio::join!(send, read) }).await;
    assert_eq!(Answer::parse(&received).status, 413);
}
