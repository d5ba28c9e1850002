//! The static and the dynamic table (RFC 7541, sections 2.3 and 4, appendix A).

use std::collections::VecDeque;
use std::ops::Range;

/// What an entry counts beyond its octets (RFC 7541, section 4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;

/// The static table; index 1 is its first entry.
#[rustfmt::skip]
pub(super) static STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// A table as one end of a direction sees it: the static entries and its own
/// dynamic ones.
///
/// The octets of all entries lie in one buffer, oldest first, each name before
/// its value. Evicting only moves the front; what lies before it is taken out
/// once it is more than what is alive. So an insertion costs no allocation of
/// its own, an entry twelve bytes, and an empty table none at all.
#[derive(Debug, Default)]
pub(super) struct Table {
    octets: Vec<u8>,
    /// Oldest first: index 62 is the last.
    entries: VecDeque<Entry>,
    /// The octets before this belong to evicted entries.
    front: usize,
    /// The sum of entry sizes (RFC 7541, section 4.1).
    size: usize,
    /// What `size` may not exceed.
    limit: usize,
}

/// Where an entry lies in `Table::octets`. The decoder's bounds keep all three
/// well within 32 bits.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    name_len: u32,
    value_len: u32,
}

impl Entry {
    fn len(self) -> usize {
        self.name_len as usize + self.value_len as usize
    }
}

/// The name of an entry to insert.
#[derive(Clone, Copy)]
pub(super) enum Name<'a> {
    /// Given as octets.
    Octets(&'a [u8]),
    /// That of a table entry, which the insertion itself may evict.
    Index(u32),
}

/// Where the octets of that name are: in the caller's hands, or in the table.
enum NameOctets<'a> {
    Given(&'a [u8]),
    Own(Range<usize>),
}

impl Table {
    /// An empty table that holds up to `limit` bytes.
    pub(super) fn new(limit: u32) -> Table {
        Table {
            limit: limit as usize,
            ..Table::default()
        }
    }

    /// The current limit.
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// The sum of entry sizes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The last index there is.
    pub(super) fn last_index(&self) -> u32 {
        (STATIC.len() + self.entries.len()) as u32
    }

    /// The entry at `index`: its name and value.
    #[inline]
    pub(super) fn entry(&self, index: u32) -> Option<(&[u8], &[u8])> {
        let at = (index as usize).checked_sub(1)?;
        if let Some(entry) = STATIC.get(at) {
            return Some(*entry);
        }
        let entry = self.dynamic(at)?;
        let start = entry.start as usize;
        self.octets
            .get(start..start + entry.len())?
            .split_at_checked(entry.name_len as usize)
    }

    /// The dynamic entry at `at`, counted from zero through both tables.
    #[inline]
    fn dynamic(&self, at: usize) -> Option<Entry> {
        let newer = at.checked_sub(STATIC.len())?;
        let place = self.entries.len().checked_sub(newer)?.checked_sub(1)?;
        self.entries.get(place).copied()
    }

