//! Settings: what one side allows the other (RFC 9113, section 6.5).

use std::fmt;

use super::frame::DEFAULT_MAX_FRAME_SIZE;

/// The initial flow-control window of a stream and of the connection
/// (RFC 9113, section 6.9.2).
pub const DEFAULT_INITIAL_WINDOW_SIZE: u32 = 65_535;

/// The initial size of the HPACK dynamic table (RFC 9113, section 6.5.2).
pub const DEFAULT_HEADER_TABLE_SIZE: u32 = 4_096;

/// Which setting (RFC 9113, section 6.5.2). Unknown ones are legal and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SettingId(pub u16);

impl SettingId {
    /// Upper bound of the peer's HPACK encoder table.
    pub const HEADER_TABLE_SIZE: SettingId = SettingId(0x1);
    /// Whether the peer may push.
    pub const ENABLE_PUSH: SettingId = SettingId(0x2);
    /// How many streams the peer may have open.
    pub const MAX_CONCURRENT_STREAMS: SettingId = SettingId(0x3);
    /// The window every stream begins with.
    pub const INITIAL_WINDOW_SIZE: SettingId = SettingId(0x4);
    /// The largest frame payload the peer may send.
    pub const MAX_FRAME_SIZE: SettingId = SettingId(0x5);
    /// The largest field section that is welcome, uncompressed.
    pub const MAX_HEADER_LIST_SIZE: SettingId = SettingId(0x6);

    /// The RFC's name; `None` for one it does not define.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            SettingId::HEADER_TABLE_SIZE => "HEADER_TABLE_SIZE",
            SettingId::ENABLE_PUSH => "ENABLE_PUSH",
            SettingId::MAX_CONCURRENT_STREAMS => "MAX_CONCURRENT_STREAMS",
            SettingId::INITIAL_WINDOW_SIZE => "INITIAL_WINDOW_SIZE",
            SettingId::MAX_FRAME_SIZE => "MAX_FRAME_SIZE",
            SettingId::MAX_HEADER_LIST_SIZE => "MAX_HEADER_LIST_SIZE",
            _ => return None,
        })
    }
}

impl fmt::Display for SettingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "setting {:#x}", self.0),
        }
    }
}

/// One side's settings as they stand: what its peer may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Upper bound of the peer's HPACK encoder table.
    pub header_table_size: u32,
    /// Whether the peer may push.
    pub enable_push: bool,
    /// How many streams the peer may have open; `None` is without limit.
    pub max_concurrent_streams: Option<u32>,
    /// The window every stream begins with.
    pub initial_window_size: u32,
    /// The largest frame payload the peer may send.
    pub max_frame_size: u32,
    /// The largest field section that is welcome; `None` is without limit.
    pub max_header_list_size: Option<u32>,
}

impl Default for Settings {
    /// What holds before the first SETTINGS frame (RFC 9113, section 6.5.2).
    fn default() -> Settings {
        Settings {
            header_table_size: DEFAULT_HEADER_TABLE_SIZE,
            enable_push: true,
            max_concurrent_streams: None,
            initial_window_size: DEFAULT_INITIAL_WINDOW_SIZE,
            max_frame_size: DEFAULT_MAX_FRAME_SIZE,
            max_header_list_size: None,
        }
    }
}

impl Settings {
    /// Takes over one value of a SETTINGS frame, whose range the deframer has
    /// checked. Settings it does not know change nothing.
    pub fn apply(&mut self, id: SettingId, value: u32) {
        match id {
            SettingId::HEADER_TABLE_SIZE => self.header_table_size = value,
            SettingId::ENABLE_PUSH => self.enable_push = value != 0,
            SettingId::MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = Some(value),
            SettingId::INITIAL_WINDOW_SIZE => self.initial_window_size = value,
            SettingId::MAX_FRAME_SIZE => self.max_frame_size = value,
            SettingId::MAX_HEADER_LIST_SIZE => self.max_header_list_size = Some(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_over_and_unknown_ones_ignored() {
        let mut settings = Settings::default();
        settings.apply(SettingId::INITIAL_WINDOW_SIZE, 1 << 20);
        settings.apply(SettingId::MAX_CONCURRENT_STREAMS, 100);
        settings.apply(SettingId(0xfe03), 1);
        assert_eq!(
            settings,
            Settings {
                initial_window_size: 1 << 20,
                max_concurrent_streams: Some(100),
                ..Settings::default()
            }
        );
        assert_eq!(SettingId(0xfe03).to_string(), "setting 0xfe03");
    }
}
