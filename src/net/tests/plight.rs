//! Faults on connections as TCP's peers see them: what is read, what ends, and
//! how.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stage::{self, SOON, Stage, echo, noise, read_all, read_n, start, to};
use crate::etcd::verdict::{Judge, Judges};
use crate::etcd::warden::Warden;
use crate::fault::Armory;
use crate::fault::plan::FaultSpec;
use crate::kube::key::KeySpace;
use crate::net::Alarm;
use crate::relay::Peers;

/// How long somebody is waited for who is not to come.
const A_WHILE: Duration = Duration::from_millis(150);

#[derive(Debug)]
struct Armed(Arc<Armory>);

impl Judges for Armed {
    fn judge(&self, peers: &Arc<Peers>) -> Box<dyn Judge> {
        self.0.judge(peers, KeySpace::default())
    }

    fn warden(&self, peers: &Arc<Peers>, encrypted: bool, now: Instant) -> Option<Box<dyn Warden>> {
        Some(self.0.warden(peers, encrypted, now))
    }
}

fn armory() -> (Arc<Armory>, Alarm) {
    let (armory, alarm) = (Armory::new(0, Instant::now()), Alarm::default());
    let bell = alarm.clone();
    armory.on_change(Box::new(move || bell.ring()));
    (armory, alarm)
}

fn stage(url: &str, armory: &Arc<Armory>, alarm: &Alarm) -> Stage {
    let mut config = to(url);
    config.judges = Some(Arc::new(Armed(Arc::clone(armory))));
    config.rules_changed = alarm.clone();
    start(config)
}

fn add(armory: &Armory, action: &str, terms: &str) {
    let text = format!("{{name: a, action: {{connection: {action}}}{terms}}}");
    let fault = FaultSpec::from_yaml("p", &text).unwrap_or_else(|errors| panic!("{errors}"));
    armory.add(fault, None, Instant::now()).expect("added");
}

/// Both ends of a relayed connection, and what it takes to harm it.
struct Line {
    client: TcpStream,
    upstream: TcpStream,
    armory: Arc<Armory>,
    stage: Stage,
}

impl Line {
    async fn new() -> Line {
        let (listener, url) = stage::upstream().await;
        let (armory, alarm) = armory();
        let stage = stage(&url, &armory, &alarm);
        let mut client = stage.connect().await;
        let mut upstream = stage::accept(&listener).await;
        client.write_all(b"hello").await.expect("a write");
        assert_eq!(read_n(&mut upstream, 5).await, b"hello");
        upstream.write_all(b"yes?").await.expect("a write");
        assert_eq!(read_n(&mut client, 4).await, b"yes?");
        Line {
            client,
            upstream,
            armory,
            stage,
        }
    }

    fn add(&self, action: &str, terms: &str) {
        add(&self.armory, action, terms);
    }

    fn clear(&self) {
        self.armory.clear();
    }
}

/// Whether nothing comes, and no end.
async fn is_silent(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    timeout(A_WHILE, stream.read(&mut byte)).await.is_err()
}

/// How it ends.
async fn end(stream: &mut TcpStream) -> Result<(), ErrorKind> {
    let all = read_all(stream).await;
    all.map(|_| ()).map_err(|error| error.kind())
}

#[tokio::test]
async fn who_is_refused_is_reset_and_nobody_is_called() {
    let (listener, url) = stage::upstream().await;
    let (armory, alarm) = armory();
    let stage = stage(&url, &armory, &alarm);
    add(&armory, "refuse", "");
    // The reset may be as fast as the connection.
    let refused = match TcpStream::connect(stage.address).await {
        Ok(mut client) => end(&mut client).await,
        Err(error) => Err(error.kind()),
    };
    assert_eq!(refused, Err(ErrorKind::ConnectionReset));
    assert!(timeout(A_WHILE, listener.accept()).await.is_err());
    let ended = stage.connection_ended().await;
    assert_eq!(&*ended.how, "a fault refused the connection");
    assert_eq!((ended.by, ended.faults.len()), (None, 1));
}

