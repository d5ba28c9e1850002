//! What a recording says as calls and streams, for those who drive it again.
//!
//! A recording is a sequence of messages and lines; whoever replays it, or plays
//! an etcd made of it, wants calls. [`Traffic`] puts each call together from its
//! messages and from the line of the log that tells how it ended, and gives it
//! out once that is known: unary calls whole, streams step by step. [`Book`] is
//! all of it at once.
//!
//! | file | what it is about |
//! |---|---|
//! | [`call`] | a call, a message of it, how it ended |
//! | [`gather`] | from items to calls and steps of streams, within bounds |
//! | [`stream`] | watches and keepalives, in etcd's own messages |
//! | [`book`] | a recording as a whole |
//!
//! Nothing is guessed: what is cut, hidden as a whole or missing says so
//! ([`Condition`], [`Call::request`], [`Ending`]).

pub mod book;
pub mod call;
pub mod gather;
pub mod stream;

#[cfg(test)]
mod tests;

pub use book::{Book, Lifetime, Stream};
pub use call::{Call, CallNumber, Condition, Ended, Ending, Lane, Said, Shape, revision_of};
pub use gather::{Step, Told, Traffic};
pub use stream::{KeepAliveStep, Sent, WatchStep};
