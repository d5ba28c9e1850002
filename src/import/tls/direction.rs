//! One direction of a TLS connection.

use super::handshake::TooLong;
use super::key_log::Secret;
use super::opener::{Opener, updated};
use super::problem::Problem;
use super::suite::Suite;

/// A record's content types (RFC 8446, section 5.1).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

pub(super) const RECORD_HEADER: usize = 5;

/// The most that a sealed record holds: TLS 1.2 allows 2 KiB on top of the content.
const MAX_RECORD: usize = (16 << 10) + (2 << 10);

/// Records that may be unreadable before the first that opens: data sent ahead of
/// the handshake, and the handshake itself where only the traffic secrets are
/// known.
const MAX_UNOPENED: u32 = 256;

/// What has come of one direction, and what opens the rest.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Bytes of records that are not whole.
    pub records: Vec<u8>,
    /// Bytes of handshake messages that are not whole.
    pub messages: Vec<u8>,
    pub stage: Stage,
    unopened: u32,
}

#[derive(Debug, Default)]
pub(super) enum Stage {
    /// Nothing is sealed yet.
    #[default]
    Clear,
    /// TLS 1.3: the rest of the handshake, sealed with keys of its own.
    Handshake {
        keys: Option<Box<Opener>>,
        next: Box<Traffic>,
    },
    /// What the connection is for.
    Sealed(Box<Traffic>),
}

/// The keys of the traffic itself.
#[derive(Debug)]
pub(super) struct Traffic {
    pub opener: Opener,
    /// TLS 1.3: what the next keys come from.
    pub secret: Option<(Suite, Secret)>,
}

impl Direction {
    /// The length of the record that `bytes` begin, with its header, if it is whole.
    ///
    /// # Errors
    /// It is no record.
    pub fn record(bytes: &[u8]) -> Result<Option<usize>, Problem> {
        let Some([kind, major, _, high, low]) = bytes.first_chunk::<RECORD_HEADER>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if !(CHANGE_CIPHER_SPEC..=24).contains(kind) || *major != 3 || length > MAX_RECORD {
            return Err(Problem::NotTls);
        }
        Ok(Some(RECORD_HEADER + length).filter(|whole| bytes.len() >= *whole))
    }

    /// What a record says, and of what type that is; `None` if it stays closed and
    /// may do so.
    ///
    /// # Errors
    /// It must open and does not.
    pub fn open<'a>(
        &mut self,
        header: [u8; RECORD_HEADER],
        sealed: &'a mut [u8],
    ) -> Result<Option<(u8, &'a [u8])>, Problem> {
        match &mut self.stage {
            Stage::Clear => Ok(Some((header[0], sealed))),
            // TLS 1.3 seals everything as application data; the rest is there for
            // the eyes of middle boxes.
            Stage::Sealed(traffic) if traffic.secret.is_none() => {
                let opened = traffic.opener.open(header, sealed);
                Ok(Some((header[0], opened.ok_or(Problem::WrongSecrets)?)))
            }
            _ if header[0] != APPLICATION_DATA => Ok(None),
            Stage::Sealed(traffic) => {
                let opened = traffic.opener.open(header, sealed);
                Ok(inner(opened.ok_or(Problem::WrongSecrets)?))
            }
            Stage::Handshake { keys, next } => {
                let mut copy = sealed.to_vec();
                let opened = keys.as_mut().and_then(|keys| keys.open(header, &mut copy));
                if let Some(length) = opened.map(<[u8]>::len) {
                    sealed[..length].copy_from_slice(&copy[..length]);
                    return Ok(inner(&sealed[..length]));
                }
                // Without the handshake's own keys its end is where the traffic's
                // begin to fit.
                match next.opener.open(header, sealed) {
                    Some(opened) => {
                        self.go_on();
                        Ok(inner(opened))
                    }
                    None if self.unopened < MAX_UNOPENED => {
                        self.unopened += 1;
                        Ok(None)
                    }
                    None => Err(Problem::WrongSecrets),
                }
            }
        }
    }

    /// Whether records stayed closed.
    pub fn has_unopened(&self) -> bool {
        self.unopened > 0
    }

    /// The handshake is over in this direction.
    pub fn go_on(&mut self) {
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Handshake { next, .. } => Stage::Sealed(next),
            other => other,
        };
    }

    /// The sender goes over to its next keys.
    ///
    /// # Errors
    /// There are none.
    pub fn update(&mut self) -> Result<(), Problem> {
        let Stage::Sealed(traffic) = &mut self.stage else {
            return Ok(());
        };
        let next = traffic.secret.and_then(|(suite, secret)| {
            let secret = updated(suite, &secret)?;
            let opener = Opener::tls13(suite, &secret)?;
            Some(Traffic {
                opener,
                secret: Some((suite, secret)),
            })
        });
        **traffic = next.ok_or(Problem::WrongSecrets)?;
        Ok(())
    }
}

/// TLS 1.3's inner content: the type is the last byte that is not zero.
fn inner(opened: &[u8]) -> Option<(u8, &[u8])> {
    let last = opened.iter().rposition(|byte| *byte != 0)?;
    Some((opened[last], &opened[..last]))
}

impl From<TooLong> for Problem {
    fn from(_: TooLong) -> Problem {
        Problem::NotTls
    }
}
