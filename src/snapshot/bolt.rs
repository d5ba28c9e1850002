//! bbolt's file, read: <https://github.com/etcd-io/bbolt>, `internal/common`.
//!
//! A file is pages of one size, and runs of them. The first two are meta pages, of
//! which the newer valid one says where the tree of the root bucket begins. A
//! branch names pages below it, a leaf has keys and values, and a value may be a
//! bucket: the page its own tree begins with, or, if it is small, that page itself.
//! Numbers are the machine's that wrote it; here they are little endian.

use bytes::Bytes;

use super::{ReadAt, Refusal};
use crate::fnv::Fnv;

/// What the first field of a meta page is.
const MAGIC: u32 = 0xED0C_DAED;
/// The only version of the format.
const VERSION: u32 = 2;
/// The header of a page.
const HEADER: usize = 16;
/// What a branch or a leaf says of one key.
const ELEMENT: usize = 16;
/// Of a meta page, what its checksum is about, and the checksum.
const META: usize = 56 + 8;
/// What a value that is a bucket begins with.
const BUCKET: usize = 16;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
/// Of a leaf's element: its value is a bucket.
const IS_BUCKET: u32 = 0x01;

/// A page is as large as a page of the machine's memory.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// A run of pages that is longer is damaged: a leaf is split when it has two values
/// that do not fit a page, and etcd takes 1.5 MiB unless it is told otherwise.
const MOST_RUN: u64 = 256 << 20;

/// Branches above each other: with two keys in each, more than there are pages.
const MOST_DEPTH: usize = 64;

/// A file of bbolt's.
#[derive(Debug)]
pub struct Bolt<R> {
    file: R,
    page_size: u64,
    /// Pages that there are.
    pages: u64,
    root: u64,
}

/// A tree of pages: a bucket.
#[derive(Debug, Clone)]
pub enum Bucket {
    /// It begins with this page.
    Tree(u64),
    /// It is this page.
    Inline(Bytes),
}

impl<R: ReadAt> Bolt<R> {
    /// Reads the meta pages of a database of so many bytes.
    ///
    /// # Errors
    /// If there is none, or the file is shorter than it says.
    pub fn open(file: R, length: u64) -> Result<Bolt<R>, Refusal> {
        let first = Meta::read(&file, length, 0)?;
        let second = match &first {
            Some(meta) => Meta::read(&file, length, u64::from(meta.page_size))?,
            // Where it is depends on a size that only itself says.
            None => {
                let mut sizes = (9..=16).map(|power| 1_u64 << power);
                sizes.find_map(|size| {
                    let meta = Meta::read(&file, length, size).ok().flatten();
                    meta.filter(|meta| u64::from(meta.page_size) == size)
                })
            }
        };
        let meta = match (first, second) {
            (Some(first), Some(second)) if second.transaction > first.transaction => second,
            (Some(first), _) => first,
            (None, Some(second)) => second,
            (None, None) => return Err(Refusal::NoSnapshot(nothing(&file, length))),
        };
        let page_size = u64::from(meta.page_size);
        let should = meta.pages.saturating_mul(page_size);
        if should > length {
            return Err(Refusal::Cut {
                should,
                are: length,
            });
        }
        Ok(Bolt {
            file,
            page_size,
            pages: meta.pages,
            root: meta.root,
        })
    }

    /// The bucket of this name, if there is one.
    ///
    /// # Errors
    /// If a page on the way is damaged.
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket>, Refusal> {
        for entry in self.entries(&Bucket::Tree(self.root)) {
            let entry = entry?;
            if entry.key == name {
                return entry.bucket().map(Some);
            }
        }
        Ok(None)
    }

