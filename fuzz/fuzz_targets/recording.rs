//! Recordings: whatever the bytes are, reading ends, what it gives lies within
//! them, and every line that comes can be told again.

#![no_main]

use std::io::Cursor;
use std::time::Instant;

use etcdtap::record::reader::{Item, Joined, Query, Reading, Recording, Wants};
use etcdtap::record::recall::Recall;
use etcdtap::record::stats::Stats;
use etcdtap::trace::{Format, Printer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(recording) = Recording::open(Cursor::new(input.to_vec()), "input") else {
        return;
    };
    let reading = Reading::of(recording, Query::all(Wants::ALL));
    let mut recall = Recall::new(Instant::now());
    let mut printer = Printer::new(Format::Json, None, recall.anchor());
    let mut stats = Stats::new(3);
    let mut joined = Joined::new(reading, 1 << 16);
    for item in &mut joined {
        let Item::Line(line) = item.expect("what is in memory can be read") else {
            continue;
        };
        if let Ok(told) = recall.line(&line) {
            told.print(&mut printer);
            stats.add(&told, line.at);
            printer.output().clear();
        }
    }
    let _ = stats.to_string();
    let wholeness = joined.into_items().wholeness();
    for missing in &wholeness.missing {
        assert!(missing.bytes.end <= input.len() as u64, "{missing:?}");
    }
    assert_eq!(wholeness.sentence().is_none(), wholeness.is_whole());
});
