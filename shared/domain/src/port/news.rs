//! Plain news: from the deciders' items to the one function that tells.

use std::future::Future;

use jiff::Timestamp;

use crate::news::{News, Scope, Told};
use crate::port::{Committed, TableError};

/// Where the webhook leaves news. The table's stream hands on each that is inserted.
pub trait NewsFeed: Send + Sync {
    /// Inserts a piece of news; one that is there already stays as it is, and is not handed on
    /// again.
    ///
    /// # Errors
    /// [`TableError`].
    fn insert_news(
        &self,
        news: &News,
        received_at: Timestamp,
    ) -> impl Future<Output = Result<(), TableError>> + Send;
}

/// How much was told, so that news do not become a flood.
pub trait NewsLimits: Send + Sync {
    /// What was told within a scope, with its version; nothing and 0 while nothing ever was.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_told(
        &self,
        scope: Scope,
    ) -> impl Future<Output = Result<(Told, u64), TableError>> + Send;

    /// Writes it, if it is still as it was read. It is kept for some days after `now`.
    ///
    /// # Errors
    /// [`TableError`].
    fn write_told(
        &self,
        scope: Scope,
        told: &Told,
        read: u64,
        now: Timestamp,
    ) -> impl Future<Output = Result<Committed, TableError>> + Send;
}