    /// Makes room for an entry and adds it. One larger than the whole table
    /// empties it and is not added (RFC 7541, section 4.4).
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8]) {
        // A name in the table has to be found before its entry is evicted. Its
        // octets stay where they are until `compact`.
        let name = match name {
            Name::Octets(octets) => NameOctets::Given(octets),
            Name::Index(index) => self.name_octets(index),
        };
        let name_len = match &name {
            NameOctets::Given(octets) => octets.len(),
            NameOctets::Own(range) => range.len(),
        };
        let size = name_len + value.len() + ENTRY_OVERHEAD;
        if size > self.limit {
            self.shrink_to(0);
            return;
        }
        self.evict_to(self.limit - size);

        let start = self.octets.len();
        match name {
            NameOctets::Given(octets) => self.octets.extend_from_slice(octets),
            NameOctets::Own(range) => self.octets.extend_from_within(range),
        }
        self.octets.extend_from_slice(value);
        self.entries.push_back(Entry {
            start: start as u32,
            name_len: name_len as u32,
            value_len: value.len() as u32,
        });
        self.size += size;
        self.compact();
    }

    /// The name of the entry at `index`; an empty one if there is none.
    fn name_octets(&self, index: u32) -> NameOctets<'static> {
        let at = (index as usize).wrapping_sub(1);
        if let Some((name, _)) = STATIC.get(at) {
            return NameOctets::Given(name);
        }
        self.dynamic(at).map_or(NameOctets::Given(b""), |entry| {
            let start = entry.start as usize;
            NameOctets::Own(start..start + entry.name_len as usize)
        })
    }

    /// Sets the limit and evicts what no longer fits (RFC 7541, section 4.3).
    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = limit as usize;
        self.shrink_to(self.limit);
    }

    fn shrink_to(&mut self, size: usize) {
        self.evict_to(size);
        self.compact();
    }

    /// Drops the oldest entries until `size` is not exceeded.
    fn evict_to(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.len() + ENTRY_OVERHEAD;
            self.front = oldest.start as usize + oldest.len();
        }
    }

    /// Takes out the octets of evicted entries when they are the larger part,
    /// so that each octet is moved once on average.
    fn compact(&mut self) {
        if self.entries.is_empty() {
            self.octets = Vec::new();
            self.entries = VecDeque::new();
            self.front = 0;
        } else if self.front > self.octets.len() - self.front {
            self.octets.drain(..self.front);
            for entry in &mut self.entries {
                entry.start -= self.front as u32;
            }
            self.front = 0;
        }
    }

    /// The best index for a field: of an equal entry, else of one with its
    /// name. For encoders; a decoder never searches.
    pub(super) fn find(&self, name: &[u8], value: &[u8], dynamic: bool) -> Option<Match> {
        let mut by_name = None;
        let last = if dynamic {
            self.last_index()
        } else {
            STATIC.len() as u32
        };
        for index in 1..=last {
            match self.entry(index) {
                Some(entry) if entry == (name, value) => return Some(Match::Field(index)),
                Some(entry) if entry.0 == name && by_name.is_none() => {
                    by_name = Some(Match::Name(index));
                }
                _ => {}
            }
        }
        by_name
    }

    /// Bytes of memory held beyond the table itself.
    pub(super) fn memory(&self) -> usize {
        self.octets.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}

/// What [`Table::find`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// An entry with this name and value.
    Field(u32),
    /// An entry with this name.
    Name(u32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_table_holds_no_memory() {
        let mut table = Table::new(4096);
        assert_eq!(table.memory(), 0);
        table.insert(Name::Octets(b"name"), b"value");
        assert!(table.memory() > 0);
        table.set_limit(0);
        assert_eq!((table.memory(), table.size()), (0, 0));
    }

    #[test]
    fn name_of_an_entry_that_the_insertion_evicts() {
        let mut table = Table::new(80);
        table.insert(Name::Octets(b"name"), b"value");
        table.insert(Name::Octets(b"n"), b"");
        table.insert(Name::Index(63), b"another value");
        assert_eq!(table.entry(62), Some((&b"name"[..], &b"another value"[..])));
        assert_eq!(table.entry(63), None);
    }

    proptest! {
        /// Against a plain list of owned entries.
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec((0..12u8, 0..40usize, 0..60usize), 0..200)) {
            let mut table = Table::new(300);
            let mut list: VecDeque<(Vec<u8>, Vec<u8>)> = VecDeque::new();
            let mut limit = 300;
            for (turn, (kind, a, b)) in steps.into_iter().enumerate() {
                let value = vec![turn as u8; b];
                let name = match kind {
                    0 => {
                        limit = a * 10;
                        table.set_limit(limit as u32);
                        None
                    }
                    1..6 if !list.is_empty() => {
                        let newer = a % list.len();
                        let name = list[newer].0.clone();
                        table.insert(Name::Index(62 + newer as u32), &value);
                        Some(name)
                    }
                    _ => {
                        let name = vec![kind; a];
                        table.insert(Name::Octets(&name), &value);
                        Some(name)
                    }
                };
                if let Some(name) = name {
                    list.push_front((name, value));
                }
                let mut sum = 0;
                list = list
                    .into_iter()
                    .take_while(|(name, value)| {
                        sum += name.len() + value.len() + ENTRY_OVERHEAD;
                        sum <= limit
                    })
                    .collect();
                prop_assert_eq!(table.last_index() as usize, 61 + list.len());
                for (newer, (name, value)) in list.iter().enumerate() {
                    prop_assert_eq!(table.entry(62 + newer as u32), Some((&name[..], &value[..])));
                }
                prop_assert!(table.memory() <= 6 * 300 + 64 * 12);
            }
        }
    }
}
