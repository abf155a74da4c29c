//! What goes to standard output, and what to standard error.
//!
//! With `--json`, standard output is exactly one JSON document; progress, notes and logs go to
//! standard error in any case.

use std::io::Write as _;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

/// What a dry run says first.
pub(crate) const DRY_RUN: &str = "Dry run: nothing was done.";

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// For a person.
    Text,
    /// For a program: one JSON document on one line.
    Json,
}

impl Output {
    /// Prints a result. A reader that went away is nobody's fault.
    pub(crate) fn print(self, result: &impl Serialize, text: impl FnOnce() -> String) {
        let mut printed = match self {
            Self::Text => text().into_bytes(),
            Self::Json => serde_json::to_vec(result).unwrap_or_default(),
        };
        if printed.last() != Some(&b'\n') {
            printed.push(b'\n');
        }
        let mut out = std::io::stdout().lock();
        let written = out.write_all(&printed).and_then(|()| out.flush());
        if let Err(error) = written {
            tracing::debug!(%error, "standard output is closed");
        }
    }
}

/// Tells a person something on standard error.
pub(crate) fn note(text: &str) {
    let mut err = std::io::stderr().lock();
    if writeln!(err, "{text}").is_err() {
        tracing::debug!("standard error is closed");
    }
}

/// The longest line that a person reads without it breaking: two windows beside one another.
pub(crate) const WIDTH: u16 = 100;

/// As [`table`], and no wider than [`WIDTH`]; what stands in the first column is to be copied, and is
/// not wrapped.
pub(crate) fn narrow_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = table(header);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}

/// A table with thin borders and this header.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    table
}

/// How lines stand under one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aligned {
    /// Spaces before each.
    pub(crate) indent: u16,
    /// The column of what a line is about, with the spaces before it.
    pub(crate) label_width: u16,
}

/// Lines under one another, each a label and a text, no wider than [`WIDTH`]: those too long are
/// wrapped.
pub(crate) fn aligned<'a>(
    lines: impl IntoIterator<Item = (&'a str, String)>,
    aligned: Aligned,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    for (label, text) in lines {
        table.add_row([label.to_owned(), text]);
    }
    if let Some(labels) = table.column_mut(0) {
        labels.set_padding((aligned.indent, 0));
        labels.set_constraint(ColumnConstraint::Absolute(Width::Fixed(aligned.label_width)));
    }
    if let Some(texts) = table.column_mut(1) {
        texts.set_padding((0, 0));
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Aligned = Aligned { indent: 2, label_width: 16 };

    #[test]
    fn a_line_that_is_too_long_goes_on_below_itself() {
        let text = aligned([("next", "nothing".to_owned()), ("found", "word ".repeat(30))], LINES);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  next          nothing");
        assert!(lines[1].starts_with("  found         word word") && lines[1].len() <= 100);
        assert!(lines[2].starts_with("                word word"), "{text}");
    }
}
