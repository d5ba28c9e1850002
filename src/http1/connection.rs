//! The requests and answers of an HTTP/1.1 connection (RFC 9112).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::body::Body;
use super::exchange::{Exchange, target_without_query};
use crate::http2::{Both, ErrorCode, Offence, Side, StreamId};

/// Longest head (request or status line with fields) that is followed.
pub const MAX_HEAD: usize = 64 * 1024;

/// Requests that wait for their answer on one connection, at most.
const MAX_PIPELINED: usize = 1024;

/// Most header fields of a head.
const MAX_FIELDS: usize = 128;

/// Sees what passes on an HTTP/1.1 connection.
pub trait Witness {
    /// A piece of the content of a request or of an answer.
    fn content(&mut self, piece: &Piece<'_>);

    /// The content at hand of `from` is whole: it had `size` bytes, perhaps none.
    fn content_ended(&mut self, from: Side, size: u64);

    /// A request was answered, or never will be.
    fn exchange(&mut self, exchange: Exchange);
}

/// A piece of the content of a request or of its answer, without what cuts it
/// into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Who sent it.
    pub from: Side,
    /// How many requests the client had sent on this connection before; 0 with
    /// HTTP/2, where the stream says which request it is.
    pub index: u64,
    /// The request's method.
    pub method: &'a str,
    /// Its target, without the query.
    pub target: &'a str,
    /// How many bytes of the content came before.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Follows one HTTP/1.1 connection.
#[derive(Debug)]
pub struct Connection {
    sides: Both<Reading>,
    /// Requests whose answers are not whole, oldest first.
    waiting: VecDeque<Exchange>,
    /// Requests that wait no more.
    answered: u64,
    /// Bytes of the content at hand.
    content: Both<u64>,
    /// What follows an upgrade or CONNECT is not HTTP/1.1: what it is then.
    tunnel: Option<Box<str>>,
}

#[derive(Debug)]
enum Reading {
    Head(Vec<u8>),
    Body(Body),
}

impl Default for Reading {
    fn default() -> Reading {
        Reading::Head(Vec::new())
    }
}

impl Default for Connection {
    fn default() -> Connection {
        Connection::new()
    }
}

impl Connection {
    /// A connection of which nothing has been seen.
    pub fn new() -> Connection {
        Connection {
            sides: Both::default(),
            waiting: VecDeque::new(),
            answered: 0,
            content: Both::default(),
            tunnel: None,
        }
    }

    /// Reads what `from` sent; `witness` is told what that brought.
    ///
    /// # Errors
    /// When the bytes are no HTTP/1.1 that can be followed, or no longer any.
    pub fn handle_bytes(
        &mut self,
        from: Side,
        bytes: &[u8],
        now: Instant,
        witness: &mut impl Witness,
    ) -> Result<(), Offence> {
        let mut input = bytes;
        while !input.is_empty() {
            if let Some(protocol) = &self.tunnel {
                return Err(switched(protocol));
            }
            match &mut self.sides[from] {
                Reading::Head(head) => {
                    let Some(len) = whole_head(head, &mut input) else {
                        if head.len() > MAX_HEAD {
                            return Err(offence(
                                from,
                                format!("sent an HTTP/1.1 head of more than {MAX_HEAD} bytes"),
                            ));
                        }
                        return Ok(());
                    };
                    let head = std::mem::take(head);
                    let body = match from {
                        Side::Client => self.request(&head[..len], now)?,
                        Side::Server => self.answer(&head[..len], now)?,
                    };
                    self.sides[from] = Reading::Body(body);
                }
                Reading::Body(body) => {
                    let content = body
                        .take(&mut input)
                        .map_err(|_| offence(from, "sent a chunk size that is no number"))?;
                    let before = self.waiting.len().saturating_sub(1) as u64;
                    let exchange = match from {
                        Side::Client => self.waiting.back_mut(),
                        Side::Server => self.waiting.front_mut(),
                    };
                    if let Some(exchange) = exchange
                        && !content.is_empty()
                    {
                        witness.content(&Piece {
                            from,
                            index: match from {
                                Side::Client => self.answered + before,
                                Side::Server => self.answered,
                            },
                            method: &exchange.method,
                            target: &exchange.target,
                            offset: self.content[from],
                            bytes: content,
                        });
                        match from {
                            Side::Client => exchange.request_bytes += content.len() as u64,
                            Side::Server => exchange.response_bytes += content.len() as u64,
                        }
                    }
                    self.content[from] += content.len() as u64;
                }
            }
            if matches!(&self.sides[from], Reading::Body(body) if body.is_done()) {
                self.sides[from] = Reading::default();
                witness.content_ended(from, std::mem::take(&mut self.content[from]));
                if from == Side::Server {
                    self.answered(now, witness);
                }
            }
        }
        Ok(())
    }

