//! The built program in front of real etcd servers, driven by real clients.
//! Each test says what a client gets through etcdtap, and where that makes
//! sense compares it with what the same client gets from etcd itself.

// The harness: each of these stands for one thing outside the test.
mod cache;
pub(crate) mod certs;
pub(crate) mod etcd;
pub(crate) mod etcdctl;
pub(crate) mod http;
pub(crate) mod lines;
mod log;
pub(crate) mod patience;
pub(crate) mod ports;
pub(crate) mod proxy;
mod stack;
mod tls;

// The tests.
mod auth;
mod backpressure;
mod cluster;
mod control;
mod faults;
mod http1;
mod identity;
mod kv;
mod lease;
mod list;
mod logfile;
mod outage;
mod passthrough;
mod process;
mod recording;
mod rotation;
mod scenarios;
mod scorecard;
mod watch;
