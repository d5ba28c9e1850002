//! One request as the test words it, and its answer.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::service::Service;
use crate::live::patience::soon;

/// A request, being put together.
#[derive(Debug, Clone)]
pub struct Ask {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    head: String,
    /// The body.
    pub body: String,
}

impl Ask {
    /// A request without a body, to the server's own name.
    pub fn new(method: &str, target: &str) -> Ask {
        Ask {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Its method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// A header; `host` takes the place of the right one.
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_lowercase(), value.to_owned()));
        self
    }

    /// The token.
    pub fn token(self, token: &str) -> Ask {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// A body that is said to be JSON.
    pub fn json(self, body: impl ToString) -> Ask {
        self.header("content-type", "application/json").raw(body)
    }

    /// A body without a type.
    pub fn raw(mut self, body: impl ToString) -> Ask {
        self.body = body.to_string().into_bytes();
        self
    }

    /// Asks over a connection of its own.
    pub async fn of(&self, service: &Service) -> Answer {
        match service.address {
            etcdtap::control::Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.unwrap();
                self.over(stream, &address.to_string()).await
            }
            etcdtap::control::Address::Unix(ref path) => {
                let stream = UnixStream::connect(path).await.unwrap();
                self.over(stream, "localhost").await
            }
        }
    }

    async fn over(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> Answer {
        let (method, target, length) = (&self.method, &self.target, self.body.len());
        let mut head = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head.push_str(&format!("host: {host}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {length}\r\n\r\n"));
        let mut received = Vec::new();
        soon("an answer of the admin API", async {
            stream.write_all(head.as_bytes()).await.unwrap();
            // What is refused by its head alone may be closed before this.
            let _ = stream.write_all(&self.body).await;
            let _ = stream.read_to_end(&mut received).await;
        })
        .await;
        Answer::parse(&received)
    }
}

impl Answer {
    /// Reads an answer whose end is the connection's.
    pub fn parse(received: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(received);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Answer {
            status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
