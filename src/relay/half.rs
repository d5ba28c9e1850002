//! One direction of a connection: what its sender is allowed, and what it did.

use std::collections::VecDeque;

use super::pings::Pings;
use super::stalls::{FlowStalls, Stall};
use crate::http2::hpack::Decoder;
use crate::http2::{
    DEFAULT_HEADER_TABLE_SIZE, DEFAULT_INITIAL_WINDOW_SIZE, DEFAULT_MAX_FRAME_SIZE, Deframer,
    ErrorCode, Settings, Side, StreamId, Window,
};

/// One direction of a connection, named by its sender.
#[derive(Debug)]
pub(super) struct Half {
    pub deframer: Deframer,
    pub decoder: Decoder,
    /// The connection's window for this sender's DATA.
    pub window: Window,
    pub stall: Stall,
    pub stalls: FlowStalls,
    /// What the receiver's SETTINGS allow this sender.
    pub allowed: Allowed,
    /// What this side announced last.
    pub announced: Option<Settings>,
    /// What it announced and the other side has not acknowledged.
    pub unacknowledged: VecDeque<Settings>,
    pub pings: Pings,
    pub resets: Resets,
    pub goaway: Option<Goaway>,
}

/// RST_STREAM frames of one side: how many, and the last code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resets {
    /// How many.
    pub count: u64,
    /// The code of the last one.
    pub last: Option<ErrorCode>,
}

/// A GOAWAY frame (RFC 9113, section 6.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goaway {
    /// The last stream that its sender may have acted on.
    pub last_stream: StreamId,
    /// Why.
    pub code: ErrorCode,
    /// Its debug data, as text.
    pub debug: Box<str>,
}

/// SETTINGS that wait for an acknowledgement, at most. More than any peer has a
/// use for.
pub(super) const MOST_UNACKNOWLEDGED: usize = 64;

/// What a sender may do. Between a SETTINGS frame and its acknowledgement the
/// sender may go by the old values or by the new ones, and both are legal
/// (RFC 9113, section 6.5.3): bounds are then kept as a span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub initial_window: Span,
    pub max_frame_size: Span,
    pub header_table_size: Span,
}

/// The least and the most that a setting may be at the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub least: u32,
    pub most: u32,
}

impl Span {
    fn of(value: u32) -> Span {
        Span {
            least: value,
            most: value,
        }
    }

    fn include(&mut self, value: u32) {
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }
}

impl Allowed {
    fn of(settings: &Settings) -> Allowed {
        Allowed {
            initial_window: Span::of(settings.initial_window_size),
            max_frame_size: Span::of(settings.max_frame_size),
            header_table_size: Span::of(settings.header_table_size),
        }
    }

    fn include(&mut self, settings: &Settings) {
        self.initial_window.include(settings.initial_window_size);
        self.max_frame_size.include(settings.max_frame_size);
        self.header_table_size.include(settings.header_table_size);
    }
}

impl Half {
    pub fn new(sender: Side) -> Half {
        Half {
            deframer: Deframer::new(sender),
            decoder: Decoder::new(),
            window: Window::new(),
            stall: Stall::default(),
            stalls: FlowStalls::default(),
            allowed: Allowed {
                initial_window: Span::of(DEFAULT_INITIAL_WINDOW_SIZE),
                max_frame_size: Span::of(DEFAULT_MAX_FRAME_SIZE),
                header_table_size: Span::of(DEFAULT_HEADER_TABLE_SIZE),
            },
            announced: None,
            unacknowledged: VecDeque::new(),
            pings: Pings::default(),
            resets: Resets::default(),
            goaway: None,
        }
    }

    /// The receiver announced `settings`: this sender may go by them from now
    /// on, and need not yet.
    pub fn may_go_by(&mut self, settings: &Settings) {
        let before = self.allowed;
        self.allowed.include(settings);
        self.apply(before);
    }

    /// This sender acknowledged `settings`; `later` were announced since.
    pub fn must_go_by<'a>(
        &mut self,
        settings: &Settings,
        later: impl Iterator<Item = &'a Settings>,
    ) {
        let before = self.allowed;
        self.allowed = Allowed::of(settings);
        for settings in later {
            self.allowed.include(settings);
        }
        self.apply(before);
    }

    fn apply(&mut self, before: Allowed) {
        let (frame, table) = (self.allowed.max_frame_size, self.allowed.header_table_size);
        if frame.most != before.max_frame_size.most {
            self.deframer.set_max_frame_size(frame.most);
        }
        if table.most != before.header_table_size.most {
            self.decoder.set_max_table_size(table.most);
        }
    }
}
