//! The integration tests: one binary, a module a theme.

#![allow(clippy::unwrap_used)]

mod blocks;
mod captures;
mod control;
mod demo;
mod export;
mod import;
mod live;
mod log;
mod look;
mod memory;
mod objects;
mod pcap;
mod playback;
mod recall;
mod record;
mod redaction;
mod referee;
mod replay;
mod session;
