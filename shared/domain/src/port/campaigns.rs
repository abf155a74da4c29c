//! What keeps many alerts from becoming a flood.

use std::future::Future;

use jiff::Timestamp;

use crate::alert::{Campaign, CampaignScope, HourTexts};
use crate::port::{Committed, TableError};
use crate::time::Hour;

/// What was told of each campaign, and by SMS. Of all alerts of a campaign only the first few and the
/// messages write its item; the others read it, after their act.
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

    /// What went out by SMS in an hour, strongly consistent, with its version; nothing and 0 while
    /// nothing did.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_texts(
        &self,
        hour: Hour,
    ) -> impl Future<Output = Result<(HourTexts, u64), TableError>> + Send;

    /// Writes it, if it is still as it was read. It is kept for a day or two.
    ///
    /// # Errors
    /// [`TableError`].
    fn write_texts(
        &self,
        hour: Hour,
        texts: &HourTexts,
        read: u64,
    ) -> impl Future<Output = Result<Committed, TableError>> + Send;
}
