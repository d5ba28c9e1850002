//! SETTINGS (RFC 9113, section 6.5).

/// A peer's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {}
