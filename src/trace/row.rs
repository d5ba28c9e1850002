//! A line of the terminal log: cells that begin where the cells above begin.

use std::io::Write;

use anstyle::Style;

/// Whether colours are used. Whoever knows the terminal, `NO_COLOR` and the
/// user's wish decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A line being written. Widths are counted in characters: names in Kubernetes
/// are ASCII, and a rare wide character only shifts its own line.
pub(super) struct Row<'o> {
    out: &'o mut Vec<u8>,
    colour: Colour,
    width: usize,
}

impl<'o> Row<'o> {
    pub fn new(out: &'o mut Vec<u8>, colour: Colour) -> Row<'o> {
        Row {
            out,
            colour,
            width: 0,
        }
    }

    /// Text in a style. Must not hold control characters.
    pub fn put(&mut self, style: Style, text: &str) {
        self.width += text.chars().count();
        if text.is_empty() {
            return;
        }
        // Writing into a Vec cannot fail.
        let _ = match self.colour {
            Colour::Always if style != Style::new() => {
                write!(self.out, "{style}{text}{style:#}")
            }
            _ => self.out.write_all(text.as_bytes()),
        };
    }

    /// Text that ends at column `end`, or begins one space from here if there
    /// is no room.
    pub fn put_right(&mut self, style: Style, text: &str, end: usize) {
        self.pad_to(end.saturating_sub(text.chars().count()));
        self.put(style, text);
    }

    /// Spaces up to column `column`, but at least one.
    pub fn pad_to(&mut self, column: usize) {
        let spaces = column.saturating_sub(self.width).max(1);
        self.out.resize(self.out.len() + spaces, b' ');
        self.width += spaces;
    }

    /// Ends the line.
    pub fn end(self) {
        while self.out.last() == Some(&b' ') {
            self.out.pop();
        }
        self.out.push(b'\n');
    }
}

/// `text` in at most `width` characters: where it is too long, what is left
/// out of its middle is `…`. The end of a name tells more than its middle.
pub(crate) fn shortened(text: String, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text;
    }
    let kept = width.saturating_sub(1);
    let tail = kept * 2 / 5;
    let head = kept - tail;
    text.chars()
        .take(head)
        .chain(['…'])
        .chain(text.chars().skip(length - tail))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_in_columns_and_overlong_ones_keep_a_space() {
        let mut out = Vec::new();
        let mut row = Row::new(&mut out, Colour::Never);
        row.put(Style::new(), "ab");
        row.pad_to(5);
        row.put_right(Style::new().bold(), "1µs", 10);
        row.put_right(Style::new(), "12", 10);
        row.pad_to(20);
        row.end();
        assert_eq!(String::from_utf8_lossy(&out), "ab     1µs 12\n");
    }

    #[test]
    fn colour_takes_no_width() {
        let mut out = Vec::new();
        let mut row = Row::new(&mut out, Colour::Always);
        row.put(Style::new().bold(), "ab");
        row.pad_to(4);
        row.put(Style::new(), "c");
        row.end();
        assert_eq!(String::from_utf8_lossy(&out), "\x1b[1mab\x1b[0m  c\n");
    }

    #[test]
    fn long_text_loses_its_middle() {
        assert_eq!(shortened("abc".into(), 3), "abc");
        assert_eq!(
            shortened("coredns-7db6d8ff4d-x2x1z".into(), 16),
            "coredns-7…-x2x1z"
        );
        assert_eq!(shortened("äöüäöü".into(), 4), "äö…ü");
        assert_eq!(shortened("abc".into(), 0), "…");
    }
}
