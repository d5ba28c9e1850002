//! How clients took what happened, measured by the proxy itself.

use std::sync::mpsc;

use crate::score::{Answer, Measurement, Order, Probe, Scorecard};
use crate::trace::{Anchor, Finished, Handle, Observer};

/// What the trace is shown to, if anybody may ask for a measurement.
pub(super) fn probe(measurement: &Measurement, wanted: bool) -> Option<Box<dyn Observer>> {
    wanted
        .then(|| -> Box<dyn Observer> { Box::new(Probe::new(measurement.clone(), Anchor::now())) })
}

/// Ends the log, and with it the measurement that runs, if one does: its card
/// tells everything to the end.
pub(super) fn finish(measurement: &Measurement, log: Handle) -> (Finished, Option<Scorecard>) {
    let (tell, told) = mpsc::channel();
    measurement.order(Order::End { failure: None }, move |answer| {
        let _ = tell.send(answer);
    });
    let finished = log.finish();
    match told.try_recv() {
        Ok(Answer::Card(card)) => (finished, Some(*card)),
        _ => (finished, None),
    }
}
