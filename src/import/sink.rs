//! Where an import's events go.

use crate::etcd::Event;

/// Takes what an import gives.
pub trait Sink {
    /// Why it takes no more.
    type Error;

    /// What happened next. The events of one connection come in their order; those of
    /// several may be apart by as long as a segment was late.
    ///
    /// # Errors
    /// It takes no more: the import ends.
    fn event(&mut self, event: Event) -> Result<(), Self::Error>;
}
