//! The store and the playback, against real etcds and with real clients.

mod differential;
