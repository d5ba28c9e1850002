//! The store and the playback, against real etcds and with real clients.

mod captures;
mod differential;
mod player;
mod recorded;
