//! What a client says of others that answer where an admin API was expected.

use etcdtap::control::{Address, Asked, Client, ClientError, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn said_of(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let other = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(answer).await;
    });
    let client = Client::new(address, None, None).unwrap();
    let asked = Asked {
        method: Method::GET,
        target: "/v1/faults",
        body: None,
    };
    let outcome = client.ask(asked).await;
    other.await.unwrap();
    match outcome {
        Err(ClientError::NoAnswer(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn others_are_told_apart() {
    for (answer, said) in [
        (
            &b"HTTP/1.1 200 OK\r\nserver: nginx\r\ncontent-length: 2\r\n\r\n{}"[..],
            "is not etcdtap's admin API",
        ),
        (
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n",
            "is not etcdtap's admin API",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak plain HTTP"),
        (b"", "does not speak plain HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nserver: etcdtap/1\r\ncontent-length: 20\r\n\r\n{}",
            "broke off",
        ),
    ] {
        let sentence = said_of(answer).await;
        let shown = String::from_utf8_lossy(answer);
        assert!(sentence.contains(said), "{shown}: {sentence}");
    }
}
