//! A recording as a whole.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::call::{Call, CallNumber, Ending, Lane, Said, Shape};
use super::gather::{Step, Told, Traffic};
use super::stream::Sent;
use crate::http2::Side;
use crate::record::reader::Item;
use crate::record::reader::item::Path;
use crate::record::schema::v1::Loss;

/// All calls and streams of a recording.
///
/// It takes about what the recording takes unpacked: the messages are parts of its
/// chunks, which stay in memory as they came.
#[derive(Debug, Default)]
pub struct Book {
    /// Unary calls, in the order in which they began.
    pub calls: Vec<Call>,
    /// Streams, likewise.
    pub streams: Vec<Stream>,
    /// When connections began and ended, by their numbers.
    pub connections: BTreeMap<u64, Lifetime>,
    /// What was not recorded.
    pub losses: Vec<Loss>,
}

/// When a connection began and ended, as far as lines of the recording say so, in
/// nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// When it was accepted.
    pub opened: Option<u64>,
    /// When it was over.
    pub closed: Option<u64>,
}

/// A stream, from its beginning to its end, as far as the recording has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Its number.
    pub number: CallNumber,
    /// Where it stood.
    pub lane: Lane,
    /// What kind of stream it is.
    pub shape: Shape,
    /// Its method's path.
    pub path: Path,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    /// What both sides said, in the order in which it passed.
    pub messages: Vec<(Side, Said)>,
    /// Messages of it are missing from the recording.
    pub torn: bool,
    /// How it ended.
    pub ending: Ending,
}

impl Book {
    /// Reads all there is.
    ///
    /// # Errors
    /// The first of the items' own.
    pub fn read<I, E>(traffic: &mut Traffic<I>) -> Result<Book, E>
    where
        I: Iterator<Item = Result<Item, E>>,
    {
        let mut book = Book::default();
        // Where a stream stands in the book, and what each side has sent.
        let mut at: FxHashMap<CallNumber, (usize, Sent)> = FxHashMap::default();
        for told in traffic {
            match told? {
                Told::Call(call) => book.calls.push(*call),
                Told::Loss(loss) => book.losses.push(loss),
                Told::Opened { connection, at } => {
                    let lifetime = book.connections.entry(connection).or_default();
                    lifetime.opened.get_or_insert(at);
                }
                Told::Closed { connection, at } => {
                    book.connections.entry(connection).or_default().closed = Some(at);
                }
                Told::Stream {
                    number,
                    lane,
                    shape,
                    step,
                } => match step {
                    Step::Began { path, at: began } => {
                        at.insert(number, (book.streams.len(), Sent::default()));
                        book.streams.push(Stream {
                            number,
                            lane,
                            shape,
                            path,
                            began,
                            messages: Vec::new(),
                            torn: false,
                            ending: Ending::NotRecorded,
                        });
                    }
                    Step::Said { from, index, said } => {
                        let Some((place, sent)) = at.get_mut(&number) else {
                            continue;
                        };
                        let stream = &mut book.streams[*place];
                        stream.torn |= !sent.goes_on(from, index);
                        stream.messages.push((from, said));
                    }
                    Step::Ended(ending) => {
                        if let Some((place, _)) = at.remove(&number) {
                            book.streams[place].ending = ending;
                        }
                    }
                },
            }
        }
        book.calls.sort_by_key(|call| (call.began(), call.number));
        book.streams
            .sort_by_key(|stream| (stream.began, stream.number));
        Ok(book)
    }
}
