//! What never stands in a file, whatever is asked for: passwords, tokens, bodies of
//! plain HTTP.

use std::path::PathBuf;

use data_encoding::BASE64;
use etcd_client::{Client, ConnectOptions};
use etcdtap::etcd::schema::etcdserverpb::auth_client::AuthClient;
use etcdtap::etcd::schema::etcdserverpb::kv_client::KvClient;
use etcdtap::etcd::schema::etcdserverpb::{AuthenticateRequest, RangeRequest};
use tonic::Request;
use tonic::transport::Channel;

use super::tape::{Tape, files};
use crate::live::http;
use crate::live::proxy::Arguments;
use crate::live::stack::Setup;

/// The bytes of files, and all that their chunks hold.
fn contents(files: &[PathBuf]) -> Vec<u8> {
    let mut contents = Vec::new();
    for path in files {
        let bytes = std::fs::read(path).unwrap();
        for message in mcap::MessageStream::new(&bytes).unwrap() {
            contents.extend_from_slice(&message.unwrap().data);
        }
        contents.extend(bytes);
    }
    contents
}

async fn no_credentials_are_recorded(setup: Setup, values: &str) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = Arguments::new()
        .flag("--record", folder.path().join("calls.mcap"))
        .flag("--record-values", values);
    let mut stack = setup.start_with(arguments).await;
    let proxy = stack.proxy.address();

    // Every way of giving a password passes, and so does every token.
    let mut client = stack.client().await;
    client
        .user_add("root", "firstpassword", None)
        .await
        .unwrap();
    // Only etcd 3.5 brings the role.
    let _ = client.role_add("root").await;
    client.user_grant_role("root", "root").await.unwrap();
    client
        .user_change_password("root", "rootpassword")
        .await
        .unwrap();
    client.put("/open/a", "an open value", None).await.unwrap();
    client.auth_enable().await.unwrap();
    let channel = Channel::from_shared(stack.proxy.urls("http").remove(0)).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut auth = AuthClient::new(channel.clone());
    let login = |password: &str| AuthenticateRequest {
        name: "root".to_owned(),
        password: password.to_owned(),
    };
    auth.authenticate(login("wrongpassword")).await.unwrap_err();
    let answer = auth.authenticate(login("rootpassword")).await.unwrap();
    let token = answer.into_inner().token;
    // Both names that etcd looks for.
    for name in ["token", "authorization"] {
        let mut get = Request::new(RangeRequest {
            key: "/open/a".into(),
            ..RangeRequest::default()
        });
        get.metadata_mut().insert(name, token.parse().unwrap());
        let got = KvClient::new(channel.clone()).range(get).await.unwrap();
        assert_eq!(got.into_inner().kvs[0].value, "an open value");
    }
    let mut tokens = vec![token];

    let login = r#"{"name":"root","password":"rootpassword"}"#;
    let answer = http::once(proxy, "POST", "/v3/auth/authenticate", login)
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    tokens.push(answer["token"].as_str().unwrap().to_owned());
    // Of the gateway no body at all is kept, whatever it is.
    let put = r#"{"key":"Zm9v","value":"Z2F0ZXdheQ=="}"#;
    http::once(proxy, "POST", "/v3/kv/put", put).await.unwrap();
    let options = Some(ConnectOptions::new().with_user("root", "rootpassword"));
    let root = Client::connect(stack.proxy.urls("http"), options).await;
    root.unwrap().auth_disable().await.unwrap();
    let put = http::once(proxy, "POST", "/v3/kv/put", put).await.unwrap();
    assert_eq!(put.status, 200, "{}", put.body);
    drop((client, auth, channel));
    assert_eq!(stack.proxy.terminate().await, Some(0));

    let files: Vec<PathBuf> = files(folder.path()).into_iter().collect();
    let tape = Tape::of(&files);
    assert!(tape.wholeness.is_whole());
    let logins = tape
        .lines()
        .filter(|line| line.method.as_deref() == Some("Authenticate"));
    assert!(logins.count() >= 3, "that somebody logged in is told");
    let gateway: Vec<_> = tape.lines().filter(|line| line.event == "http1").collect();
    assert_eq!(gateway.len(), 3);
    assert!(gateway.iter().all(|line| line.request_bytes > Some(30)));

    let contents = contents(&files);
    let holds = |what: &[u8]| memchr::memmem::find(&contents, what).is_some();
    if values == "all" {
        assert!(holds(b"an open value"), "else nothing was looked at");
    }
    assert!(holds(b"/open/a"));
    for token in &tokens {
        assert!(token.len() > 16, "{token}");
    }
    let passwords = ["firstpassword", "rootpassword", "wrongpassword"];
    let secrets = passwords
        .into_iter()
        .chain(tokens.iter().map(String::as_str));
    for secret in secrets.chain(["Z2F0ZXdheQ", "gateway"]) {
        assert!(!holds(secret.as_bytes()), "{secret}");
        let encoded = BASE64.encode(secret.as_bytes());
        assert!(
            !holds(encoded.trim_end_matches('=').as_bytes()),
            "{secret} in base64"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_no_token_and_no_body_even_if_all_values_are_wanted() {
    no_credentials_are_recorded(Setup::PLAIN_35, "all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_no_token_and_no_body_by_default() {
    no_credentials_are_recorded(Setup::PLAIN_34, "redacted").await;
}