    /// The connection is over: what waits is given as it stands.
    pub fn finish(&mut self, now: Instant, witness: &mut impl Witness) {
        if let Reading::Body(Body::UntilClose) = self.sides.server {
            witness.content_ended(Side::Server, self.content.server);
        }
        for mut exchange in self.waiting.drain(..) {
            exchange.ended = now;
            witness.exchange(exchange);
        }
    }

    /// Requests that wait for their answer.
    pub fn open_requests(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the peers have left HTTP/1.1, so that nobody knows what is open.
    pub fn is_tunnel(&self) -> bool {
        self.tunnel.is_some()
    }

    fn answered(&mut self, now: Instant, witness: &mut impl Witness) {
        // An interim answer (1xx) leaves its request waiting.
        if self.waiting.front().is_some_and(|e| e.status.is_none()) {
            return;
        }
        if let Some(mut exchange) = self.waiting.pop_front() {
            exchange.ended = now;
            self.answered += 1;
            witness.exchange(exchange);
        }
    }

    fn request(&mut self, head: &[u8], now: Instant) -> Result<Body, Offence> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => {
                return Err(offence(Side::Client, "sent a request head that is cut"));
            }
            Err(error) => {
                return Err(offence(
                    Side::Client,
                    format!("sent a request head that is no HTTP/1.1: {error}"),
                ));
            }
        }
        if self.waiting.len() == MAX_PIPELINED {
            return Err(offence(
                Side::Client,
                format!("sent more than {MAX_PIPELINED} requests without waiting for an answer"),
            ));
        }
        let user_agent = field(request.headers, "user-agent")
            .map(|value| Arc::from(String::from_utf8_lossy(value)));
        self.waiting.push_back(Exchange {
            protocol: protocol(request.version),
            started: now,
            first_byte: None,
            ended: now,
            method: request.method.unwrap_or_default().into(),
            target: target_without_query(request.path.unwrap_or_default().as_bytes()),
            user_agent,
            status: None,
            request_bytes: 0,
            response_bytes: 0,
        });
        // Without either field a request has no body (RFC 9112, section 6.3).
        Ok(body_of(request.headers).unwrap_or(Body::Length(0)))
    }

    fn answer(&mut self, head: &[u8], now: Instant) -> Result<Body, Offence> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => {
                return Err(offence(Side::Server, "sent an answer's head that is cut"));
            }
            Err(error) => {
                return Err(offence(
                    Side::Server,
                    format!("sent an answer's head that is no HTTP/1.1: {error}"),
                ));
            }
        }
        let status = response.code.unwrap_or_default();
        let Some(exchange) = self.waiting.front_mut() else {
            // An answer before any request: a time-out's 408, say.
            return Ok(body_of(response.headers).unwrap_or(Body::UntilClose));
        };
        exchange.first_byte.get_or_insert(now);
        let connect = &*exchange.method == "CONNECT" && (200..300).contains(&status);
        if status == 101 || connect {
            exchange.status = Some(status);
            self.tunnel = Some(match connect {
                true => "CONNECT".into(),
                false => protocol_name(field(response.headers, "upgrade")),
            });
            return Ok(Body::UntilClose);
        }
        if status < 200 {
            return Ok(Body::Length(0));
        }
        exchange.status = Some(status);
        if &*exchange.method == "HEAD" || status == 204 || status == 304 {
            return Ok(Body::Length(0));
        }
        Ok(body_of(response.headers).unwrap_or(Body::UntilClose))
    }
}

