//! Messages that are not like others: great ones, cut ones, compressed ones, those
//! of methods nobody knows, and the database as a whole.

use std::io::Write;
use std::path::Path;

use etcdtap::etcd::schema::etcdserverpb::{RangeRequest, RangeResponse, SnapshotResponse};
use etcdtap::etcd::schema::mvccpb::KeyValue;
use etcdtap::http2::Side;
use etcdtap::record::reader::{Item, Joined, Part, Query, Recordings, Wants};
use etcdtap::record::redact::Values;
use etcdtap::record::schema::v1::Meta;
use etcdtap::record::schema::v1::hidden::Reason;
use etcdtap::relay::EndOfBytes;
use prost::Message;

use super::stage::{self, Stage, items};
use crate::session::script::{RANGE, Script, prefixed};

const MIB: usize = 1 << 20;

/// A message in frames of 16 KiB, with credit for each; `upto` bytes of it.
fn send(script: &mut Script, from: Side, stream: u32, message: &[u8], upto: usize) {
    for piece in message[..upto].chunks(16_384) {
        script.credit(from.peer(), stream, piece.len() as u32);
        script.data(from, stream, piece, false);
    }
}

fn ended(stage: Stage, mut script: Script) -> tempfile::TempDir {
    script.close(Side::Client, EndOfBytes::Closed);
    assert_eq!(script.offences(), Vec::<String>::new());
    drop(script);
    let (folder, told, _) = stage.finish();
    assert_eq!(told.trouble, None);
    assert_eq!(told.lost, Default::default());
    folder
}

/// The parts of a recording's messages as they stand in it.
fn parts(folder: &Path) -> Vec<Part> {
    let reading = Recordings::open(&[folder.to_owned()]).unwrap();
    let items = reading.read(Query::all(Wants::ALL));
    let parts = items.filter_map(|item| match item.unwrap() {
        Item::Part(part) => Some(*part),
        _ => None,
    });
    parts.collect()
}

/// The one answer of a recording, joined.
fn answer(folder: &Path) -> etcdtap::record::reader::Message {
    let mut answers = items(folder).into_iter().filter_map(|item| match item {
        Item::Message(message) if message.from() == Some(Side::Server) => Some(*message),
        _ => None,
    });
    let answer = answers.next().expect("an answer");
    assert!(answers.next().is_none());
    answer
}

fn great(key: &str, bytes: usize) -> Vec<u8> {
    let value: Vec<u8> = (0..bytes).map(|n| (n / 7 % 251) as u8).collect();
    let kv = KeyValue {
        key: key.to_owned().into(),
        mod_revision: 7,
        value: value.into(),
        ..KeyValue::default()
    };
    RangeResponse {
        kvs: vec![kv],
        count: 1,
        ..RangeResponse::default()
    }
    .encode_to_vec()
}

fn asked(script: &mut Script, stream: u32) {
    script.open(stream, RANGE);
    script.message(Side::Client, stream, &RangeRequest::default(), true);
    script.accept(stream);
}

#[test]
fn a_message_of_20_mib_stands_in_parts_that_make_it() {
    let message = great("/registry/configmaps/lab/great", 20 * MIB);
    let stage = Stage::new(Values::Redacted);
    let mut script = stage.script();
    asked(&mut script, 1);
    let wire = prefixed(&message, false);
    send(&mut script, Side::Server, 1, &wire, wire.len());
    script.trailers(1, "0");
    let folder = ended(stage, script);

    let parts = parts(folder.path());
    assert!((18..=22).contains(&parts.len()), "{}", parts.len());
    let mut offset = 0;
    for (n, part) in parts.iter().enumerate() {
        assert_eq!((part.offset, &*part.path), (offset, RANGE));
        assert_eq!((part.meta.stream, part.meta.index), (1, 0));
        assert_eq!(part.meta.size, message.len() as u64);
        assert_eq!(part.last, n + 1 == parts.len());
        assert!(part.data.len() <= MIB + 65_536, "{}", part.data.len());
        offset += part.data.len() as u64;
    }
    assert_eq!(offset, message.len() as u64);

    let joined = answer(folder.path());
    assert_eq!(joined.meta, parts.last().unwrap().meta);
    assert_eq!((&*joined.path.text(), joined.meta.cut), (RANGE, false));
    assert!(joined.data == message);
    // One that a reader does not want to hold comes as its parts.
    let reading = Recordings::open(&[folder.path().to_owned()]).unwrap();
    let joined = Joined::new(reading.read(Query::all(Wants::ALL)), 19 * MIB);
    let of_parts = |item: &Item| matches!(item, Item::Part(_));
    let came = joined.map(Result::unwrap).filter(of_parts).count();
    assert_eq!(came, parts.len());
}

#[test]
fn the_value_of_a_great_secret_is_hidden_in_all_of_its_parts() {
    let message = great("/registry/secrets/lab/great", 20 * MIB);
    let stage = Stage::new(Values::Redacted);
    let mut script = stage.script();
    asked(&mut script, 1);
    let wire = prefixed(&message, false);
    send(&mut script, Side::Server, 1, &wire, wire.len());
    script.trailers(1, "0");
    let folder = ended(stage, script);

    let joined = answer(folder.path());
    assert_eq!(joined.data.len(), message.len());
    let [hidden] = &joined.meta.hidden[..] else {
        panic!("{:?}", joined.meta.hidden);
    };
    assert_eq!(hidden.reason(), Reason::Secret);
    let place = hidden.offset as usize..(hidden.offset + hidden.length) as usize;
    assert_eq!(
        hidden.hash[..],
        stage::key().hash(&message[place.clone()]).0
    );
    let read = RangeResponse::decode(joined.data.clone()).expect("it can still be decoded");
    assert_eq!(read.kvs[0].value.len(), 20 * MIB);
    assert!(
        read.kvs[0].value[..10 * MIB]
            .iter()
            .all(|byte| *byte == b'*')
    );
    assert!(joined.data[..place.start] == message[..place.start]);
    assert!(joined.data[place.end..] == message[place.end..]);
}

