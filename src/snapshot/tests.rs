//! Snapshots that are right, and those that are not.

use prost::Message as _;

use super::made::{Made, PAGE, hashed, page, revision, stored};
use super::{Refusal, Snapshot};

/// Ten writes of five keys, the last of them deleted, one value larger than pages.
fn keys() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut keys = Vec::new();
    for n in 0..10_i64 {
        let at = 20 + n;
        let (version, created) = (n / 5 + 3, 2 + n % 5);
        let size = if n == 7 { 3 * PAGE } else { 10 };
        let value = vec![b'v'; size];
        let kv = stored(&format!("/k{}", n % 5), created, at, version, &value);
        keys.push((revision(at, 0), kv));
    }
    let mut gone = revision(30, 0);
    gone.push(b't');
    keys.push((gone, stored("/k4", 0, 0, 0, b"")));
    keys
}

fn made() -> Made {
    let mut made = Made::new();
    made.keys(&keys(), 3);
    made.inline(
        "meta",
        &[
            (b"finishedCompactRev".to_vec(), revision(24, 0)),
            (b"scheduledCompactRev".to_vec(), revision(24, 0)),
        ],
    );
    let lease = super::state::Lease { id: 77, ttl: 60 };
    made.inline(
        "lease",
        &[(77_i64.to_be_bytes().to_vec(), lease.encode_to_vec())],
    );
    made
}

fn refusal(bytes: Vec<u8>) -> String {
    match Snapshot::open(bytes) {
        Err(refusal) => refusal.to_string(),
        Ok(snapshot) => panic!("{:?}", snapshot.state),
    }
}

#[test]
fn a_snapshot_says_what_the_store_was() {
    for bytes in [made().snapshot(), made().database()] {
        let snapshot = Snapshot::open(bytes).unwrap();
        let state = &snapshot.state;
        assert_eq!((state.revision, state.compacted), (30, 24));
        assert_eq!(state.changes, 11);
        let keys: Vec<_> = state
            .keys
            .iter()
            .map(|(key, kept)| (&**key, kept.revision))
            .collect();
        let expected: [(&[u8], i64); 4] = [(b"/k0", 25), (b"/k1", 26), (b"/k2", 27), (b"/k3", 28)];
        assert_eq!(keys, expected);
        assert_eq!(state.leases.get(&77), Some(&60));
        let changes: Vec<_> = snapshot.changes().map(Result::unwrap).collect();
        let revisions: Vec<_> = changes.iter().map(|change| change.revision).collect();
        assert_eq!(revisions, (20..=30).collect::<Vec<_>>());
        let large = changes[7].put.as_ref().unwrap();
        assert_eq!((large.version, large.value.len()), (4, 3 * PAGE));
        assert_eq!(changes[10].put, None);
        assert_eq!(&*changes[10].key, b"/k4");
    }
}

#[test]
fn the_newer_meta_page_that_is_valid_counts() {
    let whole = made().database();
    let mut first = whole.clone();
    // The older one alone is as good here: both name the same root.
    first[PAGE + 16 + 50] ^= 1;
    assert!(Snapshot::open(first).is_ok());
    // Where the second is, it says itself.
    let mut second = whole.clone();
    second[16 + 50] ^= 1;
    assert!(Snapshot::open(second.clone()).is_ok());
    second[PAGE + 16 + 50] ^= 1;
    assert!(refusal(second).contains("no page that says where its tree begins"));
}