    /// The keys of a bucket and their values, in order. After an error nothing comes.
    pub fn entries(&self, bucket: &Bucket) -> Entries<'_, R> {
        Entries {
            bolt: self,
            next: match bucket {
                Bucket::Tree(page) => Next::Page(*page),
                Bucket::Inline(page) => Next::Inline(page.clone()),
            },
            above: Vec::new(),
            visited: 0,
            last: None,
        }
    }

    /// A page, with those that it runs on into.
    fn page(&self, number: u64) -> Result<Page, Refusal> {
        let wrong = |why| Refusal::Page { page: number, why };
        if number < 2 || number >= self.pages {
            return Err(wrong("is named, and there is none of that number"));
        }
        let offset = number * self.page_size;
        let mut header = [0; HEADER];
        self.file.read_at(&mut header, offset)?;
        if u64_at(&header, 0) != Some(number) {
            return Err(wrong("says that it is another one"));
        }
        let more = u64::from(u32_at(&header, 12).unwrap_or(0));
        let length = (more + 1) * self.page_size;
        if number + more >= self.pages || length > MOST_RUN {
            return Err(wrong("is longer than it can be"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_at(&mut bytes, offset)?;
        Page::read(bytes.into(), number)
    }
}

/// Why there is no meta page.
fn nothing(file: &impl ReadAt, length: u64) -> &'static str {
    let mut magic = [0; 4];
    let there = length >= HEADER as u64 + 4 && file.read_at(&mut magic, HEADER as u64).is_ok();
    if there && u32::from_be_bytes(magic) == MAGIC {
        return "it was written on a big-endian machine";
    }
    "it has no page that says where its tree begins"
}

/// What a meta page says.
#[derive(Debug, Clone, Copy)]
struct Meta {
    page_size: u32,
    root: u64,
    pages: u64,
    transaction: u64,
}

impl Meta {
    /// The one at this place, if it is valid.
    fn read(file: &impl ReadAt, length: u64, offset: u64) -> Result<Option<Meta>, Refusal> {
        let mut bytes = [0; HEADER + META];
        if length.saturating_sub(offset) < bytes.len() as u64 {
            return Ok(None);
        }
        file.read_at(&mut bytes, offset)?;
        let meta = &bytes[HEADER..];
        let long = |at| u64_at(meta, at).unwrap_or(0);
        let short = |at| u32_at(meta, at).unwrap_or(0);
        let page_size = short(8);
        let valid = short(0) == MAGIC
            && short(4) == VERSION
            && PAGE_SIZES.contains(&page_size)
            && page_size.is_power_of_two()
            && long(56) == checksum(&meta[..56]);
        Ok(valid.then(|| Meta {
            page_size,
            root: long(16),
            pages: long(40),
            transaction: long(48),
        }))
    }
}

/// FNV-1a of 64 bits.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut hash = Fnv::default();
    hash.add(bytes);
    hash.hash()
}

/// A page, or a run of them.
#[derive(Debug, Clone)]
struct Page {
    bytes: Bytes,
    number: u64,
    is_leaf: bool,
    count: usize,
}

impl Page {
    fn read(bytes: Bytes, number: u64) -> Result<Page, Refusal> {
        let wrong = |why| Refusal::Page { page: number, why };
        let (flags, count) = (u16_at(&bytes, 8), u16_at(&bytes, 10));
        let (Some(flags), Some(count)) = (flags, count) else {
            return Err(wrong("has no header"));
        };
        let is_leaf = match flags {
            BRANCH => false,
            LEAF => true,
            _ => return Err(wrong("is neither a branch nor a leaf")),
        };
        let count = usize::from(count);
        if bytes.len() < HEADER + count * ELEMENT {
            return Err(wrong("has more keys than it has room for"));
        }
        Ok(Page {
            bytes,
            number,
            is_leaf,
            count,
        })
    }

    fn wrong(&self, why: &'static str) -> Refusal {
        Refusal::Page {
            page: self.number,
            why,
        }
    }

    /// Bytes that an element says stand so far behind it.
    fn slice(&self, element: usize, position: u32, length: u32) -> Result<Bytes, Refusal> {
        let from = u64::try_from(element).unwrap_or(u64::MAX) + u64::from(position);
        let to = from + u64::from(length);
        match (usize::try_from(from), usize::try_from(to)) {
            (Ok(from), Ok(to)) if to <= self.bytes.len() => Ok(self.bytes.slice(from..to)),
            _ => Err(self.wrong("has a key or a value that does not lie within it")),
        }
    }

