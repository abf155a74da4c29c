//! What keeps many alerts from becoming a flood.

use jiff::Timestamp;
use simfuse_domain::alert::{Campaign, CampaignScope, HourTexts};
use simfuse_domain::port::{Campaigns, Committed, TableError};
use simfuse_domain::time::Hour;

use super::{Fault, Faulty, Method, plain};

impl<P: Campaigns> Campaigns for Faulty<P> {
    async fn read_campaign(&self, scope: CampaignScope) -> Result<(Campaign, u64), TableError> {
        let fault = self.next(Method::ReadCampaign);
        plain(Method::ReadCampaign, fault, self.inner.read_campaign(scope)).await
    }

    async fn write_campaign(
        &self,
        scope: CampaignScope,
        campaign: &Campaign,
        read: u64,
        now: Timestamp,
    ) -> Result<Committed, TableError> {
        match self.next(Method::WriteCampaign) {
            Some(Fault::Conflict) => Ok(Committed::Conflict),
            fault => {
                let call = self.inner.write_campaign(scope, campaign, read, now);
                plain(Method::WriteCampaign, fault, call).await
            }
        }
    }

    async fn read_texts(&self, hour: Hour) -> Result<(HourTexts, u64), TableError> {
        let fault = self.next(Method::ReadTexts);
        plain(Method::ReadTexts, fault, self.inner.read_texts(hour)).await
    }

    async fn write_texts(
        &self,
        hour: Hour,
        texts: &HourTexts,
        read: u64,
    ) -> Result<Committed, TableError> {
        match self.next(Method::WriteTexts) {
            Some(Fault::Conflict) => Ok(Committed::Conflict),
            fault => {
                let call = self.inner.write_texts(hour, texts, read);
                plain(Method::WriteTexts, fault, call).await
            }
        }
    }
}
