//! Calls as packets: a capture of a network that there never was, in which the
//! recorded messages pass at the recorded times.
//!
//! What a recording does not hold is made up: TCP's numbers, SETTINGS, the bytes
//! of header blocks (literals, no table), where a frame ends. docs/export.md says
//! what is real.
//!
//! | file | what it is about |
//! |---|---|
//! | [`deed`] | what happens on a connection, put in the order of time |
//! | [`addresses`] | where its ends are |
//! | [`exchange`] | its HTTP/2, from deeds to bytes |
//! | [`segments`] | its TCP, from bytes to packets |
//! | [`blocks`] | the file: pcapng's blocks |

mod addresses;
mod blocks;
mod deed;
mod exchange;
mod segments;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use self::addresses::{Addresses, Ends};
use self::blocks::Blocks;
use self::deed::{Closing, Deed, Ending, Piece};
use self::exchange::Exchange;
use self::segments::Segments;
use super::{Exporter, LeftOut, Passed};
use crate::http2::{Side, StreamId};
use crate::record::reader::Line;
use crate::record::schema::v1::{Headers, LogLine};

/// Bytes of deeds that wait at most for earlier ones; beyond it the earliest no
/// longer do. Lines and messages of one moment come to a recording by ways of
/// their own, and may stand some MiB apart in it.
const MOST_WAITING: usize = 64 * 1024 * 1024;

/// Writes pcapng.
#[derive(Debug)]
pub struct Pcapng<W: Write> {
    blocks: Blocks<W>,
    addresses: Addresses,
    connections: FxHashMap<u64, Connection>,
    /// Header blocks by number, of the file at hand.
    headers: FxHashMap<u64, Arc<[(String, String)]>>,
    /// What is still to happen, by its time, its rank among what happens then, and
    /// the order in which it came.
    waiting: BTreeMap<(u64, u8, u64), (u64, Deed)>,
    waiting_bytes: usize,
    came: u64,
    left_out: LeftOut,
}

#[derive(Debug)]
struct Connection {
    ends: Option<Ends>,
    exchange: Exchange,
    segments: Option<Segments>,
}

impl<W: Write> Pcapng<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Pcapng<W> {
        Pcapng {
            blocks: Blocks::new(out),
            addresses: Addresses::default(),
            connections: FxHashMap::default(),
            headers: FxHashMap::default(),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            came: 0,
            left_out: LeftOut::default(),
        }
    }

    fn connection(&mut self, conn: u64) -> &mut Connection {
        self.connections.entry(conn).or_insert_with(|| Connection {
            ends: None,
            exchange: Exchange::default(),
            segments: None,
        })
    }

    fn wait(&mut self, at: u64, conn: u64, deed: Deed) {
        self.waiting_bytes += deed.bytes();
        let when = (at, deed.rank(), self.came);
        self.waiting.insert(when, (conn, deed));
        self.came += 1;
    }

    /// Lets happen what there is no more room for to wait.
    fn happen(&mut self) -> io::Result<()> {
        while self.waiting_bytes > MOST_WAITING
            && let Some(first) = self.waiting.first_entry()
        {
            let ((at, ..), (conn, deed)) = first.remove_entry();
            self.waiting_bytes -= deed.bytes();
            self.carry_out(at, conn, deed)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, at: u64, conn: u64, deed: Deed) -> io::Result<()> {
        let Pcapng {
            blocks,
            addresses,
            connections,
            left_out,
            ..
        } = self;
        let Some(connection) = connections.get_mut(&conn) else {
            return Ok(());
        };
        if connection.segments.is_none() {
            // Nothing was ever said on it.
            if let Deed::Close(_) = deed {
                connections.remove(&conn);
                return Ok(());
            }
            let ends = connection.ends.take();
            let ends = ends.unwrap_or_else(|| addresses.made_up(conn));
            if let Some((address, name)) = &ends.named {
                blocks.name(*address, name)?;
            }
            let mut segments = Segments::new(ends.client, ends.server);
            segments.open(at, blocks)?;
            connection.segments = Some(segments);
        }
        let Some(segments) = &mut connection.segments else {
            return Ok(());
        };
        let closes = match &deed {
            Deed::Close(closing) => Some(closing.by),
            _ => None,
        };
        let done = connection
            .exchange
            .carry_out(deed, |side, bytes| segments.send(at, side, bytes, blocks))?;
        if let Err(reason) = done {
            left_out.add(reason);
        }
        if let Some(by) = closes {
            segments.close(at, by, blocks)?;
            connections.remove(&conn);
        }
        Ok(())
    }

    fn opened(&mut self, line: &LogLine) {
        let known = self.connections.get(&line.conn);
        if known.is_some_and(|known| known.ends.is_some() || known.segments.is_some()) {
            return;
        }
        let ends = self.addresses.of(&line.client, &line.upstream);
        let connection = self.connection(line.conn);
        connection.ends = Some(ends);
        connection.exchange.authority = line.upstream.as_str().into();
    }
}

