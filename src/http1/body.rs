//! Where an HTTP/1.1 body ends (RFC 9112, section 6).

/// Follows one body through its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are left (Content-Length; 0 for none).
    Length(u64),
    /// Chunked transfer coding (RFC 9112, section 7.1).
    Chunked(Chunk),
    /// It ends with the connection.
    UntilClose,
}

/// Where in the chunked coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the size's hexadecimal digits.
    Size { size: u64, digits: u8 },
    /// In an extension after the size.
    Extension { size: u64 },
    /// In the chunk's data.
    Data { left: u64 },
    /// In the line end after the data.
    DataEnd,
    /// In the trailer section; `line` counts the bytes of the line at hand.
    Trailer { line: u32 },
    /// Behind it.
    Done,
}

/// A chunk size that is no number, or no size that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadChunk;

impl Body {
    pub fn chunked() -> Body {
        Body::Chunked(Chunk::Size { size: 0, digits: 0 })
    }

    pub fn is_done(self) -> bool {
        matches!(self, Body::Length(0) | Body::Chunked(Chunk::Done))
    }

    /// Takes bytes of the body from the front of `input`; gives the first that are
    /// content, in one piece. What is left of the body has to be taken again.
    pub fn take<'i>(&mut self, input: &mut &'i [u8]) -> Result<&'i [u8], BadChunk> {
        match self {
            Body::Length(left) => Ok(up_to(left, input)),
            Body::UntilClose => Ok(std::mem::take(input)),
            Body::Chunked(chunk) => {
                while *chunk != Chunk::Done && !input.is_empty() {
                    let content = chunk.step(input)?;
                    if !content.is_empty() {
                        return Ok(content);
                    }
                }
                Ok(&[])
            }
        }
    }
}

/// Takes the first `left` bytes, or as many as there are.
fn up_to<'i>(left: &mut u64, input: &mut &'i [u8]) -> &'i [u8] {
    let n = (*left).min(input.len() as u64);
    *left -= n;
    let (taken, rest) = input.split_at(n as usize);
    *input = rest;
    taken
}

impl Chunk {
    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<&'i [u8], BadChunk> {
        if let Chunk::Data { left } = self {
            let content = up_to(left, input);
            if *left == 0 {
                *self = Chunk::DataEnd;
            }
            return Ok(content);
        }
        let Some((&byte, rest)) = input.split_first() else {
            return Ok(&[]);
        };
        *input = rest;
        *self = match (*self, byte) {
            (Chunk::Size { size, digits }, b'\n') if digits > 0 => Chunk::after_size(size),
            (Chunk::Size { size, digits }, b'\r' | b';' | b' ' | b'\t') if digits > 0 => {
                Chunk::Extension { size }
            }
            (Chunk::Size { size, digits }, _) => {
                let digit = (byte as char).to_digit(16).ok_or(BadChunk)?;
                if digits >= 15 {
                    return Err(BadChunk);
                }
                Chunk::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Chunk::Extension { size }, b'\n') => Chunk::after_size(size),
            (Chunk::DataEnd, b'\n') => Chunk::Size { size: 0, digits: 0 },
            (Chunk::DataEnd, b'\r') => Chunk::DataEnd,
            (Chunk::DataEnd, _) => return Err(BadChunk),
            (Chunk::Trailer { line: 0 }, b'\n') => Chunk::Done,
            (Chunk::Trailer { .. }, b'\n') => Chunk::Trailer { line: 0 },
            (Chunk::Trailer { line: 0 }, b'\r') => Chunk::Trailer { line: 0 },
            (Chunk::Trailer { line }, _) => Chunk::Trailer {
                line: line.saturating_add(1),
            },
            (state, _) => state,
        };
        Ok(&[])
    }

    fn after_size(size: u64) -> Chunk {
        match size {
            0 => Chunk::Trailer { line: 0 },
            left => Chunk::Data { left },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_bodies_end_where_they_end_however_they_are_cut() {
        let wire = b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\nGET ";
        for step in 1..wire.len() {
            let mut body = Body::chunked();
            let (mut content, mut behind) = (Vec::<u8>::new(), Vec::<u8>::new());
            for chunk in wire.chunks(step) {
                let mut input = chunk;
                while !body.is_done() && !input.is_empty() {
                    content.extend(body.take(&mut input).expect("well-formed"));
                }
                behind.extend(input);
            }
            assert!(body.is_done());
            assert_eq!(content, b"hello0123456789");
            assert_eq!(behind, b"GET ");
        }
    }

    #[test]
    fn a_bad_size_is_refused() {
        let mut input = &b"xyz\r\n"[..];
        assert_eq!(Body::chunked().take(&mut input), Err(BadChunk));
        let mut input = &b"ffffffffffffffff0\r\n"[..];
        assert_eq!(Body::chunked().take(&mut input), Err(BadChunk));
    }
}
