//! Both directions of a TLS connection: sealed bytes in, what they say out.

use super::direction::{
    APPLICATION_DATA, CHANGE_CIPHER_SPEC, Direction, HANDSHAKE, RECORD_HEADER, Stage, Traffic,
};
use super::handshake::{self, Message};
use super::key_log::{KeyLog, Secrets};
use super::opener::Opener;
use super::problem::Problem;
use super::suite::Suite;
use crate::http2::{Both, Side};
use crate::relay::{TlsSeen, certificate_name};

/// Listens to a TLS connection.
#[derive(Debug, Default)]
pub(in crate::import) struct Wiretap {
    directions: Both<Direction>,
    client_random: Option<[u8; 32]>,
    suite: Option<Suite>,
    /// TLS 1.2: the keys that the next ChangeCipherSpec of each side is for.
    pending: Both<Option<Box<Traffic>>>,
    seen: TlsSeen,
}

impl Wiretap {
    /// What the handshake showed so far.
    pub fn seen(&self) -> &TlsSeen {
        &self.seen
    }

    /// Whether records stayed closed that might have said something.
    pub fn has_unopened(&self) -> bool {
        self.directions.client.has_unopened() || self.directions.server.has_unopened()
    }

    /// `from` sent `bytes`; what they say is put behind `out`.
    ///
    /// # Errors
    /// Why nothing more can be read.
    pub fn handle_bytes(
        &mut self,
        from: Side,
        bytes: &[u8],
        keys: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let mut records = std::mem::take(&mut self.directions[from].records);
        records.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(length) = Direction::record(&records[begin..])? {
            let record = &mut records[begin..begin + length];
            begin += length;
            if let Some((header, sealed)) = record.split_first_chunk_mut::<RECORD_HEADER>() {
                self.record(from, *header, sealed, keys, out)?;
            }
        }
        records.drain(..begin);
        self.directions[from].records = records;
        Ok(())
    }

    fn record(
        &mut self,
        from: Side,
        header: [u8; RECORD_HEADER],
        sealed: &mut [u8],
        keys: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let direction = &mut self.directions[from];
        let Some((kind, content)) = direction.open(header, sealed)? else {
            return Ok(());
        };
        match (kind, &direction.stage) {
            (HANDSHAKE, _) => {
                direction.messages.extend_from_slice(content);
                self.messages(from, keys)
            }
            (CHANGE_CIPHER_SPEC, Stage::Clear) => {
                if let Some(traffic) = self.pending[from].take() {
                    direction.stage = Stage::Sealed(traffic);
                }
                Ok(())
            }
            (CHANGE_CIPHER_SPEC, _) => Err(Problem::Renegotiation),
            // Data ahead of the handshake is left out; what was sealed before the
            // capture began cannot be opened.
            (APPLICATION_DATA, Stage::Clear) => match self.client_random {
                Some(_) => Ok(()),
                None => Err(Problem::NoSecrets),
            },
            (APPLICATION_DATA, _) => {
                out.extend_from_slice(content);
                Ok(())
            }
            // Alerts: the end of the connection says as much.
            _ => Ok(()),
        }
    }

    /// Reads the handshake messages that are whole.
    fn messages(&mut self, from: Side, keys: &KeyLog) -> Result<(), Problem> {
        let messages = std::mem::take(&mut self.directions[from].messages);
        let mut begin = 0;
        while let Some((message, length)) = handshake::next(&messages[begin..])? {
            begin += length;
            self.message(from, &message, keys)?;
        }
        self.directions[from].messages = messages[begin..].to_vec();
        Ok(())
    }

    fn message(&mut self, from: Side, message: &Message<'_>, keys: &KeyLog) -> Result<(), Problem> {
        let sealed = !matches!(self.directions[from].stage, Stage::Clear);
        let tls13 = self.suite.is_some_and(|suite| suite.tls13);
        match *message {
            Message::ClientHello { .. } | Message::HelloRequest if sealed => {
                return Err(Problem::Renegotiation);
            }
            Message::ClientHello {
                random,
                server_name,
            } if from == Side::Client => {
                self.client_random = Some(random);
                self.seen.sni = server_name.map(text);
            }
            Message::ServerHello {
                random,
                version,
                suite,
                alpn,
            } if from == Side::Server && self.suite.is_none() => {
                self.seen.alpn = alpn.map(text);
                self.begin(&random, version, suite, keys)?;
            }
            Message::EncryptedExtensions { alpn } if from == Side::Server && tls13 => {
                self.seen.alpn = alpn.map(text);
            }
            Message::Certificate(body) if from == Side::Client => {
                let leaf = handshake::leaf(body, tls13);
                self.seen.identity = leaf.and_then(certificate_name);
            }
            Message::Finished if tls13 => self.directions[from].go_on(),
            Message::KeyUpdate if tls13 => self.directions[from].update()?,
            _ => {}
        }
        Ok(())
    }

    /// Both hellos have been said.
    fn begin(
        &mut self,
        server_random: &[u8; 32],
        version: u16,
        number: u16,
        keys: &KeyLog,
    ) -> Result<(), Problem> {
        self.seen.version = match version {
            0x0304 => "TLSv1.3",
            0x0303 => "TLSv1.2",
            older => return Err(Problem::Version(older)),
        }
        .into();
        let suite = Suite::of(number).filter(|suite| suite.tls13 == (version == 0x0304));
        let suite = suite.ok_or(Problem::Suite(number))?;
        self.suite = Some(suite);
        let client_random = self.client_random.ok_or(Problem::NoSecrets)?;
        let secrets = keys.of(&client_random).ok_or(Problem::NoSecrets)?;
        if suite.tls13 {
            for side in [Side::Client, Side::Server] {
                self.directions[side].stage = handshake_stage(suite, side, secrets)?;
            }
        } else {
            let master = secrets.master.as_ref().ok_or(Problem::NoSecrets)?;
            let openers = Opener::tls12(suite, master, &client_random, server_random);
            let Both { client, server } = openers.ok_or(Problem::WrongSecrets)?;
            let traffic = |opener| {
                let secret = None;
                Some(Box::new(Traffic { opener, secret }))
            };
            self.pending = Both {
                client: traffic(client),
                server: traffic(server),
            };
        }
        Ok(())
    }
}

fn handshake_stage(suite: Suite, side: Side, secrets: &Secrets) -> Result<Stage, Problem> {
    let (handshake, traffic) = match side {
        Side::Client => (secrets.client_handshake, secrets.client_traffic),
        Side::Server => (secrets.server_handshake, secrets.server_traffic),
    };
    let secret = traffic.ok_or(Problem::NoSecrets)?;
    let opener = Opener::tls13(suite, &secret).ok_or(Problem::WrongSecrets)?;
    let keys = handshake.and_then(|secret| Opener::tls13(suite, &secret));
    Ok(Stage::Handshake {
        keys: keys.map(Box::new),
        next: Box::new(Traffic {
            opener,
            secret: Some((suite, secret)),
        }),
    })
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}
