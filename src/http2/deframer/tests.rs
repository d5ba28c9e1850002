//! What breaks a rule is told, in the same words at any chunking.

#![allow(clippy::unwrap_used)]

mod chunking;

use super::*;
use crate::http2::frame_encoder;
use crate::http2::{ErrorCode, SettingId};

/// A piece that owns its bytes; the pieces of a DATA frame are joined.
#[derive(Debug, Clone, PartialEq)]
enum Fact {
    Preface,
    Data {
        stream: u32,
        payload: Vec<u8>,
        flow_controlled: u32,
        end_stream: bool,
    },
    /// A DATA frame of which not all has come.
    PartOfData {
        stream: u32,
        payload: Vec<u8>,
    },
    Block {
        stream: u32,
        block: Vec<u8>,
        end_stream: bool,
        promised: Option<u32>,
        priority: Option<(u32, u8)>,
    },
    Priority(u32),
    Reset(u32, ErrorCode),
    Settings {
        ack: bool,
        values: Vec<(SettingId, u32)>,
    },
    Ping(bool, [u8; 8]),
    GoAway(u32, ErrorCode, Vec<u8>),
    Window(u32, u32),
    Unknown(FrameType, u32, u32),
}

/// Collects the facts of a direction, whatever portions it comes in.
struct Reader {
    deframer: Deframer,
    facts: Vec<Fact>,
    data: Option<(u32, Vec<u8>, u32)>,
    most_memory: usize,
}

impl Reader {
    fn new(sender: Side) -> Reader {
        Reader {
            deframer: Deframer::new(sender),
            facts: Vec::new(),
            data: None,
            most_memory: 0,
        }
    }

    fn read(&mut self, mut input: &[u8]) -> Result<(), Offence> {
        while let Some(piece) = self.deframer.next(&mut input)? {
            let fact = match piece {
                Piece::Preface => Fact::Preface,
                Piece::Data {
                    stream,
                    chunk,
                    flow_controlled,
                    frame_start,
                    frame_end,
                    end_stream,
                } => {
                    assert_eq!(frame_start, self.data.is_none());
                    let start = || (stream.number(), Vec::new(), 0);
                    let (number, mut payload, mut sum) = self.data.take().unwrap_or_else(start);
                    assert_eq!(number, stream.number());
                    payload.extend_from_slice(chunk);
                    sum += flow_controlled;
                    if !frame_end {
                        assert!(!end_stream);
                        assert!(flow_controlled > 0, "a piece without progress");
                        self.data = Some((number, payload, sum));
                        continue;
                    }
                    Fact::Data {
                        stream: number,
                        payload,
                        flow_controlled: sum,
                        end_stream,
                    }
                }
                Piece::HeaderBlock {
                    stream,
                    block,
                    end_stream,
                    promised,
                    priority,
                } => Fact::Block {
                    stream: stream.number(),
                    block: block.to_vec(),
                    end_stream,
                    promised: promised.map(StreamId::number),
                    priority,
                },
                Piece::Priority { stream } => Fact::Priority(stream.number()),
                Piece::RstStream { stream, code } => Fact::Reset(stream.number(), code),
                Piece::Settings(frame) => Fact::Settings {
                    ack: frame.is_ack(),
                    values: frame.iter().collect(),
                },
                Piece::Ping { ack, payload } => Fact::Ping(ack, payload),
                Piece::GoAway {
                    last_stream,
                    code,
                    debug,
                } => Fact::GoAway(last_stream.number(), code, debug.to_vec()),
                Piece::WindowUpdate { stream, increment } => {
                    Fact::Window(stream.number(), increment)
                }
                Piece::Unknown {
                    kind,
                    stream,
                    length,
                } => Fact::Unknown(kind, stream.number(), length),
            };
            self.facts.push(fact);
            self.most_memory = self.most_memory.max(self.deframer.buffered_bytes());
        }
        assert!(input.is_empty(), "input is left though no piece is");
        self.most_memory = self.most_memory.max(self.deframer.buffered_bytes());
        Ok(())
    }
}

/// All facts of `bytes`, read in portions that end at `cuts`.
fn read(sender: Side, bytes: &[u8], cuts: &[usize]) -> (Vec<Fact>, Option<Offence>, Reader) {
    let mut reader = Reader::new(sender);
    let mut offence = None;
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        if let Err(error) = reader.read(&bytes[from..to]) {
            offence = Some(error);
            break;
        }
        from = to;
    }
    let mut facts = std::mem::take(&mut reader.facts);
    if let Some((stream, payload, _)) = reader.data.take() {
        facts.push(Fact::PartOfData { stream, payload });
    }
    (facts, offence, reader)
}

