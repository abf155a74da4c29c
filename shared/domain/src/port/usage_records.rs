//! The provider's usage records: what it will bill, by the hour and day.

use std::future::Future;
use std::ops::Range;

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::id::{FleetSid, NetworkSid, SimSid};
use crate::money::Money;
use crate::network::Country;
use crate::port::{Page, PageLink, ProviderError};
use crate::time::Hour;

/// The provider's UsageRecords resource.
pub trait UsageRecords: Send + Sync {
    /// Reads one page of usage: the first of this query, or the one that a page before linked to.
    ///
    /// # Errors
    /// [`ProviderError`]; retried as far as a read may be.
    fn usage_page(
        &self,
        query: &UsageQuery,
        page: Option<&PageLink>,
    ) -> impl Future<Output = Result<Page<UsageRecord>, ProviderError>> + Send;
}

/// What is asked for. Hours make every query aligned, as the API wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Of this SIM only.
    pub sim: Option<SimSid>,
    /// Of the SIMs that were in this fleet when the usage occurred.
    pub fleet: Option<FleetSid>,
    /// On this network only.
    pub network: Option<NetworkSid>,
    /// In this country only.
    pub country: Option<Country>,
    /// One record for each SIM, fleet, network or country, instead of one for all.
    pub group: Option<UsageGroup>,
    /// One record for each hour or day, instead of one for the whole time.
    pub granularity: Granularity,
    /// The time: from the begin of the first hour to the begin of the last, which is not part of it.
    pub hours: Range<Hour>,
}

/// One record for each of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageGroup {
    /// Each SIM.
    Sim,
    /// Each fleet.
    Fleet,
    /// Each network.
    Network,
    /// Each country.
    Country,
}

/// One record for each of which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// Each hour; at most 31 days in one query.
    Hour,
    /// Each day of UTC; at most 3 months in one query, 31 days by SIM. The hours must be midnights.
    Day,
    /// The whole time; at most 18 months in one query, 31 days by SIM.
    All,
}

/// What was used, of whom and when. A property that the answer lacks is `None`: unknown, not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord {
    /// The SIM, where the query is about one or groups by it.
    pub sim: Option<SimSid>,
    /// The fleet, likewise.
    pub fleet: Option<FleetSid>,
    /// The network, likewise.
    pub network: Option<NetworkSid>,
    /// The country, likewise.
    pub country: Option<Country>,
    /// Begin of the time.
    pub from: Timestamp,
    /// End of the time, which is not part of it.
    pub to: Timestamp,
    /// From the device.
    pub up: Option<Bytes>,
    /// To the device.
    pub down: Option<Bytes>,
    /// Both: as given, or else their sum.
    pub total: Option<Bytes>,
    /// What it costs; `None` while billing lags behind.
    pub billed: Option<Money>,
}

impl UsageRecord {
    /// The hour with which the record begins; `None` for one that begins within an hour.
    #[must_use]
    pub fn hour(&self) -> Option<Hour> {
        Some(Hour::of(self.from)).filter(|hour| hour.start() == self.from)
    }
}
