//! The finished call and its sinks: the log and the summary.
//!
//! Connections put events into a [`Sender`]. Behind it a thread ([`start`])
//! runs them through a [`Pipeline`], which decides what is written and how, and
//! writes its lines out. Nothing here can hold up traffic.

mod budget;
mod clock;
mod diagnostics;
mod escape;
mod facts;
mod figures;
mod filter;
#[cfg(test)]
pub(crate) mod fixtures;
mod histogram;
mod json;
mod lag;
mod lines;
mod observer;
mod output;
mod pipeline;
mod pretty;
mod printer;
mod row;
mod sender;
mod summary;
mod table;
mod writer;

pub use clock::Anchor;
pub(crate) use escape::{key_text, quiet_text, shown_key};
pub use facts::{CallFacts, ConnectionFacts, Happening, HttpFacts, NoteFacts};
pub(crate) use figures::{duration, grouped, signed_duration, size};
pub use filter::Filter;
pub(crate) use filter::{WATCH_METHOD, WATCH_SERVICE};
pub(crate) use histogram::Histogram;
#[cfg(test)]
pub(crate) use lines::Lines;
pub(crate) use lines::micros_between;
pub use observer::Observer;
pub use output::Destination;
pub use pipeline::{Format, Options, Pipeline};
pub use printer::Printer;
pub use row::Colour;
pub(crate) use row::shortened;
pub use sender::Sender;
pub use summary::{CallFigures, Summary, WatchFigures};
pub(crate) use table::Table;
pub use writer::{Finished, Handle, start, start_observed};