    /// The page that a branch names at this place.
    fn below(&self, n: usize) -> Result<u64, Refusal> {
        let element = HEADER + n * ELEMENT;
        let page = u64_at(&self.bytes, element + 8);
        page.ok_or_else(|| self.wrong("has fewer keys than it says"))
    }

    /// What a leaf has at this place.
    fn entry(&self, n: usize) -> Result<Entry, Refusal> {
        let element = HEADER + n * ELEMENT;
        let field = |at| {
            let field = u32_at(&self.bytes, element + at);
            field.ok_or_else(|| self.wrong("has fewer keys than it says"))
        };
        let (flags, position) = (field(0)?, field(4)?);
        let (key, value) = (field(8)?, field(12)?);
        let after = position.checked_add(key);
        let after = after.ok_or_else(|| self.wrong("has a key that is too long"))?;
        Ok(Entry {
            key: self.slice(element, position, key)?,
            value: self.slice(element, after, value)?,
            is_bucket: flags & IS_BUCKET != 0,
            page: self.number,
        })
    }
}

/// A key of a bucket, and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value, which may be a bucket.
    pub value: Bytes,
    /// It is one.
    pub is_bucket: bool,
    page: u64,
}

impl Entry {
    /// The bucket that it is.
    fn bucket(&self) -> Result<Bucket, Refusal> {
        let wrong = |why| Refusal::Page {
            page: self.page,
            why,
        };
        match u64_at(&self.value, 0) {
            Some(root) if self.is_bucket && self.value.len() >= BUCKET => Ok(match root {
                0 => Bucket::Inline(self.value.slice(BUCKET..)),
                page => Bucket::Tree(page),
            }),
            _ => Err(wrong("has a bucket that is none")),
        }
    }
}

/// What comes next.
#[derive(Debug)]
enum Next {
    Page(u64),
    Inline(Bytes),
    /// The next key of the page that is read.
    Key,
    Nothing,
}

/// The entries of a bucket, in order.
#[derive(Debug)]
pub struct Entries<'b, R> {
    bolt: &'b Bolt<R>,
    next: Next,
    /// From the first page down to the one that is read, and how far.
    above: Vec<(Page, usize)>,
    visited: u64,
    last: Option<Bytes>,
}

impl<R: ReadAt> Entries<'_, R> {
    fn advance(&mut self) -> Result<Option<Entry>, Refusal> {
        loop {
            match std::mem::replace(&mut self.next, Next::Key) {
                Next::Nothing => {
                    self.next = Next::Nothing;
                    return Ok(None);
                }
                Next::Page(number) => {
                    let page = self.bolt.page(number)?;
                    self.visited += 1;
                    // Each page of a tree is there once.
                    if self.above.len() >= MOST_DEPTH || self.visited > self.bolt.pages {
                        return Err(page.wrong("is below itself"));
                    }
                    self.above.push((page, 0));
                }
                // No page, so it has no number.
                Next::Inline(bytes) => self.above.push((Page::read(bytes, 0)?, 0)),
                Next::Key => {
                    let Some((page, at)) = self.above.last_mut() else {
                        self.next = Next::Nothing;
                        continue;
                    };
                    if *at == page.count {
                        self.above.pop();
                        continue;
                    }
                    let n = *at;
                    *at += 1;
                    if !page.is_leaf {
                        self.next = Next::Page(page.below(n)?);
                        continue;
                    }
                    let entry = page.entry(n)?;
                    if self.last.as_ref().is_some_and(|last| *last >= entry.key) {
                        return Err(page.wrong("has keys that are not in order"));
                    }
                    self.last = Some(entry.key.clone());
                    return Ok(Some(entry));
                }
            }
        }
    }
}

impl<R: ReadAt> Iterator for Entries<'_, R> {
    type Item = Result<Entry, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.advance().transpose();
        if matches!(entry, Some(Err(_))) {
            self.next = Next::Nothing;
        }
        entry
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
