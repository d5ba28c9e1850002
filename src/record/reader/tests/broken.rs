//! Cut, flipped, lying, and something else altogether.

use proptest::prelude::*;

use super::*;

const CHUNKS: u64 = 3;

/// Reads what can be read; a refusal reads nothing.
fn try_read(bytes: &[u8]) -> Option<(Vec<u64>, Wholeness)> {
    let recording = open(bytes).ok()?;
    let mut reading = Reading::of(recording, Query::all(Wants::ALL));
    let items: Vec<Item> = (&mut reading).collect::<Result<_, _>>().unwrap();
    Some((numbers(&items), reading.wholeness()))
}

/// Every byte, but of what is packed in the chunks, whose CRC is one, only some.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let packed = Walked::of(bytes).indexes.into_iter().map(|index| {
        let start = index.chunk_start as usize;
        start + 48..start + index.chunk_length as usize
    });
    let packed: Vec<_> = packed.collect();
    let is_packed = move |at: &usize| packed.iter().any(|range| range.contains(at));
    (0..bytes.len()).filter(move |at| !is_packed(at) || at.is_multiple_of(43))
}

#[test]
fn cut_anywhere_all_chunks_before_are_read() {
    for compression in [None, Some(1)] {
        let bytes = recording(CHUNKS, compression);
        let mut chunks_read = 0;
        for end in places(&bytes) {
            let cut = &bytes[..end];
            let Some((lines, wholeness)) = try_read(cut) else {
                assert_eq!(chunks_read, 0, "refused at {end}");
                continue;
            };
            assert_eq!(lines.len() % 3, 0, "{end}");
            assert!(lines.len() >= chunks_read, "{end}");
            chunks_read = lines.len();
            assert_eq!(lines, (10..10 + lines.len() as u64).collect::<Vec<_>>());
            let is_all = lines.len() as u64 == CHUNKS * 3;
            assert!(is_all || !wholeness.finished, "{end}");
            // A cut within the first bytes, or between two records, shows nothing.
            if let Some(missing) = wholeness.missing.first() {
                assert!(missing.is_end, "{end} {missing:?}");
                assert_eq!(missing.bytes.end, end as u64);
            }
        }
        assert_eq!(chunks_read as u64, CHUNKS * 3);
    }
}

#[test]
fn flipped_in_any_byte_at_most_one_chunk_is_lost() {
    for compression in [None, Some(1)] {
        let bytes = recording(CHUNKS, compression);
        let all: Vec<u64> = (10..10 + CHUNKS * 3).collect();
        for at in places(&bytes) {
            // The last two make it 0, and an opcode that leads elsewhere.
            let masks = [0x01, 0x80, 0xff, bytes[at], bytes[at] ^ 0x0f];
            for mask in masks.into_iter().filter(|mask| *mask != 0) {
                let mut flipped = bytes.clone();
                flipped[at] ^= mask;
                let Some((lines, wholeness)) = try_read(&flipped) else {
                    panic!("refused with byte {at} ^ {mask:#x}");
                };
                let missing = all.iter().filter(|n| !lines.contains(n)).count();
                assert!(missing <= 3, "byte {at} ^ {mask:#x}: {lines:?}");
                assert!(
                    lines.windows(2).all(|two| two[0] < two[1]),
                    "byte {at} ^ {mask:#x}: {lines:?}"
                );
                assert!(
                    missing == 0 || !wholeness.is_whole(),
                    "byte {at} ^ {mask:#x} is lost without a word"
                );
            }
        }
    }
}

#[test]
fn a_chunk_that_is_damaged_is_named_with_its_times() {
    let bytes = recording(CHUNKS, Some(1));
    let index = Walked::of(&bytes).indexes[1].clone();
    let mut flipped = bytes.clone();
    flipped[index.chunk_start as usize + 100] ^= 0x55;
    let (lines, wholeness) = try_read(&flipped).unwrap();
    assert_eq!(lines, [10, 11, 12, 16, 17, 18]);
    let sentence = wholeness.sentence().unwrap();
    assert!(
        sentence.starts_with(&format!(
            "calls.mcap is damaged at byte {} (",
            index.chunk_start + 9
        )),
        "{sentence}"
    );
    assert!(
        sentence.ends_with("and what was recorded between 1970-01-01T00:00:12.000Z and 1970-01-01T00:00:16.000Z is missing in part"),
        "{sentence}"
    );
}

#[test]
fn a_cut_is_told_with_the_time_up_to_which_all_is_there() {
    let bytes = recording(CHUNKS, Some(1));
    let index = Walked::of(&bytes).indexes[1].clone();
    let cut = &bytes[..index.chunk_start as usize + 50];
    let (lines, wholeness) = try_read(cut).unwrap();
    assert_eq!(lines, [10, 11, 12]);
    assert_eq!(
        wholeness.sentence().unwrap(),
        "calls.mcap breaks off: its last 50B are no whole record, and what was recorded after \
         1970-01-01T00:00:12.000Z is missing"
    );
}

#[test]
fn a_length_that_lies_leads_to_the_next_chunk() {
    let bytes = recording(CHUNKS, Some(1));
    let index = Walked::of(&bytes).indexes[1].clone();
    let start = index.chunk_start as usize;
    for length in [u64::MAX, u64::MAX / 2, 1 << 40, 0, 1, 40, 4096, 1 << 20] {
        let mut lying = bytes.clone();
        // The record's own: the index behind it still says where it is.
        lying[start + 1..start + 9].copy_from_slice(&length.to_le_bytes());
        let (lines, wholeness) = try_read(&lying).unwrap();
        assert_eq!(lines.len() as u64, CHUNKS * 3, "{length}: {wholeness}");
        // What the chunk says of its packed bytes.
        let mut lying = bytes.clone();
        let packed = start + 9 + 32 + 4;
        lying[packed..packed + 8].copy_from_slice(&length.to_le_bytes());
        let (lines, wholeness) = try_read(&lying).unwrap();
        assert_eq!(lines, [10, 11, 12, 16, 17, 18], "{length}");
        assert_eq!(wholeness.places, 1, "{length}");
        // What it says of its unpacked ones.
        let mut lying = bytes.clone();
        lying[start + 9 + 16..start + 9 + 24].copy_from_slice(&length.to_le_bytes());
        let (lines, _) = try_read(&lying).unwrap();
        assert_eq!(lines.len() as u64, CHUNKS * 3, "{length}");
    }
}

