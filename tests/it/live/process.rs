//! The program as a process: how it starts, refuses to, and ends.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::net::{TcpListener, TcpStream};

use super::patience::{soon, until};
use super::ports;
use super::proxy::{Arguments, Proxy, program, run};
use super::stack::Setup;

async fn stops_accepting(proxy: &Proxy) {
    let address = proxy.address();
    until("nobody is let in any more", async || {
        TcpStream::connect(address).await.err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_progress_end_before_the_program_does() {
    let arguments = Arguments::new().flag("--drain", "20s");
    let mut stack = Setup::PLAIN_35.start_with(arguments).await;
    let mut holder = stack.client_direct().await;
    let held = holder.lock("/locks/one", None).await.unwrap();
    let mut waiting = stack.client().await;
    let call = tokio::spawn(async move { waiting.lock("/locks/one", None).await });
    let queued = etcd_client::GetOptions::new()
        .with_prefix()
        .with_count_only();
    until("the call is on its way", async || {
        let queue = holder
            .get("/locks/one/", Some(queued.clone()))
            .await
            .unwrap();
        (queue.count() == 2).then_some(())
    })
    .await;

    stack.proxy.signal(Signal::TERM);
    stops_accepting(&stack.proxy).await;
    assert!(stack.proxy.is_running());
    holder.unlock(held.key()).await.unwrap();
    let lock = soon("the call's answer", call).await.unwrap();
    lock.expect("the call ends as if nothing had happened");
    assert_eq!(stack.proxy.wait().await, Some(0));
    let call = |line: &super::log::Line| line.is_call("Lock");
    let call = stack.proxy.log.wait_for("the call", call).await;
    assert_eq!(call.text("status"), "OK", "the log was written to its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_is_ended() {
    for signal in [Signal::TERM, Signal::INT] {
        let arguments = Arguments::new().flag("--drain", "1s");
        let mut stack = Setup::PLAIN_34.start_with(arguments).await;
        let watching = stack.etcdctl().spawn(["watch", "/w"]);
        let created = |line: &super::log::Line| line.is("watch_created");
        stack.proxy.log.wait_for("the watch", created).await;
        let asked = Instant::now();
        stack.proxy.signal(signal);
        assert_eq!(stack.proxy.wait().await, Some(0));
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        let ended = |line: &super::log::Line| line.is_call("Watch");
        stack.proxy.log.wait_for("the watch's call", ended).await;
        watching.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let arguments = Arguments::new().flag("--drain", "10m");
    let mut stack = Setup::PLAIN_35.start_with(arguments).await;
    let watching = stack.etcdctl().spawn(["watch", "/w"]);
    let created = |line: &super::log::Line| line.is("watch_created");
    stack.proxy.log.wait_for("the watch", created).await;
    stack.proxy.signal(Signal::TERM);
    stops_accepting(&stack.proxy).await;
    assert!(stack.proxy.is_running());
    // Far below the ten minutes that the watch would hold it.
    stack.proxy.terminate().await;
    watching.kill().await;
}

#[tokio::test]
async fn an_idle_program_ends_at_once() {
    let upstream = format!("http://{}", ports::free());
    let arguments = Arguments::new().pair(&upstream).flag("--drain", "10m");
    let mut proxy = arguments.start().await;
    assert_eq!(proxy.terminate().await, Some(0));
}

#[tokio::test]
async fn what_cannot_be_used_is_said_with_exit_code_1() {
    let upstream = format!("http://{}", ports::free());
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap();
    let arguments = Arguments::new().pair_at(taken, &upstream);
    let port_in_use = arguments.run().await;
    assert_eq!(port_in_use.code, Some(1), "{}", port_in_use.stderr);
    assert!(
        port_in_use.stderr.contains(&taken.to_string()),
        "{}",
        port_in_use.stderr
    );

    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.crt");
    std::fs::write(&broken, "no certificate").unwrap();
    for path in [broken, dir.path().join("absent.crt")] {
        let arguments = Arguments::new().pair(&upstream);
        let arguments = arguments.flag("--tls-cert", &path).flag("--tls-key", &path);
        let unreadable = arguments.run().await;
        assert_eq!(unreadable.code, Some(1), "{}", unreadable.stderr);
        assert!(
            unreadable.stderr.contains(path.to_str().unwrap()),
            "{}",
            unreadable.stderr
        );
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_said_with_exit_code_2() {
    let upstream = format!("http://{}", ports::free());
    let sound = || Arguments::new().pair(&upstream);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, "no-such-setting: 1\n").unwrap();
    let cases = [
        (Arguments::new(), "--listen"),
        (sound().flag("--no-such-flag", "1"), "--no-such-flag"),
        (sound().flag("--listen", "127.0.0.1:0"), "--upstream"),
        (sound().flag("--log", "loud"), "loud"),
        (sound().flag("--slow", "soon"), "soon"),
        (sound().flag("--drain", "9parsecs"), "9parsecs"),
        (sound().flag("--tls-client-auth", "maybe"), "maybe"),
        (
            sound().flag("--config", dir.path().join("absent.yaml")),
            "absent.yaml",
        ),
        (sound().flag("--config", &config), "no-such-setting"),
        (Arguments::new().pair("127.0.0.1:2379"), "127.0.0.1:2379"),
        (Arguments::new().pair("ftp://127.0.0.1:2379"), "ftp"),
        (
            Arguments::new()
                .flag("--listen", "nowhere")
                .flag("--upstream", &upstream),
            "nowhere",
        ),
    ];
    for (arguments, mentioned) in cases {
        let exit = arguments.run().await;
        assert_eq!(exit.code, Some(2), "{arguments:?}: {}", exit.stderr);
        assert!(
            exit.stderr.contains(mentioned),
            "{arguments:?}: {}",
            exit.stderr
        );
        assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
    }
}

#[tokio::test]
async fn help_and_version_are_answers() {
    for flag in ["--help", "--version"] {
        let exit = run(&mut program([flag])).await;
        assert_eq!(exit.code, Some(0));
        assert!(exit.stdout.contains("etcdtap"), "{}", exit.stdout);
    }
}
