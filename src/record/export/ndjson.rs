//! Lines as the live log has them, byte for byte: `--log json`.

use std::io::{self, Write};
use std::time::Instant;

use super::{Exporter, LeftOut};
use crate::record::reader::Line;
use crate::record::recall::Recall;
use crate::trace::{Format, Printer};

/// Bytes that are printed before they are written.
const FULL: usize = 64 * 1024;

/// Writes NDJSON.
#[derive(Debug)]
pub struct Ndjson<W> {
    out: W,
    recall: Recall,
    printer: Printer,
    left_out: LeftOut,
}

impl<W: Write> Ndjson<W> {
    /// Writes to `out`. Any moment will do for `origin`; only its distance to those
    /// that are made from it counts.
    pub fn new(out: W, origin: Instant) -> Ndjson<W> {
        let recall = Recall::new(origin);
        Ndjson {
            out,
            printer: Printer::new(Format::Json, None, recall.anchor()),
            recall,
            left_out: LeftOut::default(),
        }
    }
}

impl<W: Write> Exporter for Ndjson<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        match self.recall.line(line) {
            Ok(recalled) => recalled.print(&mut self.printer),
            Err(_) => self
                .left_out
                .add("lines that say something this program does not know"),
        }
        let printed = self.printer.output();
        if printed.len() >= FULL {
            self.out.write_all(printed)?;
            printed.clear();
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let printed = self.printer.output();
        self.out.write_all(printed)?;
        printed.clear();
        self.out.flush()
    }

    fn left_out(&self) -> Vec<String> {
        self.left_out.words()
    }
}
