//! What goes to standard output, and what to standard error.
//!
//! With `--json`, standard output is exactly one JSON document; progress, notes and logs go to
//! standard error in any case.

use std::io::Write as _;

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
pub(crate) fn narrow_table<const N: usize>(header: [&str; N]) -> comfy_table::Table {
    let mut table = table(header);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic).set_width(WIDTH);
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
    }
    table
}

/// A table with thin borders and this header.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_header(header);
    table
}
