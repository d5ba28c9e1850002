//! What leaves in one direction: runs of what came, and bytes of our own
//! between whole frames of it.

use std::collections::VecDeque;
use std::ops::Range;

use super::Transmit;

/// What leaves in one direction.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    segments: VecDeque<Transmit>,
    /// Frames of ours that wait for the end of a frame that is passing in
    /// pieces: nothing may stand inside it; nor before the first SETTINGS.
    deferred: Vec<u8>,
    mid_frame: bool,
    /// The first SETTINGS have passed (RFC 9113, section 3.4).
    begun: bool,
}

/// Room for segments that stays allocated while nothing leaves.
const SEGMENTS_KEPT: usize = 4;

impl Outbox {
    /// A run of the input at hand leaves as it came.
    pub fn pass(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        if let Some(Transmit::AsCame(last)) = self.segments.back_mut()
            && last.end == range.start
        {
            last.end = range.end;
            return;
        }
        self.segments.push_back(Transmit::AsCame(range));
    }

    /// Bytes of earlier input leave as they came.
    pub fn pass_carried(&mut self, carried: &mut Vec<u8>) {
        if !carried.is_empty() {
            self.segments
                .push_back(Transmit::Own(std::mem::take(carried)));
        }
    }

    /// Where whole frames of our own are to be written.
    pub fn own(&mut self) -> &mut Vec<u8> {
        if self.defers() {
            return &mut self.deferred;
        }
        if !matches!(self.segments.back(), Some(Transmit::Own(_))) {
            self.segments.push_back(Transmit::Own(Vec::new()));
        }
        match self.segments.back_mut() {
            Some(Transmit::Own(bytes)) => bytes,
            // One was just put there.
            _ => &mut self.deferred,
        }
    }

    /// Whether frames of ours have to wait.
    pub fn defers(&self) -> bool {
        self.mid_frame || !self.begun
    }

    /// Whether what left so far ends inside a frame.
    pub fn set_mid_frame(&mut self, mid_frame: bool) {
        self.mid_frame = mid_frame;
        if !mid_frame && self.begun && !self.deferred.is_empty() {
            let deferred = std::mem::take(&mut self.deferred);
            self.segments.push_back(Transmit::Own(deferred));
        }
    }

    /// The first SETTINGS have passed.
    pub fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.set_mid_frame(self.mid_frame);
        }
    }

    /// SETTINGS of our own pass; if they are the first, before all that waits for
    /// those.
    pub fn settings(&mut self, settings: Vec<u8>) {
        if self.begun {
            self.own().extend_from_slice(&settings);
        } else {
            self.segments.push_back(Transmit::Own(settings));
            self.begin();
        }
    }

    /// The next bytes that leave.
    pub fn poll(&mut self) -> Option<Transmit> {
        let next = self.segments.pop_front();
        if next.is_none() && self.segments.capacity() > SEGMENTS_KEPT {
            self.segments = VecDeque::new();
        }
        next
    }

    /// How far into the input at hand what left reaches.
    pub fn passed_to(&self) -> usize {
        let ends = self
            .segments
            .iter()
            .rev()
            .filter_map(|segment| match segment {
                Transmit::AsCame(range) => Some(range.end),
                Transmit::Own(_) => None,
            });
        ends.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_and_own_frames_stay_out_of_foreign_ones() {
        let mut out = Outbox::default();
        out.pass(0..5);
        out.begin();
        out.pass(5..9);
        out.set_mid_frame(true);
        out.own().extend(b"own");
        out.pass(9..20);
        out.set_mid_frame(false);
        out.own().extend(b" more");
        assert_eq!(out.passed_to(), 20);
        assert_eq!(out.poll(), Some(Transmit::AsCame(0..20)));
        assert_eq!(out.poll(), Some(Transmit::Own(b"own more".to_vec())));
        assert_eq!(out.poll(), None);
    }
}
