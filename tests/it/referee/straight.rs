//! The models against each other, and through a core that has nothing to do.

use super::violation::Rule;
use super::wire::{Core, Straight, Wire};
use super::world::{Setup, World};

/// How many seeds are tried: `ETCDTAP_SEEDS`, or so many.
pub fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("ETCDTAP_SEEDS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(usual)
}

#[test]
fn the_models_agree_with_each_other() {
    let mut frames = 0;
    for seed in 0..seeds(1000) {
        let mut world = World::new(Setup::random(seed), |_| Straight);
        if let Err(failure) = world.run() {
            panic!("{failure}");
        }
        frames += world.client.end.frames[0];
    }
    assert!(frames > 0);
}
