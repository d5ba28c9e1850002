//! Faults of a running proxy, changed by the command line.

use std::ffi::OsString;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use etcdtap::control::Address;

use super::certs::Pki;
use super::patience::{soon, until};
use super::ports;
use super::proxy::{Arguments, Exit, Proxy, program, run};
use super::stack::{Setup, Stack};

const TOKEN: &str = "a-token-that-nobody-guesses";

/// The commands about faults, towards one admin API.
struct Faults {
    more: Vec<OsString>,
}

impl Faults {
    /// Towards an address, with more flags.
    fn at(address: &str, more: &[(&str, &Path)]) -> Faults {
        let mut all: Vec<OsString> = vec!["--admin".into(), address.into()];
        for (flag, path) in more {
            all.extend([OsString::from(flag), path.as_os_str().to_owned()]);
        }
        Faults { more: all }
    }

    /// Towards a proxy that was started with a port 0.
    async fn of(proxy: &Proxy, more: &[(&str, &Path)]) -> Faults {
        let line = |line: &str| line.contains("the admin API answers on ");
        let line = proxy.errors.wait_for(line).await;
        let (_, address) = line.split_once("--admin ").unwrap();
        Address::parse(address).unwrap();
        Faults::at(address, more)
    }

    /// Runs `etcdtap fault` with the words of `line`.
    async fn run(&self, line: &str) -> Exit {
        let mut command = program(["fault"]);
        run(command.args(line.split(' ')).args(&self.more)).await
    }

    /// What is printed by a command that must not fail.
    async fn ok(&self, line: &str) -> String {
        let exit = self.run(line).await;
        assert_eq!(exit.code, Some(0), "{line}: {}", exit.stderr);
        exit.stdout
    }

    /// What is said by a command that must fail.
    async fn refused(&self, line: &str, code: i32) -> String {
        let exit = self.run(line).await;
        assert_eq!(exit.code, Some(code), "{line}: {exit:?}");
        assert!(exit.stderr.starts_with("etcdtap: "), "{}", exit.stderr);
        exit.stderr
    }
}

async fn armed(more: Arguments) -> (Stack, Faults) {
    let stack = Setup::PLAIN_35
        .start_with(more.flag("--admin", "127.0.0.1:0"))
        .await;
    let faults = Faults::of(&stack.proxy, &[]).await;
    (stack, faults)
}

