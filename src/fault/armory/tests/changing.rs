//! Changes of what is loaded.

use super::*;

const POD: &str = "/registry/pods/lab/web-0";
const HANG: &str = "{name: a, action: hang}";

#[test]
fn nothing_is_armed_until_something_is_loaded() {
    let mut stand = Stand::new();
    assert_eq!(stand.refresh(), Refreshed::default());
    let id = stand.armory.add(spec(HANG), None, stand.now);
    assert_eq!(id, Ok(FaultId(1)));
    let changed = Refreshed {
        armed: true,
        changed: true,
        keeps: false,
        ..Refreshed::default()
    };
    assert_eq!(stand.refresh(), changed);
    assert_eq!(
        stand.refresh(),
        Refreshed {
            changed: false,
            keeps: false,
            ..changed
        }
    );
    assert_eq!(stand.armory.clear(), 1);
    assert_eq!(
        stand.refresh(),
        Refreshed {
            armed: false,
            changed: true,
            keeps: false,
            ..Refreshed::default()
        }
    );
    assert!(stand.judge.is_lifted(FaultId(1)));
    assert_eq!(stand.armory.clear(), 0);
}

#[test]
fn names_are_unique_and_numbers_are_not_used_again() {
    let stand = Stand::new();
    let armory = &stand.armory;
    assert_eq!(armory.add(spec(HANG), None, stand.now), Ok(FaultId(1)));
    let taken = armory.add(spec(HANG), None, stand.now).unwrap_err();
    assert_eq!(
        taken.to_string(),
        "there is a fault \"a\" already; change or remove it, or choose another name"
    );
    assert_eq!(armory.remove("a"), Ok(FaultId(1)));
    assert_eq!(armory.add(spec(HANG), None, stand.now), Ok(FaultId(2)));
    let unknown = armory.remove("b").unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no fault \"b\"; did you mean \"a\"?"
    );
    let other = spec("{name: b, action: hang}");
    let refused = armory.change("a", other, None, stand.now).unwrap_err();
    assert!(refused.to_string().contains("is called \"b\""), "{refused}");
}

#[test]
fn no_more_than_a_thousand_and_twenty_four_stand() {
    let stand = Stand::new();
    for n in 0..MOST_FAULTS {
        let fault = spec(&format!("{{name: a-{n}, action: hang}}"));
        stand.armory.add(fault, None, stand.now).expect("room");
    }
    let more = stand.armory.add(spec(HANG), None, stand.now);
    assert_eq!(more, Err(Refused::Full));
    stand.armory.remove("a-7").expect("removed");
    assert!(stand.armory.add(spec(HANG), None, stand.now).is_ok());
}

#[test]
fn a_plan_is_added_as_a_whole_or_not_at_all() {
    let mut stand = Stand::with("- {name: c, action: hang}\n");
    let plan = |text: &str| Plan::from_yaml("", text).expect("a plan");
    let taken = plan("faults: [{name: a, action: hang}, {name: c, action: hang}]");
    let refused = stand.armory.add_plan(taken, None, stand.now);
    assert_eq!(refused, Err(Refused::NameTaken("c".into())));
    assert_eq!(stand.armory.list(stand.now).len(), 1);
    let two = "faults: [{name: a, action: hang}, {name: b, action: hang, start: 2s}]";
    let lives = Some(Duration::from_secs(5));
    let ids = stand.armory.add_plan(plan(two), lives, stand.now);
    let ids = ids.expect("two");
    assert_eq!(ids.len(), 2);
    // Those that have outlived themselves keep no name.
    stand.now += Duration::from_secs(6);
    let again = stand.armory.add_plan(plan(two), lives, stand.now);
    assert_ne!(again.expect("two more"), ids);
    assert_eq!(stand.armory.list(stand.now).len(), 3);
    // Nor do so many stand that there is no room for all.
    let many: Vec<String> = (0..MOST_FAULTS - 2)
        .map(|n| format!("{{name: m-{n}, action: hang}}"))
        .collect();
    let many = plan(&format!("faults: [{}]", many.join(", ")));
    let full = stand.armory.add_plan(many, None, stand.now);
    assert_eq!(full, Err(Refused::Full));
    assert_eq!(stand.armory.list(stand.now).len(), 3);
}

#[test]
fn a_changed_fault_starts_anew_in_its_old_place() {
    let mut stand =
        Stand::with("- {name: a, action: hang}\n- {name: b, action: {error: stopped}}\n");
    assert_eq!(stand.did(&get(POD)), ["a: request held"]);
    stand.at(5000);
    let fault = spec("{name: a, action: {error: no-leader}}");
    let id = stand.armory.change("a", fault, None, stand.now);
    assert_eq!(id, Ok(FaultId(3)));
    assert!(stand.refresh().changed);
    assert!(stand.judge.is_lifted(FaultId(1)));
    assert!(!stand.judge.is_lifted(FaultId(2)));
    let listed = stand.armory.list(stand.now);
    assert_eq!(&*listed[0].fault.name, "a");
    assert_eq!((listed[0].hits, listed[0].age), (0, Duration::ZERO));
    assert_eq!(listed[1].age, Duration::from_secs(5));
    let told = stand.did(&get(POD));
    assert!(told[0].contains("no leader"), "{told:?}");
}