fn every_byte(bytes: &[u8]) -> Vec<usize> {
    (1..bytes.len()).collect()
}

fn stream(number: u32) -> StreamId {
    StreamId::from_bits(number)
}

/// How a direction begins.
fn opening(sender: Side) -> Vec<u8> {
    let mut bytes = Vec::new();
    if sender == Side::Client {
        bytes.extend_from_slice(PREFACE);
    }
    frame_encoder::settings(&mut bytes, &[]);
    bytes
}

/// The offence that a frame behind a proper opening is.
fn offence(sender: Side, kind: FrameType, flags: u8, on: u32, payload: &[u8]) -> Offence {
    let mut bytes = opening(sender);
    frame_encoder::raw(&mut bytes, kind, Flags(flags), stream(on), payload);
    offence_of(sender, &bytes)
}

fn offence_of(sender: Side, bytes: &[u8]) -> Offence {
    let (_, whole, mut reader) = read(sender, bytes, &[]);
    let (_, bytewise, _) = read(sender, bytes, &every_byte(bytes));
    assert_eq!(whole, bytewise);
    // From then on nothing is read.
    assert_eq!(reader.read(&opening(sender)), Ok(()));
    assert!(reader.facts.is_empty());
    assert_eq!(reader.deframer.buffered_bytes(), 0);
    whole.unwrap()
}

#[test]
fn opening_of_both_sides() {
    let mut deframer = Deframer::new(Side::Client);
    assert!(deframer.at_frame_boundary());
    let mut input = &PREFACE[..5];
    assert_eq!(deframer.next(&mut input), Ok(None));
    assert!(!deframer.at_frame_boundary() && !deframer.preface_seen());
    let mut input = &PREFACE[5..];
    assert_eq!(deframer.next(&mut input), Ok(Some(Piece::Preface)));
    assert!(deframer.at_frame_boundary() && deframer.preface_seen());

    let empty = Fact::Settings {
        ack: false,
        values: vec![],
    };
    assert_eq!(
        read(Side::Client, &opening(Side::Client), &[]).0,
        [Fact::Preface, empty.clone()]
    );
    assert_eq!(read(Side::Server, &opening(Side::Server), &[]).0, [empty]);
}