#[test]
fn a_message_that_was_cut_says_so_and_how_much_there_was() {
    for (length, came) in [(100_000, 30_000), (20 * MIB, 7 * MIB), (9, 0)] {
        let message = great("/registry/configmaps/lab/cut", length);
        let stage = Stage::new(Values::Redacted);
        let mut script = stage.script();
        asked(&mut script, 1);
        let wire = prefixed(&message, false);
        send(&mut script, Side::Server, 1, &wire, came + 5);
        let folder = ended(stage, script);

        let joined = answer(folder.path());
        assert!(joined.meta.cut);
        assert_eq!(joined.meta.size, came as u64);
        assert_eq!(joined.data.len(), came);
        // What had come of the value is shown as far as it could be judged.
        let shown = came.saturating_sub(65_536);
        assert!(joined.data[..shown] == message[..shown], "{length}");
    }
}

/// The one part that tells of a message, and what was hidden: all of it.
fn told_by_length_and_hash(folder: &Path, path: &str, passed: &[u8]) -> Meta {
    let joined = answer(folder);
    assert_eq!(joined.path.text(), path);
    assert!(joined.data.is_empty(), "{path}");
    assert_eq!(joined.meta.size, passed.len() as u64);
    let [hidden] = &joined.meta.hidden[..] else {
        panic!("{path}: {:?}", joined.meta.hidden);
    };
    assert_eq!((hidden.offset, hidden.length), (0, passed.len() as u64));
    assert_eq!(hidden.hash[..], stage::key().hash(passed).0, "{path}");
    assert_eq!(hidden.reason(), Reason::Unreadable);
    joined.meta
}

#[test]
fn of_a_compressed_message_length_and_hash_are_kept() {
    let message = great("/registry/configmaps/lab/packed", 100_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&message).unwrap();
    let packed = gzip.finish().unwrap();
    for values in [Values::Redacted, Values::None, Values::All] {
        let stage = Stage::new(values);
        let mut script = stage.script();
        script.open(1, RANGE);
        script.message(Side::Client, 1, &RangeRequest::default(), true);
        let fields = [(":status", "200"), ("grpc-encoding", "gzip")];
        script.headers(Side::Server, 1, &fields, false);
        let wire = prefixed(&packed, true);
        send(&mut script, Side::Server, 1, &wire, wire.len());
        script.trailers(1, "0");
        let folder = ended(stage, script);
        if values == Values::All {
            let joined = answer(folder.path());
            assert!(joined.meta.compressed && joined.data == packed);
        } else {
            let meta = told_by_length_and_hash(folder.path(), RANGE, &packed);
            assert!(meta.compressed);
        }
    }
}

#[test]
fn of_an_unknown_method_length_and_hash_are_kept() {
    for (path, length) in [("/etcdserverpb.KV/Frobnicate", 5_000), ("/a.b/C", 20 * MIB)] {
        let message = great("/registry/configmaps/lab/unknown", length);
        let stage = Stage::new(Values::Redacted);
        let mut script = stage.script();
        script.open(1, path);
        script.data(Side::Client, 1, &prefixed(b"what is it?", false), true);
        script.accept(1);
        let wire = prefixed(&message, false);
        send(&mut script, Side::Server, 1, &wire, wire.len());
        script.trailers(1, "0");
        let folder = ended(stage, script);
        told_by_length_and_hash(folder.path(), path, &message);
        // The question's, and one for all of the answer, however great.
        assert_eq!(parts(folder.path()).len(), 2);
    }
}

#[test]
fn of_a_snapshot_each_message_leaves_length_and_hash() {
    let path = "/etcdserverpb.Maintenance/Snapshot";
    let stage = Stage::new(Values::Redacted);
    let mut script = stage.script();
    script.open(1, path);
    script.data(Side::Client, 1, &prefixed(b"", false), true);
    script.accept(1);
    let pieces = (0..5u8).map(|n| {
        let blob = [b"the database ".as_slice(), &vec![n; 32 * 1024]].concat();
        SnapshotResponse {
            remaining_bytes: 4 - u64::from(n),
            blob: blob.into(),
            ..SnapshotResponse::default()
        }
        .encode_to_vec()
    });
    let pieces: Vec<Vec<u8>> = pieces.collect();
    for piece in &pieces {
        let wire = prefixed(piece, false);
        send(&mut script, Side::Server, 1, &wire, wire.len());
    }
    script.trailers(1, "0");
    let folder = ended(stage, script);
    let mut parts = parts(folder.path());
    parts.retain(|part| part.meta.from().side() == Some(Side::Server));
    assert_eq!(parts.len(), pieces.len());
    for (n, (part, piece)) in parts.iter().zip(&pieces).enumerate() {
        assert_eq!((&*part.path, part.meta.index), (path, n as u64));
        assert!(part.data.is_empty() && part.last);
        assert_eq!(part.meta.hidden[0].length, piece.len() as u64);
        assert_eq!(part.meta.hidden[0].hash[..], stage::key().hash(piece).0);
    }
}
