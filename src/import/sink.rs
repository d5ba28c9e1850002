//! Where an import's events go.

use crate::etcd::Event;
use crate::trace::Anchor;

/// Takes what an import gives.
pub trait Sink {
    /// Why it takes no more.
    type Error;

    /// The first packet's moment on both clocks; told once, before any event. The
    /// events' times are told by the monotonic one.
    fn begin(&mut self, anchor: Anchor) -> Result<(), Self::Error>;

    /// What happened next. The events of one connection come in their order; those of
    /// several may be apart by as long as a segment was late.
    ///
    /// # Errors
    /// It takes no more: the import ends.
    fn event(&mut self, event: Event) -> Result<(), Self::Error>;
}
