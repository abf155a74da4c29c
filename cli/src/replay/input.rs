//! Files of events: a JSON array, a single object, or one value a line; also of all of these mixed.

use std::io::Read as _;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::CliError;

/// One element of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element<'a> {
    /// A JSON value.
    Value(&'a str),
    /// Text that is none; it is handed on as it is, to be set aside.
    Text(&'a [u8]),
}

/// The elements of one file.
#[derive(Debug, Default)]
pub(crate) struct Elements<'a> {
    pub(crate) elements: Vec<Element<'a>>,
    /// Why the file could not be read to its end.
    pub(crate) cut_off: Option<String>,
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    read.map_err(|source| CliError::File { path: path.display().to_string(), source })?;
    Ok(bytes)
}

/// Splits a file's text into its elements. Nothing is dropped: what is not JSON is an element, too.
pub(crate) fn split(bytes: &[u8]) -> Elements<'_> {
    let mut found = Elements::default();
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    while !rest.is_empty() {
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        let taken = match values.next() {
            Some(Ok(value)) if value.get().starts_with('[') => {
                array(value.get().as_bytes(), &mut found);
                values.byte_offset()
            }
            Some(Ok(value)) => {
                found.elements.push(Element::Value(value.get()));
                values.byte_offset()
            }
            Some(Err(_)) if rest.starts_with(b"[") => {
                array(rest, &mut found);
                rest.len()
            }
            Some(Err(error)) => {
                let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                found.elements.push(Element::Text(rest.get(..line).unwrap_or(rest)));
                if error.is_eof() && line == rest.len() {
                    found.cut_off = Some(error.to_string());
                }
                line
            }
            None => rest.len(),
        };
        rest = rest.get(taken..).unwrap_or_default().trim_ascii_start();
    }
    found
}

/// Adds the elements of an array, as many as there are.
fn array<'a>(text: &'a [u8], found: &mut Elements<'a>) {
    let before = found.elements.len();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let Err(error) = deserializer.deserialize_seq(Collect(&mut found.elements)) else {
        return;
    };
    found.cut_off = Some(error.to_string());
    // What follows the last whole element is kept as it is.
    let read = match found.elements.get(before..).and_then(<[Element<'_>]>::last) {
        Some(Element::Value(last)) => {
            (last.as_ptr() as usize + last.len()).saturating_sub(text.as_ptr() as usize)
        }
        _ => 1,
    };
    let rest = text.get(read..).unwrap_or_default().trim_ascii();
    let rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii();
    if !rest.is_empty() {
        found.elements.push(Element::Text(rest));
    }
}

struct Collect<'b, 'a>(&'b mut Vec<Element<'a>>);

impl<'a> Visitor<'a> for Collect<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut elements: S) -> Result<(), S::Error> {
        while let Some(element) = elements.next_element_seed(Raw)? {
            self.0.push(Element::Value(element.get()));
        }
        Ok(())
    }
}

struct Raw;

impl<'a> DeserializeSeed<'a> for Raw {
    type Value = &'a RawValue;

    fn deserialize<D: serde::Deserializer<'a>>(self, from: D) -> Result<Self::Value, D::Error> {
        serde::Deserialize::deserialize(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Element<'_>]) -> Option<String> {
        let found = split(text.as_bytes());
        assert_eq!(found.elements, expected, "{text}");
        found.cut_off
    }

    use Element::{Text, Value};

    #[test]
    fn every_form_gives_the_same_elements() {
        let expected = [Value(r#"{"a":1}"#), Value(r#"{"b":2}"#)];
        for text in [
            r#"[{"a":1},{"b":2}]"#,
            "{\"a\":1}\n{\"b\":2}\n",
            "\u{feff} [{\"a\":1}]\n\n[{\"b\":2}]",
            "{\"a\":1} {\"b\":2}",
        ] {
            assert_eq!(check(text, &expected), None);
        }
        assert_eq!(check("[]", &[]), None);
        assert_eq!(check("", &[]), None);
    }

    #[test]
    fn a_bad_line_costs_no_other() {
        let expected = [Value(r#"{"a":1}"#), Text(b"{oops"), Value(r#"{"b":2}"#)];
        assert_eq!(check("{\"a\":1}\n{oops\n{\"b\":2}", &expected), None);
    }

    #[test]
    fn an_array_with_a_fault_gives_what_stands_before_it_and_the_rest_as_one() {
        let expected = [Value(r#"{"a":1}"#), Text(br#"{oops},{"b":2}]"#)];
        assert!(check(r#"[{"a":1},{oops},{"b":2}]"#, &expected).is_some());
    }

    #[test]
    fn a_file_that_was_cut_off_keeps_what_was_read_and_says_so() {
        let expected = [Value(r#"{"a":1}"#), Text(br#"{"b":"#)];
        assert!(check(r#"[{"a":1}, {"b":"#, &expected).is_some());
        assert!(check("{\"a\":1}\n{\"b\":", &expected).is_some());
    }
}
