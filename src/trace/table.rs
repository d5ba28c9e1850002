//! A table for the terminal.

use std::fmt;

/// Rows whose cells stand under each other: the first columns to the left, the
/// figures to the right.
pub(crate) struct Table<const N: usize> {
    left: usize,
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub fn new(left: usize, head: &[&str; N]) -> Table<N> {
        Table {
            left,
            rows: vec![head.map(str::to_owned)],
        }
    }

    pub fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                line.push_str(&if column < self.left {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                });
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
