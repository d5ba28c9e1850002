//! One direction's bytes to pieces (RFC 9113, section 4).
//!
//! A state machine that may be fed in any portions: it holds at most the start
//! of a frame header, a short payload, or a field block that the input cut.
//! DATA and unknown frames stream through it.
//!
//! | file | concern |
//! |---|---|
//! | `mod` | where in a frame the input stands |
//! | `piece` | what comes out |
//! | `rules` | what a frame header may say |
//! | `payload` | what a whole payload says |

mod payload;
mod piece;
mod rules;

#[cfg(test)]
mod tests;

pub use piece::{Piece, SettingsFrame};
pub use rules::{MAX_EMPTY_CONTINUATIONS, MAX_HEADER_BLOCK, MAX_SETTINGS_PAYLOAD};

use super::frame::{DEFAULT_MAX_FRAME_SIZE, FRAME_HEADER_LEN, PREFACE};
use super::{Flags, FrameHeader, FrameType, Offence, Side, StreamId};

/// How much of a GOAWAY frame's debug data is kept; the rest is skipped.
pub const MAX_GOAWAY_DEBUG: usize = 1024;

/// What stands before a GOAWAY frame's debug data.
const GOAWAY_FIXED: usize = 8;

/// Reads one direction of a connection.
#[derive(Debug)]
pub struct Deframer {
    sender: Side,
    max_frame_size: u32,
    state: State,
    preface_seen: bool,
    settings_seen: bool,
    /// A field block that the next frame must go on with.
    open_block: Option<OpenBlock>,
    /// A frame header or a short payload that the input cut.
    small: [u8; FRAME_HEADER_LEN],
    /// A field block or a longer payload that the input cut.
    buffer: Vec<u8>,
    /// `buffer` was given out as a piece and is free when we are asked again.
    lent: bool,
}

/// Where in a frame the input stands.
#[derive(Debug, Clone, Copy)]
enum State {
    Preface {
        matched: usize,
    },
    Header {
        have: usize,
    },
    PadLength {
        header: FrameHeader,
    },
    Data(DataFrame),
    Short {
        header: FrameHeader,
        have: usize,
    },
    Payload {
        header: FrameHeader,
        missing: usize,
    },
    Fragment {
        header: FrameHeader,
        block: OpenBlock,
        from: usize,
        missing: usize,
    },
    Skip {
        left: usize,
    },
    Failed,
}

/// What is left of a DATA frame.
#[derive(Debug, Clone, Copy)]
struct DataFrame {
    stream: StreamId,
    chunk_left: usize,
    padding_left: usize,
    /// The pad length octet, until a piece has accounted for it.
    uncounted: u32,
    started: bool,
    end_stream: bool,
}

/// A field block between its first frame and END_HEADERS.
#[derive(Debug, Clone, Copy)]
struct OpenBlock {
    stream: StreamId,
    end_stream: bool,
    promised: Option<StreamId>,
    priority: Option<(u32, u8)>,
    /// Payload bytes of all its frames.
    length: u32,
    empty_frames: u32,
}

impl OpenBlock {
    fn piece(self, block: &[u8]) -> Piece<'_> {
        Piece::HeaderBlock {
            stream: self.stream,
            block,
            end_stream: self.end_stream,
            promised: self.promised,
            priority: self.priority,
        }
    }
}

/// What one step of the state machine came to.
enum Step<'i> {
    Again,
    Starved,
    Piece(Piece<'i>),
    /// A piece whose payload lies in the buffer.
    BufferedPayload(FrameHeader),
    BufferedBlock(OpenBlock),
}

impl Deframer {
    /// A deframer for what `sender` sends, from the connection's first byte:
    /// the client's direction begins with the preface, and on both the first
    /// frame must be SETTINGS (RFC 9113, section 3.4).
    pub fn new(sender: Side) -> Deframer {
        Deframer {
            sender,
            max_frame_size: DEFAULT_MAX_FRAME_SIZE,
            state: match sender {
                Side::Client => State::Preface { matched: 0 },
                Side::Server => State::Header { have: 0 },
            },
            preface_seen: false,
            settings_seen: false,
            open_block: None,
            small: [0; FRAME_HEADER_LEN],
            buffer: Vec::new(),
            lent: false,
        }
    }

