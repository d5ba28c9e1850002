//! One direction of a connection: what its sender is allowed, and what it did.

use std::collections::VecDeque;
use std::ops::Range;

use super::blocks::Blocks;
use super::order::HeaderField;
use super::outbox::Outbox;
use super::pings::Pings;
use super::recode::{Frame, Recoder};
use super::stalls::{FlowStalls, Stall};
use crate::http2::{
    DEFAULT_HEADER_TABLE_SIZE, DEFAULT_INITIAL_WINDOW_SIZE, DEFAULT_MAX_FRAME_SIZE, Deframer,
    ErrorCode, Settings, Side, StreamId, Window, frame_encoder,
};

/// One direction of a connection, named by its sender.
#[derive(Debug)]
pub(super) struct Half {
    pub deframer: Deframer,
    pub blocks: Blocks,
    /// The connection's window for this sender's DATA.
    pub window: Window,
    pub stall: Stall,
    pub stalls: FlowStalls,
    /// What the receiver's SETTINGS allow this sender.
    pub allowed: Allowed,
    /// What this side announced last.
    pub announced: Option<Settings>,
    /// What it announced and the other side has not acknowledged.
    pub unacknowledged: VecDeque<Announced>,
    pub pings: Pings,
    pub resets: Resets,
    pub goaway: Option<Goaway>,
    /// What leaves towards the receiver.
    pub out: Outbox,
    /// Frames leave one by one; otherwise bytes do, as they come.
    pub framed: bool,
    /// Frames could have to leave one by one, and none of the input at hand had
    /// to so far: they leave in one run, when the input is used up or one has to
    /// that leaves by itself. Never between two inputs, nor once the connection
    /// is interposed.
    pub in_a_run: bool,
    /// How far the input at hand has been dealt with, where frames leave one by
    /// one or in a run.
    pub at: usize,
    /// Bytes of a frame of an unknown type that are still to pass.
    pub skip: usize,
    /// The beginning of a frame, or of a header block, that is not whole.
    pub carry: Vec<u8>,
    /// How the DATA frame at hand passes.
    pub passing: Passing,
    /// Flow-controlled bytes of the frame that waits in `carry`.
    pub careful_bytes: u32,
    /// The sender's window less the receiver's: what the sender may send on the
    /// connection beyond what the receiver has room for. Credit closes a
    /// negative one at once.
    pub ahead: i64,
    pub recoder: Recoder,
    /// What the next header block has to reduce the table to: the least that the
    /// sender has acknowledged since the last block (RFC 7541, section 4.2).
    pub owed_table: Option<u32>,
    /// Streams that wait for the connection's window, in the order of waiting.
    pub blocked: VecDeque<StreamId>,
}

/// How a DATA frame passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Passing {
    /// In pieces, as it came.
    #[default]
    AsCame,
    /// Whole, or not at all.
    Careful,
    /// Its content is framed again when it may pass.
    Held,
    /// It is swallowed.
    Not,
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