#[test]
fn what_is_no_snapshot_is_told_from_one_that_is_cut_or_damaged() {
    assert!(refusal(b"a text".to_vec()).contains("is not made of pages"));
    assert!(refusal(vec![0; 4096]).contains("no page that says"));
    assert!(refusal(Vec::new()).contains("no page that says"));
    let whole = made().snapshot();
    // A hash is looked for where the length says that there is one.
    let mut cut = whole.clone();
    cut.truncate(whole.len() - PAGE);
    assert!(matches!(Snapshot::open(cut), Err(Refusal::Hash)));
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 32 - PAGE);
    assert!(refusal(cut).starts_with("is not whole: "));
    let mut bent = whole.clone();
    bent[PAGE * 3] ^= 1;
    assert!(matches!(Snapshot::open(bent), Err(Refusal::Hash)));
    let swapped: Vec<u8> = (0..2 * PAGE).map(|_| 0).collect();
    let mut swapped = swapped;
    swapped[16..20].copy_from_slice(&0xED0C_DAED_u32.to_be_bytes());
    assert!(refusal(swapped).contains("big-endian"));
    let mut other = Made::new();
    other.inline("settings", &[(b"a".to_vec(), b"1".to_vec())]);
    assert!(refusal(other.snapshot()).contains("no bucket of keys"));
}

#[test]
fn lengths_and_numbers_that_lie_are_found() {
    // A page below itself.
    let mut made = Made::new();
    let number = made.next();
    made.add(super::made::branch(number, &[(b"a".to_vec(), number)]));
    made.bucket("key", number);
    assert!(refusal(made.snapshot()).contains("is below itself"));
    // A page that there is not.
    let mut made = Made::new();
    made.bucket("key", 99);
    assert!(refusal(made.snapshot()).contains("page 99 is named"));
    // A meta page is none of a tree.
    let mut made = Made::new();
    made.bucket("key", 1);
    assert!(refusal(made.snapshot()).contains("page 1 is named"));
    // A page that runs on beyond the file; keys and values beyond the page.
    let leaf = |at: usize, value: u32| {
        let mut made = Made::new();
        let number = made.next();
        let mut bytes = page(
            number,
            2,
            &[(0, revision(2, 0), stored("/a", 2, 2, 1, b"v"))],
        );
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        made.add(bytes);
        made.bucket("key", number);
        let mut database = made.database();
        let from = number as usize * PAGE;
        if at == 12 {
            database[from + 12..from + 16].copy_from_slice(&value.to_le_bytes());
        }
        refusal(hashed(database))
    };
    assert!(leaf(12, u32::MAX).contains("is longer than it can be"));
    assert!(leaf(12, 50).contains("is longer than it can be"));
    for at in [20, 24, 28] {
        let said = leaf(at, u32::MAX);
        assert!(
            said.contains("too long") || said.contains("lie within"),
            "{said}"
        );
    }
    let mut made = Made::new();
    let number = made.next();
    let mut bytes = page(number, 2, &[]);
    bytes[10..12].copy_from_slice(&u16::MAX.to_le_bytes());
    made.add(bytes);
    made.bucket("key", number);
    assert!(refusal(made.snapshot()).contains("more keys than it has room for"));
}

#[test]
fn content_that_is_not_etcds_is_found() {
    let with = |key: Vec<u8>, value: Vec<u8>| {
        let mut made = Made::new();
        made.keys(&[(key, value)], 1);
        refusal(made.snapshot())
    };
    let good = stored("/a", 2, 2, 1, b"v");
    assert!(with(b"short".to_vec(), good.clone()).contains("no revision"));
    assert!(with(revision(-2, 0), good.clone()).contains("no revision"));
    assert!(with(revision(3, 0), good.clone()).contains("not of the revision"));
    assert!(with(revision(2, 0), b"\xff\xff\xff".to_vec()).contains("cannot be read"));
    let mut odd = revision(2, 0);
    odd.push(b'x');
    assert!(with(odd, good.clone()).contains("no revision"));
    let mut made = Made::new();
    made.keys(
        &[
            (revision(3, 0), stored("/a", 3, 3, 1, b"v")),
            (revision(2, 0), good),
        ],
        2,
    );
    assert!(refusal(made.snapshot()).contains("not in order"));
}

#[test]
fn whichever_byte_is_bent_reading_ends_without_a_panic() {
    let whole = made().database();
    for at in 0..whole.len() {
        for bit in [0x01, 0x80, 0xff] {
            let mut bent = whole.clone();
            bent[at] ^= bit;
            if let Ok(snapshot) = Snapshot::open(bent) {
                assert!(snapshot.changes().count() as u64 >= snapshot.state.changes);
            }
        }
    }
}
