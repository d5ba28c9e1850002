//! Rows as Parquet, with types.
//!
//! Columns are written one after the other, a group of rows at a time, so that
//! memory is that of one group.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::Exporter;
use super::columns::{COLUMNS, Cell, Column, Kind};
use crate::record::reader::Line;

/// Rows of a group at most.
const ROWS: usize = 65_536;

/// Bytes of text of a group, about; a line's keys and messages may be long.
const BYTES: usize = 32 * 1024 * 1024;

/// The name of the root of the schema.
const ROOT: &str = "etcdtap_log";

/// Writes Parquet.
pub struct Parquet<W: Write + Send> {
    /// `None` once it is closed.
    writer: Option<SerializedFileWriter<W>>,
    columns: Vec<Gathered>,
    rows: usize,
    bytes: usize,
}

impl<W: Write + Send> std::fmt::Debug for Parquet<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parquet")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// A column's cells of the group at hand.
#[derive(Debug)]
struct Gathered {
    /// 1 where something stands, for columns where that is not always so.
    present: Vec<i16>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Text(Vec<ByteArray>),
    Integer(Vec<i64>),
    Boolean(Vec<bool>),
}

impl<W: Write + Send> Parquet<W> {
    /// Writes to `out`.
    ///
    /// # Errors
    /// If the first bytes cannot be written.
    pub fn new(out: W) -> io::Result<Parquet<W>> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("etcdtap ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = schema().map_err(unwritten)?;
        let writer =
            SerializedFileWriter::new(out, schema, Arc::new(properties)).map_err(unwritten)?;
        Ok(Parquet {
            writer: Some(writer),
            columns: COLUMNS.iter().map(Gathered::of).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    fn end_group(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.rows > 0) else {
            return Ok(());
        };
        let mut group = writer.next_row_group().map_err(unwritten)?;
        for gathered in &mut self.columns {
            // There are as many columns as the schema, which is made of them, has.
            if let Some(column) = group.next_column().map_err(unwritten)? {
                gathered.write(column).map_err(unwritten)?;
            }
        }
        group.close().map_err(unwritten)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

impl<W: Write + Send> Exporter for Parquet<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        for (column, gathered) in COLUMNS.iter().zip(&mut self.columns) {
            self.bytes += gathered.push(column, column.cell(line.at, &line.line));
        }
        self.rows += 1;
        if self.rows >= ROWS || self.bytes >= BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end_group()?;
        if let Some(writer) = self.writer.take() {
            writer.into_inner().map_err(unwritten)?.flush()?;
        }
        Ok(())
    }
}

impl Gathered {
    fn of(column: &Column) -> Gathered {
        Gathered {
            present: Vec::new(),
            values: match column.kind {
                Kind::Text => Values::Text(Vec::new()),
                Kind::Integer | Kind::Moment => Values::Integer(Vec::new()),
                Kind::Boolean => Values::Boolean(Vec::new()),
            },
        }
    }

    /// Adds a cell, and says about how many bytes it takes.
    fn push(&mut self, column: &Column, cell: Cell<'_>) -> usize {
        if !column.required {
            self.present.push(i16::from(cell != Cell::Absent));
        }
        match (&mut self.values, cell) {
            (Values::Text(values), Cell::Text(text)) => {
                let bytes = text.len();
                values.push(ByteArray::from(text.into_owned().into_bytes()));
                return bytes + size_of::<ByteArray>();
            }
            (Values::Integer(values), Cell::Integer(number) | Cell::Moment(number)) => {
                values.push(number);
            }
            (Values::Boolean(values), Cell::Boolean(yes)) => values.push(yes),
            // Cells are of their column's kind (a test of the columns holds it).
            _ => return 2,
        }
        10
    }

    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let present = (!self.present.is_empty()).then_some(self.present.as_slice());
        match &mut self.values {
            Values::Text(values) => {
                let writer = column.typed::<ByteArrayType>();
                writer.write_batch(values, present, None)?;
                values.clear();
            }
            Values::Integer(values) => {
                let writer = column.typed::<Int64Type>();
                writer.write_batch(values, present, None)?;
                values.clear();
            }
            Values::Boolean(values) => {
                let writer = column.typed::<BoolType>();
                writer.write_batch(values, present, None)?;
                values.clear();
            }
        }
        self.present.clear();
        column.close()
    }
}

fn schema() -> Result<TypePtr, ParquetError> {
    let mut fields = Vec::with_capacity(COLUMNS.len());
    for column in COLUMNS {
        let (physical, logical) = match column.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Integer => (Physical::INT64, None),
            Kind::Boolean => (Physical::BOOLEAN, None),
            Kind::Moment => {
                let moment = LogicalType::timestamp(true, TimeUnit::MICROS);
                (Physical::INT64, Some(moment))
            }
        };
        let repetition = if column.required {
            Repetition::REQUIRED
        } else {
            Repetition::OPTIONAL
        };
        let field = Type::primitive_type_builder(column.name, physical)
            .with_logical_type(logical)
            .with_repetition(repetition)
            .build()?;
        fields.push(Arc::new(field));
    }
    let root = Type::group_type_builder(ROOT).with_fields(fields).build()?;
    Ok(Arc::new(root))
}

fn unwritten(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}
