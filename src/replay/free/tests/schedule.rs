//! What is due when, with a clock of the tests' own.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use crate::etcd::Method;
use crate::replay::free::pace::Pace;
use crate::replay::free::program::{Asks, Connection, Cue, Program, Unary};
use crate::replay::free::schedule::{Schedule, Todo};

const MS: u64 = 1_000_000;

/// Of calls: when, on which connection, after which others. Each connection is opened
/// with its first call, and closed at the end.
fn program(calls: &[(u64, u32, &[u32])], concurrency: &[usize]) -> Program {
    let mut program = Program::default();
    let mut line = Vec::new();
    for (n, (at, connection, causes)) in calls.iter().enumerate() {
        line.push((at * MS, 1, Cue::Call(n as u32)));
        program.calls.push(Unary {
            at: at * MS,
            connection: *connection,
            path: 0,
            method: Method::Range,
            asks: Asks::Recorded(n),
            numbered: false,
            wrote: 0,
            guard: None,
            teaches: false,
            failed: false,
            causes: causes.to_vec().into(),
        });
    }
    program.ended = line.iter().map(|(at, ..)| *at).max().unwrap_or(0);
    for (n, concurrency) in concurrency.iter().enumerate() {
        let n = n as u32;
        let mine = calls.iter().filter(|call| call.1 == n);
        let first = mine.map(|call| call.0 * MS).min().unwrap_or(0);
        line.push((first, 0, Cue::Connect(n)));
        line.push((program.ended, 3, Cue::Close(n)));
        program.connections.push(Connection {
            number: u64::from(n) + 1,
            calls: Vec::new(),
            concurrency: *concurrency,
        });
    }
    line.sort_unstable();
    for (at, _, cue) in line {
        program.line.push((at, cue));
        if let Cue::Call(call) = cue {
            let connection = program.calls[call as usize].connection;
            program.connections[connection as usize].calls.push(call);
        }
    }
    program
}

/// All that is to be done at a time; connections open at once.
fn at(schedule: &mut Schedule<'_>, ms: u64, room: impl Fn(u32) -> bool) -> Vec<Todo> {
    let mut all = Vec::new();
    while let Some(todo) = schedule.next(Duration::from_millis(ms), &room) {
        if let Todo::Cue(Cue::Connect(connection)) = todo {
            schedule.has_room(connection);
        }
        all.push(todo);
    }
    all
}

fn calls(all: &[Todo]) -> Vec<u32> {
    let calls = all.iter().filter_map(|todo| match todo {
        Todo::Call(call, _) => Some(*call),
        Todo::Cue(_) => None,
    });
    calls.collect()
}

#[test]
fn by_the_clock_a_call_is_due_whatever_became_of_those_before() {
    let program = program(&[(0, 0, &[]), (10, 0, &[]), (30, 0, &[])], &[1]);
    let mut schedule = Schedule::new(&program, Pace::Times(10.0));
    assert_eq!(calls(&at(&mut schedule, 0, |_| true)), [0]);
    assert_eq!(schedule.due(), Some(Duration::from_millis(1)));
    assert_eq!(calls(&at(&mut schedule, 1, |_| true)), [1]);
    let all = at(&mut schedule, 5, |_| true);
    let third = Todo::Call(2, Some(Duration::from_millis(3)));
    assert_eq!(all, [Todo::Cue(Cue::Close(0)), third]);
    assert!(!schedule.is_over());
    for call in [2, 0, 1] {
        schedule.over(call);
    }
    assert!(schedule.is_over());
}

#[test]
fn what_is_due_and_has_no_room_waits_and_stays_due_since_then() {
    let program = program(&[(0, 0, &[]), (10, 0, &[]), (10, 1, &[])], &[1, 1]);
    let mut schedule = Schedule::new(&program, Pace::Times(1.0));
    let all = at(&mut schedule, 10, |connection| connection == 1);
    assert_eq!(calls(&all), [2]);
    assert_eq!(calls(&at(&mut schedule, 20, |_| false)), [0; 0]);
    schedule.has_room(0);
    let all = at(&mut schedule, 25, |_| true);
    let due = |ms| Some(Duration::from_millis(ms));
    assert_eq!(all, [Todo::Call(0, due(0)), Todo::Call(1, due(10))]);
}

#[test]
fn at_full_speed_a_connection_keeps_under_way_what_it_had() {
    let program = program(
        &[(0, 0, &[]), (1, 0, &[]), (2, 0, &[]), (900, 0, &[])],
        &[2],
    );
    let mut schedule = Schedule::new(&program, Pace::Max);
    assert_eq!(schedule.due(), None);
    assert_eq!(calls(&at(&mut schedule, 0, |_| true)), [0, 1]);
    schedule.over(1);
    assert_eq!(calls(&at(&mut schedule, 0, |_| true)), [2]);
    schedule.over(0);
    schedule.over(2);
    assert_eq!(calls(&at(&mut schedule, 0, |_| true)), [3]);
    schedule.over(3);
    assert_eq!(at(&mut schedule, 0, |_| true), []);
    assert!(schedule.is_over());
}