    /// Takes over SETTINGS_MAX_FRAME_SIZE of the receiving side, from the next
    /// frame on.
    pub fn set_max_frame_size(&mut self, bytes: u32) {
        self.max_frame_size = bytes;
    }

    /// Takes bytes from the front of `input` until the next piece is known, or
    /// until the input is used up (`None`). Ask until it says `None`: some
    /// pieces need no further byte, and memory is released only then.
    ///
    /// # Errors
    /// When the sender breaks the protocol. From then on nothing is read any
    /// more: all input is taken, and no piece comes.
    pub fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Piece<'s>>, Offence> {
        if self.lent {
            self.buffer.clear();
            self.lent = false;
        }
        loop {
            match self.step(input) {
                Ok(Step::Again) => {}
                Ok(Step::Starved) => {
                    if self.buffer.is_empty() {
                        self.buffer = Vec::new();
                    }
                    return Ok(None);
                }
                Ok(Step::Piece(piece)) => return Ok(Some(piece)),
                Ok(Step::BufferedBlock(block)) => {
                    self.lent = true;
                    return Ok(Some(block.piece(&self.buffer)));
                }
                Ok(Step::BufferedPayload(header)) => {
                    self.lent = true;
                    return Ok(Some(payload::piece(header, &self.buffer)));
                }
                Err(offence) => return Err(self.fail(offence)),
            }
        }
    }

    /// Whether the bytes so far end with a whole frame, and with a whole field
    /// block: end of file here cuts nothing.
    pub fn at_frame_boundary(&self) -> bool {
        let between = matches!(
            self.state,
            State::Preface { matched: 0 } | State::Header { have: 0 } | State::Failed
        );
        between && self.open_block.is_none()
    }

    /// Flow-controlled bytes that are still to come of the DATA frame at hand.
    pub fn data_left(&self) -> usize {
        match self.state {
            State::Data(frame) => frame.chunk_left + frame.padding_left + frame.uncounted as usize,
            _ => 0,
        }
    }

    /// Bytes that are still to come of a frame whose type is unknown.
    pub fn skip_left(&self) -> usize {
        match self.state {
            State::Skip { left } => left,
            _ => 0,
        }
    }

    /// Whether the SETTINGS frame that begins every direction was read.
    pub fn has_begun(&self) -> bool {
        self.settings_seen
    }

    /// Whether the client's preface was read; never, for the server's side.
    pub fn preface_seen(&self) -> bool {
        self.preface_seen
    }

    /// Whether a field block has begun and not ended. No other frame may come
    /// in between (RFC 9113, section 4.3), nor be put there.
    pub fn header_in_progress(&self) -> bool {
        self.open_block.is_some() || matches!(self.state, State::Fragment { .. })
    }

    /// Bytes of memory held besides the deframer itself.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    #[cold]
    fn fail(&mut self, offence: Offence) -> Offence {
        self.state = State::Failed;
        self.open_block = None;
        self.buffer = Vec::new();
        self.lent = false;
        offence
    }

    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Step<'i>, Offence> {
        match self.state {
            State::Header { have } => self.header(have, input),
            State::Data(frame) => Ok(self.data(frame, input)),
            State::PadLength { header } => self.pad_length(header, input),
            State::Short { header, have } => self.short(header, have, input),
            State::Payload { header, missing } => self.payload(header, missing, input),
            State::Fragment {
                header,
                block,
                from,
                missing,
            } => self.fragment(header, block, from, missing, input),
            State::Skip { left } => {
                let left = left - take(input, left).len();
                if left > 0 {
                    self.state = State::Skip { left };
                    return Ok(Step::Starved);
                }
                self.state = State::Header { have: 0 };
                Ok(Step::Again)
            }
            State::Preface { matched } => self.preface(matched, input),
            State::Failed => {
                *input = &[];
                Ok(Step::Starved)
            }
        }
    }

    fn preface<'i>(&mut self, matched: usize, input: &mut &'i [u8]) -> Result<Step<'i>, Offence> {
        let expected = &PREFACE[matched..];
        let got = take(input, expected.len());
        if !expected.starts_with(got) {
            return Err(rules::no_preface(self.sender));
        }
        let matched = matched + got.len();
        if matched < PREFACE.len() {
            self.state = State::Preface { matched };
            return Ok(Step::Starved);
        }
        self.preface_seen = true;
        self.state = State::Header { have: 0 };
        Ok(Step::Piece(Piece::Preface))
    }

    fn header<'i>(&mut self, have: usize, input: &mut &'i [u8]) -> Result<Step<'i>, Offence> {
        if have == 0
            && let Some((octets, rest)) = input.split_first_chunk::<FRAME_HEADER_LEN>()
        {
            *input = rest;
            return self.begin(FrameHeader::parse(*octets), input);
        }
        let have = have + fill(&mut self.small[have..], input);
        self.state = State::Header { have };
        if have < FRAME_HEADER_LEN {
            return Ok(Step::Starved);
        }
        self.begin(FrameHeader::parse(self.small), input)
    }

    /// A frame whose header is complete; `input` stands at its payload.
    fn begin<'i>(
        &mut self,
        header: FrameHeader,
        input: &mut &'i [u8],
    ) -> Result<Step<'i>, Offence> {
        if !self.settings_seen {
            rules::check_first(self.sender, header)?;
            self.settings_seen = true;
        }
        let open = self.open_block.take();
        rules::check_order(self.sender, header, open.map(|block| block.stream))?;
        rules::check_header(self.sender, header, self.max_frame_size)?;

        let length = header.length as usize;
        match header.kind {
            FrameType::DATA if header.flags.contains(Flags::PADDED) => {
                self.state = State::PadLength { header };
                Ok(Step::Again)
            }
            FrameType::DATA => Ok(self.data(DataFrame::new(header, None), input)),
            FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION => {
                let block = self.extend_block(open, header)?;
                let from = self.buffer.len();
                self.fragment(header, block, from, length, input)
            }
            FrameType::SETTINGS | FrameType::GOAWAY => match input.split_at_checked(length) {
                Some((whole, rest)) => {
                    *input = rest;
                    self.state = State::Header { have: 0 };
                    payload::check(self.sender, header, whole)?;
                    Ok(Step::Piece(payload::piece(header, whole)))
                }
                None => self.payload(header, length, input),
            },
            FrameType::PRIORITY
            | FrameType::RST_STREAM
            | FrameType::PING
            | FrameType::WINDOW_UPDATE => self.short(header, 0, input),
            kind => {
                self.state = State::Skip { left: length };
                Ok(Step::Piece(Piece::Unknown {
                    kind,
                    stream: header.stream,
                    length: header.length,
                }))
            }
        }
    }

    fn pad_length<'i>(
        &mut self,
        header: FrameHeader,
        input: &mut &'i [u8],
    ) -> Result<Step<'i>, Offence> {
        let Some((&padding, rest)) = input.split_first() else {
            return Ok(Step::Starved);
        };
        *input = rest;
        rules::check_padding(self.sender, header, padding, header.length - 1)?;
        Ok(self.data(DataFrame::new(header, Some(padding)), input))
    }

    /// The next piece of a DATA frame.
    fn data<'i>(&mut self, mut frame: DataFrame, input: &mut &'i [u8]) -> Step<'i> {
        if input.is_empty() && !frame.is_complete() {
            self.state = State::Data(frame);
            return Step::Starved;
        }
        let chunk = take(input, frame.chunk_left);
        frame.chunk_left -= chunk.len();
        let padding = match frame.chunk_left {
            0 => take(input, frame.padding_left).len(),
            _ => 0,
        };
        frame.padding_left -= padding;

        let frame_end = frame.is_complete();
        let piece = Piece::Data {
            stream: frame.stream,
            chunk,
            flow_controlled: frame.uncounted + (chunk.len() + padding) as u32,
            frame_start: !frame.started,
            frame_end,
            end_stream: frame_end && frame.end_stream,
        };
        frame.uncounted = 0;
        frame.started = true;
        self.state = match frame_end {
            true => State::Header { have: 0 },
            false => State::Data(frame),
        };
        Step::Piece(piece)
    }

    /// A payload of eight bytes at most.
    fn short<'i>(
        &mut self,
        header: FrameHeader,
        have: usize,
        input: &mut &'i [u8],
    ) -> Result<Step<'i>, Offence> {
        let length = header.length as usize;
        let have = have + fill(&mut self.small[have..length], input);
        if have < length {
            self.state = State::Short { header, have };
            return Ok(Step::Starved);
        }
        self.state = State::Header { have: 0 };
        payload::short_piece(self.sender, header, &self.small[..length]).map(Step::Piece)
    }

    /// A payload that the input cut.
    fn payload<'i>(
        &mut self,
        header: FrameHeader,
        missing: usize,
        input: &mut &'i [u8],
    ) -> Result<Step<'i>, Offence> {
        let part = take(input, missing);
        let room = match header.kind {
            FrameType::GOAWAY => (GOAWAY_FIXED + MAX_GOAWAY_DEBUG) - self.buffer.len(),
            _ => part.len(),
        };
        self.buffer.extend_from_slice(&part[..part.len().min(room)]);
        let missing = missing - part.len();
        if missing > 0 {
            self.state = State::Payload { header, missing };
            return Ok(Step::Starved);
        }
        self.state = State::Header { have: 0 };
        payload::check(self.sender, header, &self.buffer)?;
        Ok(Step::BufferedPayload(header))
    }

    /// The field block that a frame begins or goes on with.
    fn extend_block(
        &self,
        open: Option<OpenBlock>,
        header: FrameHeader,
    ) -> Result<OpenBlock, Offence> {
        let mut block = open.unwrap_or(OpenBlock {
            stream: header.stream,
            end_stream: header.kind == FrameType::HEADERS
                && header.flags.contains(Flags::END_STREAM),
            promised: None,
            priority: None,
            length: 0,
            empty_frames: 0,
        });
        block.length += header.length;
        if header.length == 0 && !header.flags.contains(Flags::END_HEADERS) {
            block.empty_frames += 1;
        }
        rules::check_block(self.sender, header, block.length, block.empty_frames)?;
        Ok(block)
    }

    /// One frame's part of a field block, of which `missing` bytes are still to
    /// come and the others lie in the buffer behind `from`.
    fn fragment<'i>(
        &mut self,
        header: FrameHeader,
        mut block: OpenBlock,
        from: usize,
        missing: usize,
        input: &mut &'i [u8],
    ) -> Result<Step<'i>, Offence> {
        let part = take(input, missing);
        let ends = header.flags.contains(Flags::END_HEADERS);
        if part.len() < missing {
            self.buffer.extend_from_slice(part);
            let missing = missing - part.len();
            self.state = State::Fragment {
                header,
                block,
                from,
                missing,
            };
            return Ok(Step::Starved);
        }
        self.state = State::Header { have: 0 };

        if self.buffer.len() == from {
            // The whole frame is at hand.
            let fields = payload::fields(self.sender, header, part, &mut block)?;
            let part = &part[fields];
            if ends && self.buffer.is_empty() {
                return Ok(Step::Piece(block.piece(part)));
            }
            self.buffer.extend_from_slice(part);
        } else {
            self.buffer.extend_from_slice(part);
            let fields = payload::fields(self.sender, header, &self.buffer[from..], &mut block)?;
            self.buffer.truncate(from + fields.end);
            self.buffer.drain(from..from + fields.start);
        }
        if ends {
            return Ok(Step::BufferedBlock(block));
        }
        self.open_block = Some(block);
        Ok(Step::Again)
    }
}

impl DataFrame {
    fn new(header: FrameHeader, pad_length: Option<u8>) -> DataFrame {
        let padding = usize::from(pad_length.unwrap_or(0));
        let uncounted = u32::from(pad_length.is_some());
        DataFrame {
            stream: header.stream,
            chunk_left: (header.length - uncounted) as usize - padding,
            padding_left: padding,
            uncounted,
            started: false,
            end_stream: header.flags.contains(Flags::END_STREAM),
        }
    }

    fn is_complete(&self) -> bool {
        self.chunk_left == 0 && self.padding_left == 0
    }
}

/// Takes up to `most` bytes from the front of `input`.
#[inline]
fn take<'i>(input: &mut &'i [u8], most: usize) -> &'i [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

/// Moves bytes from the front of `input` into `room`; says how many.
fn fill(room: &mut [u8], input: &mut &[u8]) -> usize {
    let taken = take(input, room.len());
    room[..taken.len()].copy_from_slice(taken);
    taken.len()
}
