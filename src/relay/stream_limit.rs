//! How many streams the client may have open, if fewer than the server allows.
//!
//! The server's SETTINGS are changed on their way, or are followed by SETTINGS
//! of our own. Acknowledgements are anonymous, so the order of both is kept, and
//! the client's acknowledgement of ours is swallowed.

use super::connection::{Connection, Phase};
use super::half::{Announced, MOST_UNACKNOWLEDGED};
use super::tap::Tap;
use crate::http2::{SettingId, SettingsFrame, Side, frame_encoder};

/// How HTTP/2 says that there is no limit.
const NO_LIMIT: u32 = u32::MAX;

/// A limit on the client's streams.
#[derive(Debug, Default)]
pub(super) struct StreamLimit {
    /// What is to hold.
    wanted: Option<u32>,
    /// What the client was told in the server's name; `None` is the server's own
    /// word.
    told: Option<u32>,
}

impl StreamLimit {
    /// Whether the server's SETTINGS do not pass as they came.
    pub fn changes(&self) -> bool {
        self.wanted.is_some() || self.told.is_some()
    }

    /// The values of the server's SETTINGS, as the client is told them; `own` is
    /// the server's own limit once they hold.
    pub fn rewritten(
        &mut self,
        frame: &SettingsFrame<'_>,
        own: Option<u32>,
    ) -> Vec<(SettingId, u32)> {
        let limit = SettingId::MAX_CONCURRENT_STREAMS;
        let mut values: Vec<_> = frame.iter().filter(|(id, _)| *id != limit).collect();
        self.told = self.wanted;
        values.push((limit, told(self.wanted, own)));
        values
    }
}

/// What the client is told: never more than the server allows.
fn told(wanted: Option<u32>, own: Option<u32>) -> u32 {
    let own = own.unwrap_or(NO_LIMIT);
    wanted.map_or(own, |wanted| wanted.min(own))
}

impl<T: Tap> Connection<T> {
    /// The client may have so many streams open from now on; `None` is as many
    /// as the server says.
    pub fn limit_streams(&mut self, most: Option<u32>) {
        self.stream_limit.wanted = most;
        self.interposed |= most.is_some();
        self.announce_limit();
    }

    /// Tells the client of the limit, where it does not know it yet. Not before
    /// the server's first SETTINGS, which will carry it, nor while a frame of
    /// the server's passes in pieces that may be SETTINGS themselves.
    pub(super) fn announce_limit(&mut self) {
        let limit = &mut self.stream_limit;
        let half = &mut self.halves.server;
        if limit.told == limit.wanted || self.phase != Phase::Following {
            return;
        }
        let Some(announced) = &half.announced else {
            return;
        };
        // Room is left for the server's own.
        if !half.is_between_frames() || half.unacknowledged.len() >= MOST_UNACKNOWLEDGED / 2 {
            return;
        }
        let value = told(limit.wanted, announced.max_concurrent_streams);
        half.unacknowledged.push_back(Announced {
            settings: announced.clone(),
            ours: true,
        });
        limit.told = limit.wanted;
        let values = [(SettingId::MAX_CONCURRENT_STREAMS, value)];
        frame_encoder::settings(half.out.own(), &values);
    }

    /// Whether the client's acknowledgement at hand is of SETTINGS of ours.
    pub(super) fn acknowledges_ours(from: Side, unacknowledged: Option<&Announced>) -> bool {
        from == Side::Client && unacknowledged.is_some_and(|announced| announced.ours)
    }
}
