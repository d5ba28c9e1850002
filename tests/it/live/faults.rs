//! Faults, live: `etcdtap proxy --faults` in front of real etcd servers. Each
//! test says what the client sees, and what etcd did, which it asks etcd for
//! directly. Plans come from `docs/faults.md` where that has one.

// The harness.
pub(crate) mod arm;
mod documented;
pub(crate) mod objects;

// The tests.
mod armed_later;
mod big;
mod connections;
mod duplicate;
mod endings;
mod error;
mod hang;
mod lose_reply;
mod matching;
mod nghttp2;
mod reset;
mod slow;
mod streams;
mod timing;
mod together;
mod touched_watches;
mod watch;
