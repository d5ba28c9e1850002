//! The static and the dynamic table (RFC 7541, sections 2.3 and 4).

use std::collections::VecDeque;

#[rustfmt::skip]
pub const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

type Entry = (Vec<u8>, Vec<u8>);

/// The dynamic table, newest first.
#[derive(Debug)]
pub struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

fn size_of(entry: &Entry) -> usize {
    entry.0.len() + entry.1.len() + 32
}

impl Table {
    pub fn new() -> Table {
        Table {
            entries: VecDeque::new(),
            size: 0,
            max: 4096,
        }
    }

    pub fn max(&self) -> usize {
        self.max
    }

    pub fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict(0);
    }

    fn evict(&mut self, room: usize) {
        while self.size + room > self.max {
            let Some(entry) = self.entries.pop_back() else {
                return;
            };
            self.size -= size_of(&entry);
        }
    }

    pub fn insert(&mut self, name: &[u8], value: &[u8]) {
        let entry = (name.to_vec(), value.to_vec());
        let size = size_of(&entry);
        self.evict(size);
        if size <= self.max {
            self.size += size;
            self.entries.push_front(entry);
        }
    }

    pub fn entry(&self, index: usize) -> Option<(&[u8], &[u8])> {
        if (1..=STATIC.len()).contains(&index) {
            let (name, value) = STATIC[index - 1];
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let place = index.checked_sub(STATIC.len() + 1)?;
        let (name, value) = self.entries.get(place)?;
        Some((name, value))
    }

    fn all(&self) -> impl Iterator<Item = (usize, (&[u8], &[u8]))> {
        let count = STATIC.len() + self.entries.len();
        (1..=count).filter_map(|index| Some((index, self.entry(index)?)))
    }

    pub fn find(&self, name: &[u8], value: &[u8]) -> Option<usize> {
        let mut all = self.all();
        let found = all.find(|(_, entry)| *entry == (name, value));
        found.map(|(index, _)| index)
    }

    pub fn find_name(&self, name: &[u8]) -> Option<usize> {
        let mut all = self.all();
        let found = all.find(|(_, entry)| entry.0 == name);
        found.map(|(index, _)| index)
    }
}
