//! What was told of many SIMs together, and by SMS.

use jiff::Timestamp;
use simfuse_domain::alert::{Campaign, CampaignScope, HourTexts};
use simfuse_domain::port::{Campaigns, Committed, TableError};
use simfuse_domain::time::Hour;

use super::MemoryTable;

impl Campaigns for MemoryTable {
    async fn read_campaign(&self, scope: CampaignScope) -> Result<(Campaign, u64), TableError> {
        Ok(self.content().campaigns.get(&scope).cloned().unwrap_or_default())
    }

    async fn write_campaign(
        &self,
        scope: CampaignScope,
        campaign: &Campaign,
        read: u64,
        _now: Timestamp,
    ) -> Result<Committed, TableError> {
        let mut content = self.content();
        let stored = content.campaigns.get(&scope).map_or(0, |(_, version)| *version);
        if stored != read {
            return Ok(Committed::Conflict);
        }
        content.campaigns.insert(scope, (campaign.clone(), read.saturating_add(1)));
        Ok(Committed::Done)
    }

    async fn read_texts(&self, hour: Hour) -> Result<(HourTexts, u64), TableError> {
        Ok(self.content().texts.get(&hour).cloned().unwrap_or_default())
    }

    async fn write_texts(
        &self,
        hour: Hour,
        texts: &HourTexts,
        read: u64,
    ) -> Result<Committed, TableError> {
        let mut content = self.content();
        if content.texts.get(&hour).map_or(0, |(_, version)| *version) != read {
            return Ok(Committed::Conflict);
        }
        content.texts.insert(hour, (texts.clone(), read.saturating_add(1)));
        Ok(Committed::Done)
    }
}
