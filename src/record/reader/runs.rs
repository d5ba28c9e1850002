//! Runs of the recorder: each numbers connections from 1, so that the same number
//! in two of them means two connections.

use super::item::Item;
use super::recording::About;

/// What stands between the numbers of two runs: more connections than any run has,
/// and a number in which people see the one that the log had.
pub const STRIDE: u64 = 1_000_000_000;

/// Header blocks are numbered by connection, in 32 bits, and within it, in 32. A run
/// takes the uppermost.
const BLOCKS: u32 = 54;

/// The runs whose files have been read, in that order.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    known: Vec<String>,
    current: u64,
}

impl Runs {
    /// A file begins that says this about itself. One that does not say of which run
    /// it is belongs to one with all of its kind.
    pub fn begin(&mut self, about: &About) {
        let run = about.notes.get("run").map_or("", String::as_str);
        let known = self.known.iter().position(|known| known == run);
        let at = known.unwrap_or_else(|| {
            self.known.push(run.to_owned());
            self.known.len() - 1
        });
        self.current = at as u64;
    }

    /// Numbers what an item of that file is about so that no other run has the
    /// number. The first run keeps its own.
    pub fn number(&self, item: &mut Item) {
        if self.current == 0 {
            return;
        }
        let shift = self.current.wrapping_mul(STRIDE);
        let conn = |conn: &mut u64| *conn = conn.wrapping_add(shift);
        let block = |id: &mut u64| {
            if *id != 0 {
                *id ^= self.current << BLOCKS;
            }
        };
        match item {
            Item::Line(line) => conn(&mut line.line.conn),
            Item::Message(message) => {
                conn(&mut message.meta.connection);
                block(&mut message.meta.headers);
            }
            Item::Part(part) => {
                conn(&mut part.meta.connection);
                block(&mut part.meta.headers);
            }
            Item::Headers { headers, .. } => {
                conn(&mut headers.connection);
                block(&mut headers.id);
            }
            Item::Content { content, .. } => conn(&mut content.connection),
            Item::Loss { .. } => {}
        }
    }
}
