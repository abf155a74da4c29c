//! What could not be read as an event, kept for a human.

use std::future::Future;

use jiff::Timestamp;

use crate::port::TableError;

/// Where dead letters are kept for 14 days.
pub trait DeadLetters: Send + Sync {
    /// Keeps one; the same bytes on the same day are kept once.
    ///
    /// # Errors
    /// [`TableError`].
    fn put_dead_letter(
        &self,
        letter: &DeadLetter,
    ) -> impl Future<Output = Result<(), TableError>> + Send;
}

/// Bytes that were set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The first [`DeadLetter::BYTES_MAX`] of them.
    pub bytes: Vec<u8>,
    /// How many there were.
    pub length: usize,
    /// SHA-256 of all of them, in hexadecimal.
    pub sha256: String,
    /// Why they were set aside.
    pub reason: String,
    /// When they were received.
    pub received_at: Timestamp,
}

impl DeadLetter {
    /// An item of the table holds 400 kB.
    pub const BYTES_MAX: usize = 256_000;

    /// How long a dead letter is kept.
    pub const DAYS_KEPT: i64 = 14;
}
