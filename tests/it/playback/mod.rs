//! The store and the playback, against real etcds and with real clients.

mod captures;
mod differential;
pub(crate) mod player;
mod recorded;
mod served;