#[test]
fn wrong_openings() {
    let whole = |sender, bytes: &[u8]| offence_of(sender, bytes).to_string();
    assert_eq!(
        whole(Side::Client, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r "),
        "client does not speak HTTP/2: its first bytes are not the connection preface \
         (PROTOCOL_ERROR, RFC 9113 section 3.4)"
    );
    assert_eq!(
        whole(Side::Server, b"HTTP/1.1 400 Bad Request\r\n"),
        "server answered in HTTP/1 on an HTTP/2 connection (PROTOCOL_ERROR, RFC 9113 section 3.4)"
    );
    let mut bytes = Vec::new();
    frame_encoder::settings_ack(&mut bytes);
    assert_eq!(
        whole(Side::Server, &bytes),
        "server began with a SETTINGS acknowledgement frame instead of its SETTINGS \
         (PROTOCOL_ERROR, RFC 9113 section 3.4)"
    );
    let mut bytes = PREFACE.to_vec();
    frame_encoder::ping(&mut bytes, false, [0; 8]);
    assert_eq!(
        whole(Side::Client, &bytes),
        "client began with a PING frame instead of its SETTINGS \
         (PROTOCOL_ERROR, RFC 9113 section 3.4)"
    );
}

#[test]
fn frame_sizes() {
    use FrameType as T;
    let size = |kind, flags, on, length: usize| {
        let offence = offence(Side::Server, kind, flags, on, &vec![0; length]);
        assert_eq!(offence.code, ErrorCode::FRAME_SIZE_ERROR);
        assert_eq!(offence.stream, stream(on));
        offence.to_string()
    };
    assert_eq!(
        size(T::DATA, 0, 5, 20_000),
        "server sent a DATA frame of 20000 bytes on stream 5, more than the 16384 allowed \
         (FRAME_SIZE_ERROR, RFC 9113 section 4.2)"
    );
    assert_eq!(
        size(T::PING, 0, 0, 7),
        "server sent a PING frame of 7 bytes instead of 8 (FRAME_SIZE_ERROR, RFC 9113 section 6.7)"
    );
    assert_eq!(
        size(T::SETTINGS, 1, 0, 6),
        "server sent a SETTINGS frame of 6 bytes instead of 0, as an acknowledgement has \
         (FRAME_SIZE_ERROR, RFC 9113 section 6.5)"
    );
    size(T::PRIORITY, 0, 1, 4);
    size(T::RST_STREAM, 0, 1, 5);
    size(T::WINDOW_UPDATE, 0, 1, 3);
    size(T::GOAWAY, 0, 0, 7);
    size(T::SETTINGS, 0, 0, 7);
    size(T::DATA, 0x8, 1, 0);
    size(T::HEADERS, 0x8 | 0x20, 1, 5);
    size(T::PUSH_PROMISE, 0x8, 1, 4);
    size(FrameType(0x55), 0, 0, 16_385);
}

#[test]
fn larger_frames_when_allowed() {
    let mut bytes = opening(Side::Server);
    frame_encoder::data(&mut bytes, stream(1), &[7; 20_000], true);
    let mut deframer = Deframer::new(Side::Server);
    deframer.set_max_frame_size(20_000);
    let mut input = &bytes[..];
    assert!(matches!(
        deframer.next(&mut input),
        Ok(Some(Piece::Settings(_)))
    ));
    let Ok(Some(Piece::Data { chunk, .. })) = deframer.next(&mut input) else {
        panic!("no DATA");
    };
    // Where it lies in the input, not a copy.
    assert_eq!(chunk.as_ptr_range().end, bytes.as_ptr_range().end);
    assert_eq!(chunk.len(), 20_000);
}

#[test]
fn streams_and_the_connection() {
    use FrameType as T;
    for (kind, length) in [
        (T::DATA, 1),
        (T::HEADERS, 1),
        (T::PRIORITY, 5),
        (T::RST_STREAM, 4),
        (T::PUSH_PROMISE, 5),
    ] {
        let offence = offence(Side::Server, kind, 0x4, 0, &vec![0; length]);
        assert_eq!(offence.code, ErrorCode::PROTOCOL_ERROR);
        assert!(offence.what.contains("on stream 0, which"), "{offence}");
    }
    for (kind, length) in [(T::SETTINGS, 6), (T::PING, 8), (T::GOAWAY, 8)] {
        let offence = offence(Side::Client, kind, 0, 3, &vec![0; length]);
        assert_eq!(offence.code, ErrorCode::PROTOCOL_ERROR);
        assert!(offence.what.contains("belongs on stream 0"), "{offence}");
    }
    let promise = [0, 0, 0, 2];
    let pushed = offence(Side::Client, T::PUSH_PROMISE, 0x4, 1, &promise);
    assert_eq!(pushed.rule, "RFC 9113 section 8.4");
    for promised in [0, 3] {
        let offence = offence(Side::Server, T::PUSH_PROMISE, 0x4, 1, &[0, 0, 0, promised]);
        assert_eq!(offence.rule, "RFC 9113 section 6.6");
    }
}

#[test]
fn padding_that_does_not_fit() {
    for (kind, flags, payload) in [
        (FrameType::DATA, 0x8, &[3, 0, 0][..]),
        (FrameType::HEADERS, 0xc, &[3, 0, 0]),
        (FrameType::HEADERS, 0x2c, &[3, 0, 0, 0, 0, 0, 0, 0]),
        (FrameType::PUSH_PROMISE, 0xc, &[1, 0, 0, 0, 2]),
    ] {
        let offence = offence(Side::Server, kind, flags, 1, payload);
        assert_eq!(offence.code, ErrorCode::PROTOCOL_ERROR);
        assert!(offence.what.contains("padding, more than"), "{offence}");
    }
}

#[test]
fn settings_out_of_range() {
    let settings = |sender, id: SettingId, value: u32| {
        let mut bytes = opening(sender);
        frame_encoder::settings(&mut bytes, &[(SettingId(0xfe03), 9), (id, value)]);
        offence_of(sender, &bytes)
    };
    let window = settings(Side::Client, SettingId::INITIAL_WINDOW_SIZE, 1 << 31);
    assert_eq!(window.code, ErrorCode::FLOW_CONTROL_ERROR);
    let push = settings(Side::Client, SettingId::ENABLE_PUSH, 2);
    assert_eq!(
        push.what,
        "sent SETTINGS with ENABLE_PUSH = 2 instead of 0 or 1"
    );
    settings(Side::Server, SettingId::ENABLE_PUSH, 1);
    settings(Side::Server, SettingId::MAX_FRAME_SIZE, 16_383);
    settings(Side::Server, SettingId::MAX_FRAME_SIZE, 1 << 24);
}

#[test]
fn zero_increments() {
    let kind = FrameType::WINDOW_UPDATE;
    let connection = offence(Side::Client, kind, 0, 0, &[0x80, 0, 0, 0]);
    assert_eq!(connection.code, ErrorCode::PROTOCOL_ERROR);
    // On a stream it is that stream's affair.
    let mut bytes = opening(Side::Server);
    frame_encoder::window_update(&mut bytes, stream(3), 0);
    assert_eq!(
        read(Side::Server, &bytes, &[]).0.last(),
        Some(&Fact::Window(3, 0))
    );
}

#[test]
fn interrupted_header_blocks() {
    let mut begun = opening(Side::Client);
    frame_encoder::raw(
        &mut begun,
        FrameType::HEADERS,
        Flags::NONE,
        stream(1),
        b"part",
    );
    let (_, none, reader) = read(Side::Client, &begun, &[]);
    assert_eq!(none, None);
    assert!(reader.deframer.header_in_progress() && !reader.deframer.at_frame_boundary());

    for (kind, on) in [
        (FrameType::DATA, 1),
        (FrameType::HEADERS, 1),
        (FrameType::CONTINUATION, 3),
        (FrameType::PING, 0),
        (FrameType(0x55), 1),
    ] {
        let mut bytes = begun.clone();
        frame_encoder::raw(&mut bytes, kind, Flags::NONE, stream(on), &[0; 8]);
        let offence = offence_of(Side::Client, &bytes);
        assert_eq!(offence.rule, "RFC 9113 section 6.10");
        let end = "in the middle of the header block of stream 1";
        assert!(offence.what.ends_with(end), "{offence}");
    }
    let stray = offence(Side::Client, FrameType::CONTINUATION, 0x4, 1, b"x");
    assert_eq!(
        stray.what,
        "sent a CONTINUATION frame on stream 1, where no header block is open"
    );
}

#[test]
fn header_block_bounds() {
    let mut bytes = opening(Side::Client);
    let limit = MAX_HEADER_BLOCK as usize;
    frame_encoder::headers(&mut bytes, stream(1), &vec![0; limit], true, 16_384);
    let (facts, none, reader) = read(Side::Client, &bytes, &[]);
    assert_eq!((facts.len(), none), (3, None));
    assert_eq!(reader.deframer.buffered_bytes(), 0);

    let mut bytes = opening(Side::Client);
    frame_encoder::headers(&mut bytes, stream(1), &vec![0; limit + 1], true, 16_384);
    let large = offence_of(Side::Client, &bytes);
    assert_eq!(large.code, ErrorCode::ENHANCE_YOUR_CALM);
    assert!(large.what.contains("header block too large"), "{large}");

    let mut bytes = opening(Side::Client);
    frame_encoder::raw(&mut bytes, FrameType::HEADERS, Flags::NONE, stream(1), &[]);
    for _ in 0..MAX_EMPTY_CONTINUATIONS {
        frame_encoder::raw(
            &mut bytes,
            FrameType::CONTINUATION,
            Flags::NONE,
            stream(1),
            &[],
        );
    }
    let flood = offence_of(Side::Client, &bytes);
    assert!(flood.what.contains("empty CONTINUATION frames"), "{flood}");
}

#[test]
fn goaway_debug_data_is_cut() {
    let mut bytes = opening(Side::Server);
    frame_encoder::goaway(
        &mut bytes,
        stream(7),
        ErrorCode::ENHANCE_YOUR_CALM,
        &[b'x'; 9000],
    );
    frame_encoder::ping(&mut bytes, true, *b"12345678");
    for cuts in [vec![], every_byte(&bytes)] {
        let (facts, _, reader) = read(Side::Server, &bytes, &cuts);
        let debug = vec![b'x'; MAX_GOAWAY_DEBUG];
        assert_eq!(
            facts[1],
            Fact::GoAway(7, ErrorCode::ENHANCE_YOUR_CALM, debug)
        );
        assert_eq!(facts[2], Fact::Ping(true, *b"12345678"));
        assert!(reader.most_memory <= 4 * MAX_GOAWAY_DEBUG);
    }
}
