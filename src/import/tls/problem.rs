//! Why a TLS connection cannot be read.

use std::fmt;

/// Why a TLS connection cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::import) enum Problem {
    /// The key log has no secrets for it, or there is no key log.
    NoSecrets,
    /// A version before TLS 1.2.
    Version(u16),
    /// A cipher suite without authenticated encryption, or one that is not known.
    Suite(u16),
    /// The secrets do not open its records.
    WrongSecrets,
    /// What looked like TLS is none.
    NotTls,
    /// The handshake is done again under encryption, as TLS 1.2 allows.
    Renegotiation,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoSecrets => f.write_str("sent TLS records that no secret is known for"),
            Problem::Version(version) => {
                write!(
                    f,
                    "agreed on version {version:#06x} of TLS, which is older than 1.2"
                )
            }
            Problem::Suite(suite) => {
                write!(
                    f,
                    "agreed on the TLS cipher suite {suite:#06x}, which is not known here"
                )
            }
            Problem::WrongSecrets => {
                f.write_str("sent a TLS record that the key log's secrets do not open")
            }
            Problem::NotTls => f.write_str("sent bytes that are no TLS record"),
            Problem::Renegotiation => f.write_str("began the TLS handshake again"),
        }
    }
}
