//! Schedules with a clock of the tests' own, and wires against another
//! implementation of HTTP/2.

mod program;
mod schedule;
mod streams;
mod wire;

use std::time::Duration;

use super::pace::Pace;

#[test]
fn a_pace_is_a_positive_number_or_max() {
    assert_eq!("1".parse(), Ok(Pace::Times(1.0)));
    assert_eq!("0.5".parse(), Ok(Pace::Times(0.5)));
    assert_eq!("10x".parse(), Ok(Pace::Times(10.0)));
    assert_eq!("max".parse(), Ok(Pace::Max));
    for wrong in ["", "0", "-1", "NaN", "inf", "1e300", "fast"] {
        assert!(wrong.parse::<Pace>().is_err(), "{wrong}");
    }
    let second = 1_000_000_000;
    assert_eq!(Pace::Times(10.0).due(second), Duration::from_millis(100));
    assert_eq!(Pace::Times(0.5).due(second), Duration::from_secs(2));
}
