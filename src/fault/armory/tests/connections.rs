//! What is done to connections: to which, when, how often.

use super::*;
use crate::etcd::warden::{Admission, Admitted, Outlook, Pings, Strike, Warden};
use crate::http2::Side;

/// An armory, and a clock that the test turns.
struct Door {
    armory: Arc<Armory>,
    began: Instant,
    now: Instant,
}

impl Door {
    fn with(faults: &str) -> Door {
        let stand = Stand::with(faults);
        Door {
            armory: stand.armory,
            began: stand.began,
            now: stand.began,
        }
    }

    fn at(&mut self, millis: u64) -> &mut Door {
        self.now = self.began + Duration::from_millis(millis);
        self
    }

    /// The warden of a connection that is accepted now.
    fn warden(&self, encrypted: bool) -> Box<dyn Warden> {
        let mut peers = Peers::clone(&peers());
        peers.tls = None;
        self.armory.warden(&Arc::new(peers), encrypted, self.now)
    }

    fn admit(&self, warden: &mut Box<dyn Warden>) -> Admitted {
        warden.admit(self.now)
    }

    fn look(&self, warden: &mut Box<dyn Warden>) -> Outlook {
        warden.look(self.now)
    }

    /// Whether a connection that stands from now on is struck at once.
    fn strikes(&self) -> bool {
        !self.look(&mut self.warden(false)).strikes.is_empty()
    }

    fn counts(&self) -> (u64, u64) {
        let status = &self.armory.list(self.now)[0];
        (status.matched, status.hits)
    }
}

#[test]
fn calls_know_nothing_of_faults_on_connections() {
    let mut stand = Stand::with("- {name: a, action: {connection: blackhole}}\n");
    assert!(!stand.armed());
    assert!(!stand.strikes(&get("/registry/pods/lab/web-0")));
    assert_eq!(stand.status().matched, 0);
}

#[test]
fn a_connection_is_struck_once_a_window() {
    let mut door = Door::with(
        "- {name: a, action: {connection: close}, start: 1s, duration: 2s, repeat: 10s}\n",
    );
    let mut warden = door.warden(false);
    let mut struck = Vec::new();
    for millis in [0, 1_000, 1_500, 2_999, 3_000, 11_000, 11_001, 21_000] {
        let outlook = door.at(millis).look(&mut warden);
        if !outlook.strikes.is_empty() {
            assert_eq!(outlook.strikes, [Strike::Close]);
            assert_eq!(&*outlook.hits[0].did, "connection closed");
            struck.push(millis);
        }
    }
    assert_eq!(struck, [1_000, 11_000, 21_000]);
    assert_eq!(door.counts(), (3, 3));
}

#[test]
fn it_is_said_when_to_look_again() {
    let mut door = Door::with(
        "- {name: a, action: {connection: {reset: {after: 5s}}}, start: 1s, duration: 20s}\n",
    );
    let mut warden = door.warden(false);
    let began = door.began;
    let at = |millis| Some(began + Duration::from_millis(millis));
    assert_eq!(door.look(&mut warden).look_at, at(1_000));
    assert_eq!(door.at(1_000).look(&mut warden).look_at, at(5_000));
    assert_eq!(door.counts(), (0, 0), "too young to be a match");
    let outlook = door.at(5_000).look(&mut warden);
    assert_eq!(outlook.strikes, [Strike::Reset]);
    assert_eq!(outlook.look_at, at(21_000));
    // One that comes later is struck at its own age.
    door.at(10_000);
    let mut later = door.warden(false);
    assert_eq!(door.look(&mut later).look_at, at(15_000));
}

#[test]
fn counts_and_chance_are_about_connections() {
    let struck = |terms: &str, count: usize| -> Vec<usize> {
        let door = Door::with(&format!(
            "- {{name: a, action: {{connection: reset}}, {terms}}}\n"
        ));
        (1..=count).filter(|_| door.strikes()).collect()
    };
    assert_eq!(struck("first: 2", 5), [1, 2]);
    assert_eq!(struck("every: 3", 9), [3, 6, 9]);
    assert_eq!(struck("at_most: 2", 5), [1, 2]);
    let drawn = struck("probability: 0.3", 1000);
    assert!((240..360).contains(&drawn.len()), "{}", drawn.len());
    assert_eq!(struck("probability: 0.3", 1000), drawn, "the same seed");
}

