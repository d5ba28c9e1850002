//! `token-expiry`: etcd has forgotten its clients' tokens.

use etcd_client::{Client, ConnectOptions};
use tonic::Code;

use super::stage::{PODS, with_admin};
use crate::live::cache::{Cache, truth_of};
use crate::live::faults::arm::refused;
use crate::live::faults::objects::Truth;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    who_authenticates_anew_goes_on: CACHED_35;
}

async fn who_authenticates_anew_goes_on(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let etcdctl = stack.etcdctl_direct();
    for command in [
        "user add root:rootpassword",
        "user grant-role root root",
        "auth enable",
    ] {
        etcdctl.run(command.split(' ')).await.ok();
    }
    let connect = async |options: ConnectOptions| {
        let options = options.with_user("root", "rootpassword");
        let urls = stack.proxy.urls("http");
        Client::connect(urls, Some(options)).await.unwrap()
    };
    let mut heedful = connect(ConnectOptions::new().with_auto_token_refresh(true)).await;
    let mut heedless = connect(ConnectOptions::new()).await;
    let authentications = || {
        let is = |line: &crate::live::log::Line| line.is_call("Authenticate");
        stack.proxy.log.all(is).len()
    };
    let before = authentications();
    let incident = desk
        .begin("token-expiry --set for=1m --set every=2 --set calls=4")
        .await;
    // Every second call is refused; nobody above the client sees it.
    for n in 0..4 {
        let key = format!("{PODS}lab/p{n}");
        heedful.put(key, "1", None).await.unwrap();
    }
    // The calls 2, 4 and 6 were refused, and sent again as 3, 5 and 7.
    stack
        .proxy
        .log
        .wait_for_count("an authentication", before + 3, |line| {
            line.is_call("Authenticate")
        })
        .await;
    let (code, text) = refused(heedless.get("/a", None).await);
    assert_eq!(code, Code::Unauthenticated);
    assert_eq!(text, "etcdserver: invalid auth token");
    let outcome = incident.end().await;
    assert_eq!(outcome.hits("token-expiry"), 4);
    heedless.get("/a", None).await.unwrap();
    heedful.get("/a", None).await.unwrap();

    etcdctl
        .user("root:rootpassword")
        .run(["auth", "disable"])
        .await
        .ok();
    // What was written is there, once each.
    let mut truth = Truth::of(&stack).await;
    assert_eq!(truth_of(&mut truth, PODS).await.len(), 4);
    let cache = Cache::ready(&stack, PODS).await;
    cache.wait_until_true(&mut truth, PODS).await;
}
