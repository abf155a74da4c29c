//! What was told of many SIMs together.

use jiff::Timestamp;
use simfuse_domain::alert::{Campaign, CampaignScope};
use simfuse_domain::port::{Campaigns, Committed, TableError};

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
}
