//! The keys of one direction, and what they open.

use ring::{aead, hkdf, hmac};

use super::key_log::Secret;
use super::suite::{Hash, Suite};
use crate::http2::{Both, Side};

/// Opens the records of one direction, in their order.
pub(super) struct Opener {
    key: aead::LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    nonce: NonceFrom,
    /// The number of the next record.
    sequence: u64,
}

/// Where a record's nonce comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NonceFrom {
    /// The IV and the record's number (RFC 8446, section 5.3; RFC 7905).
    Sequence { tls13: bool },
    /// Eight bytes in front of the record (RFC 5288).
    Record,
}

/// The longest inner content there is, with its type behind it.
const TAG: usize = 16;
const EXPLICIT: usize = 8;

impl Opener {
    /// The keys that a traffic secret of TLS 1.3 gives (RFC 8446, section 7.3);
    /// `None` if the secret is none of this suite.
    pub fn tls13(suite: Suite, secret: &Secret) -> Option<Opener> {
        if secret.bytes().len() != suite.hash.len() {
            return None;
        }
        let mut key = [0; 32];
        let key = &mut key[..suite.cipher.key_len()];
        expand_label(suite.hash, secret, b"key", key)?;
        let mut iv = [0; aead::NONCE_LEN];
        expand_label(suite.hash, secret, b"iv", &mut iv)?;
        Opener::new(suite, key, iv, NonceFrom::Sequence { tls13: true })
    }

    /// Both directions' keys in TLS 1.2 (RFC 5246, section 6.3).
    pub fn tls12(
        suite: Suite,
        master: &Secret,
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> Option<Both<Opener>> {
        let key_len = suite.cipher.key_len();
        let (nonce, iv_len) = match suite.cipher == &aead::CHACHA20_POLY1305 {
            true => (NonceFrom::Sequence { tls13: false }, aead::NONCE_LEN),
            false => (NonceFrom::Record, aead::NONCE_LEN - EXPLICIT),
        };
        let mut block = [0; 2 * (32 + aead::NONCE_LEN)];
        let block = &mut block[..2 * (key_len + iv_len)];
        let seed = [&b"key expansion"[..], server_random, client_random].concat();
        pseudo_random(suite.hash, master.bytes(), &seed, block);
        let (keys, ivs) = block.split_at(2 * key_len);
        let opener = |side: Side| {
            let nth = usize::from(side == Side::Server);
            let mut iv = [0; aead::NONCE_LEN];
            iv[..iv_len].copy_from_slice(&ivs[nth * iv_len..][..iv_len]);
            Opener::new(suite, &keys[nth * key_len..][..key_len], iv, nonce)
        };
        Some(Both {
            client: opener(Side::Client)?,
            server: opener(Side::Server)?,
        })
    }

    fn new(suite: Suite, key: &[u8], iv: [u8; 12], nonce: NonceFrom) -> Option<Opener> {
        let key = aead::UnboundKey::new(suite.cipher, key).ok()?;
        Some(Opener {
            key: aead::LessSafeKey::new(key),
            iv,
            nonce,
            sequence: 0,
        })
    }

    /// Opens a record, if it is the next one of these keys; otherwise `sealed` is of
    /// no more use.
    pub fn open<'a>(&mut self, header: [u8; 5], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let mut nonce = self.iv;
        let (begin, tls13) = match self.nonce {
            NonceFrom::Sequence { tls13 } => {
                for (octet, number) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
                    *octet ^= number;
                }
                (0, tls13)
            }
            NonceFrom::Record => {
                nonce[4..].copy_from_slice(sealed.get(..EXPLICIT)?);
                (EXPLICIT, false)
            }
        };
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let sealed = &mut sealed[begin..];
        let opened = if tls13 {
            self.key
                .open_in_place(nonce, aead::Aad::from(header), sealed)
        } else {
            let length = u16::try_from(sealed.len().checked_sub(TAG)?).ok()?;
            let mut aad = [0; 13];
            aad[..8].copy_from_slice(&self.sequence.to_be_bytes());
            aad[8..11].copy_from_slice(&header[..3]);
            aad[11..].copy_from_slice(&length.to_be_bytes());
            self.key.open_in_place(nonce, aead::Aad::from(aad), sealed)
        };
        let opened = opened.ok()?;
        self.sequence += 1;
        Some(opened)
    }
}

/// The secret that comes after this one (RFC 8446, section 7.2).
pub(super) fn updated(suite: Suite, secret: &Secret) -> Option<Secret> {
    let mut next = [0; Secret::MAX];
    let next = &mut next[..suite.hash.len()];
    expand_label(suite.hash, secret, b"traffic upd", next)?;
    Secret::new(next)
}

/// HKDF-Expand-Label without a context (RFC 8446, section 7.1).
fn expand_label(hash: Hash, secret: &Secret, label: &[u8], out: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_len = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let info: [&[u8]; 5] = [&length, &label_len, PREFIX, label, &[0]];
    let key = hkdf::Prk::new_less_safe(hash.hkdf(), secret.bytes());
    let okm = key.expand(&info, Length(out.len())).ok()?;
    okm.fill(out).ok()
}

/// How many bytes HKDF is to give.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// TLS 1.2's PRF (RFC 5246, section 5); `seed` begins with the label.
fn pseudo_random(hash: Hash, secret: &[u8], seed: &[u8], out: &mut [u8]) {
    let key = hmac::Key::new(hash.hmac(), secret);
    let mut a = hmac::sign(&key, seed);
    for chunk in out.chunks_mut(hash.len()) {
        let part = hmac::sign(&key, &[a.as_ref(), seed].concat());
        chunk.copy_from_slice(&part.as_ref()[..chunk.len()]);
        a = hmac::sign(&key, a.as_ref());
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are nobody's business.
        f.debug_struct("Opener")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
