//! Finding gRPC messages in a stream of DATA (gRPC over HTTP/2,
//! "Length-Prefixed-Message").

/// Cuts one direction of a call into messages, however DATA is chunked.
#[derive(Debug, Clone, Default)]
pub struct Deframer {
    prefix: [u8; PREFIX_LEN],
    have: u8,
    inside: bool,
    left: u32,
}

/// A compression flag and a length in network order.
pub const PREFIX_LEN: usize = 5;

/// A part of a direction's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// A message begins.
    Start {
        /// Whether it is compressed by the call's `grpc-encoding`.
        compressed: bool,
        /// Its bytes as they stand on the wire, without the prefix.
        length: u32,
    },
    /// Bytes of the message; never empty.
    Body(&'a [u8]),
    /// The message is whole.
    End,
}

impl Deframer {
    /// Takes bytes from the front of `input` until the next part is known;
    /// `None` when `input` is used up.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Part<'a>> {
        if self.inside {
            if self.left == 0 {
                self.inside = false;
                return Some(Part::End);
            }
            if input.is_empty() {
                return None;
            }
            let (body, rest) = input.split_at(input.len().min(self.left as usize));
            self.left -= body.len() as u32;
            *input = rest;
            return Some(Part::Body(body));
        }
        while usize::from(self.have) < PREFIX_LEN {
            let (&byte, rest) = input.split_first()?;
            self.prefix[usize::from(self.have)] = byte;
            self.have += 1;
            *input = rest;
        }
        let [flag, length @ ..] = self.prefix;
        self.have = 0;
        self.inside = true;
        self.left = u32::from_be_bytes(length);
        Some(Part::Start {
            compressed: flag & 1 == 1,
            length: self.left,
        })
    }

    /// What has come of a prefix that is not whole.
    pub fn partial_prefix(&self) -> &[u8] {
        match self.inside {
            true => &[],
            false => &self.prefix[..usize::from(self.have)],
        }
    }

    /// Whether a message (or its prefix) has begun and is not whole.
    pub fn in_message(&self) -> bool {
        self.inside || self.have > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(chunks: &[&[u8]]) -> Vec<(bool, u32, Vec<u8>)> {
        let mut deframer = Deframer::default();
        let mut out = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            let mut current: Option<(bool, u32, Vec<u8>)> = None;
            while let Some(part) = deframer.next(&mut input) {
                match part {
                    Part::Start { compressed, length } => {
                        current = None;
                        out.push((compressed, length, Vec::new()));
                    }
                    Part::Body(body) => {
                        assert!(!body.is_empty());
                        out.last_mut().expect("a start came first").2.extend(body);
                    }
                    Part::End => assert!(current.take().is_none()),
                }
            }
        }
        assert!(!deframer.in_message());
        out
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_messages(
            bodies in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            step in 1usize..50,
        ) {
            let mut wire = Vec::new();
            for (flag, body) in &bodies {
                wire.push(u8::from(*flag));
                wire.extend((body.len() as u32).to_be_bytes());
                wire.extend(body);
            }
            let chunks: Vec<&[u8]> = wire.chunks(step).collect();
            let expected: Vec<_> = bodies.iter().map(|(f, b)| (*f, b.len() as u32, b.clone())).collect();
            prop_assert_eq!(messages(&chunks), expected);
        }
    }
}
