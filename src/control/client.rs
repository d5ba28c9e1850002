//! Whoever asks: the other end of the admin API.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, SERVER};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::listener::Stream;
use super::routes::MEASUREMENT;
use super::tls;
use super::token::Token;
use super::{Address, ClientTls, StartError};
use crate::notation::io_reason;
use crate::score::{Moment, Scorecard};

pub use hyper::Method;

/// How long everything together may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A thousand faults of the largest kind take less.
const MOST_ANSWER_BYTES: usize = 64 << 20;

/// Asks one admin API.
#[derive(Debug, Clone)]
pub struct Client {
    address: Address,
    token: Option<Token>,
    tls: Option<Arc<ClientConfig>>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Its method.
    pub method: Method,
    /// Its path, with what stands behind the question mark.
    pub target: &'a str,
    /// Its body, already JSON.
    pub body: Option<String>,
}

/// Why there is no good answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientError {
    /// There is no whole answer, or it is not from an admin API.
    NoAnswer(String),
    /// The admin API refused.
    Refused {
        /// The status code.
        status: u16,
        /// What it says, one line for each thing that is wrong.
        sentence: String,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NoAnswer(sentence) | ClientError::Refused { sentence, .. } => {
                f.write_str(sentence)
            }
        }
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// One that asks at `address`.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn new(
        address: Address,
        token_file: Option<&Path>,
        tls: Option<&ClientTls>,
    ) -> Result<Client, StartError> {
        Ok(Client {
            address,
            token: token_file.map(Token::read).transpose()?,
            tls: tls.map(tls::client).transpose()?,
        })
    }

    /// Asks once, over a connection of its own; the answer's JSON.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub async fn ask(&self, asked: Asked<'_>) -> Result<Value, ClientError> {
        match timeout(PATIENCE, self.asked(asked)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::NoAnswer(format!(
                "{} did not answer within {} s; is that etcdtap's --admin?",
                self.address,
                PATIENCE.as_secs()
            ))),
        }
    }

    /// Begins a measurement of how clients take what happens.
    ///
    /// # Errors
    /// When there is no answer, or a refusal: one is running already.
    pub async fn begin_measurement(&self, name: &str) -> Result<(), ClientError> {
        let asked = Asked {
            method: Method::PUT,
            target: MEASUREMENT,
            body: Some(serde_json::json!({ "name": name }).to_string()),
        };
        self.ask(asked).await.map(drop)
    }

    /// The card of the measurement that runs, as of now.
    ///
    /// # Errors
    /// When there is no answer, or a refusal: none is running.
    pub async fn measurement(&self) -> Result<Scorecard, ClientError> {
        self.card(Method::GET, MEASUREMENT).await
    }

    /// Ends the measurement that runs, and gives its card. `failure` says when
    /// the failure began and ended, if that is known better than from the traces
    /// of faults: one that holds a connection shows only when it begins.
    ///
    /// # Errors
    /// As of [`Client::measurement`].
    pub async fn end_measurement(
        &self,
        failure: Option<(Moment, Moment)>,
    ) -> Result<Scorecard, ClientError> {
        let target = match failure {
            Some((from, to)) => format!("{MEASUREMENT}?from={from}&to={to}"),
            None => MEASUREMENT.to_owned(),
        };
        self.card(Method::DELETE, &target).await
    }

    async fn card(&self, method: Method, target: &str) -> Result<Scorecard, ClientError> {
        let asked = Asked {
            method,
            target,
            body: None,
        };
        let card = serde_json::from_value(self.ask(asked).await?);
        card.map_err(|error| {
            ClientError::NoAnswer(format!(
                "the scorecard of {} cannot be read: {error}; is it another version of etcdtap?",
                self.address
            ))
        })
    }

    async fn asked(&self, asked: Asked<'_>) -> Result<Value, ClientError> {
        let stream = Stream::connect(&self.address)
            .await
            .map_err(|error| self.nobody(&error))?;
        match (&self.tls, &self.address) {
            (Some(tls), Address::Tcp(address)) => {
                let name = ServerName::IpAddress(address.ip().to_canonical().into());
                let stream = TlsConnector::from(Arc::clone(tls))
                    .connect(name, stream)
                    .await
                    .map_err(|error| self.no_handshake(&error))?;
                self.exchange(TokioIo::new(stream), asked).await
            }
            _ => self.exchange(TokioIo::new(stream), asked).await,
        }
    }

    async fn exchange<I>(&self, io: I, asked: Asked<'_>) -> Result<Value, ClientError>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin,
    {
        let request = self.request(asked)?;
        let (mut sender, connection) = http1::handshake(io)
            .await
            .map_err(|error| self.no_http(&error))?;
        let answer = async move {
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            Ok::<_, hyper::Error>((head, Limited::new(body, MOST_ANSWER_BYTES).collect().await))
        };
        let (driven, answer) = tokio::join!(connection, answer);
        let (head, body) = answer.map_err(|error| {
            // What the connection says is nearer to the cause.
            self.no_http(driven.as_ref().err().unwrap_or(&error))
        })?;
        let is_etcdtap = head
            .headers
            .get(SERVER)
            .is_some_and(|name| name.as_bytes().starts_with(b"etcdtap/"));
        let Ok(body) = body else {
            return Err(self.broken_off());
        };
        match serde_json::from_slice(&body.to_bytes()) {
            Ok(value) if is_etcdtap => match head.status.is_success() {
                true => Ok(value),
                false => Err(refusal(head.status, &value)),
            },
            _ => Err(ClientError::NoAnswer(format!(
                "what answers at {} is not etcdtap's admin API; give its proxy --admin {0}, or ask another address",
                self.address
            ))),
        }
    }

    fn request(&self, asked: Asked<'_>) -> Result<Request<Full<Bytes>>, ClientError> {
        let host = match &self.address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Request::builder()
            .method(asked.method)
            .uri(asked.target)
            .header(HOST, host);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.authorization());
        }
        if asked.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::from(asked.body.unwrap_or_default());
        request.body(body).map_err(|error| {
            ClientError::NoAnswer(format!("{} cannot be asked for: {error}", asked.target))
        })
    }

    fn nobody(&self, error: &io::Error) -> ClientError {
        let (address, reason) = (&self.address, io_reason(error));
        ClientError::NoAnswer(match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => format!(
                "nobody listens on {address}; start the proxy with --admin {address}, or name its address with --admin"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "{address} may not be used by you: {reason}; ask as the user whose proxy it is"
            ),
            _ => format!("{address} cannot be reached: {reason}"),
        })
    }

    fn no_handshake(&self, error: &io::Error) -> ClientError {
        let (address, reason) = (&self.address, io_reason(error));
        ClientError::NoAnswer(format!(
            "no TLS with {address}: {reason}; check --admin-ca, --admin-cert and --admin-key, \
             or leave them out if the proxy has no --admin-tls-cert"
        ))
    }

    fn no_http(&self, error: &hyper::Error) -> ClientError {
        let address = &self.address;
        // A server that wants a certificate says so only now (TLS 1.3).
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let cause = cause.unwrap_or_else(|| error.to_string());
        ClientError::NoAnswer(match &self.tls {
            Some(_) => format!(
                "{address} broke the connection off: {cause}; if it asks for client certificates, add --admin-cert and --admin-key"
            ),
            None => format!(
                "what listens on {address} does not speak plain HTTP; if it is etcdtap with --admin-tls-cert, add --admin-ca FILE"
            ),
        })
    }

    fn broken_off(&self) -> ClientError {
        ClientError::NoAnswer(format!(
            "the answer of {} broke off; ask again",
            self.address
        ))
    }
}

/// A refusal's text, one line for each thing that is wrong.
fn refusal(status: StatusCode, said: &Value) -> ClientError {
    let sentence = |of: &Value, key: &str| {
        let what = of[key].as_str().unwrap_or("it gave no reason");
        match of["hint"].as_str() {
            Some(hint) => format!("{what}; {hint}"),
            None => what.to_owned(),
        }
    };
    let problems: Vec<String> = said["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|problem| match problem["path"].as_str() {
            Some(path) => format!("{path}: {}", sentence(problem, "what")),
            None => sentence(problem, "what"),
        })
        .collect();
    ClientError::Refused {
        status: status.as_u16(),
        sentence: match problems.is_empty() {
            true => sentence(said, "error"),
            false => problems.join("\n"),
        },
    }
}
