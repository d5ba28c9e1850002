//! Snapshots: whatever the bytes are, reading ends, and what is read a second time is
//! what was read first.

#![no_main]

use etcdtap::snapshot::Snapshot;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(snapshot) = Snapshot::open(input.to_vec()) else {
        return;
    };
    let mut last = 0;
    let mut count = 0;
    for change in snapshot.changes() {
        let change = change.expect("it was read before");
        assert!(change.revision >= last, "they come in order");
        assert!(change.revision <= snapshot.state.revision);
        last = change.revision;
        count += 1;
    }
    assert_eq!(count, snapshot.state.changes);
    for kept in snapshot.state.keys.values() {
        assert!(kept.revision <= snapshot.state.revision);
    }
});
