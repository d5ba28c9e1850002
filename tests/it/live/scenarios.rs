//! The scenarios that ship, live: each in front of three members of a real etcd,
//! with a client that behaves like an API server's cache. Each test says what
//! the cache saw, what etcd did, and that all is well afterwards.

// The harness.
mod stage;

// The tests.
mod command;
mod disk;
mod leases;
mod lists;
mod lost_reply;
mod members;
mod page;
mod stalls;
mod tokens;
mod watches;
