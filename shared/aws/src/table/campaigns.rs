//! What was told of many SIMs together, and by SMS.

use jiff::Timestamp;
use simfuse_domain::alert::{Campaign, CampaignScope, HourTexts};
use simfuse_domain::port::{Campaigns, Committed, TableError};
use simfuse_domain::time::Hour;

use super::item::{Draft, Row};
use super::keys::Key;
use super::transaction::Condition;
use super::{Put, Table};

/// Days that it is kept: an alert that does not go out for longer is told by itself.
const DAYS: i64 = 7;

/// Days that it is kept what went out by SMS: only its own hour asks for it.
const TEXTS_DAYS: i64 = 2;

impl Campaigns for Table {
    async fn read_campaign(&self, scope: CampaignScope) -> Result<(Campaign, u64), TableError> {
        let Some(item) = self.get(&Key::campaign(scope)).await? else {
            return Ok((Campaign::default(), 0));
        };
        let row = Row(&item);
        Ok((row.json("campaign")?, row.number("version")?))
    }

    async fn write_campaign(
        &self,
        scope: CampaignScope,
        campaign: &Campaign,
        read: u64,
        now: Timestamp,
    ) -> Result<Committed, TableError> {
        let draft = Draft::new(Key::campaign(scope))
            .json("campaign", campaign)?
            .number("version", read.saturating_add(1))
            .expires(now, DAYS);
        Ok(match self.put(draft, Condition::as_read(read)).await? {
            Put::Done => Committed::Done,
            Put::Refused | Put::Busy => Committed::Conflict,
        })
    }

    async fn read_texts(&self, hour: Hour) -> Result<(HourTexts, u64), TableError> {
        let Some(item) = self.get(&Key::texts(hour)).await? else {
            return Ok((HourTexts::default(), 0));
        };
        let row = Row(&item);
        Ok((row.json("texts")?, row.number("version")?))
    }

    async fn write_texts(
        &self,
        hour: Hour,
        texts: &HourTexts,
        read: u64,
    ) -> Result<Committed, TableError> {
        let draft = Draft::new(Key::texts(hour))
            .json("texts", texts)?
            .number("version", read.saturating_add(1))
            .expires(hour.start(), TEXTS_DAYS);
        Ok(match self.put(draft, Condition::as_read(read)).await? {
            Put::Done => Committed::Done,
            Put::Refused | Put::Busy => Committed::Conflict,
        })
    }
}