/// Moves bytes from `input` to `head` until the empty line; gives the head's
/// length then. Empty lines before a request are allowed (RFC 9112, section
/// 2.2); they are left out, so that a flood of them costs nothing.
fn whole_head(head: &mut Vec<u8>, input: &mut &[u8]) -> Option<usize> {
    if head.is_empty() {
        let blank = input
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        *input = &input[blank..];
    }
    while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
        head.extend_from_slice(&input[..=end]);
        *input = &input[end + 1..];
        if head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n") {
            return Some(head.len());
        }
        if head.len() > MAX_HEAD {
            return None;
        }
    }
    head.extend_from_slice(input);
    *input = &[];
    None
}

/// What an `Upgrade` header names, as far as it can be shown.
fn protocol_name(upgrade: Option<&[u8]>) -> Box<str> {
    const MOST: usize = 64;
    let name = upgrade.unwrap_or_default().trim_ascii();
    let name = &name[..name.len().min(MOST)];
    match name.is_empty() || !name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        true => "without a name".into(),
        false => String::from_utf8_lossy(name).into(),
    }
}

fn body_of(fields: &[httparse::Header<'_>]) -> Option<Body> {
    if let Some(coding) = field(fields, "transfer-encoding") {
        let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or(coding);
        if last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Some(Body::chunked());
        }
        return Some(Body::UntilClose);
    }
    let length = field(fields, "content-length")?;
    std::str::from_utf8(length.trim_ascii())
        .ok()?
        .parse()
        .ok()
        .map(Body::Length)
}

fn field<'a>(fields: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}

