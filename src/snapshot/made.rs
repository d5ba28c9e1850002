//! Snapshots made for tests: enough of bbolt's format to be read.

use prost::Message as _;
use ring::digest::{SHA256, digest};

use super::bolt::checksum;
use crate::etcd::schema::mvccpb::KeyValue;

/// The page size of what is made here.
pub const PAGE: usize = 512;

/// A database under way.
#[derive(Debug, Clone)]
pub struct Made {
    pages: Vec<u8>,
    root: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A revision as a key.
pub fn revision(main: i64, sub: i64) -> Vec<u8> {
    let mut key = main.to_be_bytes().to_vec();
    key.push(b'_');
    key.extend(sub.to_be_bytes());
    key
}

/// A key and its value as they are stored.
pub fn stored(key: &str, created: i64, modified: i64, version: i64, value: &[u8]) -> Vec<u8> {
    let kv = KeyValue {
        key: key.as_bytes().to_vec().into(),
        create_revision: created,
        mod_revision: modified,
        version,
        value: value.to_vec().into(),
        lease: 0,
    };
    kv.encode_to_vec()
}

/// A page of a tree: its elements, then what they are about.
pub fn page(number: u64, flags: u16, of: &[(u32, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut page = Vec::new();
    page.extend(number.to_le_bytes());
    page.extend(flags.to_le_bytes());
    page.extend((of.len() as u16).to_le_bytes());
    page.extend(0_u32.to_le_bytes());
    let mut behind = of.len() * 16;
    for (is_bucket, key, value) in of {
        page.extend(is_bucket.to_le_bytes());
        page.extend((behind as u32).to_le_bytes());
        page.extend((key.len() as u32).to_le_bytes());
        page.extend((value.len() as u32).to_le_bytes());
        behind = behind - 16 + key.len() + value.len();
    }
    for (_, key, value) in of {
        page.extend(key);
        page.extend(value);
    }
    page
}

/// A branch: the first key of each page below it.
pub fn branch(number: u64, of: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let mut page = Vec::new();
    page.extend(number.to_le_bytes());
    page.extend(1_u16.to_le_bytes());
    page.extend((of.len() as u16).to_le_bytes());
    page.extend(0_u32.to_le_bytes());
    let mut behind = of.len() * 16;
    for (key, below) in of {
        page.extend((behind as u32).to_le_bytes());
        page.extend((key.len() as u32).to_le_bytes());
        page.extend(below.to_le_bytes());
        behind = behind - 16 + key.len();
    }
    for (key, _) in of {
        page.extend(key);
    }
    page
}

impl Made {
    pub fn new() -> Made {
        Made {
            // Room for the two meta pages.
            pages: vec![0; 2 * PAGE],
            root: Vec::new(),
        }
    }

    /// The number of the page that is added next.
    pub fn next(&self) -> u64 {
        (self.pages.len() / PAGE) as u64
    }

    /// Adds a page, or as many as it takes.
    pub fn add(&mut self, mut page: Vec<u8>) {
        let more = (page.len().div_ceil(PAGE) - 1) as u32;
        page[12..16].copy_from_slice(&more.to_le_bytes());
        page.resize((more as usize + 1) * PAGE, 0);
        self.pages.extend(page);
    }

    /// Names a bucket that begins with a page.
    pub fn bucket(&mut self, name: &str, root: u64) {
        let mut header = root.to_le_bytes().to_vec();
        header.extend([0; 8]);
        self.root.push((name.as_bytes().to_vec(), header));
    }

    /// A bucket that is its page.
    pub fn inline(&mut self, name: &str, of: &[(Vec<u8>, Vec<u8>)]) {
        let of: Vec<_> = of
            .iter()
            .map(|(key, value)| (0, key.clone(), value.clone()))
            .collect();
        let mut value = vec![0; 16];
        value.extend(page(0, 2, &of));
        self.root.push((name.as_bytes().to_vec(), value));
    }

    /// A bucket of keys on leaves of so many each, below a branch.
    pub fn keys(&mut self, of: &[(Vec<u8>, Vec<u8>)], each: usize) {
        let mut below = Vec::new();
        for some in of.chunks(each) {
            let number = self.next();
            below.push((some[0].0.clone(), number));
            let some: Vec<_> = some
                .iter()
                .map(|(key, value)| (0, key.clone(), value.clone()))
                .collect();
            self.add(page(number, 2, &some));
        }
        let top = self.next();
        self.add(branch(top, &below));
        self.bucket("key", top);
    }

    /// The database.
    pub fn database(mut self) -> Vec<u8> {
        self.root.sort();
        let root = self.root.drain(..).map(|(key, value)| (1, key, value));
        let root: Vec<_> = root.collect();
        let number = self.next();
        self.add(page(number, 2, &root));
        let pages = self.next();
        for (n, transaction) in [(0_u64, 4_u64), (1, 5)] {
            let mut meta = Vec::new();
            meta.extend(0xED0C_DAED_u32.to_le_bytes());
            meta.extend(2_u32.to_le_bytes());
            meta.extend((PAGE as u32).to_le_bytes());
            meta.extend(0_u32.to_le_bytes());
            meta.extend(number.to_le_bytes());
            meta.extend(0_u64.to_le_bytes());
            meta.extend(u64::MAX.to_le_bytes());
            meta.extend(pages.to_le_bytes());
            meta.extend(transaction.to_le_bytes());
            meta.extend(checksum(&meta).to_le_bytes());
            let at = n as usize * PAGE;
            self.pages[at..at + 8].copy_from_slice(&n.to_le_bytes());
            self.pages[at + 8..at + 10].copy_from_slice(&4_u16.to_le_bytes());
            self.pages[at + 16..at + 16 + meta.len()].copy_from_slice(&meta);
        }
        self.pages
    }

    /// As `etcdctl snapshot save` leaves it.
    pub fn snapshot(self) -> Vec<u8> {
        hashed(self.database())
    }
}

/// With its hash behind it.
pub fn hashed(mut database: Vec<u8>) -> Vec<u8> {
    let hash = digest(&SHA256, &database);
    database.extend(hash.as_ref());
    database
}
