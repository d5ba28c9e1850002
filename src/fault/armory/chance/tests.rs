use super::*;
use crate::fault::plan::{Exponential, Normal, Pareto, Span, Uniform};

fn identity(key: &str) -> Identity {
    Identity::new("etcdserverpb.KV", "Range", key.as_bytes(), b"")
}

fn span(millis: u64) -> Span {
    Span(Duration::from_millis(millis))
}

#[test]
fn the_hash_and_the_generator_are_those_that_were_published() {
    let mut fnv = Fnv::default();
    fnv.add(b"foobar");
    assert_eq!(fnv.hash(), 0x8594_4171_f739_67e8);
    // SplitMix64's first numbers from the seed 1234567.
    let mut generator = Generator(1_234_567);
    assert_eq!(generator.next(), 6_457_827_717_110_365_317);
    assert_eq!(generator.next(), 3_203_168_211_198_807_973);
}

#[test]
fn the_same_seed_gives_the_same_draws() {
    let draw = |seed, fault, key| Chance::new(seed, fault).next(identity(key));
    let first = draw(42, "slow", "/a");
    assert_eq!(draw(42, "slow", "/a"), first);
    assert_ne!(draw(43, "slow", "/a"), first);
    assert_ne!(draw(42, "fast", "/a"), first);
    assert_ne!(draw(42, "slow", "/b"), first);
    let unit = |purpose| first.of(purpose).unit().to_bits();
    assert_eq!(unit(Purpose::Request), unit(Purpose::Request));
    assert_ne!(unit(Purpose::Request), unit(Purpose::Response));
    assert_ne!(
        Identity::new("a", "bc", b"", b""),
        Identity::new("ab", "c", b"", b"")
    );
}

/// These numbers must never change: somebody's seed stands for them.
#[test]
fn draws_are_the_same_in_every_release() {
    let chance = Chance::new(42, "slow-lists");
    let millionths: Vec<u64> = (0..4)
        .map(|_| {
            let unit = chance
                .next(identity("/registry/pods/"))
                .of(Purpose::Probability);
            (unit.clone().unit() * 1e6) as u64
        })
        .collect();
    assert_eq!(millionths, DRAWN);
}

const DRAWN: [u64; 4] = [425, 194_181, 801_526, 243_316];

#[test]
fn connections_may_interleave_as_they_like() {
    let keys = ["/a", "/b", "/c"];
    let run = |order: &[usize]| {
        let chance = Chance::new(7, "fault");
        let mut draws: Vec<(usize, Draws)> = order
            .iter()
            .map(|at| (*at, chance.next(identity(keys[*at]))))
            .collect();
        // Of each key the order stays; whose turn it was does not matter.
        draws.sort_by_key(|(at, _)| *at);
        draws
    };
    let one_by_one = run(&[0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assert_eq!(run(&[0, 1, 2, 0, 1, 2, 0, 1, 2]), one_by_one);
    assert_eq!(run(&[2, 2, 1, 0, 1, 2, 0, 1, 0]), one_by_one);
    let mut sorted: Vec<Draws> = one_by_one.into_iter().map(|(_, draws)| draws).collect();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 9, "every match draws anew");
}

#[test]
fn threads_get_the_same_set_of_draws() {
    let all = |threads: usize| {
        let chance = Chance::new(1, "fault");
        let mut draws: Vec<Draws> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        (0..800 / threads)
                            .map(|_| chance.next(identity("/a")))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let joined = running.into_iter().map(|thread| thread.join());
            joined.flat_map(|draws| draws.expect("no panic")).collect()
        });
        draws.sort();
        draws
    };
    assert_eq!(all(8), all(1));
}

#[test]
fn distributions_have_their_means_and_their_bounds() {
    const DRAWN: u64 = 20_000;
    let chance = Chance::new(3, "means");
    for (drawn, mean, tolerance) in [
        (Distribution::Fixed(span(200)), 0.2, 1e-9),
        (
            Distribution::Uniform(Uniform {
                from: span(100),
                to: span(300),
            }),
            0.2,
            0.002,
        ),
        (
            Distribution::Normal(Normal {
                mean: span(200),
                deviation: span(20),
            }),
            0.2,
            0.001,
        ),
        (
            Distribution::Exponential(Exponential { mean: span(200) }),
            0.2,
            0.006,
        ),
        (
            // shape / (shape - 1) times the shortest.
            Distribution::Pareto(Pareto {
                at_least: span(100),
                shape: 3.0,
            }),
            0.15,
            0.004,
        ),
    ] {
        let wait = Wait {
            drawn,
            at_most: None,
        };
        let total: f64 = (0..DRAWN)
            .map(|_| {
                let mut generator = chance.next(identity("/a")).of(Purpose::Request);
                generator.wait(&wait).as_secs_f64()
            })
            .sum();
        let found = total / DRAWN as f64;
        assert!((found - mean).abs() < tolerance, "{drawn:?}: {found}");
    }
}

#[test]
fn no_wait_is_negative_nor_longer_than_it_may_be() {
    let chance = Chance::new(3, "bounds");
    let shortest_and_longest = |drawn, at_most| {
        let wait = Wait { drawn, at_most };
        let waits: Vec<Duration> = (0..2000)
            .map(|_| chance.next(identity("/a")).of(Purpose::Request).wait(&wait))
            .collect();
        (waits.iter().min().copied(), waits.iter().max().copied())
    };
    let wide = Distribution::Normal(Normal {
        mean: span(1),
        deviation: span(100),
    });
    let (shortest, longest) = shortest_and_longest(wide, Some(span(50)));
    assert_eq!(shortest, Some(Duration::ZERO));
    assert_eq!(longest, Some(Duration::from_millis(50)));
    let heavy = Distribution::Pareto(Pareto {
        at_least: span(100),
        shape: 0.01,
    });
    let (shortest, longest) = shortest_and_longest(heavy, None);
    assert!(shortest >= Some(Duration::from_millis(100)));
    assert_eq!(longest, Some(Wait::LONGEST));
    let even = Distribution::Uniform(Uniform {
        from: span(100),
        to: span(101),
    });
    let (shortest, longest) = shortest_and_longest(even, None);
    assert!(shortest >= Some(Duration::from_millis(100)));
    assert!(longest <= Some(Duration::from_millis(101)));
}