/// A proxy whose etcd does not matter.
async fn alone(arguments: Arguments) -> Proxy {
    arguments
        .pair(&format!("http://{}", ports::free()))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_strikes_until_it_is_cleared() {
    let (stack, faults) = armed(Arguments::new()).await;
    let etcdctl = stack.etcdctl();
    etcdctl.run(["put", "/k", "1"]).await.ok();
    let added = faults
        .ok("add slow --delay-response 700ms --method Range --for 5m")
        .await;
    assert_eq!(added, "slow: added, for 5m\n");
    let asked = Instant::now();
    etcdctl.run(["get", "/k"]).await.ok();
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(700), "{took:?}");
    let listed = faults.ok("list").await;
    let row: Vec<&str> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["slow", "active", "1", "1"], "{listed}");
    assert_eq!(faults.ok("clear").await, "1 fault removed\n");
    assert_eq!(faults.ok("list").await, "no faults\n");
    let asked = Instant::now();
    etcdctl.run(["get", "/k"]).await.ok();
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(700), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_stand_are_struck_and_let_go() {
    let (stack, faults) = armed(Arguments::new()).await;
    let mut client = stack.client().await;
    client.put("/k", "1", None).await.unwrap();
    faults.ok("add stuck --hang --method Range").await;
    let mut asking = client.clone();
    let held = tokio::spawn(async move { asking.get("/k", None).await });
    let hits = async || {
        let listed: serde_json::Value =
            serde_json::from_str(&faults.ok("list --json").await).unwrap();
        listed["faults"][0]["hits"]
            .as_u64()
            .filter(|hits| *hits > 0)
    };
    until("the call is struck", hits).await;
    assert!(!held.is_finished());
    // What is not about it goes on meanwhile.
    client.put("/k", "2", None).await.unwrap();
    assert_eq!(faults.ok("remove stuck").await, "stuck: removed\n");
    let got = soon("the answer", held).await.unwrap().unwrap();
    assert_eq!(got.kvs()[0].value(), b"2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_let_go_when_the_time_is_over() {
    let (stack, faults) = armed(Arguments::new()).await;
    let mut client = stack.client().await;
    client.put("/k", "1", None).await.unwrap();
    let added = Instant::now();
    faults.ok("add stuck --hang --method Range --for 1s").await;
    let got = soon("the answer", client.get("/k", None)).await.unwrap();
    assert_eq!(got.kvs()[0].value(), b"1");
    let took = added.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_can_be_cleared_while_it_drains() {
    let arguments = Arguments::new().flag("--drain", "10m");
    let (mut stack, faults) = armed(arguments).await;
    faults.ok("add stuck --hang --method Put").await;
    let mut client = stack.client().await;
    let held = tokio::spawn(async move { client.put("/k", "1", None).await });
    until("the call is struck", async || {
        let listed = faults.ok("list --json").await;
        listed.contains("\"hits\": 1").then_some(())
    })
    .await;
    stack.proxy.signal(rustix::process::Signal::TERM);
    stack
        .proxy
        .errors
        .wait_for(|line| line.contains("SIGTERM"))
        .await;
    assert!(stack.proxy.is_running());
    faults.ok("clear").await;
    soon("the answer", held).await.unwrap().unwrap();
    assert_eq!(stack.proxy.wait().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_strikes_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.yaml");
    let text = "faults:\n- name: no-writes\n  match: {method: Put}\n  action: {error: no-leader}\n";
    std::fs::write(&plan, text).unwrap();
    let stack = Setup::PLAIN_34
        .start_with(Arguments::new().flag("--faults", &plan))
        .await;
    let mut client = stack.client().await;
    let error = client.put("/k", "1", None).await.unwrap_err().to_string();
    assert!(error.contains("etcdserver: no leader"), "{error}");
    client.get("/k", None).await.unwrap();
}

#[tokio::test]
async fn a_wrong_plan_is_refused_before_anything_listens() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.yaml");
    std::fs::write(
        &plan,
        "faults:\n- {name: a, action: hagn}\n- {name: B, action: hang}\n",
    )
    .unwrap();
    let arguments = Arguments::new().pair(&format!("http://{}", ports::free()));
    let exit = arguments.clone().flag("--faults", &plan).run().await;
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    let place = plan.display();
    for said in [
        format!("{place}:2:21: "),
        format!("{place}:3:10: "),
        "hang".to_owned(),
    ] {
        assert!(exit.stderr.contains(&said), "{said}: {}", exit.stderr);
    }
    assert!(!exit.stderr.contains("listening"), "{}", exit.stderr);
    let missing = arguments
        .clone()
        .flag("--faults", dir.path().join("none"))
        .run()
        .await;
    assert_eq!(missing.code, Some(2));
    let both = arguments
        .clone()
        .flag("--faults", &plan)
        .switch("--no-faults")
        .run()
        .await;
    assert_eq!(both.code, Some(2));
    assert!(both.stderr.contains("--no-faults"), "{}", both.stderr);
    let open = arguments.flag("--admin", "0.0.0.0:0").run().await;
    assert_eq!(open.code, Some(2));
    assert!(
        open.stderr.contains("--admin-token-file"),
        "{}",
        open.stderr
    );
}

#[tokio::test]
async fn names_and_exit_codes() {
    let proxy = alone(Arguments::new().flag("--admin", "127.0.0.1:0")).await;
    let faults = Faults::of(&proxy, &[]).await;
    assert_eq!(
        faults.ok("add one --hang --for forever").await,
        "one: added, until it is removed\n"
    );
    let taken = faults.refused("add one --hang", 2).await;
    assert!(
        taken.contains("there is a fault \"one\" already"),
        "{taken}"
    );
    assert_eq!(
        faults
            .ok("add one --lose-reply --method Txn --replace")
            .await,
        "one: replaced, for 10m\n"
    );
    assert_eq!(
        faults.ok("add two --hang --replace").await,
        "two: added, for 10m\n"
    );
    let slip = faults.refused("add three --hang --verb lst", 2).await;
    assert!(
        slip.contains("match.verb: there is no verb \"lst\"; did you mean \"list\"?"),
        "{slip}"
    );
    let unknown = faults.refused("remove tow two", 2).await;
    assert!(unknown.contains("did you mean \"two\"?"), "{unknown}");
    faults.refused("remove Two", 2).await;
    assert_eq!(faults.ok("pause one").await, "one: paused\n");
    assert!(faults.ok("list").await.contains("one   paused"));
    assert_eq!(faults.ok("resume one").await, "one: resumed\n");
    let listed = faults.ok("list").await;
    assert!(
        listed.contains("active") && !listed.contains("two"),
        "{listed}"
    );

    let nobody = Faults::at(&ports::free().to_string(), &[]);
    let said = nobody.refused("list", 1).await;
    assert!(
        said.contains("nobody listens on") && said.contains("--admin"),
        "{said}"
    );
    let listener = Faults::at(&proxy.address().to_string(), &[]);
    listener.refused("list", 1).await;
    Faults::at("somewhere", &[]).refused("list", 2).await;
}

#[tokio::test]
async fn a_fault_ends_by_itself() {
    let proxy = alone(Arguments::new().flag("--admin", "127.0.0.1:0")).await;
    let faults = Faults::of(&proxy, &[]).await;
    faults.ok("add short --hang --for 300ms").await;
    until("it is over", async || {
        let listed = faults.ok("list").await;
        listed.contains("over (time to live)").then_some(())
    })
    .await;
    faults.ok("add short --hang").await;
}

#[tokio::test]
async fn files_are_checked_and_added() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good.yaml"), dir.path().join("bad.yaml"));
    let text = "seed: 7\nfaults:\n- {name: a, action: hang, match: {verb: list}}\n- {name: b, action: hang}\n";
    std::fs::write(&good, text).unwrap();
    std::fs::write(&bad, "faults:\n- {name: a, action: hagn}\n").unwrap();
    let exit = run(program(["fault", "check"]).args([&good, &bad])).await;
    assert_eq!(exit.code, Some(2));
    assert_eq!(
        exit.stdout,
        format!("{}: 2 faults, nothing wrong\n", good.display())
    );
    assert!(
        exit.stderr
            .starts_with(&format!("{}:2:21: ", bad.display())),
        "{}",
        exit.stderr
    );
    let exit = run(program(["fault", "check"]).arg(&good)).await;
    assert_eq!(exit.code, Some(0));

    let proxy = alone(Arguments::new().flag("--admin", "127.0.0.1:0")).await;
    let faults = Faults::of(&proxy, &[]).await;
    let added = faults.ok(&format!("add --file {}", good.display())).await;
    assert_eq!(added, "a: added, for 10m\nb: added, for 10m\n");
    faults
        .refused(&format!("add --file {}", bad.display()), 2)
        .await;
    let both = format!("add --file {} --hang", good.display());
    let said = faults.refused(&both, 2).await;
    assert!(said.contains("--file: the file says all"), "{said}");
    assert_eq!(faults.ok("clear").await, "2 faults removed\n");
}

#[tokio::test]
async fn a_socket_is_its_owners_and_goes_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tap.sock");
    let address = format!("unix:{}", path.display());
    // An earlier run was killed.
    drop(UnixListener::bind(&path).unwrap());
    let mut proxy = alone(Arguments::new().flag("--admin", &address)).await;
    let faults = Faults::of(&proxy, &[]).await;
    assert_eq!(faults.ok("list").await, "no faults\n");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = Arguments::new().pair(&format!("http://{}", ports::free()));
    let exit = second.flag("--admin", &address).run().await;
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(
        exit.stderr.contains("another program listens on unix:"),
        "{}",
        exit.stderr
    );
    assert_eq!(
        faults.ok("list").await,
        "no faults\n",
        "the first one is unharmed"
    );
    assert_eq!(proxy.terminate().await, Some(0));
    assert!(!path.exists());
    let said = faults.refused("list", 1).await;
    assert!(said.contains("nobody listens on unix:"), "{said}");
}

