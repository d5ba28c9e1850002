//! The finished call and its sinks: the log and the summary.

mod sender;

pub use sender::Sender;
