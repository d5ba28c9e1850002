//! How chance falls: the same seed gives the same draws.
//!
//! A draw is a function of the seed, the fault's name, what was matched (the
//! method, the key and the end of the range) and how often this fault has
//! matched just that (of a connection: the client's address without its port, and
//! the listener). It is no shared generator's next number: then two
//! connections would make every run different. The hash (FNV-1a, 64 bits) and
//! the generator (SplitMix64) are written down in this crate, so that no library's next
//! release changes the draws.

use std::f64::consts::TAU;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::fault::plan::{Distribution, Wait};
use crate::fnv::Fnv;

/// Over so many maps a fault's counters are spread, each with a lock of its own
/// that only matches take.
const SHARDS: usize = 16;

/// What a shard counts apart. What comes beyond shares one counter, and then the
/// order in which it is matched tells in its draws.
const MOST_COUNTED: usize = 4096;

/// A fault's chance.
#[derive(Debug)]
pub(super) struct Chance {
    root: u64,
    matched: [Mutex<Matched>; SHARDS],
}

/// How often what was matched.
#[derive(Debug, Default)]
struct Matched {
    counts: FxHashMap<u64, u32>,
    beyond: u32,
}

/// What was matched, as far as chance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64);

impl Identity {
    pub fn new(service: &str, method: &str, key: &[u8], range_end: &[u8]) -> Identity {
        let mut hash = Fnv::default();
        for part in [service.as_bytes(), method.as_bytes(), key, range_end] {
            // With their lengths, so that no two splits of the same bytes meet.
            hash.add(&(part.len() as u64).to_le_bytes());
            hash.add(part);
        }
        Identity(mixed(hash.hash()))
    }
}

impl Chance {
    pub fn new(seed: u64, fault: &str) -> Chance {
        let mut hash = Fnv::default();
        hash.add(&seed.to_le_bytes());
        hash.add(fault.as_bytes());
        Chance {
            root: mixed(hash.hash()),
            matched: Default::default(),
        }
    }

    /// The draws for the next match of this.
    pub fn next(&self, identity: Identity) -> Draws {
        let shard = &self.matched[identity.0 as usize % SHARDS];
        // What stands behind a poisoned lock is a count as good as another.
        let mut matched = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = matched.counts.len();
        let counter = match matched.counts.contains_key(&identity.0) || known < MOST_COUNTED {
            true => matched.counts.entry(identity.0).or_default(),
            false => &mut matched.beyond,
        };
        let nth = *counter;
        *counter = counter.wrapping_add(1);
        drop(matched);
        Draws(mixed(
            mixed(self.root ^ identity.0).wrapping_add(u64::from(nth)),
        ))
    }
}

/// All draws for one match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Draws(u64);

/// What is drawn for. Each has numbers of its own, so that a plan may gain a
/// delay without changing whom its probability strikes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Probability,
    Request,
    Response,
    EachRequestMessage,
    EachResponseMessage,
    BytesToEtcd,
    BytesToClient,
    EachPing,
}

impl Draws {
    pub fn of(self, purpose: Purpose) -> Generator {
        Generator(mixed(self.0 ^ (purpose as u64 + 1).wrapping_mul(GAMMA)))
    }
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mixed(self.0)
    }

    /// More than 0, at most 1.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// How long this wait is.
    pub fn wait(&mut self, wait: &Wait) -> Duration {
        let seconds = match wait.drawn {
            Distribution::Fixed(span) => span.0.as_secs_f64(),
            Distribution::Uniform(of) => {
                let (from, to) = (of.from.0.as_secs_f64(), of.to.0.as_secs_f64());
                from + (to - from) * self.unit()
            }
            Distribution::Normal(of) => {
                // Box and Muller; the second number of the pair is not used.
                let (a, b) = (self.unit(), self.unit());
                let bell = (-2.0 * a.ln()).sqrt() * (TAU * b).cos();
                of.mean.0.as_secs_f64() + of.deviation.0.as_secs_f64() * bell
            }
            Distribution::Exponential(of) => -self.unit().ln() * of.mean.0.as_secs_f64(),
            Distribution::Pareto(of) => {
                of.at_least.0.as_secs_f64() * self.unit().powf(-1.0 / of.shape)
            }
        };
        let longest = wait
            .at_most
            .map_or(Wait::LONGEST, |span| span.0.min(Wait::LONGEST));
        let seconds = seconds.clamp(0.0, longest.as_secs_f64());
        Duration::try_from_secs_f64(seconds).unwrap_or(longest)
    }
}

/// SplitMix64's last steps: every bit of the input reaches every bit.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
