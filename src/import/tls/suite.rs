//! Cipher suites, as IANA numbers them.

use ring::{aead, hkdf, hmac};

/// What a cipher suite means for whoever opens its records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suite {
    pub cipher: &'static aead::Algorithm,
    pub hash: Hash,
    /// Whether it is one of TLS 1.3.
    pub tls13: bool,
}

/// The hash that keys are derived with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
}

impl Suite {
    /// The suite with this number, if its records can be opened: those with
    /// AES-GCM or ChaCha20-Poly1305, whatever keys are exchanged with.
    pub fn of(number: u16) -> Option<Suite> {
        let (cipher, hash) = match number {
            // TLS_AES_*, TLS_CHACHA20_* (RFC 8446, appendix B.4)
            0x1301 => (&aead::AES_128_GCM, Hash::Sha256),
            0x1302 => (&aead::AES_256_GCM, Hash::Sha384),
            0x1303 => (&aead::CHACHA20_POLY1305, Hash::Sha256),
            // RSA, DHE_RSA, ECDHE_ECDSA, ECDHE_RSA (RFC 5288, RFC 5289)
            0x009c | 0x009e | 0xc02b | 0xc02f => (&aead::AES_128_GCM, Hash::Sha256),
            0x009d | 0x009f | 0xc02c | 0xc030 => (&aead::AES_256_GCM, Hash::Sha384),
            // ECDHE_RSA, ECDHE_ECDSA, DHE_RSA (RFC 7905)
            0xcca8..=0xccaa => (&aead::CHACHA20_POLY1305, Hash::Sha256),
            _ => return None,
        };
        Some(Suite {
            cipher,
            hash,
            tls13: number >> 8 == 0x13,
        })
    }
}

impl Hash {
    pub fn hkdf(self) -> hkdf::Algorithm {
        match self {
            Hash::Sha256 => hkdf::HKDF_SHA256,
            Hash::Sha384 => hkdf::HKDF_SHA384,
        }
    }

    pub fn hmac(self) -> hmac::Algorithm {
        match self {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
        }
    }

    /// Bytes of a secret.
    pub fn len(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
        }
    }
}
