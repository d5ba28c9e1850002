//! `etcdtap scenario` on the command line: what it refuses, what it leaves
//! behind, and how it ends.

use rustix::process::{Pid, Signal, kill_process};

use super::stage::{PODS, with_admin};
use crate::live::cache::Cache;
use crate::live::faults::objects::Truth;
use crate::live::patience::until;
use crate::live::ports;
use crate::live::proxy::{Arguments, program, run};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    it_leaves_nothing_behind_and_other_faults_alone: PLAIN_35;
    nothing_is_added_where_a_name_is_taken: PLAIN_35;
    whoever_clears_the_faults_ends_it: PLAIN_35;
    expectations_decide_how_it_ends: CACHED_35;
    one_is_under_way_at_a_time: PLAIN_35;
    another_measurement_is_left_alone: PLAIN_35;
}

fn names(faults: &[serde_json::Value]) -> Vec<String> {
    let names = faults.iter().map(|one| &one["fault"]["name"]);
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

async fn it_leaves_nothing_behind_and_other_faults_alone(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let added = desk.run("fault add mine --hang --method Status").await;
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    // Ended by itself.
    let done = desk.run("scenario run no-space --set for=1s").await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let rows: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(rows[0], "FAULT             STRUCK  MATCHED");
    assert!(rows[1].starts_with("no-space-objects"), "{}", done.stdout);
    for said in ["no-space begins: 2 faults, for 1s", "struck nothing"] {
        assert!(done.stderr.contains(said), "{}", done.stderr);
    }
    assert_eq!(names(&desk.faults().await), ["mine"]);

    // Ended by somebody.
    for signal in [Signal::INT, Signal::TERM] {
        let incident = desk.begin_beside("no-space --set for=10m", 3).await;
        assert_eq!(
            names(&desk.faults().await),
            ["mine", "no-space-objects", "no-space-puts"]
        );
        let pid = Pid::from_raw(incident.pid() as i32).unwrap();
        kill_process(pid, signal).unwrap();
        let exit = incident.exit().await;
        assert_eq!(exit.code, Some(1), "{}", exit.stderr);
        assert!(exit.stderr.contains("was ended after"), "{}", exit.stderr);
        let told: serde_json::Value = serde_json::from_str(&exit.stdout).unwrap();
        assert_eq!(told["cut_short"], true);
        assert_eq!(names(&desk.faults().await), ["mine"]);
    }

    // Killed: the faults end by themselves, when the incident would.
    let incident = desk.begin_beside("no-space --set for=2s", 3).await;
    let pid = Pid::from_raw(incident.pid() as i32).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    until("its faults are over", async || {
        let faults = desk.faults().await;
        let mut theirs = faults.iter().skip(1);
        theirs.all(|one| one["state"] == "over").then_some(())
    })
    .await;
    let again = desk.run("scenario run no-space --set for=100ms").await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
}

async fn one_is_under_way_at_a_time(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let incident = desk.begin("no-space --set for=10m").await;
    for scenario in ["no-space", "lost-reply"] {
        let refused = desk.run(&format!("scenario run {scenario}")).await;
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        let said = "another scenario is under way in this proxy";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    incident.end().await;
}

async fn expectations_decide_how_it_ends(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    for (share, line, met) in [
        ("0.000001", "--expect events_lost==0", true),
        ("1", "--expect events_lost==0", false),
        ("1", "--expect events_lost>=1 --expect relists==0", true),
    ] {
        let line = format!("watch-lost-events --set for=2s --set share={share} {line}");
        let incident = desk.begin(&line).await;
        truth.put(&format!("{PODS}lab/a"), share).await;
        let exit = incident.exit().await;
        let told: serde_json::Value = serde_json::from_str(&exit.stdout).unwrap();
        let code = Some(i32::from(!met));
        assert_eq!(exit.code, code, "{line}: {:#}", told["scorecard"]["total"]);
        for expectation in told["expectations"].as_array().unwrap() {
            assert_eq!(expectation["met"], met, "{line}: {expectation}");
        }
    }
    drop(cache);
    let wrong = desk.run("scenario run no-space --expect lost==0").await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert_eq!(desk.faults().await, Vec::<serde_json::Value>::new());
}

async fn another_measurement_is_left_alone(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let address = etcdtap::control::Address::parse(&desk.address).unwrap();
    let client = etcdtap::control::Client::new(address, None, None).unwrap();
    client.begin_measurement("mine").await.unwrap();
    let refused = desk.run("scenario run no-space --set for=1s").await;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let said = "the measurement mine is running already";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    assert_eq!(
        client.measurement().await.unwrap().name.as_deref(),
        Some("mine")
    );
    assert_eq!(desk.faults().await, Vec::<serde_json::Value>::new());
}

async fn nothing_is_added_where_a_name_is_taken(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    desk.run("fault add no-space-puts --hang").await;
    let refused = desk.run("scenario run no-space").await;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let said =
        "no-space cannot begin, and nothing was added: there is a fault \"no-space-puts\" already";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    assert_eq!(names(&desk.faults().await), ["no-space-puts"]);

    for (line, code, said) in [
        ("no-spaec", 2, "did you mean \"no-space\"?"),
        ("zzz", 2, "`etcdtap scenario list` shows"),
        ("./none.yaml", 2, "./none.yaml cannot be read"),
        ("no-space --set four=1s", 2, "did you mean for?"),
        ("no-space --set for", 2, "write it such as for=10s"),
        ("no-space --set for=0s", 2, "no time at all"),
    ] {
        let refused = desk.run(&format!("scenario run {line}")).await;
        assert_eq!(refused.code, Some(code), "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{line}: {}", refused.stderr);
    }
}

async fn whoever_clears_the_faults_ends_it(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let incident = desk.begin("no-space --set for=10m").await;
    desk.run("fault clear").await;
    let exit = incident.exit().await;
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    let said = "somebody removed the faults of no-space";
    assert!(exit.stderr.contains(said), "{}", exit.stderr);
}

#[tokio::test]
async fn who_cannot_be_asked_is_told() {
    let nobody = ports::free().to_string();
    let words = ["scenario", "run", "no-space", "--admin", &nobody];
    let exit = run(&mut program(words)).await;
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains("nobody listens on"), "{}", exit.stderr);

    let upstream = format!("http://{}", ports::free());
    let proxy = Arguments::new()
        .pair(&upstream)
        .flag("--admin", "127.0.0.1:0")
        .switch("--no-faults")
        .start()
        .await;
    let line = proxy
        .errors
        .wait_for(|line| line.contains("--admin "))
        .await;
    let (_, address) = line.split_once("--admin ").unwrap();
    let words = ["scenario", "run", "no-space", "--admin", address.trim()];
    let exit = run(&mut program(words)).await;
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    assert!(exit.stderr.contains("--no-faults"), "{}", exit.stderr);
}

#[tokio::test]
async fn what_needs_no_proxy() {
    let listed = run(&mut program(["scenario", "list"])).await;
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    for shipped in etcdtap::scenario::LIBRARY {
        let begins = |line: &str| line.split_whitespace().next() == Some(shipped.name);
        assert!(listed.stdout.lines().any(begins), "{}", listed.stdout);
        let shown = run(&mut program(["scenario", "show", shipped.name])).await;
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        for heading in [
            "What happens",
            "What a healthy API server does",
            "Time line: ",
        ] {
            assert!(shown.stdout.contains(heading), "{}", shown.stdout);
        }
    }
    let json = run(&mut program(["scenario", "list", "--json"])).await;
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        json["scenarios"].as_array().unwrap().len(),
        etcdtap::scenario::LIBRARY.len()
    );

    // What ships can be written out, changed and checked.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.yaml");
    let yaml = run(&mut program(["scenario", "show", "no-space", "--yaml"])).await;
    std::fs::write(&path, &yaml.stdout).unwrap();
    let file = path.to_str().unwrap();
    let checked = run(&mut program(["scenario", "check", file])).await;
    assert_eq!(
        checked.stdout,
        format!("{file}: no-space, 2 faults over 1m, nothing wrong\n")
    );
    std::fs::write(
        &path,
        yaml.stdout.replace("error: no-space", "error: no-spaec"),
    )
    .unwrap();
    let checked = run(&mut program(["scenario", "check", file])).await;
    assert_eq!(checked.code, Some(2));
    assert!(
        checked.stderr.contains("did you mean \"no-space\"?"),
        "{}",
        checked.stderr
    );
    let dry = run(&mut program(["scenario", "run", "no-space", "--dry-run"])).await;
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert!(dry.stdout.contains("████"), "{}", dry.stdout);
}

#[tokio::test]
async fn an_incident_and_a_plan_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.yaml");
    std::fs::write(&plan, "faults: []").unwrap();
    let arguments = Arguments::new()
        .pair(&format!("http://{}", ports::free()))
        .flag("--scenario", "no-space");
    for (more, said) in [
        (
            arguments.clone().flag("--faults", &plan),
            "leave one of them out",
        ),
        (arguments.clone().switch("--no-faults"), "--no-faults"),
        (arguments.flag("--set", "fro=1s"), "did you mean for?"),
    ] {
        let exit = more.run().await;
        assert_eq!(exit.code, Some(2), "{}", exit.stderr);
        assert!(exit.stderr.contains(said), "{}", exit.stderr);
        assert!(!exit.stderr.contains("listening"), "{}", exit.stderr);
    }
}
