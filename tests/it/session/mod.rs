//! The core under scripts of bytes, with a clock of their own.

mod calls;
mod connections;
mod ends;
mod fail_open;
mod flow;
mod interposed;
mod let_go;
mod messages;
pub mod script;
mod stand;
mod touched_watches;
mod watch_chance;
mod watch_stand;
mod watches;
