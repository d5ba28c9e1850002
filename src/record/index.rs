//! What a chunk is about, so that a question can pass it by without unpacking it.
//!
//! A Bloom filter of terms: `key:/registry/pods/lab/web`, `resource:pods`,
//! `namespace:lab`, `name:web`, `method:Range`. A term is hashed with FNV-1a (64
//! bits); bit `i` of `k` is `(low + i * high) mod bits`, where `low` and `high`
//! are the hash's halves (`high` made odd). docs/recording.md says the same for
//! readers in other languages.

use rustc_hash::FxHashSet;

use super::schema::v1::LogLine;
use crate::fnv::Fnv;

/// Bits a term: about one question in a hundred unpacks a chunk for nothing.
const BITS_A_TERM: usize = 10;

/// Bits that a term sets.
const HASHES: u32 = 7;

/// Terms that a chunk's filter holds at most; with more it says yes to all.
const MOST_TERMS: usize = 1 << 17;

/// A fact that an index can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term<'a> {
    /// A key, whole.
    Key(&'a [u8]),
    /// A resource.
    Resource(&'a str),
    /// A namespace.
    Namespace(&'a str),
    /// An object's name.
    Name(&'a str),
    /// A method, without its service.
    Method(&'a str),
}

/// What kind of fact a [`Term`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key, whole.
    Key,
    /// A resource.
    Resource,
    /// A namespace.
    Namespace,
    /// An object's name.
    Name,
    /// A method, without its service.
    Method,
}

impl Kind {
    fn hash(self, value: &[u8]) -> u64 {
        let kind: &[u8] = match self {
            Kind::Key => b"key:",
            Kind::Resource => b"resource:",
            Kind::Namespace => b"namespace:",
            Kind::Name => b"name:",
            Kind::Method => b"method:",
        };
        let mut hash = Fnv::default();
        hash.add(kind);
        hash.add(value);
        hash.hash()
    }
}

impl<'a> Term<'a> {
    fn parts(self) -> (Kind, &'a [u8]) {
        match self {
            Term::Key(key) => (Kind::Key, key),
            Term::Resource(resource) => (Kind::Resource, resource.as_bytes()),
            Term::Namespace(namespace) => (Kind::Namespace, namespace.as_bytes()),
            Term::Name(name) => (Kind::Name, name.as_bytes()),
            Term::Method(method) => (Kind::Method, method.as_bytes()),
        }
    }

    fn hash(self) -> u64 {
        let (kind, value) = self.parts();
        kind.hash(value)
    }
}

/// What an index keeps of a line: hashed where the line is made, on the thread
/// that has the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct About {
    hashes: [u64; 5],
    terms: u8,
    /// The revision that the line names.
    pub revision: Option<i64>,
}

impl About {
    /// What a line is about.
    pub fn line(line: &LogLine) -> About {
        let terms = [
            line.key.as_deref().map(Term::Key),
            line.resource.as_deref().map(Term::Resource),
            line.namespace.as_deref().map(Term::Namespace),
            line.name.as_deref().map(Term::Name),
            line.method.as_deref().map(Term::Method),
        ];
        let mut about = About {
            revision: line.revision,
            ..About::default()
        };
        for term in terms.into_iter().flatten() {
            let (kind, value) = term.parts();
            about.add(kind, value);
        }
        about
    }

    /// It is about this, too. A line has one value of a kind at most.
    pub fn add(&mut self, kind: Kind, value: &[u8]) {
        if let Some(place) = self.hashes.get_mut(usize::from(self.terms)) {
            *place = kind.hash(value);
            self.terms += 1;
        }
    }
}

#[cfg(test)]
impl About {
    /// Whether it is what [`About::line`] says of a line, in whatever order.
    pub fn is_of(&self, line: &LogLine) -> bool {
        let sorted = |mut about: About| {
            about.hashes.sort_unstable();
            about
        };
        sorted(*self) == sorted(About::line(line))
    }
}

/// Gathers the terms of a chunk.
#[derive(Debug, Default)]
pub struct Terms {
    hashes: FxHashSet<u64>,
}

impl Terms {
    /// Adds a term.
    pub fn add(&mut self, term: Term<'_>) {
        self.add_hash(term.hash());
    }

    /// Adds what a line is about.
    pub fn add_line(&mut self, about: &About) {
        for hash in &about.hashes[..usize::from(about.terms)] {
            self.add_hash(*hash);
        }
    }

    fn add_hash(&mut self, hash: u64) {
        if self.hashes.len() <= MOST_TERMS {
            self.hashes.insert(hash);
        }
    }

    /// The filter of what was added, and the number of its hashes; none where it
    /// would say yes to all. Forgets the terms.
    pub fn filter(&mut self) -> (Vec<u8>, u32) {
        if self.hashes.len() > MOST_TERMS {
            self.hashes.clear();
            return (Vec::new(), 0);
        }
        let bytes = (self.hashes.len() * BITS_A_TERM).div_ceil(8).max(8);
        let mut filter = vec![0; bytes];
        for hash in self.hashes.drain() {
            for bit in bits(hash, HASHES, bytes) {
                filter[bit / 8] |= 1 << (bit % 8);
            }
        }
        (filter, HASHES)
    }
}

/// Whether a chunk with this filter could hold the term.
pub fn may_hold(filter: &[u8], hashes: u32, term: Term<'_>) -> bool {
    if filter.is_empty() || hashes == 0 {
        return true;
    }
    // No filter of ours has more.
    let hashes = hashes.min(32);
    bits(term.hash(), hashes, filter.len()).all(|bit| filter[bit / 8] & (1 << (bit % 8)) != 0)
}

fn bits(hash: u64, hashes: u32, bytes: usize) -> impl Iterator<Item = usize> {
    let (low, high) = (hash & 0xffff_ffff, (hash >> 32) | 1);
    let bits = bytes as u64 * 8;
    (0..u64::from(hashes)).map(move |i| (low.wrapping_add(i.wrapping_mul(high)) % bits) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_little_else() {
        let mut terms = Terms::default();
        let keys: Vec<String> = (0..2000)
            .map(|n| format!("/registry/pods/lab/web-{n}"))
            .collect();
        for key in &keys {
            terms.add(Term::Key(key.as_bytes()));
        }
        terms.add(Term::Resource("pods"));
        let (filter, hashes) = terms.filter();
        assert_eq!(filter.len(), 2502);
        for key in &keys {
            assert!(may_hold(&filter, hashes, Term::Key(key.as_bytes())));
        }
        assert!(may_hold(&filter, hashes, Term::Resource("pods")));
        let wrong = (2000..12_000)
            .filter(|n| may_hold(&filter, hashes, Term::Name(&format!("web-{n}"))))
            .count();
        assert!(wrong < 300, "{wrong}");
    }

    #[test]
    fn no_filter_denies_nothing() {
        assert!(may_hold(&[], 7, Term::Name("web")));
        assert!(may_hold(&[0; 8], 0, Term::Name("web")));
        assert!(!may_hold(&[0; 8], u32::MAX, Term::Name("web")));
    }
}