/// SETTINGS that were announced in a side's name.
#[derive(Debug, Clone)]
pub(super) struct Announced {
    pub settings: Settings,
    /// Whether they are of our making: then their acknowledgement is, too.
    pub ours: bool,
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
            blocks: Blocks::default(),
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
            out: Outbox::default(),
            framed: false,
            in_a_run: false,
            at: 0,
            skip: 0,
            carry: Vec::new(),
            passing: Passing::AsCame,
            careful_bytes: 0,
            ahead: 0,
            recoder: Recoder::default(),
            owed_table: None,
            blocked: VecDeque::new(),
        }
    }

    /// What the receiver has room for on the connection, besides the frame that
    /// is passing.
    pub fn room(&self) -> i64 {
        let promised = match self.passing {
            Passing::AsCame | Passing::Careful => self.deframer.data_left() as i64,
            Passing::Held | Passing::Not => 0,
        };
        self.window.available(DEFAULT_INITIAL_WINDOW_SIZE) - self.ahead - promised
    }

    /// Whether no frame is passing of which it is not known what it is: DATA
    /// apart, frames that leave one by one leave whole.
    pub fn is_between_frames(&self) -> bool {
        self.framed || self.deframer.at_frame_boundary()
    }

    /// The frame at hand may have to leave by itself: if frames leave in a run,
    /// that ends before it. Gives whether it leaves by itself.
    #[cold]
    pub fn single_out(&mut self) -> bool {
        if self.in_a_run {
            self.end_run();
        }
        self.framed
    }

    /// What was dealt with leaves, and frames leave one by one from here on.
    #[cold]
    pub fn end_run(&mut self) {
        self.in_a_run = false;
        self.framed = true;
        self.out.pass(0..self.at);
        self.out.set_mid_frame(false);
    }

    /// The frame or block that the input has reached the end of passes as it
    /// came. Not inlined: it is called from everywhere, and its code should be
    /// fetched once.
    #[inline(never)]
    pub fn pass_unit(&mut self, unit: Range<usize>) {
        self.at = unit.end;
        self.out.pass_carried(&mut self.carry);
        self.out.pass(unit);
    }

    /// The same, unless it has passed already.
    pub fn pass_if_framed(&mut self, unit: Range<usize>) {
        if self.framed {
            self.pass_unit(unit);
        }
    }

    /// The same, unless it is `over` with its stream: then it is swallowed.
    pub fn pass_unless(&mut self, over: bool, unit: Range<usize>) {
        match over && self.framed {
            true => self.swallow(unit, 0),
            false => self.pass_if_framed(unit),
        }
    }

    /// A part of a DATA frame passes as it came.
    pub fn pass_part(&mut self, unit: Range<usize>, frame_end: bool) {
        self.pass_unit(unit);
        self.out.set_mid_frame(!frame_end);
    }

    /// What the input has reached the end of does not pass; credit for
    /// `flow_controlled` bytes is due.
    pub fn swallow(&mut self, unit: Range<usize>, flow_controlled: u32) {
        self.at = unit.end;
        self.carry.clear();
        self.ahead -= i64::from(flow_controlled);
    }

    /// A header block passes: as it came, or written anew of its `fields`.
    pub fn pass_block(
        &mut self,
        unit: Range<usize>,
        stream: StreamId,
        fields: &[HeaderField],
        frame: Frame,
    ) {
        if !self.recoder.is_stateless() {
            self.owed_table = None;
            return self.pass_unit(unit);
        }
        self.swallow(unit, 0);
        self.write_block(stream, fields, frame);
    }

    /// Writes a header block of our own.
    pub fn write_block(&mut self, stream: StreamId, fields: &[HeaderField], frame: Frame) {
        let pending = self.allowed.header_table_size.least < self.blocks.table_limit();
        if pending && self.out.defers() {
            // By the time it leaves the reduction may be acknowledged, and the
            // update owed. To be early with it would take entries away that the
            // sender still refers to, were its blocks not written anew.
            self.recoder.lose_table();
        }
        let owed = self.owed_table.take();
        let most = self.allowed.max_frame_size.least;
        self.recoder
            .write(self.out.own(), stream, fields, frame, owed, most);
    }

    /// A header block does not pass.
    pub fn swallow_block(&mut self, unit: Range<usize>, table_changed: bool) {
        self.swallow(unit, 0);
        if table_changed {
            self.recoder.lose_table();
        }
    }

    /// Of a credit of `increment` bytes the other side is given so many.
    pub fn pass_credit(
        &mut self,
        unit: Range<usize>,
        stream: StreamId,
        increment: u32,
        given: u32,
    ) {
        if !self.framed {
            return;
        }
        if given == increment {
            return self.pass_unit(unit);
        }
        self.swallow(unit, 0);
        if given > 0 {
            frame_encoder::window_update(self.out.own(), stream, given);
        }
    }

    /// Passes what the input holds of a frame that passes in any case.
    pub fn pass_skipped(&mut self, input: usize) {
        if self.skip == 0 || !self.framed {
            return;
        }
        let n = self.skip.min(input - self.at);
        self.out.pass(self.at..self.at + n);
        self.at += n;
        self.skip -= n;
        if self.skip == 0 {
            self.out.set_mid_frame(false);
        }
    }

    /// The input is used up: what began in it is kept until it is whole.
    pub fn keep_the_rest(&mut self, bytes: &[u8]) {
        if self.framed {
            self.carry.extend_from_slice(&bytes[self.at..]);
            self.at = bytes.len();
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
        let table = settings.header_table_size;
        if table < self.blocks.table_limit() {
            self.owed_table = Some(self.owed_table.map_or(table, |owed| owed.min(table)));
        }
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
            self.blocks.set_max_table_size(table.most);
        }
    }
}
