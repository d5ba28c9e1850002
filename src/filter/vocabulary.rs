//! Which names a filter may speak of: not everything is known everywhere.

use super::name::Name;

/// A set of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Names(u128);

// One bit each.
const _: () = assert!(Name::ALL.len() <= 128);

impl Names {
    pub const NONE: Names = Names(0);

    pub const fn with(self, name: Name) -> Names {
        Names(self.0 | 1 << name as u8)
    }

    pub const fn contains(self, name: Name) -> bool {
        self.0 & 1 << name as u8 != 0
    }

    pub const fn of(names: &[Name]) -> Names {
        let mut all = Names::NONE;
        let mut at = 0;
        while at < names.len() {
            all = all.with(names[at]);
            at += 1;
        }
        all
    }

    pub const fn and(self, other: Names) -> Names {
        Names(self.0 | other.0)
    }
}

/// The names that are known in one place.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary {
    names: Names,
    /// Ends the sentence "status is not known …".
    place: &'static str,
    /// Whether outcomes are known, so that a verb may be `conflict`.
    outcomes: bool,
}

/// What a connection shows.
const CONNECTION: Names = Names::of(&[
    Name::Conn,
    Name::Client,
    Name::Upstream,
    Name::Listener,
    Name::TlsVersion,
    Name::Sni,
    Name::Alpn,
    Name::Identity,
]);

/// What the head of a call shows.
const HEAD: Names = Names::of(&[Name::Stream, Name::UserAgent, Name::Service, Name::Method]);

/// What a key, or a range, shows.
const OBJECT: Names = Names::of(&[
    Name::Key,
    Name::RangeEnd,
    Name::Resource,
    Name::Group,
    Name::Namespace,
    Name::ObjectName,
]);

impl Vocabulary {
    /// Of a line of the log, and of a record of a recording: everything.
    pub const LOG: Vocabulary = Vocabulary {
        names: Names::of(Name::ALL),
        place: "in a line of the log",
        outcomes: true,
    };

    /// Of a call when its request has been read and nothing has been answered.
    pub const ASKED: Vocabulary = Vocabulary {
        names: Names::of(&[
            Name::Verb,
            Name::ObjectKind,
            Name::Encryption,
            Name::Limit,
            Name::AtRevision,
            Name::KeysOnly,
            Name::Serializable,
            Name::IfRevision,
            Name::CompactRevision,
            Name::Lease,
            Name::Ttl,
            Name::Subject,
            Name::RequestBytes,
        ])
        .and(CONNECTION)
        .and(HEAD)
        .and(OBJECT),
        place: "when a call is asked",
        outcomes: false,
    };

    /// Of a watch, and of an event on it: its key is the one that changed.
    pub const WATCHED: Vocabulary = Vocabulary {
        names: Names::of(&[Name::WatchId, Name::StartRevision, Name::Type])
            .and(CONNECTION)
            .and(HEAD)
            .and(OBJECT),
        place: "of a watch when it passes",
        outcomes: false,
    };

    /// Of a connection before anything was asked on it.
    pub const CONNECTED: Vocabulary = Vocabulary {
        names: CONNECTION,
        place: "of a connection when it opens",
        outcomes: false,
    };

    /// Of a value, by the key that it is stored at, before it is written to a
    /// recording.
    pub const STORED: Vocabulary = Vocabulary {
        names: Names::of(&[
            Name::Key,
            Name::Resource,
            Name::Group,
            Name::Namespace,
            Name::ObjectName,
        ]),
        place: "of a value before it is written down",
        outcomes: false,
    };

    /// Whether it has this name.
    pub const fn knows(&self, name: Name) -> bool {
        self.names.contains(name)
    }

    /// Its names.
    pub fn names(&self) -> impl Iterator<Item = Name> + use<> {
        let names = self.names;
        (Name::ALL.iter().copied()).filter(move |name| names.contains(*name))
    }

    pub(super) const fn place(&self) -> &'static str {
        self.place
    }

    pub(super) const fn knows_outcomes(&self) -> bool {
        self.outcomes
    }
}
