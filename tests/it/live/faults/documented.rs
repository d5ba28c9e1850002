//! The plans of `docs/faults.md`: each is right, and tests run them by the
//! names of their faults.

use etcdtap::fault::plan::{FaultSpec, Plan};

const PAGE: &str = include_str!("../../../../docs/faults.md");

/// A plan of the page's faults that have these names, in this order. It is JSON,
/// which is YAML too.
pub fn documented(names: &[&str]) -> String {
    let all = faults();
    let pick = |name: &&str| {
        let found = all.iter().find(|fault| fault.name.to_string() == *name);
        match found {
            Some(fault) => fault.clone(),
            None => panic!("docs/faults.md has no fault {name}"),
        }
    };
    let plan = Plan {
        seed: None,
        faults: names.iter().map(pick).collect(),
    };
    serde_json::to_string(&plan).unwrap()
}

fn faults() -> Vec<FaultSpec> {
    blocks().into_iter().flat_map(|plan| plan.faults).collect()
}

/// Every block of YAML on the page, read.
fn blocks() -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (at, line) in PAGE.lines().enumerate() {
        match (&mut block, line) {
            (None, "```yaml") => block = Some((at + 1, String::new())),
            (Some((begun, text)), "```") => {
                let file = format!("docs/faults.md, the block of line {begun}");
                plans.push(Plan::from_yaml(&file, text).unwrap_or_else(|e| panic!("{e}")));
                block = None;
            }
            (Some((_, text)), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    assert_eq!(block, None, "a block that does not end");
    plans
}

#[test]
fn every_plan_of_the_page_is_right() {
    let plans = blocks();
    assert!(!plans.is_empty());
    assert!(plans.iter().all(|plan| !plan.faults.is_empty()));
    // Tests ask for them by name.
    let faults = faults();
    for (at, fault) in faults.iter().enumerate() {
        let before = &faults[..at];
        assert!(
            before.iter().all(|b| b.name != fault.name),
            "{}",
            fault.name
        );
    }
}