impl<W: Write> Exporter for Pcapng<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        let (at, line) = (line.at, &line.line);
        self.opened(line);
        let conn = line.conn;
        match line.event.as_str() {
            // Each answered keepalive has a line; the stream ends with another.
            "call" if line.verb.as_deref() == Some("lease_keepalive") => {}
            "call" => match Ending::of(line) {
                Some(ending) => {
                    let began = line.duration_us.unwrap_or_default().saturating_mul(1000);
                    let stream = StreamId::from_bits(line.stream.unwrap_or_default());
                    let asks = Deed::Asked {
                        stream,
                        path: ending.path.clone(),
                        agent: line.user_agent.as_deref().map(Into::into),
                    };
                    self.wait(at.saturating_sub(began), conn, asks);
                    self.wait(at, conn, Deed::End(ending));
                }
                None => self.left_out.add("calls without a stream or a method"),
            },
            "connection" => match line.state.as_deref() {
                Some("opened") => self.wait(at, conn, Deed::Open),
                Some("closed" | "failed") => {
                    let closing = Box::new(Closing::of(line));
                    self.wait(at, conn, Deed::Close(closing));
                }
                _ => {}
            },
            "http1" => self
                .left_out
                .add("plain HTTP requests, of which there are no bytes"),
            _ => {}
        }
        self.happen()
    }

    fn headers(&mut self, _: u64, headers: &Headers) -> io::Result<()> {
        if !headers.trailers {
            let fields = headers.fields.iter().map(deed::field).collect();
            self.headers.insert(headers.id, fields);
        }
        Ok(())
    }

    fn passed(&mut self, passed: &Passed<'_>) -> io::Result<()> {
        let meta = passed.meta;
        let Some(from) = meta.from().side() else {
            self.left_out.add("messages of nobody");
            return Ok(());
        };
        let conn = meta.connection;
        self.connection(conn);
        let stream = StreamId::from_bits(meta.stream);
        let block = self.headers.get(&meta.headers).cloned();
        if passed.offset == 0 && meta.index == 0 {
            let path: Arc<str> = passed.path.into();
            let began = match from {
                Side::Client => Deed::Request {
                    stream,
                    path,
                    block,
                },
                Side::Server => Deed::Response {
                    stream,
                    path,
                    block,
                },
            };
            self.wait(passed.times.began, conn, began);
        }
        let piece = Piece {
            stream,
            path: passed.path.into(),
            from,
            offset: passed.offset,
            size: meta.size,
            compressed: meta.compressed,
            cut: meta.cut,
            last: passed.last,
            data: passed.data.clone(),
        };
        self.wait(passed.times.whole, conn, Deed::Piece(Box::new(piece)));
        self.happen()
    }

    fn wants_messages(&self) -> bool {
        true
    }

    fn finish(&mut self) -> io::Result<()> {
        while let Some(first) = self.waiting.first_entry() {
            let ((at, ..), (conn, deed)) = first.remove_entry();
            self.carry_out(at, conn, deed)?;
        }
        self.blocks.finish()
    }

    fn left_out(&self) -> Vec<String> {
        self.left_out.words()
    }
}

#[cfg(test)]
mod tests;
