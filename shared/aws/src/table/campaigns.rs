//! What was told of many SIMs together.

use jiff::Timestamp;
use simfuse_domain::alert::{Campaign, CampaignScope};
use simfuse_domain::port::{Campaigns, Committed, TableError};

use super::item::{Draft, Row};
use super::keys::Key;
use super::transaction::Condition;
use super::{Put, Table};

/// Days that it is kept: an alert that does not go out for longer is told by itself.
const DAYS: i64 = 7;

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
}
