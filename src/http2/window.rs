//! Flow-control windows (RFC 9113, section 6.9).

use std::fmt;

/// The largest a window may become (RFC 9113, section 6.9.1).
pub const MAX_WINDOW: u32 = 0x7fff_ffff;

/// A flow-control window, kept as the bytes sent and not yet credited.
///
/// The initial size stays outside, because all streams of one direction share
/// it: a SETTINGS change then costs nothing here, and a window that it makes
/// negative comes out right (RFC 9113, section 6.9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    outstanding: i64,
}

impl Window {
    /// A window of which nothing has been used.
    pub const fn new() -> Window {
        Window { outstanding: 0 }
    }

    /// Counts bytes that the sender sent: whole DATA payloads with padding.
    pub fn spend(&mut self, bytes: u32) {
        self.outstanding = self.outstanding.saturating_add(i64::from(bytes));
    }

    /// Counts bytes that the receiver gave by WINDOW_UPDATE.
    ///
    /// # Errors
    /// When the window then stands above 2^31-1 (RFC 9113, section 6.9.1); it
    /// is left as it was.
    pub fn credit(&mut self, bytes: u32, initial: u32) -> Result<(), Overflow> {
        let outstanding = self.outstanding.saturating_sub(i64::from(bytes));
        if i64::from(initial).saturating_sub(outstanding) > i64::from(MAX_WINDOW) {
            return Err(Overflow);
        }
        self.outstanding = outstanding;
        Ok(())
    }

    /// What the sender may still send; negative after an overrun or after the
    /// initial size was reduced.
    pub const fn available(self, initial: u32) -> i64 {
        (initial as i64).saturating_sub(self.outstanding)
    }

    /// Bytes sent and not credited; negative when more was credited.
    pub const fn outstanding(self) -> i64 {
        self.outstanding
    }
}

/// A WINDOW_UPDATE that would raise a window above 2^31-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raises a flow-control window above {MAX_WINDOW}")
    }
}

impl std::error::Error for Overflow {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_small() {
        assert_eq!(size_of::<Window>(), 8);
    }

    #[test]
    fn reduced_initial_size_makes_it_negative() {
        // RFC 9113, section 6.9.2: 60 KB sent of 64 KB, then a change to 16 KB.
        let mut window = Window::new();
        window.spend(60 * 1024);
        assert_eq!(window.available(16 * 1024), -44 * 1024);
        assert_eq!(window.credit(44 * 1024, 16 * 1024), Ok(()));
        assert_eq!(window.available(16 * 1024), 0);
    }

    #[test]
    fn overflow_is_refused_and_changes_nothing() {
        let mut window = Window::new();
        window.spend(10);
        assert_eq!(window.credit(MAX_WINDOW - 65_535 + 10, 65_535), Ok(()));
        assert_eq!(window.available(65_535), i64::from(MAX_WINDOW));
        assert_eq!(window.credit(1, 65_535), Err(Overflow));
        assert_eq!(window.available(65_535), i64::from(MAX_WINDOW));
    }

    proptest! {
        /// Against a window per stream that every SETTINGS change adjusts, as
        /// the RFC words it.
        #[test]
        fn agrees_with_the_rfcs_bookkeeping(steps in prop::collection::vec((0..3u8, 0..100_000u32), 0..60)) {
            let mut window = Window::new();
            let mut initial = 65_535_u32;
            let mut model = i64::from(initial);
            for (kind, bytes) in steps {
                match kind {
                    0 => {
                        window.spend(bytes);
                        model -= i64::from(bytes);
                    }
                    1 => {
                        let fits = model + i64::from(bytes) <= i64::from(MAX_WINDOW);
                        prop_assert_eq!(window.credit(bytes, initial).is_ok(), fits);
                        if fits {
                            model += i64::from(bytes);
                        }
                    }
                    _ => {
                        model += i64::from(bytes) - i64::from(initial);
                        initial = bytes;
                    }
                }
                prop_assert_eq!(window.available(initial), model);
            }
        }
    }
}
