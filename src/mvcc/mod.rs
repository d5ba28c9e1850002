//! etcd's multi-version store, as far as it is known: keys with all their
//! versions, transactions, watches with history, leases, compaction.
//!
//! It may be made of a recording, and then it has *holes*: keys and revisions of
//! which nobody told. It never guesses. What it does not know it
//! [refuses](Refusal::Unknown), and says what was missing.
//!
//! | file | what it is about |
//! |---|---|
//! | [`span`] | keys from one to another, as etcd writes them |
//! | [`timeline`] | what is known of one key, revision by revision |
//! | [`knowledge`] | where every key is known, and every change |
//! | `facts` | what was told of one key, and the timeline that it makes |
//! | [`past`] | from single facts to a store, and to what happens to it next |
//! | `learn` | from lists and watches to where all is known |
//! | [`store`] | the store: reads, writes, compaction |
//! | [`check`] | what etcd refuses without looking at its keys |
//! | `play` | how it goes on as its recording did |
//! | [`evidence`] | what a compare that held, and a list, tell of keys |
//! | [`txn`] | compares, and transactions |
//! | [`lease`] | leases and the keys that hang on them |
//! | [`watch`] | the watches of one stream |
//! | [`refusal`] | errors, in etcd's words |
//!
//! Sans-io: `now` is an argument, in nanoseconds of any clock that only rises.

mod check;
pub mod evidence;
mod facts;
pub mod knowledge;
mod learn;
pub mod lease;
pub mod past;
mod play;
pub mod refusal;
pub mod span;
pub mod store;
#[cfg(test)]
mod tests;
pub mod timeline;
mod txn;
pub mod watch;

pub use lease::Leases;
pub use past::{Future, Past, PutSeen};
pub use refusal::Refusal;
pub use span::Span;
pub use store::Store;
pub use watch::Watches;