#[test]
fn a_chunk_that_unpacks_to_more_than_any_of_ours_is_passed_by() {
    let mut written = Vec::new();
    let mut writer = mcap::WriteOptions::new()
        .profile("etcdtap")
        .compression(Some(mcap::Compression::Zstd))
        .chunk_size(None)
        .create(Cursor::new(&mut written))
        .unwrap();
    let none = BTreeMap::new();
    writer.add_channel(0, "/log", "protobuf", &none).unwrap();
    let zeros = vec![0; 4 * 1024 * 1024];
    let header = mcap::records::MessageHeader {
        channel_id: 1,
        sequence: 0,
        log_time: 1,
        publish_time: 1,
    };
    for _ in 0..65 {
        writer.write_to_known_channel(&header, &zeros).unwrap();
    }
    writer.flush().unwrap();
    let data = line(3).encode_to_vec();
    writer.write_to_known_channel(&header, &data).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let (lines, wholeness) = try_read(&written).unwrap();
    assert_eq!(lines, [3]);
    let sentence = wholeness.sentence().unwrap();
    assert!(
        sentence.contains("it is greater than 256 MiB unpacked"),
        "{sentence}"
    );
}

#[test]
fn what_is_no_recording_is_said_to_be_none() {
    let says = |bytes: &[u8]| open(bytes).unwrap_err().to_string();
    let is = |looks| format!("calls.mcap is no recording of etcdtap: it looks like {looks}");
    assert_eq!(
        says(b""),
        "calls.mcap is empty: its writer has not begun, or was stopped before it wrote anything"
    );
    assert_eq!(
        says(&mcap::MAGIC[..5]),
        "calls.mcap breaks off after 5 bytes, within what a recording begins with: there is \
         nothing in it to be read"
    );
    assert_eq!(
        says(b"\xd4\xc3\xb2\xa1\x02\0\x04\0"),
        is("a packet capture (pcap); `etcdtap import` makes a recording of it")
    );
    assert_eq!(
        says(b"\x1f\x8b\x08rest"),
        is("something packed with gzip; unpack it first")
    );
    assert_eq!(
        says(b"{\"ts\":\"2026-11-03T08:05:32.001214Z\"}"),
        is("a log that `--log json` wrote")
    );
    assert_eq!(says("Guten Tag, Welt: ä".as_bytes()), is("text"));
    assert_eq!(says(&[0; 600]), is("a file of zeros"));
    assert_eq!(
        says(b"\x7fELF\x02\x01\x01\0"),
        "calls.mcap is no recording of etcdtap (it does not begin as an MCAP file does)"
    );
}

#[test]
fn another_programs_mcap_and_a_later_version_are_refused() {
    let of_profile = |profile: &str, version: &str| {
        let mut written = Vec::new();
        let mut writer = mcap::WriteOptions::new()
            .profile(profile)
            .create(Cursor::new(&mut written))
            .unwrap();
        if !version.is_empty() {
            let metadata = mcap::records::Metadata {
                name: crate::record::container::ABOUT.to_owned(),
                metadata: BTreeMap::from([("version".to_owned(), version.to_owned())]),
            };
            writer.write_metadata(&metadata).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        written
    };
    let says = |bytes: &[u8]| open(bytes).unwrap_err().to_string();
    assert_eq!(
        says(&of_profile("ros2", "")),
        "calls.mcap is an MCAP file, but no recording of etcdtap: its profile is \"ros2\", not \
         \"etcdtap\""
    );
    assert_eq!(
        says(&of_profile("etcdtap", "2")),
        "calls.mcap is a recording of format version 2, which a later etcdtap wrote; this one \
         reads up to version 1"
    );
    assert!(open(&of_profile("etcdtap", "1")).is_ok());
}

/// The indexes of a sound recording.
struct Walked {
    indexes: Vec<v1::ChunkIndex>,
}

impl Walked {
    fn of(bytes: &[u8]) -> Walked {
        let window = super::super::window::Window::new(Cursor::new(bytes));
        let mut walk = super::super::walk::Walk::new(window, 8);
        let mut indexes = Vec::new();
        loop {
            match walk.next().unwrap() {
                super::super::walk::Found::Chunk(chunk) => indexes.extend(chunk.index),
                super::super::walk::Found::Finished => return Walked { indexes },
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_makes_it_fall_over(
        at in 0..2000_usize,
        rubbish in proptest::collection::vec(any::<u8>(), 0..200),
        again in 0..2000_usize,
        insert in any::<bool>(),
    ) {
        let mut bytes = recording(CHUNKS, None);
        let len = bytes.len();
        for at in [at, again] {
            let from = at % len;
            match insert {
                true => drop(bytes.splice(from..from, rubbish.iter().copied())),
                false => {
                    let to = (from + rubbish.len()).min(bytes.len());
                    bytes[from..to].copy_from_slice(&rubbish[..to - from]);
                }
            }
        }
        if let Some((lines, _)) = try_read(&bytes) {
            prop_assert!(lines.len() as u64 <= CHUNKS * 3);
        }
    }
}