#[test]
fn a_paused_fault_lets_go_and_rests() {
    let mut stand = Stand::with("- {name: a, action: hang}\n");
    assert!(stand.strikes(&get(POD)));
    stand.armory.pause("a").expect("paused");
    assert!(stand.judge.is_lifted(FaultId(1)));
    assert_eq!(
        stand.refresh(),
        Refreshed {
            armed: false,
            changed: true,
            keeps: false,
            ..Refreshed::default()
        }
    );
    assert_eq!(stand.status().state, FaultState::Paused);
    stand.armory.resume("a").expect("resumed");
    assert!(!stand.judge.is_lifted(FaultId(1)));
    assert!(stand.strikes(&get(POD)));
    assert_eq!(stand.status().hits, 2);
    assert!(stand.armory.pause("x").is_err());
}

#[test]
fn a_fault_outlives_itself_without_being_lifted() {
    let mut stand = Stand::new();
    let lives = Some(Duration::from_secs(10));
    stand
        .armory
        .add(spec(HANG), lives, stand.now)
        .expect("added");
    assert!(stand.strikes(&get(POD)));
    assert_eq!(stand.status().time_left, lives);
    assert!(!stand.at(10_000).armed());
    assert!(!stand.judge.is_lifted(FaultId(1)));
    let why = Over::TimeToLive;
    assert_eq!(stand.status().state, FaultState::Over { why });
    // It is still listed, but another one may take its name.
    let again = stand.armory.add(spec(HANG), None, stand.now);
    assert_eq!(again, Ok(FaultId(2)));
    assert_eq!(stand.status().state, FaultState::Active);

    let mut stand = Stand::new();
    stand
        .armory
        .add(spec(HANG), lives, stand.now)
        .expect("added");
    stand.at(10_000 + 601_000);
    assert_eq!(stand.armory.list(stand.now), []);
}

#[test]
fn a_plan_takes_the_place_of_all_that_stood() {
    let mut stand = Stand::new();
    stand
        .armory
        .add(spec(HANG), None, stand.now)
        .expect("added");
    stand.load("- {name: b, action: {error: stopped}}\n");
    assert!(stand.judge.is_lifted(FaultId(1)));
    assert_eq!(stand.status().id, FaultId(2));
    assert!(stand.did(&get(POD))[0].starts_with("b: "));
    let twice = Plan {
        seed: None,
        faults: vec![spec(HANG), spec(HANG)],
    };
    let refused = stand.armory.load(twice, stand.now);
    assert_eq!(refused, Err(Refused::NameTaken("a".into())));
    assert_eq!(stand.status().id, FaultId(2));
}

#[test]
fn seeds_of_plans_and_of_the_armory() {
    let delay = |armory_seed, plan_seed: &str| {
        let mut stand = Stand::new();
        stand.armory = Armory::new(armory_seed, stand.now);
        stand.judge = stand.armory.judge(&stand.peers, KeySpace::default());
        let plan = format!(
            "{plan_seed}\nfaults: [{{name: a, action: {{delay: {{request: {{exponential: {{mean: 1s}}}}}}}}}}]\n"
        );
        let plan = Plan::from_yaml("p", &plan).unwrap_or_else(|errors| panic!("{errors}"));
        stand.armory.load(plan, stand.now).expect("loaded");
        stand.verdict(&get(POD)).expect("a verdict").request_delay
    };
    assert_eq!(delay(5, ""), delay(0, "seed: 5"));
    assert_eq!(delay(1, "seed: 5"), delay(2, "seed: 5"));
    assert_ne!(delay(0, ""), delay(5, ""));
}

#[test]
fn everybody_is_woken_after_a_change() {
    let stand = Stand::new();
    let woken = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let woken = Arc::clone(&woken);
        let count = move || {
            woken.fetch_add(1, Ordering::Relaxed);
        };
        stand.armory.on_change(Box::new(count));
    }
    let armory = &stand.armory;
    armory.add(spec(HANG), None, stand.now).expect("added");
    armory.pause("a").expect("paused");
    armory.resume("a").expect("resumed");
    let fault = spec(HANG);
    armory.change("a", fault, None, stand.now).expect("changed");
    armory.remove("a").expect("removed");
    armory.clear();
    assert!(armory.remove("a").is_err());
    assert_eq!(woken.load(Ordering::Relaxed), 12);
}

#[test]
fn what_was_given_up_is_told() {
    let mut stand = Stand::with("- {name: a, action: duplicate}\n");
    stand.judge.gave_up(FaultId(1), "the message is too large");
    stand
        .judge
        .gave_up(FaultId(1), "etcd refused the connection");
    stand.judge.gave_up(FaultId(9), "nobody");
    let status = stand.status();
    assert_eq!(status.gave_up, 2);
    assert_eq!(
        serde_json::to_string(&status).expect("JSON"),
        "{\"id\":1,\"fault\":{\"name\":\"a\",\"match\":{},\"action\":{\"duplicate\":{\"client_sees\":\"first\"}}},\
         \"state\":\"active\",\"matched\":0,\"hits\":0,\"gave_up\":2,\
         \"last_gave_up\":\"etcd refused the connection\",\"age\":\"0s\"}"
    );
}