#[tokio::test]
async fn a_token_and_certificates_are_asked_for() {
    let (pki, foreign) = (Pki::new(), Pki::new());
    let token = pki.dir().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let arguments = Arguments::new()
        .flag("--admin", "127.0.0.1:0")
        .flag("--admin-token-file", &token)
        .flag("--admin-tls-cert", pki.server_cert())
        .flag("--admin-tls-key", pki.server_key())
        .flag("--admin-client-ca", pki.ca());
    let proxy = alone(arguments).await;
    let (ca, cert, key) = (pki.ca(), pki.client_cert(), pki.client_key());
    let all = [
        ("--admin-token-file", token.as_path()),
        ("--admin-ca", ca.as_path()),
        ("--admin-cert", cert.as_path()),
        ("--admin-key", key.as_path()),
    ];
    assert_eq!(
        Faults::of(&proxy, &all).await.ok("list").await,
        "no faults\n"
    );
    let said = Faults::of(&proxy, &all[1..]).await.refused("list", 2).await;
    assert!(said.contains("a token is needed"), "{said}");
    Faults::of(&proxy, &all[..2]).await.refused("list", 1).await;
    Faults::of(&proxy, &all[..1]).await.refused("list", 1).await;
    Faults::of(&proxy, &all[..3]).await.refused("list", 2).await;
    let (cert, key) = (foreign.client_cert(), foreign.client_key());
    let strange = [
        all[0],
        all[1],
        ("--admin-cert", &*cert),
        ("--admin-key", &*key),
    ];
    Faults::of(&proxy, &strange).await.refused("list", 1).await;
    assert!(!proxy.errors.text().contains(TOKEN));
}

#[tokio::test]
async fn a_proxy_without_faults_stays_without() {
    let arguments = Arguments::new()
        .flag("--admin", "127.0.0.1:0")
        .switch("--no-faults");
    let proxy = alone(arguments).await;
    let faults = Faults::of(&proxy, &[]).await;
    let said = faults.refused("add one --hang", 2).await;
    assert!(said.contains("--no-faults"), "{said}");
    assert_eq!(faults.ok("list").await, "no faults\n");
    assert_eq!(faults.ok("clear").await, "0 faults removed\n");
}
