//! With all values kept, a recording has every message byte for byte.

use std::collections::BTreeMap;
use std::path::Path;

use etcdtap::record::reader::Item;
use etcdtap::record::redact::Values;
use etcdtap::record::schema::Envelope;
use etcdtap::record::schema::v1::Headers;
use prost::Message;

use super::stage::{Heard, Stage, Which, items};
use crate::pcap::{self, Connection};

/// The messages of a recording.
fn recorded(folder: &Path) -> BTreeMap<Which, Heard> {
    let mut messages = BTreeMap::new();
    for item in items(folder) {
        let Item::Message(message) = item else {
            continue;
        };
        let meta = &message.meta;
        let which = Which {
            connection: meta.connection,
            stream: meta.stream,
            from_server: meta.from == etcdtap::record::schema::v1::Side::Server as i32,
            index: meta.index,
        };
        assert!(message.times.began <= message.times.whole, "{which:?}");
        let heard = Heard {
            path: message.path.text().into_owned(),
            length: meta.size,
            compressed: meta.compressed,
            bytes: message.data.to_vec(),
            whole: !meta.cut,
        };
        assert!(messages.insert(which, heard).is_none(), "{which:?} twice");
    }
    messages
}

fn compare(passed: &BTreeMap<Which, Heard>, recorded: &BTreeMap<Which, Heard>) {
    assert_eq!(passed.len(), recorded.len());
    for ((which, passed), (other, recorded)) in passed.iter().zip(recorded) {
        assert_eq!(which, other);
        // Megabytes of difference help nobody.
        assert!(
            passed == recorded,
            "{which:?} {} is not what passed",
            passed.path
        );
    }
}

fn message_by_message(connections: &[Connection], most: usize) -> usize {
    let stage = Stage::new(Values::All);
    for (number, connection) in (1..).zip(connections) {
        stage.pass(connection, number, most);
    }
    let (folder, told, passed) = stage.finish();
    assert_eq!(told.trouble, None);
    assert_eq!(told.lost, Default::default());
    compare(&passed, &recorded(folder.path()));
    passed.len()
}

#[test]
fn the_first_capture_is_recorded_message_by_message() {
    // Two of each of its 3,597 calls, and 1,866 events.
    assert!(message_by_message(&pcap::APISERVER_1_20, usize::MAX) > 9_000);
}

#[test]
fn the_second_capture_is_recorded_message_by_message_in_small_pieces() {
    assert!(message_by_message(&pcap::APISERVER_0_36, 700) > 6_600);
}

#[test]
fn files_follow_one_another_and_each_stands_for_itself() {
    let stage = Stage::with(Values::All, |options| {
        options.rotate_bytes = Some(1 << 16);
        options.flush = std::time::Duration::from_millis(10);
    });
    for (number, connection) in (1..).zip(pcap::APISERVER_0_36.iter()) {
        stage.pass(connection, number, usize::MAX);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (folder, told, passed) = stage.finish();
    assert!(told.files > 3, "{told:?}");
    compare(&passed, &recorded(folder.path()));
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let mut heads = std::collections::BTreeSet::new();
        let mut seen = std::collections::BTreeSet::new();
        for message in mcap::MessageStream::new(&bytes).unwrap() {
            let message = message.unwrap();
            assert!(message.channel.schema.is_some());
            if message.channel.topic == "/headers" {
                heads.insert(Headers::decode(&*message.data).unwrap().id);
            } else if let Ok(envelope) = Envelope::decode(&*message.data)
                && message.channel.topic.starts_with("/etcdserverpb")
            {
                seen.extend(envelope.meta.map(|meta| meta.headers));
            }
        }
        seen.remove(&0);
        assert!(seen.is_subset(&heads), "{seen:?} {heads:?}");
    }
}
