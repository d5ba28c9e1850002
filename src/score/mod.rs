//! The scorecard: how a client took a failure, measured from the wire.
//!
//! A [`Meter`] takes facts in the order in which they became known and gives a
//! [`Scorecard`] at any moment. Facts come from the trace while traffic passes
//! ([`Probe`]), or from the lines of a log ([`Reader`]); both ways give the same
//! card for the same traffic. `docs/scorecard.md` defines each figure.

mod beside;
mod card;
mod census;
mod client;
mod commits;
mod concurrency;
mod expect;
mod fact;
mod line;
mod live;
mod measurement;
mod meter;
mod metric;
mod print;
mod probe;
mod reader;
#[cfg(test)]
mod script;
mod slot;
#[cfg(test)]
mod tests;
mod watches;
mod window;
mod writes;

pub use card::{
    ClientCard, Failure, Figures, LostEvent, Recreation, Scorecard, Source, Struck, ToldOtherwise,
    WatchCard,
};
pub use expect::{Expectation, Outcome};
pub use fact::{CallFact, Ended, Fact, Hit, Moment, Range, WatchAt, What};
pub use measurement::{Answer, Measurement, Order};
pub use meter::{Meter, Options};
pub use metric::{Metric, Unit};
pub use probe::Probe;
pub use reader::{ReadError, Reader};
