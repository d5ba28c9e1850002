use super::*;

fn after(began: Instant, millis: u64) -> Instant {
    began + Duration::from_millis(millis)
}

/// Conditions for the server's bytes; the client's pass.
fn for_server(sky: Sky) -> Both<Sky> {
    Both {
        client: Sky::default(),
        server: sky,
    }
}

fn late(millis: &'static [u64]) -> Option<Waits> {
    let mut left = millis.iter();
    Some(Waits::new(move || {
        Duration::from_millis(*left.next().expect("a wait that was not expected"))
    }))
}

fn bytes(text: &[u8]) -> Option<Parcel> {
    Some(Parcel::Bytes(text.to_vec()))
}

#[test]
fn in_calm_weather_everything_goes_through() {
    let now = Instant::now();
    let mut weather = Weather::default();
    assert!(weather.is_calm());
    assert!(weather.enter(Side::Client, b"abc", now));
    assert!(weather.end(Side::Client, now));
    assert_eq!(weather.next(now), None);
}

#[test]
fn what_stands_still_is_not_read_and_nothing_of_it_arrives() {
    let now = Instant::now();
    let mut weather = Weather::default();
    let delayed = Sky {
        latency: late(&[10]),
        ..Sky::default()
    };
    weather.change(for_server(delayed), now);
    assert!(!weather.enter(Side::Server, b"abc", now));
    let frozen = Sky {
        frozen: true,
        ..Sky::default()
    };
    weather.change(for_server(frozen), now);
    assert_eq!(weather.room(Side::Server, now), 0);
    assert!(weather.room(Side::Client, now) > 0);
    assert_eq!(weather.leave(Side::Server, after(now, 1000)), None);
    assert_eq!(weather.next(now), None);
    assert!(!weather.is_calm());
    // It comes late when that ends.
    weather.change(Both::default(), after(now, 2000));
    assert_eq!(weather.leave(Side::Server, after(now, 2000)), bytes(b"abc"));
    assert!(weather.is_calm());
}

#[test]
fn late_bytes_keep_their_order_and_the_end_comes_last() {
    let now = Instant::now();
    let mut weather = Weather::default();
    let sky = Sky {
        latency: late(&[100, 20, 50]),
        ..Sky::default()
    };
    weather.change(for_server(sky), now);
    assert!(!weather.enter(Side::Server, b"first", now));
    assert!(!weather.enter(Side::Server, b"second", now));
    assert!(!weather.end(Side::Server, after(now, 10)));
    assert_eq!(weather.next(now), Some(after(now, 100)));
    assert_eq!(weather.leave(Side::Server, after(now, 99)), None);
    let then = after(now, 100);
    assert_eq!(weather.leave(Side::Server, then), bytes(b"first"));
    assert_eq!(weather.leave(Side::Server, then), bytes(b"second"));
    assert_eq!(weather.leave(Side::Server, then), Some(Parcel::End));
    assert_eq!(weather.leave(Side::Server, then), None);
    // The other direction was not meant.
    assert!(weather.enter(Side::Client, b"abc", now));
}

#[test]
fn no_more_is_under_way_than_a_window() {
    let now = Instant::now();
    let mut weather = Weather::default();
    let sky = Sky {
        latency: late(&[100, 100]),
        ..Sky::default()
    };
    weather.change(for_server(sky), now);
    assert_eq!(weather.room(Side::Server, now), MOST_UNDER_WAY);
    assert!(!weather.enter(Side::Server, &vec![0; MOST_UNDER_WAY - 10], now));
    assert_eq!(weather.room(Side::Server, now), 10);
    assert!(!weather.enter(Side::Server, &[0; 10], now));
    assert_eq!(weather.room(Side::Server, now), 0);
    let then = after(now, 100);
    assert!(weather.leave(Side::Server, then).is_some());
    assert_eq!(weather.room(Side::Server, then), MOST_UNDER_WAY - 10);
}

#[test]
fn what_was_late_comes_at_once_when_nothing_delays_it_any_more() {
    let now = Instant::now();
    let mut weather = Weather::default();
    let sky = Sky {
        latency: late(&[60_000]),
        ..Sky::default()
    };
    weather.change(for_server(sky), now);
    assert!(!weather.enter(Side::Server, b"one", now));
    weather.change(Both::default(), now);
    // What comes now does not overtake it.
    assert!(!weather.enter(Side::Server, b"two", now));
    assert_eq!(weather.leave(Side::Server, now), bytes(b"one"));
    assert_eq!(weather.leave(Side::Server, now), bytes(b"two"));
    assert!(weather.enter(Side::Server, b"three", now));
}

/// Moves what may pass, as a pump does whose timers are late by so much; how
/// much has passed after `millis`.
fn moved(speed: u64, late: u64, millis: u64) -> u64 {
    let began = Instant::now();
    let mut weather = Weather::default();
    let sky = Sky {
        speed: Some(speed),
        ..Sky::default()
    };
    weather.change(for_server(sky), began);
    let (mut now, mut moved) = (began, 0);
    while now < after(began, millis) {
        match weather.room(Side::Server, now) {
            0 => {
                let next = weather.next(now).expect("a time to ask again");
                assert!(next > now);
                now = next + Duration::from_millis(late);
            }
            room => {
                assert!(weather.enter(Side::Server, &vec![0; room], now));
                moved += room as u64;
            }
        }
    }
    moved
}

#[test]
fn bytes_pass_at_their_speed_though_timers_are_late() {
    for (speed, late) in [(1_000, 0), (1_000_000, 3), (64 * 1024, 20)] {
        let expected = speed * 10;
        let moved = moved(speed, late, 10_000);
        let off = moved.abs_diff(expected);
        assert!(off <= expected / 50 + 1, "{moved} instead of {expected}");
    }
    // The slowest is a byte a second.
    assert_eq!(moved(1, 0, 5_500), 6);
}
