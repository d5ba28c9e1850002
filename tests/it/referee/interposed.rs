//! Through a core that touches calls as chance has it.

use std::ops::Range;
use std::time::{Duration, Instant};

use etcdtap::relay::HoldBudget;

use super::fates;
use super::judge::{Abilities, Complaints, Decided, Docket, RandomJudge};
use super::random::Random;
use super::stand_in::{Slip, StandIn};
use super::straight::seeds;
use super::violation::Rule;
use super::wire::{Core, Wire};
use super::world::{Failure, Setup, World};

/// What happened in many runs, in calls.
#[derive(Debug, Default)]
struct Seen {
    touched: usize,
    lifted: usize,
    let_go: usize,
    doubled: usize,
}

/// One run. `full`: whatever the core is able to do; a stand-in is not.
fn run<W: Wire>(
    seed: u64,
    full: bool,
    wire: impl FnOnce(RandomJudge, HoldBudget, Instant) -> W,
) -> Result<Seen, Box<Failure>> {
    let (docket, wrong) = (Docket::default(), Complaints::default());
    let mut random = Random::new(seed ^ 0x1157_1157);
    let abilities = Abilities {
        duplicates: full && random.chance(50),
        lets_go: full && random.chance(15),
    };
    let budget = match abilities.lets_go {
        true => HoldBudget::new(random.pick(&[10, 500, 20_000]), 1 << 20),
        false => HoldBudget::default(),
    };
    let judge = RandomJudge::new(seed, abilities, &docket, &wrong);
    let remover = judge.remover.clone();
    let mut setup = Setup::random(seed);
    // A stand-in has no way to hand the server's limit on.
    setup.server.limits_streams = full;
    let mut world = World::new(setup, |now| wire(judge, budget, now));
    world.doomed = docket.clone();
    if full && random.chance(40) {
        let at = Duration::from_millis(random.below(6000) as u64);
        world.removal = Some((world.now + at, remover));
    }
    world.run()?;
    let checked = fates::check(&world.client, &world.server, &world.errands, &docket);
    checked.map_err(|violation| world.failure(violation))?;
    if let Some(words) = wrong.lock().unwrap().first() {
        return Err(world.failure(world.client.end.wrong(Rule::Fate, 0, 0, words)));
    }
    let docket = docket.lock().unwrap();
    let lifted = |decided: &&Decided| decided.lifted.is_some_and(|at| at > decided.at);
    let let_go = |decided: &&Decided| decided.lifted == Some(decided.at);
    Ok(Seen {
        touched: docket.len(),
        lifted: docket.values().filter(lifted).count(),
        let_go: docket.values().filter(let_go).count(),
        doubled: world.errands.doubles.len(),
    })
}

/// Runs many seeds; tells the first failure, and the seeds of all.
fn run_all<W: Wire>(
    range: Range<u64>,
    full: bool,
    wire: impl Fn(RandomJudge, HoldBudget, Instant) -> W,
) {
    let mut seen = Seen::default();
    let mut failed: Vec<Box<Failure>> = Vec::new();
    for seed in range.clone() {
        match run(seed, full, &wire) {
            Ok(run) => {
                seen.touched += run.touched;
                seen.lifted += run.lifted;
                seen.let_go += run.let_go;
                seen.doubled += run.doubled;
            }
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
    println!("{seen:?}");
    if range.count() == 1 {
        return;
    }
    assert!(seen.touched > 0, "the judge was never asked");
    let all = [seen.lifted, seen.let_go, seen.doubled];
    assert!(!full || all.iter().all(|n| *n > 0), "everything happens");
}

/// Those of `ETCDTAP_SEED` (one alone), or as many as `ETCDTAP_SEEDS` says.
fn range(usual: u64) -> Range<u64> {
    let alone = std::env::var("ETCDTAP_SEED").ok();
    let alone = alone.and_then(|seed| seed.parse::<u64>().ok());
    alone.map_or(0..seeds(usual), |seed| seed..seed + 1)
}

#[test]
fn whatever_is_decided_both_peers_are_content() {
    run_all(range(300), true, |judge, budget, now| {
        Core::holding(budget, Some(Box::new(judge)), now)
    });
}

#[test]
fn the_referee_is_content_with_one_who_does_what_was_decided() {
    run_all(range(150), false, |judge, _, now| {
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
            (0..100).map(|seed| run(seed, false, |judge, _, now| StandIn::new(judge, slip, now)));
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
