//! Three members, etcdtap in front of each, a scenario that happens, and
//! somebody who writes around etcdtap meanwhile.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::live::patience::{soon, until};
use crate::live::proxy::{Arguments, Exit, program, run};
use crate::live::stack::{Stack, with_mtls};

/// Where the cached objects are.
pub const PODS: &str = "/registry/pods/";

/// Puts an etcdtap with these arguments in front of etcd; the one before ends.
pub async fn put(stack: &mut Stack, mut arguments: Arguments) {
    if let Some(pki) = &stack.etcd.pki {
        arguments = with_mtls(arguments, pki);
    }
    for upstream in stack.etcd.urls() {
        arguments = arguments.pair(&upstream);
    }
    stack.proxy = arguments.start().await;
}

/// `etcdtap scenario` and `etcdtap fault`, towards an etcdtap with an admin API.
pub struct Desk {
    pub address: String,
    _dir: tempfile::TempDir,
}

/// Puts an etcdtap with an admin API in front of etcd.
pub async fn with_admin(stack: &mut Stack) -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix:{}/admin", dir.path().display());
    put(stack, Arguments::new().flag("--admin", &address)).await;
    let answers = |line: &str| line.contains("the admin API answers on");
    stack.proxy.errors.wait_for(answers).await;
    Desk { address, _dir: dir }
}

impl Desk {
    /// Runs `etcdtap` with the words of `line`.
    pub async fn run(&self, line: &str) -> Exit {
        let words = line.split_whitespace();
        run(&mut program(words.chain(["--admin", &self.address]))).await
    }

    /// The faults that stand.
    pub async fn faults(&self) -> Vec<Value> {
        let listed = self.run("fault list --json").await.stdout;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        listed["faults"].as_array().unwrap().clone()
    }

    /// Lets a scenario begin, and waits until its faults stand.
    pub async fn begin(&self, line: &str) -> Incident {
        self.begin_beside(line, 1).await
    }

    /// [`Desk::begin`], where so many faults stand then.
    pub async fn begin_beside(&self, line: &str, faults: usize) -> Incident {
        let words = ["scenario", "run"].into_iter();
        let words = words.chain(line.split_whitespace());
        let child = program(words.chain(["--json", "--admin", &self.address]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut incident = Incident { child: Some(child) };
        let begun = async || {
            if let Some(child) = &mut incident.child
                && let Some(status) = child.try_wait().unwrap()
            {
                let ended = incident.child.take().unwrap().wait_with_output().await;
                let told = String::from_utf8_lossy(&ended.unwrap().stderr).into_owned();
                panic!("it ended with {status}: {told}");
            }
            (self.faults().await.len() >= faults).then_some(())
        };
        until("the scenario has begun", begun).await;
        incident
    }
}

/// A scenario under way.
pub struct Incident {
    child: Option<Child>,
}

impl Incident {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id().unwrap()
    }

    /// Waits for its end.
    pub async fn exit(mut self) -> Exit {
        let child = self.child.take().unwrap();
        let output = soon("the scenario's end", child.wait_with_output()).await;
        let output = output.unwrap();
        Exit {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Ends it before its time, as Ctrl-C does; what came of it.
    pub async fn end(self) -> Outcome {
        let pid = Pid::from_raw(self.pid() as i32).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let exit = self.exit().await;
        assert_eq!(exit.code, Some(1), "{}", exit.stderr);
        assert!(exit.stderr.contains("was ended after"), "{}", exit.stderr);
        let outcome = Outcome(serde_json::from_str(&exit.stdout).unwrap());
        assert_eq!(outcome.0["cut_short"], true);
        outcome
    }

    /// Waits until it is over, as it has to be; what came of it.
    pub async fn over(self) -> Outcome {
        let exit = self.exit().await;
        assert_eq!(exit.code, Some(0), "{}", exit.stderr);
        Outcome(serde_json::from_str(&exit.stdout).unwrap())
    }
}

/// What came of a scenario.
pub struct Outcome(pub Value);

impl Outcome {
    /// How often a fault of it struck.
    pub fn hits(&self, name: &str) -> u64 {
        let mut faults = self.0["faults"].as_array().unwrap().iter();
        let fault = faults.find(|fault| fault["fault"]["name"] == name);
        let fault = fault.unwrap_or_else(|| panic!("no {name} in {}", self.0));
        fault["hits"].as_u64().unwrap()
    }

    /// A figure of the scorecard, over all clients.
    pub fn figure(&self, name: &str) -> u64 {
        let figure = &self.0["scorecard"]["total"][name];
        let unknown = || panic!("{name} is unknown: {:#}", self.0["scorecard"]);
        figure.as_u64().unwrap_or_else(unknown)
    }
}

/// Somebody who writes pods straight to etcd, on and on.
pub struct Writer {
    stop: tokio::sync::watch::Sender<bool>,
    task: JoinHandle<usize>,
}

impl Writer {
    /// One that has begun.
    pub async fn of(stack: &Stack) -> Writer {
        let mut client = stack.client_direct().await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(async move {
            let mut count = 0;
            while !*stopped.borrow() {
                let key = format!("{PODS}lab/w{:02}", count % 20);
                // Now and then one goes.
                match count % 7 {
                    6 => drop(client.delete(key, None).await.unwrap()),
                    _ => drop(client.put(key, format!("{count}"), None).await.unwrap()),
                }
                count += 1;
                sleep(Duration::from_millis(20)).await;
            }
            count
        });
        Writer { stop, task }
    }

    /// Ends it; how often it wrote.
    pub async fn stop(self) -> usize {
        self.stop.send(true).unwrap();
        soon("the writer's end", self.task).await.unwrap()
    }
}
