//! What could not be read as an event.

use simfuse_domain::port::{DeadLetter, DeadLetters, TableError};

use super::Table;
use super::error::fault;
use super::item::Draft;
use super::keys::Key;

impl DeadLetters for Table {
    async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), TableError> {
        if letter.bytes.len() > DeadLetter::BYTES_MAX {
            let reason =
                format!("{} bytes, {} are kept", letter.bytes.len(), DeadLetter::BYTES_MAX);
            return Err(fault("writing a dead letter", reason));
        }
        let draft = Draft::new(Key::dead_letter(letter))
            .bytes("bytes", letter.bytes.clone())
            .number("length", letter.length)
            .text("reason", letter.reason.clone())
            .time("received_at", letter.received_at)
            .expires(letter.received_at, DeadLetter::DAYS_KEPT);
        self.insert(draft).await
    }
}
