//! Who gets in.

use std::path::Path;
use std::sync::Arc;

use etcdtap::control::{Address, Asked, Client, ClientError, ClientTls, Config, Method, ServerTls};
use serde_json::Value;

use super::exchange::Ask;
use super::service::{Options, TOKEN, bind};
use crate::live::certs::{Authority, Pki, replace};

async fn list(client: &Client) -> Result<Value, ClientError> {
    let asked = Asked {
        method: Method::GET,
        target: "/v1/faults",
        body: None,
    };
    client.ask(asked).await
}

fn refused(outcome: Result<Value, ClientError>) -> (u16, String) {
    match outcome {
        Err(ClientError::Refused { status, sentence }) => (status, sentence),
        other => panic!("{other:?}"),
    }
}

fn no_answer(outcome: Result<Value, ClientError>) -> String {
    match outcome {
        Err(ClientError::NoAnswer(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn web_pages_do_not_get_in() {
    let service = Options::default().start();
    let port = service.tcp().port();
    for (name, value, status) in [
        ("host", format!("localhost:{port}"), 200),
        ("host", format!("[::1]:{port}"), 200),
        ("host", "localhost".to_owned(), 403),
        ("host", format!("rebound.example:{port}"), 403),
        ("origin", format!("http://127.0.0.1:{port}"), 200),
        ("origin", "http://evil.example".to_owned(), 403),
        ("origin", "null".to_owned(), 403),
    ] {
        let answer = Ask::new("GET", "/v1/faults")
            .header(name, &value)
            .of(&service)
            .await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn only_the_token_gets_in() {
    let options = Options {
        token: true,
        ..Options::default()
    };
    let service = options.start();
    assert_eq!(refused(list(&service.client()).await).0, 401);
    let wrong = service.dir.path().join("wrong");
    std::fs::write(&wrong, TOKEN.replace('0', "1")).unwrap();
    let (status, sentence) = refused(list(&service.client_with(&wrong)).await);
    assert_eq!(status, 401);
    assert!(sentence.contains("--admin-token-file"), "{sentence}");
    let right = service.dir.path().join("token");
    list(&service.client_with(&right)).await.unwrap();
    // A path that does not exist is not told from one that does.
    assert_eq!(Ask::new("GET", "/none").of(&service).await.status, 401);
    assert_eq!(Ask::new("GET", "/healthz").of(&service).await.status, 200);
}

#[tokio::test]
async fn a_socket_knows_neither_host_nor_browser() {
    let options = Options {
        unix: true,
        ..Options::default()
    };
    let service = options.start();
    assert!(service.socket().exists());
    list(&service.client()).await.unwrap();
    let named = Ask::new("GET", "/healthz").header("host", "whatever");
    assert_eq!(named.of(&service).await.status, 200);
    let page = Ask::new("GET", "/healthz").header("origin", "http://evil.example");
    assert_eq!(page.of(&service).await.status, 403);
}

#[tokio::test]
async fn without_faults_nothing_is_added() {
    let options = Options {
        no_faults: true,
        ..Options::default()
    };
    let service = options.start();
    let asked = Asked {
        method: Method::POST,
        target: "/v1/faults",
        body: Some("{\"name\":\"a\",\"action\":\"hang\"}".to_owned()),
    };
    let (status, sentence) = refused(service.client().ask(asked).await);
    assert_eq!(status, 403);
    assert!(sentence.contains("--no-faults"), "{sentence}");
    let listed = list(&service.client()).await.unwrap();
    assert_eq!(listed, serde_json::json!({ "faults": [] }));
}

fn config(address: &str) -> Config {
    Config {
        address: Address::parse(address).unwrap(),
        token_file: None,
        tls: None,
        adding: true,
    }
}

#[tokio::test]
async fn what_others_can_reach_needs_a_guard() {
    let (_, open) = bind(config("0.0.0.0:0"));
    let sentence = open.unwrap_err().to_string();
    assert!(
        sentence.contains("everybody who can reach it"),
        "{sentence}"
    );
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let (_, guarded) = bind(Config {
        token_file: Some(token_file.clone()),
        ..config("0.0.0.0:0")
    });
    guarded.unwrap();
    std::fs::write(&token_file, "short").unwrap();
    let (_, short) = bind(Config {
        token_file: Some(token_file),
        ..config("127.0.0.1:0")
    });
    assert!(short.unwrap_err().to_string().contains("has 5 characters"));
}

fn server_tls(pki: &Pki, client_ca: bool) -> ServerTls {
    ServerTls {
        cert: pki.server_cert(),
        key: pki.server_key(),
        client_ca: client_ca.then(|| pki.ca()),
    }
}

fn client(address: &Address, ca: &Path, identity: Option<&Pki>) -> Client {
    let tls = ClientTls {
        ca: ca.to_owned(),
        identity: identity.map(|pki| (pki.client_cert(), pki.client_key())),
    };
    Client::new(address.clone(), None, Some(&tls)).unwrap()
}

#[tokio::test]
async fn certificates_keep_others_out() {
    let (pki, foreign) = (Arc::new(Pki::new()), Pki::new());
    let options = Options {
        tls: Some(server_tls(&pki, true)),
        ..Options::default()
    };
    let service = options.start();
    let at = &service.address;
    list(&client(at, &pki.ca(), Some(&pki))).await.unwrap();
    let none = no_answer(list(&client(at, &pki.ca(), None)).await);
    assert!(none.contains("add --admin-cert"), "{none}");
    no_answer(list(&client(at, &pki.ca(), Some(&foreign))).await);
    let unknown = no_answer(list(&client(at, &foreign.ca(), Some(&pki))).await);
    assert!(unknown.contains("check --admin-ca"), "{unknown}");
    let plain = no_answer(list(&service.client()).await);
    assert!(plain.contains("add --admin-ca"), "{plain}");
}

#[tokio::test]
async fn renewed_certificates_are_taken_up() {
    let pki = Pki::new();
    let options = Options {
        tls: Some(server_tls(&pki, false)),
        ..Options::default()
    };
    let service = options.start();
    let old = client(&service.address, &pki.ca(), None);
    list(&old).await.unwrap();
    let next = Authority::new("next");
    pki.write_server(&next.server());
    let ca = service.dir.path().join("next.crt");
    replace(&ca, &next.cert);
    list(&client(&service.address, &ca, None)).await.unwrap();
    // One that is broken leaves what was read before.
    replace(&pki.server_key(), "no key");
    list(&client(&service.address, &ca, None)).await.unwrap();
    no_answer(list(&old).await);
}