#[test]
fn at_full_speed_a_connection_opens_when_what_was_before_it_is_over() {
    let program = program(&[(0, 0, &[]), (50, 1, &[]), (60, 0, &[])], &[1, 1]);
    let mut schedule = Schedule::new(&program, Pace::Max);
    assert_eq!(at(&mut schedule, 0, |_| true).len(), 2);
    schedule.over(0);
    assert_eq!(
        at(&mut schedule, 0, |_| true),
        [
            Todo::Cue(Cue::Connect(1)),
            Todo::Call(2, None),
            Todo::Call(1, None)
        ]
    );
}

#[test]
fn a_call_waits_for_what_it_speaks_of_and_others_pass_it() {
    for pace in [Pace::Max, Pace::Times(1.0)] {
        let program = program(&[(0, 0, &[]), (1, 1, &[0]), (2, 1, &[])], &[1, 1]);
        let mut schedule = Schedule::new(&program, pace);
        let mut begun = calls(&at(&mut schedule, 5, |_| true));
        if pace == Pace::Max {
            // The other connection opens when the first call is over.
            assert_eq!(begun, [0]);
            schedule.over(0);
            begun.extend(calls(&at(&mut schedule, 5, |_| true)));
            assert_eq!(begun, [0, 1]);
            continue;
        }
        begun.sort_unstable();
        assert_eq!(begun, [0, 2], "{pace}");
        assert_eq!(schedule.waited, 1);
        schedule.over(0);
        assert_eq!(calls(&at(&mut schedule, 5, |_| true)), [1]);
    }
}

proptest! {
    /// Whatever waits for whatever, and in whatever order calls end: all are made, each
    /// once, none before those that it waits for, and at full speed never more of a
    /// connection than it had.
    #[test]
    fn everything_is_done_once(
        shape in prop::collection::vec((0..50_u64, 0..4_u32, prop::collection::vec(any::<u8>(), 0..3)), 1..60),
        concurrency in prop::collection::vec(1..4_usize, 4),
        order in any::<u64>(),
        pace in prop_oneof![Just(Pace::Max), Just(Pace::Times(3.0))],
    ) {
        // Only what was made earlier is waited for.
        let causes: Vec<Vec<u32>> = shape.iter().map(|(when, _, picks)| {
            let picked = picks.iter().map(|pick| usize::from(*pick) % shape.len());
            let mut picked: Vec<u32> = picked
                .filter(|other| shape[*other].0 < *when)
                .map(|other| other as u32)
                .collect();
            picked.sort_unstable();
            picked.dedup();
            picked
        }).collect();
        let all: Vec<(u64, u32, &[u32])> = shape
            .iter()
            .zip(&causes)
            .map(|((when, connection, _), causes)| (*when, *connection, &causes[..]))
            .collect();
        let program = program(&all, &concurrency);
        let mut schedule = Schedule::new(&program, pace);
        let (mut made, mut over) = (BTreeSet::new(), BTreeSet::new());
        let mut under_way: Vec<u32> = Vec::new();
        let mut chance = order | 1;
        let mut ms = 0;
        let mut closed = 0;
        while !schedule.is_over() {
            let todos = at(&mut schedule, ms, |_| true);
            closed += todos.iter().filter(|todo| matches!(todo, Todo::Cue(Cue::Close(_)))).count();
            for call in calls(&todos) {
                prop_assert!(made.insert(call));
                for cause in &causes[call as usize] {
                    prop_assert!(over.contains(cause));
                }
                under_way.push(call);
            }
            if pace == Pace::Max {
                for (connection, most) in concurrency.iter().enumerate() {
                    let mine = under_way.iter().filter(|call| {
                        program.calls[**call as usize].connection == connection as u32
                    });
                    prop_assert!(mine.count() <= *most);
                }
            }
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            ms += chance % 3;
            if pace == Pace::Max {
                prop_assert!(!under_way.is_empty() || schedule.is_over(), "it stands still");
            }
            if !under_way.is_empty() {
                let call = under_way.swap_remove(chance as usize % under_way.len());
                over.insert(call);
                schedule.over(call);
            }
        }
        prop_assert_eq!(made.len(), shape.len());
        prop_assert_eq!(closed, concurrency.len());
        prop_assert_eq!(schedule.left(), 0);
    }
}
