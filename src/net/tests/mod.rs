//! The shell on real loopback sockets, against small upstreams of its own.

mod certificates;
mod encrypted;
mod end;
mod failing;
mod plain;
mod plight;
mod rotation;
mod stage;
