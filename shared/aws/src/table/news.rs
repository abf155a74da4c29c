//! News, and how much of them was told.

use jiff::Timestamp;
use simfuse_domain::news::{News, Scope, Told};
use simfuse_domain::port::{Committed, NewsFeed, NewsLimits, TableError};

use super::item::{Draft, Row};
use super::keys::Key;
use super::transaction::Condition;
use super::{Put, Table};

/// Days that news are kept: only the stream reads them, and it holds a day.
const DAYS: i64 = 2;

impl NewsFeed for Table {
    async fn insert_news(&self, news: &News, received_at: Timestamp) -> Result<(), TableError> {
        let draft = Draft::new(Key::news(news))
            .json("news", news)?
            .time("received_at", received_at)
            .expires(received_at, DAYS);
        self.insert(draft).await
    }
}

impl NewsLimits for Table {
    async fn read_told(&self, scope: Scope) -> Result<(Told, u64), TableError> {
        let Some(item) = self.get(&Key::told(scope)).await? else {
            return Ok((Told::default(), 0));
        };
        let row = Row(&item);
        Ok((row.json("told")?, row.number("version")?))
    }

    async fn write_told(
        &self,
        scope: Scope,
        told: &Told,
        read: u64,
        now: Timestamp,
    ) -> Result<Committed, TableError> {
        let draft = Draft::new(Key::told(scope))
            .json("told", told)?
            .number("version", read.saturating_add(1))
            .expires(now, DAYS);
        Ok(match self.put(draft, Condition::as_read(read)).await? {
            Put::Done => Committed::Done,
            Put::Refused | Put::Busy => Committed::Conflict,
        })
    }
}
