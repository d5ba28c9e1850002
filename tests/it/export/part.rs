//! mcap: a part of a recording is a recording.

use std::collections::HashSet;
use std::path::PathBuf;

use etcdtap::record::reader::{Item, Recordings};
use etcdtap::record::traffic::Lane;

use super::recorded::{Recorded, export, items};
use crate::pcap;

fn exported(recorded: &Recorded, which: &[&str]) -> PathBuf {
    let path = recorded.path();
    let out = recorded.folder.path().join("part.mcap");
    let to = ["--to", "mcap", "--force", "-o", out.to_str().unwrap()];
    let ran = export(&[&[path.to_str().unwrap()], &to[..], which].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    out
}

fn is_headers(item: &Item) -> bool {
    matches!(item, Item::Headers { .. })
}

/// Of a message.
fn lane(item: &Item) -> Option<Lane> {
    match item {
        Item::Message(message) => Some(Lane {
            connection: message.meta.connection,
            stream: message.meta.stream,
        }),
        _ => None,
    }
}

/// The header blocks that messages refer to stand before them.
fn has_its_headers(items: &[Item]) {
    let mut known = HashSet::from([0]);
    for item in items {
        match item {
            Item::Headers { headers, .. } => drop(known.insert(headers.id)),
            Item::Message(message) => assert!(known.contains(&message.meta.headers)),
            _ => {}
        }
    }
}

#[test]
fn the_whole_of_a_recording_is_that_recording() {
    for capture in [&pcap::APISERVER_1_20, &pcap::APISERVER_0_36] {
        let recorded = Recorded::of(capture);
        let out = exported(&recorded, &[]);
        let (was, is) = (recorded.items(), items(&out));
        has_its_headers(&is);
        let count = |items: &[Item]| items.iter().filter(|item| is_headers(item)).count();
        assert_eq!(count(&was), count(&is));
        // A header block stands where it is first needed.
        let rest = |items: Vec<Item>| items.into_iter().filter(|item| !is_headers(item));
        assert!(rest(was).eq(rest(is)), "something is another");
        let about = |path| Recordings::open(&[path]).unwrap().about().clone();
        assert_eq!(about(recorded.path()), about(out), "it says who it is");
    }
}

#[test]
fn a_part_of_it_has_whole_calls_and_nothing_else() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    let part = items(&exported(&recorded, &["--resource", "pods"]));
    has_its_headers(&part);
    let chosen: HashSet<Lane> = recorded
        .lines()
        .iter()
        .filter(|line| line.line.resource.as_deref() == Some("pods"))
        .filter_map(|line| {
            Some(Lane {
                connection: line.line.conn,
                stream: line.line.stream?,
            })
        })
        .collect();
    assert!(chosen.len() > 50, "{}", chosen.len());
    let have: HashSet<Lane> = part.iter().filter_map(lane).collect();
    assert_eq!(have, chosen);
    // Each message of such a call is there, as it was; watches end with the last event.
    let of = |items: Vec<Item>| -> Vec<Item> {
        let its = |item: &Item| lane(item).is_some_and(|lane| chosen.contains(&lane));
        items.into_iter().filter(its).collect()
    };
    let (was, is) = (of(recorded.items()), of(part));
    assert_eq!(was[..is.len()], is);
    assert!(was.len() - is.len() < 20, "{} of {}", is.len(), was.len());
}