fn protocol(version: Option<u8>) -> &'static str {
    match version {
        Some(0) => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// Not a fault of anyone, but the reading ends here as it does with one.
fn switched(protocol: &str) -> Offence {
    Offence::new(
        Side::Server,
        ErrorCode::NO_ERROR,
        StreamId::CONNECTION,
        "RFC 9110 section 7.8",
        format!("switched to another protocol ({protocol}), which etcdtap does not read"),
    )
}

fn offence(by: Side, what: impl Into<std::borrow::Cow<'static, str>>) -> Offence {
    Offence::new(
        by,
        ErrorCode::PROTOCOL_ERROR,
        StreamId::CONNECTION,
        "RFC 9112",
        what,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was told.
    #[derive(Default)]
    struct Told {
        exchanges: Vec<Exchange>,
        open: Both<Option<Content>>,
        contents: Vec<(Side, Content)>,
    }

    /// The request's number, its target, and the bytes.
    type Content = (u64, String, Vec<u8>);

    impl Witness for Told {
        fn content(&mut self, piece: &Piece<'_>) {
            let fresh = || (piece.index, piece.target.to_owned(), Vec::new());
            let (index, target, bytes) = self.open[piece.from].get_or_insert_with(fresh);
            assert_eq!((*index, &**target), (piece.index, piece.target));
            assert_eq!(bytes.len() as u64, piece.offset);
            bytes.extend_from_slice(piece.bytes);
        }

        fn content_ended(&mut self, from: Side, size: u64) {
            let content = self.open[from].take();
            assert_eq!(content.as_ref().map_or(0, |of| of.2.len() as u64), size);
            self.contents.extend(content.map(|content| (from, content)));
        }

        fn exchange(&mut self, exchange: Exchange) {
            self.exchanges.push(exchange);
        }
    }

    fn run_all(client: &[u8], server: &[u8], step: usize) -> Result<Told, Offence> {
        let now = Instant::now();
        let (mut connection, mut told) = (Connection::new(), Told::default());
        for chunk in client.chunks(step) {
            connection.handle_bytes(Side::Client, chunk, now, &mut told)?;
        }
        for chunk in server.chunks(step) {
            connection.handle_bytes(Side::Server, chunk, now, &mut told)?;
        }
        connection.finish(now, &mut told);
        Ok(told)
    }

    fn run(client: &[u8], server: &[u8], step: usize) -> Result<Vec<Exchange>, Offence> {
        run_all(client, server, step).map(|told| told.exchanges)
    }

    #[test]
    fn requests_and_answers_pair_up_however_they_are_cut() {
        let client = b"GET /health?x=secret HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe\r\n\r\n\
            POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n{  }\
            HEAD /version HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n";
        let server = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"health\":\"true\"}\
            HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n\
            HTTP/1.1 200 OK\r\n\r\nuntil the close";
        for step in [1, 2, 3, 7, 64, 1000] {
            let told = run_all(client, server, step).expect("well-formed");
            let contents: Vec<_> = (told.contents.iter())
                .map(|(from, (index, target, bytes))| (*from, *index, &**target, &**bytes))
                .collect();
            assert_eq!(
                contents,
                [
                    (Side::Client, 1, "/v3/kv/range", &b"{  }"[..]),
                    (Side::Server, 0, "/health", b"{\"health\":\"true\"}"),
                    (Side::Server, 1, "/v3/kv/range", b"abc"),
                    (Side::Server, 3, "/metrics", b"until the close"),
                ],
                "in steps of {step}"
            );
            let out = told.exchanges;
            let facts: Vec<_> = out
                .iter()
                .map(|e| {
                    (
                        &*e.method,
                        &*e.target,
                        e.status,
                        e.request_bytes,
                        e.response_bytes,
                    )
                })
                .collect();
            assert_eq!(
                facts,
                [
                    ("GET", "/health", Some(200), 0, 17),
                    ("POST", "/v3/kv/range", Some(400), 4, 3),
                    ("HEAD", "/version", Some(200), 0, 0),
                    ("GET", "/metrics", Some(200), 0, 15),
                ],
                "in steps of {step}"
            );
            assert_eq!(out[0].user_agent.as_deref(), Some("kube-probe"));
        }
    }

    #[test]
    fn garbage_is_an_offence_and_names_who() {
        let offence = run(b"GET /\x01\x02 HTTP/9.9\r\n\r\n", b"", 100).expect_err("garbage");
        assert_eq!(offence.by, Side::Client);
        let endless = vec![b'a'; MAX_HEAD + 10];
        let offence = run(&endless, b"", 1000).expect_err("too long");
        assert!(offence.to_string().contains("65536"), "{offence}");
    }

    #[test]
    fn an_unanswered_request_is_told_at_the_end() {
        let out = run(b"GET /health HTTP/1.1\r\n\r\n", b"", 100).expect("well-formed");
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].status, None);
    }

    #[test]
    fn a_flood_of_empty_lines_before_a_request_is_no_burden() {
        let mut client = vec![b'\n'; MAX_HEAD];
        client.extend(b"\r\n".repeat(MAX_HEAD));
        client.extend(b"GET /health HTTP/1.1\r\n\r\n\r\n\r\nGET /version HTTP/1.1\r\n\r\n");
        for step in [1, 7, 1 << 20] {
            let out = run(&client, b"", step).expect("well-formed");
            assert_eq!(out.len(), 2);
            assert_eq!((&*out[0].target, &*out[1].target), ("/health", "/version"));
        }
    }

    #[test]
    fn what_follows_a_switch_of_protocols_is_named_and_not_read() {
        let upgrade = b"GET /x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let connect = b"CONNECT a:1 HTTP/1.1\r\n\r\n";
        let cases: [(&[u8], &[u8], &str); 3] = [
            (
                upgrade,
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
                "switched to another protocol (websocket)",
            ),
            (
                upgrade,
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: \xff\r\n\r\n",
                "switched to another protocol (without a name)",
            ),
            (connect, b"HTTP/1.1 200 OK\r\n\r\n", "(CONNECT)"),
        ];
        let now = Instant::now();
        for (request, answer, words) in cases {
            // In reads of their own or together.
            for first in [Side::Client, Side::Server] {
                let mut connection = Connection::new();
                let mut take = |from, bytes: &[u8]| {
                    let taken = connection.handle_bytes(from, bytes, now, &mut Told::default());
                    (taken, connection.is_tunnel(), connection.open_requests())
                };
                assert_eq!(take(Side::Client, request), (Ok(()), false, 1));
                assert_eq!(take(Side::Server, answer), (Ok(()), true, 1));
                let offence = take(first, b"\x81").0.expect_err("a stop");
                assert_eq!(offence.by, Side::Server);
                assert!(offence.to_string().contains(words), "{offence}");
            }
            let whole = [answer, b"\x81\x00"].concat();
            let offence = run(request, &whole, 1000).expect_err("a stop");
            assert!(offence.to_string().contains(words), "{offence}");
        }
    }
}
