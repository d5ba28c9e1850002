//! The key log that `SSLKEYLOGFILE` names
//! (draft-ietf-tls-keylogfile): a line a secret.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use rustc_hash::FxHashMap;

/// Connections whose secrets are kept.
pub const MAX_CONNECTIONS: usize = 1 << 20;

/// A secret; never printed.
#[derive(Clone, Copy)]
pub(super) struct Secret {
    bytes: [u8; Secret::MAX],
    len: u8,
}

impl Secret {
    /// The longest: TLS 1.2's master secret, and those of suites with SHA-384.
    pub const MAX: usize = 48;

    /// A secret of these bytes, unless they are too many.
    pub fn new(bytes: &[u8]) -> Option<Secret> {
        let mut secret = Secret {
            bytes: [0; Secret::MAX],
            len: u8::try_from(bytes.len()).ok()?,
        };
        secret.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(secret)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

/// The secrets of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Secrets {
    /// TLS 1.2's master secret.
    pub master: Option<Secret>,
    pub client_handshake: Option<Secret>,
    pub server_handshake: Option<Secret>,
    pub client_traffic: Option<Secret>,
    pub server_traffic: Option<Secret>,
}

/// The secrets of a key log, by the random bytes of the client's hello.
#[derive(Default)]
pub struct KeyLog {
    by_client: FxHashMap<[u8; 32], Box<Secrets>>,
    lines: u64,
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLog({} connections)", self.by_client.len())
    }
}

impl KeyLog {
    /// Takes in what a key log says. Lines that are no secrets of TLS 1.2 or 1.3
    /// are passed over, and so are connections beyond [`MAX_CONNECTIONS`].
    pub fn read(&mut self, text: &[u8]) {
        for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
            self.lines += u64::from(self.line(line).is_some());
        }
    }

    /// Lines that gave a secret so far.
    pub fn secrets(&self) -> u64 {
        self.lines
    }

    fn line(&mut self, line: &[u8]) -> Option<()> {
        let mut words = line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let (label, random, secret) = (words.next()?, words.next()?, words.next()?);
        let place: fn(&mut Secrets) -> &mut Option<Secret> = match label {
            b"CLIENT_RANDOM" => |secrets| &mut secrets.master,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => |secrets| &mut secrets.client_handshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => |secrets| &mut secrets.server_handshake,
            b"CLIENT_TRAFFIC_SECRET_0" => |secrets| &mut secrets.client_traffic,
            b"SERVER_TRAFFIC_SECRET_0" => |secrets| &mut secrets.server_traffic,
            _ => return None,
        };
        let random = from_hex::<32>(random)
            .filter(|(_, length)| *length == 32)?
            .0;
        let (secret, length) = from_hex::<{ Secret::MAX }>(secret)?;
        let secret = Secret::new(&secret[..length])?;
        if self.by_client.len() >= MAX_CONNECTIONS && !self.by_client.contains_key(&random) {
            return None;
        }
        *place(self.by_client.entry(random).or_default()) = Some(secret);
        Some(())
    }

    /// What is known of the connection whose client began with `random`.
    pub(super) fn of(&self, random: &[u8; 32]) -> Option<&Secrets> {
        self.by_client.get(random).map(|secrets| &**secrets)
    }
}

/// At most `N` bytes in hexadecimal, and how many.
fn from_hex<const N: usize>(text: &[u8]) -> Option<([u8; N], usize)> {
    // The decoder wants exactly the room it needs, and has none for half a byte.
    let length = HEXLOWER_PERMISSIVE.decode_len(text.len()).ok()?;
    let mut bytes = [0; N];
    let room = bytes.get_mut(..length)?;
    let decoded = HEXLOWER_PERMISSIVE.decode_mut(text, room).ok()?;
    (decoded == length).then_some((bytes, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_byte_is_no_secret() {
        assert_eq!(from_hex::<4>(b"abc"), None);
        assert_eq!(from_hex::<4>(b"0a0B"), Some(([10, 11, 0, 0], 2)));
        assert_eq!(from_hex::<1>(b"0a0b"), None);
    }

    #[test]
    fn lines_of_both_versions_are_found_again_and_others_passed_over() {
        let mut log = KeyLog::default();
        let text = format!(
            "# a comment\r\n\
             CLIENT_RANDOM {one} {master}\n\
             CLIENT_TRAFFIC_SECRET_0 {two} {short}\r\n\
             SERVER_TRAFFIC_SECRET_0 {TWO} {short}\n\
             EXPORTER_SECRET {two} {short}\n\
             RSA 0123456789abcdef {master}\n\
             CLIENT_RANDOM {one}\n\
             CLIENT_RANDOM beef {master}\n\
             CLIENT_RANDOM {two} {master}00\n\
             CLIENT_RANDOM {two} xx\n\
             CLIENT_TRAFFIC_SECRET_0",
            one = "01".repeat(32),
            two = "ab".repeat(32),
            TWO = "AB".repeat(32),
            master = "07".repeat(48),
            short = "08".repeat(32),
        );
        log.read(text.as_bytes());
        assert_eq!(log.secrets(), 3);
        let one = log.of(&[1; 32]).unwrap();
        assert_eq!(one.master.unwrap().bytes(), [7; 48]);
        let two = log.of(&[0xab; 32]).unwrap();
        assert_eq!(two.client_traffic.unwrap().bytes(), [8; 32]);
        assert_eq!(two.server_traffic.unwrap().bytes(), [8; 32]);
        assert!(two.master.is_none() && two.client_handshake.is_none());
        assert!(log.of(&[2; 32]).is_none());
    }

    #[test]
    fn secrets_do_not_show() {
        let mut log = KeyLog::default();
        log.read(format!("CLIENT_RANDOM {} {}", "01".repeat(32), "42".repeat(48)).as_bytes());
        let shown = format!("{log:?} {:?}", log.of(&[1; 32]));
        assert!(!shown.contains("42") && !shown.contains("66"), "{shown}");
    }
}
