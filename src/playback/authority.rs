//! `:authority` as some of etcd's clients write it, for an HTTP/2 library that does
//! not take it so.
//!
//! etcdctl 3.4 puts the whole endpoint there, scheme and all, when it was given one:
//! `http://127.0.0.1:2379`. etcd takes that; the `h2` crate ends the stream. So what a
//! client sends is read frame by frame, and header blocks are written anew without the
//! scheme. All of them: a block may refer to those before.

use crate::http2::frame_encoder::HeaderBlock;
use crate::http2::hpack::{Decoder, Encoder, Indexing};
use crate::http2::{
    DEFAULT_MAX_FRAME_SIZE, FRAME_HEADER_LEN, Flags, FrameHeader, FrameType, MAX_HEADER_BLOCK,
    PREFACE, StreamId,
};

/// What a client sends, on its way to the server.
#[derive(Debug)]
pub(super) struct Authority {
    state: State,
    /// What has come and cannot be passed on yet.
    held: Vec<u8>,
    /// The header block that has begun.
    block: Option<Block>,
    decoder: Decoder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It may be HTTP/2.
    Opening,
    /// A frame's header comes next.
    Header,
    /// So many bytes of a payload pass.
    Payload(usize),
    /// It is something else, or broken: all passes as it comes.
    Blind,
}

#[derive(Debug)]
struct Block {
    stream: StreamId,
    end_stream: bool,
    fields: Vec<u8>,
    /// Its frames as they came.
    came: Vec<u8>,
}

impl Default for Authority {
    fn default() -> Authority {
        Authority {
            state: State::Opening,
            held: Vec::new(),
            block: None,
            decoder: Decoder::new(),
        }
    }
}

impl Authority {
    /// Takes in what came, and adds what is to be passed on.
    pub fn pass(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        loop {
            match self.state {
                State::Blind => {
                    out.extend_from_slice(input);
                    return;
                }
                State::Payload(left) => {
                    let count = left.min(input.len());
                    out.extend_from_slice(&input[..count]);
                    input = &input[count..];
                    self.state = match left - count {
                        0 => State::Header,
                        left => State::Payload(left),
                    };
                    if input.is_empty() {
                        return;
                    }
                }
                State::Opening => {
                    if !self.hold(&mut input, PREFACE.len()) {
                        // An answer to what is shorter cannot wait for more.
                        if !PREFACE.starts_with(&self.held) {
                            self.give_up(out);
                        }
                        return;
                    }
                    match self.held == PREFACE {
                        true => {
                            out.append(&mut self.held);
                            self.state = State::Header;
                        }
                        false => self.give_up(out),
                    }
                }
                State::Header => {
                    if !self.hold(&mut input, FRAME_HEADER_LEN) {
                        return;
                    }
                    let Some(header) = self.held.first_chunk() else {
                        return;
                    };
                    let header = FrameHeader::parse(*header);
                    let is_block =
                        matches!(header.kind, FrameType::HEADERS | FrameType::CONTINUATION);
                    if !is_block && self.block.is_none() {
                        out.append(&mut self.held);
                        self.state = State::Payload(header.length as usize);
                        continue;
                    }
                    if !is_block || header.length > DEFAULT_MAX_FRAME_SIZE {
                        self.give_up(out);
                        continue;
                    }
                    if !self.hold(&mut input, FRAME_HEADER_LEN + header.length as usize) {
                        return;
                    }
                    if self.frame(header).is_none() {
                        self.give_up(out);
                    } else if header.flags.contains(Flags::END_HEADERS) {
                        self.finish(out);
                    }
                }
            }
        }
    }

    /// Takes in until so many bytes are held; whether they are.
    fn hold(&mut self, input: &mut &[u8], all: usize) -> bool {
        let count = all.saturating_sub(self.held.len()).min(input.len());
        self.held.extend_from_slice(&input[..count]);
        *input = &input[count..];
        self.held.len() >= all
    }

    /// A frame of a block is whole; `None` if it is none that can be.
    fn frame(&mut self, header: FrameHeader) -> Option<()> {
        let payload = self.held.get(FRAME_HEADER_LEN..)?;
        let fields = match header.kind {
            FrameType::CONTINUATION => payload,
            _ => fields(payload, header.flags)?,
        };
        let block = match (&mut self.block, header.kind) {
            (Some(block), FrameType::CONTINUATION) if block.stream == header.stream => block,
            (block @ None, FrameType::HEADERS) => block.insert(Block {
                stream: header.stream,
                end_stream: header.flags.contains(Flags::END_STREAM),
                fields: Vec::new(),
                came: Vec::new(),
            }),
            _ => return None,
        };
        if block.came.len() + self.held.len() > MAX_HEADER_BLOCK as usize {
            return None;
        }
        block.fields.extend_from_slice(fields);
        block.came.append(&mut self.held);
        Some(())
    }

    /// A block is whole.
    fn finish(&mut self, out: &mut Vec<u8>) {
        let Some(block) = &self.block else { return };
        let (mut encoder, mut anew) = (Encoder::new(), Vec::new());
        let decoded = self.decoder.decode(&block.fields, |field| {
            let indexing = match field.never_indexed {
                true => Indexing::Never,
                false => Indexing::Without,
            };
            let value = match field.name {
                b":authority" => without_scheme(field.value),
                _ => field.value,
            };
            encoder.field(field.name, value, indexing, &mut anew);
        });
        if decoded.is_err() {
            self.give_up(out);
            return;
        }
        let written = HeaderBlock {
            block: &anew,
            end_stream: block.end_stream,
            ..HeaderBlock::default()
        };
        written.encode(out, block.stream, DEFAULT_MAX_FRAME_SIZE as usize);
        self.block = None;
    }

