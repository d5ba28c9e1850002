//! The shared captures: what their README counts comes out.

use etcdtap::import::Options;

use super::import;
use crate::captures::{Seen, count, first_capture_is_as_counted, second_capture_is_as_counted};
use crate::pcap::{self, NAME_0_36, NAME_1_20};

fn seen(name: &str, ports: &[u16], piece: usize) -> Seen {
    let options = Options {
        ports: ports.to_vec(),
        ..Options::default()
    };
    let (report, given) = import(&pcap::unpacked(name), &options, b"", piece).unwrap();
    assert!(report.is_whole(), "{report:?}");
    let mut seen = Seen::default();
    for event in given.events {
        count(event, &mut seen);
    }
    seen.sorted()
}

#[test]
fn the_captures_import_with_the_counts_of_their_readme() {
    first_capture_is_as_counted(&seen(NAME_1_20, &[], 1 << 16));
    first_capture_is_as_counted(&seen(NAME_1_20, &[12379], 1 << 20));
    second_capture_is_as_counted(&seen(NAME_0_36, &[], 1013));
    second_capture_is_as_counted(&seen(NAME_0_36, &[13379, 2379], 1 << 20));
}