#[tokio::test]
async fn who_waits_in_silence_may_leave_or_come_in_at_last() {
    let (listener, url) = stage::upstream().await;
    let (armory, alarm) = armory();
    let stage = stage(&url, &armory, &alarm);
    add(&armory, "silent", "");
    let gone = stage.connect().await;
    gone.set_zero_linger().expect("a socket");
    drop(gone);
    let ended = stage.connection_ended().await;
    assert_eq!(&*ended.how, "client left while a fault kept it waiting");
    let mut client = stage.connect().await;
    client.write_all(b"early").await.expect("a write");
    assert!(is_silent(&mut client).await);
    assert!(timeout(A_WHILE, listener.accept()).await.is_err());
    armory.clear();
    let mut upstream = stage::accept(&listener).await;
    assert_eq!(read_n(&mut upstream, 5).await, b"early");
}

#[tokio::test]
async fn silence_ends_with_its_window() {
    let (listener, url) = stage::upstream().await;
    let (armory, alarm) = armory();
    let stage = stage(&url, &armory, &alarm);
    add(&armory, "silent", ", duration: 200ms");
    let began = Instant::now();
    let _client = stage.connect().await;
    stage::accept(&listener).await;
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_close_is_seen_as_one_on_both_sides() {
    let mut line = Line::new().await;
    line.add("close", "");
    assert_eq!(end(&mut line.client).await, Ok(()));
    assert_eq!(end(&mut line.upstream).await, Ok(()));
    let ended = line.stage.connection_ended().await;
    assert_eq!(&*ended.how, "a fault closed the connection");
    assert_eq!(ended.by, None);
}

#[tokio::test]
async fn a_reset_is_seen_as_one_on_both_sides() {
    let mut line = Line::new().await;
    line.add("reset", "");
    let reset = Err(ErrorKind::ConnectionReset);
    assert_eq!(end(&mut line.client).await, reset);
    assert_eq!(end(&mut line.upstream).await, reset);
}

#[tokio::test]
async fn a_fault_that_begins_by_itself_strikes_an_idle_connection() {
    let mut line = Line::new().await;
    line.add("reset", ", start: 100ms");
    let began = Instant::now();
    assert_eq!(end(&mut line.client).await, Err(ErrorKind::ConnectionReset));
    assert!(began.elapsed() >= Duration::from_millis(90));

    let mut line = Line::new().await;
    line.add("{close: {after: 300ms}}", "");
    assert_eq!(end(&mut line.client).await, Ok(()));
}

#[tokio::test]
async fn a_dead_direction_keeps_its_bytes_and_the_other_lives() {
    for (dead, to_client) in [("to_client", true), ("to_etcd", false)] {
        let mut line = Line::new().await;
        line.add(&format!("{{half_open: {{dead: {dead}}}}}"), "");
        tokio::time::sleep(A_WHILE).await;
        let (from_dead, to_dead) = match to_client {
            true => (&mut line.upstream, &mut line.client),
            false => (&mut line.client, &mut line.upstream),
        };
        from_dead.write_all(b"lost?").await.expect("a write");
        assert!(is_silent(to_dead).await, "{dead}");
        to_dead.write_all(b"other way").await.expect("a write");
        assert_eq!(read_n(from_dead, 9).await, b"other way");
        line.armory.clear();
        assert_eq!(read_n(to_dead, 5).await, b"lost?");
    }
}

#[tokio::test]
async fn what_ends_behind_a_dead_direction_is_not_seen_before() {
    let mut line = Line::new().await;
    line.add("{half_open: {dead: to_etcd}}", "");
    tokio::time::sleep(A_WHILE).await;
    line.client.set_zero_linger().expect("a socket");
    drop(line.client);
    // Writing to it finds out that it is gone, and etcd must not.
    for _ in 0..3 {
        line.upstream.write_all(b"event").await.expect("a write");
        assert!(is_silent(&mut line.upstream).await);
    }
    line.armory.clear();
    assert_eq!(
        end(&mut line.upstream).await,
        Err(ErrorKind::ConnectionReset)
    );
    line.stage.connection_ended().await;
}

#[tokio::test]
async fn a_client_that_leaves_a_half_open_connection_has_left_it() {
    let mut line = Line::new().await;
    line.client
        .write_all(crate::http2::PREFACE)
        .await
        .expect("a write");
    let preface = crate::http2::PREFACE.len();
    assert_eq!(
        read_n(&mut line.upstream, preface).await,
        crate::http2::PREFACE
    );
    line.add("{half_open: {dead: to_client}}", "");
    tokio::time::sleep(A_WHILE).await;
    line.client.shutdown().await.expect("a shutdown");
    assert_eq!(end(&mut line.upstream).await, Ok(()));
    let ended = line.stage.connection_ended().await;
    assert_eq!(
        (&*ended.how, ended.by),
        ("client closed", Some(crate::http2::Side::Client))
    );
}

#[tokio::test]
async fn an_end_in_a_black_hole_comes_late() {
    let mut line = Line::new().await;
    line.add("blackhole", ", duration: 3s");
    tokio::time::sleep(A_WHILE).await;
    line.client.write_all(b"bye").await.expect("a write");
    line.client.shutdown().await.expect("a shutdown");
    assert!(is_silent(&mut line.upstream).await);
    line.upstream.write_all(b"hello?").await.expect("a write");
    assert!(is_silent(&mut line.client).await);
    // By itself, when its window is over.
    assert_eq!(read_all(&mut line.upstream).await.expect("an end"), b"bye");
    assert_eq!(read_n(&mut line.client, 6).await, b"hello?");
}

#[tokio::test]
async fn slow_and_late_bytes_are_all_there_and_in_order() {
    let sent = noise(600_000);
    for action in [
        "{bandwidth: {bytes_per_second: 2MB}}",
        "{latency: {uniform: {from: 1ms, to: 80ms}}}",
    ] {
        let (listener, url) = stage::upstream().await;
        let (armory, alarm) = armory();
        let stage = stage(&url, &armory, &alarm);
        add(&armory, action, "");
        let mut client = stage.connect().await;
        let upstream = stage::accept(&listener).await;
        tokio::spawn(echo(upstream));
        let (mut read, mut write) = client.split();
        let began = Instant::now();
        let writing = async {
            write.write_all(&sent).await.expect("a write");
            write.shutdown().await.expect("a shutdown");
        };
        let reading = async {
            let mut got = Vec::new();
            read.read_to_end(&mut got).await.expect("an end");
            got
        };
        let ((), got) = timeout(SOON, async { tokio::join!(writing, reading) })
            .await
            .expect("an end");
        assert!(got == sent, "{action}: {} bytes came back", got.len());
        if action.contains("bandwidth") {
            let took = began.elapsed();
            assert!(took >= Duration::from_millis(250), "{took:?}");
        }
    }
}

#[tokio::test]
async fn what_was_under_way_comes_when_the_latency_goes() {
    let mut line = Line::new().await;
    line.add("{latency: 1h}", "");
    tokio::time::sleep(A_WHILE).await;
    line.client.write_all(b"patience").await.expect("a write");
    assert!(is_silent(&mut line.upstream).await);
    line.clear();
    assert_eq!(read_n(&mut line.upstream, 8).await, b"patience");
    // And a close lets it out, too.
    line.add("{latency: {fixed: 1h, direction: to_client}}", "");
    tokio::time::sleep(A_WHILE).await;
    line.upstream
        .write_all(b"last words")
        .await
        .expect("a write");
    assert!(is_silent(&mut line.client).await);
    let text = "{name: b, action: {connection: close}}";
    let fault = FaultSpec::from_yaml("p", text).expect("a fault");
    line.armory.add(fault, None, Instant::now()).expect("added");
    assert_eq!(
        read_all(&mut line.client).await.expect("an end"),
        b"last words"
    );
}
