//! The referee: a strict model of each peer, and a world in which they talk
//! through the core. It shares no code with the relay: frames, HPACK, windows
//! and states are its own.

mod call;
mod client;
mod content;
mod endpoint;
mod fates;
mod fields;
mod frame;
mod hpack;
mod judge;
mod random;
mod receive;
mod rest;
mod said;
mod send;
mod server;
mod stand_in;
mod stream;
mod violation;
mod wire;
mod world;

mod drip;
mod interposed;
mod meddling;
mod straight;
mod strictness;
