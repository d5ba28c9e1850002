//! Requests that are executed a second time, elsewhere: some sooner, some later,
//! some not at all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::Errand;

use super::random::Random;

/// One that was asked for.
#[derive(Debug)]
pub struct Double {
    pub errand: Errand,
    pub asked: Instant,
    /// When it is answered.
    pub due: Instant,
    pub answered: bool,
    /// Whether it is executed.
    pub succeeds: bool,
}

/// All of a run, by stream.
#[derive(Debug)]
pub struct Errands {
    random: Random,
    pub doubles: BTreeMap<u32, Vec<Double>>,
}

impl Errands {
    pub fn new(random: Random) -> Errands {
        Errands {
            random,
            doubles: BTreeMap::new(),
        }
    }

    pub fn take(&mut self, errand: Errand, now: Instant) {
        let longest = self.random.pick(&[1, 100, 3000, 15_000]);
        let takes = Duration::from_millis(self.random.below(longest) as u64);
        let doubles = self.doubles.entry(errand.stream.number()).or_default();
        doubles.push(Double {
            errand,
            asked: now,
            due: now + takes,
            answered: false,
            succeeds: self.random.chance(75),
        });
    }

    pub fn next(&self) -> Option<Instant> {
        let all = self.doubles.values().flatten();
        all.filter(|double| !double.answered)
            .map(|double| double.due)
            .min()
    }

    /// One that is to be answered now.
    pub fn answer(&mut self, now: Instant) -> Option<&Double> {
        let mut all = self.doubles.values_mut().flatten();
        let double = all.find(|double| !double.answered && double.due <= now)?;
        double.answered = true;
        double.errand.hold.give_back();
        Some(double)
    }
}
