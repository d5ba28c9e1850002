//! The API server's built-in resources, as far as etcd's keys do not name their
//! groups.

use super::builtin::{self, Scope};

/// A built-in resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its plural name in the API.
    pub name: &'static str,
    /// Its API group; `None` for the core group.
    pub group: Option<&'static str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Bookkeeping of the API server that is no API resource.
    pub internal: bool,
}

/// Every built-in resource; one that is kept in several places comes several
/// times.
pub fn built_in() -> impl Iterator<Item = BuiltIn> {
    builtin::all().map(|row| BuiltIn {
        name: row.resource,
        group: row.group,
        namespaced: row.scope == Scope::Namespaced,
        internal: row.internal,
    })
}

/// The first segments below the prefix where the API server keeps this built-in
/// resource.
pub fn stored_below(resource: &str) -> impl Iterator<Item = &'static str> {
    let rows = builtin::all().filter(move |row| row.resource == resource);
    rows.map(builtin::Builtin::first_segment)
}