#[test]
fn what_holds_outlives_its_counts_and_ends_with_its_window() {
    let mut door =
        Door::with("- {name: a, action: {connection: blackhole}, at_most: 1, duration: 10s}\n");
    let mut warden = door.warden(false);
    let outlook = door.look(&mut warden);
    let conditions = outlook.conditions.expect("conditions");
    assert!(conditions.frozen.client && conditions.frozen.server);
    assert_eq!(outlook.hits.len(), 1);
    // The next connection is spared.
    let spared = door.look(&mut door.warden(false));
    assert!(spared.conditions.is_none() && spared.hits.is_empty());
    let still = door.at(9_999).look(&mut warden);
    assert!(still.conditions.is_none(), "nothing has changed");
    let over = door.at(10_000).look(&mut warden);
    assert!(!over.conditions.expect("an end").on_bytes());
    assert_eq!(door.counts(), (1, 1));
}

#[test]
fn a_pause_lets_go_and_its_end_is_no_second_match() {
    let door = Door::with("- {name: a, action: {connection: {half_open: {dead: to_client}}}}\n");
    let mut warden = door.warden(false);
    let conditions = door.look(&mut warden).conditions.expect("conditions");
    assert!(conditions.frozen[Side::Server] && !conditions.frozen[Side::Client]);
    door.armory.pause("a").expect("paused");
    let paused = door.look(&mut warden).conditions.expect("an end");
    assert!(!paused.on_bytes());
    door.armory.resume("a").expect("resumed");
    let resumed = door.look(&mut warden);
    assert!(resumed.conditions.expect("conditions").on_bytes());
    assert!(resumed.hits.is_empty());
    assert_eq!(door.counts(), (1, 1));
    door.armory.remove("a").expect("removed");
    assert!(
        !door
            .look(&mut warden)
            .conditions
            .expect("an end")
            .on_bytes()
    );
}

#[test]
fn several_faults_make_the_worst_of_it() {
    let door = Door::with(
        "- {name: a, action: {connection: {bandwidth: {bytes_per_second: 1000}}}}
- {name: b, action: {connection: {bandwidth: {bytes_per_second: 10, direction: to_etcd}}}}
- {name: c, action: {connection: {latency: 10ms}}}
- {name: d, action: {connection: {latency: {fixed: 5ms, direction: to_client}}}}
- {name: e, action: {connection: {ping: {delay: 1s}}}}
- {name: f, action: {connection: {max_concurrent_streams: 7}}}
- {name: g, action: {connection: {max_concurrent_streams: 3}}}
",
    );
    let outlook = door.look(&mut door.warden(false));
    let mut made = outlook.conditions.expect("conditions");
    assert_eq!(outlook.hits.len(), 7);
    assert_eq!(
        (made.speed.client, made.speed.server),
        (Some(10), Some(1000))
    );
    let mut wait = |side| {
        let delays = made.latency[side].as_mut().expect("a latency");
        delays.next().as_millis()
    };
    assert_eq!((wait(Side::Client), wait(Side::Server)), (10, 15));
    assert_eq!(made.most_streams, Some(3));
    assert!(matches!(made.pings, Pings::Late(_)));
}

#[test]
fn the_door_is_shut_before_the_handshake() {
    let mut door = Door::with(
        "- {name: a, match: {listener: \":12379\", client: 10.0.0.0/8}, action: {connection: silent}, duration: 5s}
- {name: b, action: {connection: {tls: fail}}, duration: 8s}
- {name: c, action: {connection: {max_concurrent_streams: 1}}}
",
    );
    let mut warden = door.warden(true);
    let admitted = door.admit(&mut warden);
    assert_eq!(admitted.admission, Admission::Wait);
    assert_eq!(admitted.hits.len(), 1, "the others are not asked");
    assert_eq!(admitted.look_at, Some(door.began + Duration::from_secs(5)));
    let admitted = door.at(5_000).admit(&mut warden);
    assert_eq!(admitted.admission, Admission::FailTls);
    let admitted = door.at(8_000).admit(&mut warden);
    assert_eq!(admitted.admission, Admission::Enter);
    assert!(admitted.hits.is_empty());

    // Without TLS there is no handshake that could fail.
    let mut plain = door.at(6_000).warden(false);
    assert_eq!(door.admit(&mut plain).admission, Admission::Enter);
}

#[test]
fn the_handshake_shows_whom_a_fault_is_about() {
    let door = Door::with(
        "- {name: a, match: {tls_identity: \"apiserver-*\"}, action: {connection: reset}}\n",
    );
    let mut warden = door.warden(true);
    assert!(door.look(&mut warden).strikes.is_empty());
    warden.stands(&peers());
    assert_eq!(door.look(&mut warden).strikes, [Strike::Reset]);
}
