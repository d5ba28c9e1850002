//! The integration tests: one binary, a module a theme.

#![allow(clippy::unwrap_used)]

mod captures;
mod control;
mod live;
mod log;
mod objects;
mod pcap;
mod recall;
mod redaction;
mod referee;
mod session;
