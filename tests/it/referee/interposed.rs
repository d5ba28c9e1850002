//! Through a core that touches calls as chance has it.

use super::fates;
use super::judge::{Complaints, Docket, RandomJudge};
use super::straight::seeds;
use super::violation::Rule;
use super::wire::Core;
use super::world::{Failure, Setup, World};

/// One run; how many calls were touched in it.
fn run(seed: u64) -> Result<usize, Box<Failure>> {
    let (docket, wrong) = (Docket::default(), Complaints::default());
    let judge = RandomJudge::new(seed, &docket, &wrong);
    let wire = |now| Core::judged(Some(Box::new(judge)), now);
    let mut world = World::new(Setup::random(seed), wire);
    world.doomed = docket.clone();
    world.run()?;
    let checked = fates::check(&world.client, &world.server, &docket);
    checked.map_err(|violation| world.failure(violation))?;
    if let Some(words) = wrong.lock().unwrap().first() {
        return Err(world.failure(world.client.end.wrong(Rule::Fate, 0, 0, words)));
    }
    let touched = docket.lock().unwrap().len();
    Ok(touched)
}

/// `ETCDTAP_SEED` runs one seed alone, `ETCDTAP_SEEDS` as many as it says.
#[test]
#[ignore = "until the core interposes"]
fn whatever_is_decided_both_peers_are_content() {
    let alone = std::env::var("ETCDTAP_SEED").ok();
    let alone = alone.and_then(|seed| seed.parse::<u64>().ok());
    let range = alone.map_or(0..seeds(300), |seed| seed..seed + 1);
    let mut touched = 0;
    let mut failed: Vec<Box<Failure>> = Vec::new();
    for seed in range.clone() {
        match run(seed) {
            Ok(calls) => touched += calls,
            Err(failure) => failed.push(failure),
        }
    }
    if let Some(failure) = failed.first() {
        let seeds: Vec<String> = failed
            .iter()
            .map(|f| format!("{} {:?}", f.seed, f.violation.rule))
            .collect();
        panic!(
            "{failure}\n{} seeds failed: {}",
            failed.len(),
            seeds.join(", ")
        );
    }
    assert!(touched > 0 || alone.is_some(), "the judge was never asked");
}
