//! What was told of many SIMs together.

use std::future::Future;

use jiff::Timestamp;

use crate::alert::{Campaign, CampaignScope};
use crate::port::{Committed, TableError};

/// What was told of each campaign. Of all alerts of a campaign only the first few and the messages
/// write its item; the others read it, after their act.
pub trait Campaigns: Send + Sync {
    /// What was told, strongly consistent, with its version; nothing and 0 while nothing ever was.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_campaign(
        &self,
        scope: CampaignScope,
    ) -> impl Future<Output = Result<(Campaign, u64), TableError>> + Send;

    /// Writes it, if it is still as it was read. It is kept for some days after `now`.
    ///
    /// # Errors
    /// [`TableError`].
    fn write_campaign(
        &self,
        scope: CampaignScope,
        campaign: &Campaign,
        read: u64,
        now: Timestamp,
    ) -> impl Future<Output = Result<Committed, TableError>> + Send;
}