    /// From here on everything passes as it comes: the server has its own words for
    /// what is wrong.
    fn give_up(&mut self, out: &mut Vec<u8>) {
        if let Some(mut block) = self.block.take() {
            out.append(&mut block.came);
        }
        out.append(&mut self.held);
        self.state = State::Blind;
    }
}

/// A HEADERS frame's part of its block, without padding and priority.
fn fields(payload: &[u8], flags: Flags) -> Option<&[u8]> {
    let (padding, payload) = match flags.contains(Flags::PADDED) {
        true => payload
            .split_first()
            .map(|(n, rest)| (usize::from(*n), rest))?,
        false => (0, payload),
    };
    let priority = if flags.contains(Flags::PRIORITY) {
        5
    } else {
        0
    };
    let payload = payload.get(priority..)?;
    payload.get(..payload.len().checked_sub(padding)?)
}

fn without_scheme(authority: &[u8]) -> &[u8] {
    [&b"http://"[..], b"https://"]
        .iter()
        .find_map(|scheme| authority.strip_prefix(*scheme))
        .unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::frame_encoder;

    fn stream(number: u32) -> StreamId {
        FrameHeader::parse([0, 0, 0, 0, 0, 0, 0, 0, number as u8]).stream
    }

    /// Two calls on one connection; the second refers to the first's fields.
    fn calls(authority: &str, padding: Option<u8>, max_frame_size: usize) -> Vec<u8> {
        let mut sent = PREFACE.to_vec();
        frame_encoder::settings(&mut sent, &[]);
        let mut encoder = Encoder::new();
        for number in [1, 3] {
            let mut block = Vec::new();
            for (name, value) in [(":path", "/a"), (":authority", authority), ("token", "t")] {
                let (name, value) = (name.as_bytes(), value.as_bytes());
                encoder.field(name, value, Indexing::Incremental, &mut block);
            }
            let block = HeaderBlock {
                block: &block,
                padding,
                priority: padding.map(|_| (0, 7)),
                ..HeaderBlock::default()
            };
            block.encode(&mut sent, stream(number), max_frame_size);
            frame_encoder::data(&mut sent, stream(number), b"content", true);
        }
        sent
    }

    fn passed(input: &[u8], piece: usize) -> Vec<u8> {
        let (mut authority, mut out) = (Authority::default(), Vec::new());
        for piece in input.chunks(piece) {
            authority.pass(piece, &mut out);
        }
        out
    }

    /// Frames in words; of blocks, their fields.
    fn told(mut bytes: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        let mut decoder = Decoder::new();
        bytes = bytes.strip_prefix(PREFACE.as_slice()).unwrap();
        while !bytes.is_empty() {
            let (header, rest) = bytes.split_at(FRAME_HEADER_LEN);
            let header = FrameHeader::parse(header.try_into().unwrap());
            let (payload, rest) = rest.split_at(header.length as usize);
            if header.kind == FrameType::HEADERS {
                let add = |field: crate::http2::hpack::Field<'_>| {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    told.push(format!("{}={}", text(field.name), text(field.value)));
                };
                decoder.decode(payload, add).unwrap();
            } else {
                told.push(format!("{:?} {payload:?}", header.kind));
            }
            bytes = rest;
        }
        told
    }

    #[test]
    fn a_scheme_is_taken_out_however_the_bytes_come() {
        for (padding, size) in [(None, 16_384), (Some(9), 16_384), (None, 7)] {
            let sent = calls("http://[::1]:2379", padding, size);
            let whole = passed(&sent, sent.len());
            for piece in [1, 2, 9, 50] {
                assert_eq!(passed(&sent, piece), whole);
            }
            assert_eq!(told(&whole), told(&calls("[::1]:2379", None, 16_384)));
        }
        let usual = calls("127.0.0.1:2379", None, 16_384);
        assert_eq!(told(&passed(&usual, 10)), told(&usual));
    }

    #[test]
    fn what_is_not_http2_or_broken_passes_as_it_comes() {
        for input in [&b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"[..], b"x", b""] {
            assert_eq!(passed(input, 3), input);
        }
        let mut broken = calls("http://a", None, 16_384);
        // A reference to a table that does not go so far.
        frame_encoder::headers(&mut broken, stream(5), &[0xff, 0xff, 0x01], true, 16_384);
        frame_encoder::ping(&mut broken, false, [7; 8]);
        let out = passed(&broken, 11);
        assert!(out.ends_with(&broken[broken.len() - 29..]));
        // Something in the midst of a block.
        let mut torn = PREFACE.to_vec();
        let head = FrameHeader {
            length: 1,
            kind: FrameType::HEADERS,
            flags: Flags::NONE,
            stream: stream(1),
        };
        torn.extend(head.encode());
        torn.push(0x82);
        frame_encoder::ping(&mut torn, false, [7; 8]);
        assert_eq!(passed(&torn, 4), torn);
    }

    #[test]
    fn a_block_without_an_end_is_not_held_for_ever() {
        let mut endless = PREFACE.to_vec();
        let mut frame = FrameHeader {
            length: 16_000,
            kind: FrameType::HEADERS,
            flags: Flags::NONE,
            stream: stream(1),
        };
        for _ in 0..30 {
            endless.extend(frame.encode());
            endless.extend([0x82; 16_000]);
            frame.kind = FrameType::CONTINUATION;
        }
        let (mut authority, mut out) = (Authority::default(), Vec::new());
        authority.pass(&endless, &mut out);
        assert_eq!(out, endless);
        assert!(authority.block.is_none() && authority.held.is_empty());
    }
}
