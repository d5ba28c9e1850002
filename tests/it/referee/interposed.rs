//! Through a core that touches calls as chance has it.

use std::ops::Range;
use std::time::Instant;

use super::fates;
use super::judge::{Complaints, Docket, RandomJudge};
use super::stand_in::{Slip, StandIn};
use super::straight::seeds;
use super::violation::Rule;
use super::wire::{Core, Wire};
use super::world::{Failure, Setup, World};

/// One run; how many calls were touched in it.
fn run<W: Wire>(
    seed: u64,
    limits_streams: bool,
    wire: impl FnOnce(RandomJudge, Instant) -> W,
) -> Result<usize, Box<Failure>> {
    let (docket, wrong) = (Docket::default(), Complaints::default());
    let judge = RandomJudge::new(seed, &docket, &wrong);
    let mut setup = Setup::random(seed);
    setup.server.limits_streams = limits_streams;
    let mut world = World::new(setup, |now| wire(judge, now));
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

/// Runs many seeds; tells the first failure, and the seeds of all.
fn run_all<W: Wire>(
    range: Range<u64>,
    limits_streams: bool,
    wire: impl Fn(RandomJudge, Instant) -> W,
) {
    let mut touched = 0;
    let mut failed: Vec<Box<Failure>> = Vec::new();
    for seed in range.clone() {
        match run(seed, limits_streams, &wire) {
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
            "{failure}\n{} of {} seeds failed: {}",
            failed.len(),
            range.count(),
            seeds.join(", ")
        );
    }
    assert!(
        touched > 0 || range.count() == 1,
        "the judge was never asked"
    );
}

/// Those of `ETCDTAP_SEED` (one alone), or as many as `ETCDTAP_SEEDS` says.
fn range(usual: u64) -> Range<u64> {
    let alone = std::env::var("ETCDTAP_SEED").ok();
    let alone = alone.and_then(|seed| seed.parse::<u64>().ok());
    alone.map_or(0..seeds(usual), |seed| seed..seed + 1)
}

#[test]
fn whatever_is_decided_both_peers_are_content() {
    run_all(range(300), true, |judge, now| {
        Core::judged(Some(Box::new(judge)), now)
    });
}

#[test]
fn the_referee_is_content_with_one_who_does_what_was_decided() {
    // It has no way to hand the server's limit on.
    run_all(range(150), false, |judge, now| {
        StandIn::new(judge, Slip::None, now)
    });
}

#[test]
fn one_who_does_something_else_is_found() {
    for slip in [
        Slip::Hasty,
        Slip::ForwardsRefused,
        Slip::NothingIsLost,
        Slip::OtherCodes,
    ] {
        let runs =
            (0..100).map(|seed| run(seed, false, |judge, now| StandIn::new(judge, slip, now)));
        let failed: Vec<_> = runs.filter_map(Result::err).collect();
        assert!(
            failed.len() > 5,
            "{slip:?} was found {} times",
            failed.len()
        );
        for failure in failed {
            assert_eq!(failure.violation.rule, Rule::Fate, "{slip:?}: {failure}");
        }
    }
}
