//! The referee: a strict model of each peer, and a world in which they talk
//! through the core. It shares no code with the relay: frames, HPACK, windows
//! and stream states are its own.
//!
//! - An [`endpoint`] obeys every rule (`send`) and forgives nothing (`receive`).
//!   The `client` and the `server` models are endpoints that behave as grpc-go
//!   does: bandwidth PINGs, ping strikes, credit as the application reads.
//! - A `world` puts a `wire` between them: nothing, the core, a fault on purpose.
//!   All chance comes from one seed, the clock is a fake.
//! - When all has come to rest, nothing may have leaked (`rest`), every stream has
//!   to have carried exactly what was said (`content`), and what the random
//!   `judge` decided has to have come true (`fates`).
//!
//! `ETCDTAP_SEEDS=5000 cargo nextest run --test it referee` tries more runs;
//! `ETCDTAP_SEED=37` tries that one alone in `interposed`.

mod call;
mod client;
mod content;
mod endpoint;
mod errands;
mod fates;
mod fields;
mod frame;
mod hpack;
mod judge;
mod overhear;
pub mod random;
mod receive;
mod rest;
mod said;
mod saying;
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
mod plight;
mod recorded;
mod straight;
mod strictness;
