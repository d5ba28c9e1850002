//! Rows as CSV (RFC 4180): a header row, then a row a line of the log, quoted
//! where a comma, a quote or a line break asks for it. Lines end in LF.

use std::io::{self, Write};

use itoa::Buffer;

use super::Exporter;
use super::columns::{COLUMNS, Cell};
use crate::record::reader::Line;

/// Writes CSV.
pub struct Csv<W: Write> {
    writer: csv::Writer<W>,
    titled: bool,
}

impl<W: Write> std::fmt::Debug for Csv<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Csv").finish_non_exhaustive()
    }
}

impl<W: Write> Csv<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Csv<W> {
        Csv {
            writer: csv::Writer::from_writer(out),
            titled: false,
        }
    }

    fn title(&mut self) -> io::Result<()> {
        if !self.titled {
            self.titled = true;
            self.writer
                .write_record(COLUMNS.iter().map(|column| column.name))
                .map_err(written)?;
        }
        Ok(())
    }
}

impl<W: Write> Exporter for Csv<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        self.title()?;
        let mut digits = Buffer::new();
        for column in COLUMNS {
            let field = match column.cell(line.at, &line.line) {
                Cell::Absent => self.writer.write_field(""),
                Cell::Text(text) => self.writer.write_field(text.as_bytes()),
                Cell::Integer(number) => self.writer.write_field(digits.format(number)),
                Cell::Boolean(true) => self.writer.write_field("true"),
                Cell::Boolean(false) => self.writer.write_field("false"),
                Cell::Moment(micros) => self.writer.write_field(moment(micros)),
            };
            field.map_err(written)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(written)?;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        // A recording without a line still has columns.
        self.title()?;
        self.writer.flush()
    }
}

/// The library's errors hide of which kind the output's are.
fn written(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// As the log writes it: RFC 3339, UTC, microseconds.
fn moment(micros: i64) -> String {
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(moment) => format!("{moment:.6}"),
        // Past the year 9999; no recording of ours says so.
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::schema::v1::LogLine;

    fn written(lines: &[(u64, LogLine)]) -> String {
        let mut out = Vec::new();
        let mut csv = Csv::new(&mut out);
        for (at, line) in lines {
            let (at, line) = (*at, line.clone());
            csv.line(&Line { at, line }).unwrap();
        }
        csv.finish().unwrap();
        drop(csv);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_recording_without_a_line_still_has_columns() {
        let text = written(&[]);
        assert!(text.starts_with("ts,event,conn,stream,client,"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn what_has_commas_quotes_and_breaks_is_quoted() {
        let line = LogLine {
            event: "call".to_owned(),
            conn: 7,
            key: Some(b"/a,b\"c\nd\xff\\".to_vec().into()),
            ..LogLine::default()
        };
        let text = written(&[(1_793_693_132_001_214_999, line)]);
        let (_, row) = text.split_once('\n').unwrap();
        assert!(
            row.starts_with("2026-11-03T08:05:32.001214Z,call,7,,"),
            "{row}"
        );
        assert!(row.contains(",\"/a,b\"\"c\nd\\xff\\\\\","), "{row}");
    }

    #[test]
    fn every_row_has_as_many_fields_as_the_first() {
        let text = written(&[
            (0, LogLine::default()),
            (1, super::super::fixtures::full_line()),
        ]);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
        assert!(rows[1].iter().all(|field| !field.is_empty()));
    }
}
