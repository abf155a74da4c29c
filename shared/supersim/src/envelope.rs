//! Bodies of webhook requests, read with as much leniency as is safe.
//!
//! A body is a JSON array of CloudEvents, or one. A bad element never costs a good one: it becomes
//! a dead letter, with its own text and a reason that names the field. Nothing here recurses with
//! the depth of the input, and time and memory are linear in its length.

mod judge;
mod lenient;
mod wire;

use std::fmt;

use serde::de::{self, Deserialize as _, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use simfuse_domain::event::Event;

use self::judge::judge;
use self::lenient::{Lenient as _, Soft};
use self::wire::Envelope;

/// One element of a body.
#[expect(clippy::large_enum_variant, reason = "nearly all are events: a box would be for nothing")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A connection event.
    Event(Event),
    /// A CloudEvent that SimFuse has no use for.
    Ignored(Ignored),
    /// Something that should be an event, and is none: kept for a human.
    DeadLetter {
        /// The element as it came; the whole body where that is not a list of JSON values.
        raw: &'a [u8],
        /// Why it is no event.
        reason: DecodeError,
    },
}

/// A CloudEvent that is not a connection event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// A test of the sink.
    Test,
    /// Of another type; at most 255 bytes of its name.
    UnknownType(String),
}

/// Why something is not an event. The text names the field and says nothing of its value, which may
/// identify a SIM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body has no bytes, or only whitespace.
    #[error("empty body")]
    Empty,
    /// The body is not UTF-8, which JSON has to be (RFC 8259, section 8.1).
    #[error("not UTF-8")]
    NotUtf8,
    /// The body is not one JSON value and nothing else.
    #[error("not JSON, at line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// In bytes; 0 at the end of the line before.
        column: usize,
    },
    /// JSON, but not an object with a type.
    #[error("not an event")]
    NotAnEvent,
    /// JSON that no reader can take, such as half a surrogate pair or a number beyond any range.
    #[error("unreadable value: {place}")]
    Unreadable {
        /// Key and position.
        place: String,
    },
    /// The event lacks what every event has.
    #[error("{field}: missing")]
    Missing {
        /// The key.
        field: &'static str,
    },
    /// The value is of the wrong type, or unparsable.
    #[error("{field}: not {expected}")]
    Wrong {
        /// The key.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// The time is before 2015, or in 2100 or later.
    #[error("{field}: time out of range")]
    OutOfRange {
        /// The key.
        field: &'static str,
    },
    /// The update's window is turned round.
    #[error("data_session_update_end_time: before data_session_update_start_time")]
    UpdateEndsBeforeStart,
    /// The update's window ends in the event's own future.
    #[error("data_session_update_end_time: more than 15 minutes after timestamp")]
    UpdateEndsAhead,
    /// More bytes than a radio link can carry in their window.
    #[error("{field}: more than a radio link can carry in its window")]
    Implausible {
        /// The total's key; one of both directions may be the culprit.
        field: &'static str,
    },
}

/// Reads a body and hands over its elements in their order.
///
/// The usual body, without a fault, is read in one pass into borrowed structures; only one with a
/// fault is cut into elements first. Both ways give the same result for the same element.
pub fn decode<'a>(body: &'a [u8], mut each: impl FnMut(Decoded<'a>)) {
    let dead_letter = |raw, reason| Decoded::DeadLetter { raw, reason };
    let Ok(text) = str::from_utf8(body) else {
        return each(dead_letter(body, DecodeError::NotUtf8));
    };
    if let Some(batch) = faultless(text) {
        return batch.into_iter().for_each(each);
    }
    match elements(text) {
        Err(reason) => each(dead_letter(body, reason)),
        Ok(elements) => {
            for element in elements {
                let decoded = single(element);
                each(decoded.unwrap_or_else(|reason| dead_letter(element.as_bytes(), reason)));
            }
        }
    }
}

/// The elements of a body without a fault.
fn faultless(text: &str) -> Option<Vec<Decoded<'static>>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let batch = json.deserialize_any(BatchVisitor { body_length: text.len() }).ok()?;
    json.end().ok()?;
    Some(batch)
}

/// One element that is known to be JSON.
fn single(element: &str) -> Result<Decoded<'static>, DecodeError> {
    let mut json = serde_json::Deserializer::from_str(element);
    match Soft::<Envelope>::deserialize(&mut json) {
        Ok(envelope) => judge(envelope),
        Err(error) => Err(DecodeError::Unreadable { place: error.to_string() }),
    }
}

/// The texts of a body's elements.
fn elements(text: &str) -> Result<Vec<&str>, DecodeError> {
    let trimmed = text.trim_ascii_start();
    if trimmed.is_empty() {
        return Err(DecodeError::Empty);
    }
    let not_json = |error: serde_json::Error| DecodeError::NotJson {
        line: error.line(),
        column: error.column(),
    };
    if trimmed.starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
        Ok(elements.into_iter().map(RawValue::get).collect())
    } else {
        let element: &RawValue = serde_json::from_str(text).map_err(not_json)?;
        Ok(vec![element.get()])
    }
}

/// Reads a body's elements, and gives up at the first fault.
struct BatchVisitor {
    body_length: usize,
}

/// An event with all of its fields has about 1,200 bytes.
const EVENT_BYTES_USUAL: usize = 1_000;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Vec<Decoded<'static>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of CloudEvents, or one")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut batch = Vec::with_capacity(self.body_length / EVENT_BYTES_USUAL + 1);
        while let Some(envelope) = list.next_element()? {
            batch.push(judge(envelope).map_err(de::Error::custom)?);
        }
        Ok(batch)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let envelope = Envelope::from_object(map)?;
        Ok(vec![judge(envelope).map_err(de::Error::custom)?])
    }
}

#[cfg(test)]
mod tests;
