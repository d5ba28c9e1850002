//! What one side said on one stream: an exact record.

use std::time::Instant;

use super::hpack::Field;

/// One direction of a stream, as its sender sent it or its receiver got it.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub head: Option<Vec<Field>>,
    pub head_at: Option<Instant>,
    /// DATA without padding.
    pub data: Vec<u8>,
    /// When each gRPC message's first byte came.
    pub begun: Vec<Instant>,
    /// Where each whole gRPC message ends in `data`, and when it did.
    pub whole: Vec<(usize, Instant)>,
    pub trailers: Option<Vec<Field>>,
    /// END_STREAM.
    pub ended: Option<Instant>,
    /// RST_STREAM.
    pub reset: Option<(u32, Instant)>,
}

impl Said {
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        self.data.extend_from_slice(bytes);
        loop {
            let begin = self.whole.last().map_or(0, |(end, _)| *end);
            let rest = &self.data[begin..];
            if !rest.is_empty() && self.begun.len() == self.whole.len() {
                self.begun.push(now);
            }
            let Some(length) = rest.get(1..5) else {
                return;
            };
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            let whole = 5 + length as usize;
            if rest.len() < whole {
                return;
            }
            self.whole.push((begin + whole, now));
        }
    }

    /// Whether DATA ends in the middle of a message.
    pub fn is_torn(&self) -> bool {
        self.begun.len() > self.whole.len()
    }

    /// A field of the trailers, or of the head where there is nothing else.
    pub fn closing(&self, name: &str) -> Option<&[u8]> {
        let fields = self.trailers.as_ref().or(self.head.as_ref())?;
        let field = fields.iter().find(|field| field.name == name.as_bytes())?;
        Some(&field.value)
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.ended.is_some() || self.reset.is_some()
    }

    /// Whether what `self` says is what `other` says, but for framing and time.
    pub fn differs_from(&self, other: &Said) -> Option<String> {
        let code = |said: &Said| said.reset.map(|(code, _)| code);
        if self.head != other.head {
            return Some(format!(
                "head {:?} became {:?}",
                show(&other.head),
                show(&self.head)
            ));
        }
        if self.data != other.data {
            let same = self
                .data
                .iter()
                .zip(&other.data)
                .take_while(|(a, b)| a == b);
            return Some(format!(
                "{} bytes of DATA became {}, of which {} are the same",
                other.data.len(),
                self.data.len(),
                same.count()
            ));
        }
        if self.trailers != other.trailers {
            let (was, is) = (show(&other.trailers), show(&self.trailers));
            return Some(format!("trailers {was:?} became {is:?}"));
        }
        if self.ended.is_some() != other.ended.is_some() || code(self) != code(other) {
            return Some(format!(
                "the end (END_STREAM {}, RST_STREAM {:?}) became ({}, {:?})",
                other.ended.is_some(),
                code(other),
                self.ended.is_some(),
                code(self)
            ));
        }
        None
    }

    /// Whether `self` is a beginning of what `other` says.
    pub fn is_beginning_of(&self, other: &Said) -> Option<String> {
        if self.head.is_some() && self.head != other.head {
            return Some(format!(
                "head {:?} became {:?}",
                show(&other.head),
                show(&self.head)
            ));
        }
        if !other.data.starts_with(&self.data) {
            return Some("DATA is no beginning of what was sent".into());
        }
        if self.trailers.is_some() && self.trailers != other.trailers {
            let (was, is) = (show(&other.trailers), show(&self.trailers));
            return Some(format!("trailers {was:?} became {is:?}"));
        }
        if self.ended.is_some() && (other.ended.is_none() || self.data != other.data) {
            return Some("an end that was not sent so".into());
        }
        None
    }
}

fn show(fields: &Option<Vec<Field>>) -> Option<Vec<String>> {
    let line = |field: &Field| {
        format!(
            "{}: {}{}",
            String::from_utf8_lossy(&field.name),
            String::from_utf8_lossy(&field.value),
            if field.never { " (never indexed)" } else { "" }
        )
    };
    Some(fields.as_ref()?.iter().map(line).collect())
}
