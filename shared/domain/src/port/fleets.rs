//! The provider's account as a whole: its SIMs, fleets, networks and billing periods.

use std::future::Future;

use jiff::Timestamp;

use crate::id::{FleetSid, NetworkSid, SimSid};
use crate::network::{Country, Plmn};
use crate::port::{ProviderError, Sim};

/// Lists of what the account has.
pub trait Inventory: Send + Sync {
    /// Reads one page of the account's SIMs.
    ///
    /// # Errors
    /// [`ProviderError`]; retried as far as a read may be.
    fn sims_page(
        &self,
        page: Option<&PageLink>,
    ) -> impl Future<Output = Result<Page<Sim>, ProviderError>> + Send;

    /// Reads one page of the account's fleets.
    ///
    /// # Errors
    /// [`ProviderError`]; retried as far as a read may be.
    fn fleets_page(
        &self,
        page: Option<&PageLink>,
    ) -> impl Future<Output = Result<Page<Fleet>, ProviderError>> + Send;

    /// Reads one page of the networks that Super SIM can use.
    ///
    /// # Errors
    /// [`ProviderError`]; retried as far as a read may be.
    fn networks_page(
        &self,
        page: Option<&PageLink>,
    ) -> impl Future<Output = Result<Page<Network>, ProviderError>> + Send;

    /// The SIM's current or most recent billing period; `None` for a SIM that never had one.
    ///
    /// # Errors
    /// [`ProviderError`]; retried as far as a read may be.
    fn billing_period(
        &self,
        sim: SimSid,
    ) -> impl Future<Output = Result<Option<BillingPeriod>, ProviderError>> + Send;
}

/// Fleets, their SIMs, and their own data limit: the operator's first measure.
pub trait Fleets: Send + Sync {
    /// Fetches a fleet by its SID or unique name.
    ///
    /// # Errors
    /// [`ProviderError`]; `NotFound` when the account has no such fleet.
    fn fetch_fleet(&self, name: &str) -> impl Future<Output = Result<Fleet, ProviderError>> + Send;

    /// Sets how many megabytes each SIM of the fleet may use in a billing period: one request, no
    /// retry.
    ///
    /// # Errors
    /// [`ProviderError`]; after `Unavailable` with an unknown outcome the request may still take
    /// effect.
    fn set_data_limit(
        &self,
        fleet: FleetSid,
        megabytes: u32,
    ) -> impl Future<Output = Result<Fleet, ProviderError>> + Send;

    /// Reads one page of all fleets of the account.
    ///
    /// # Errors
    /// [`ProviderError`]; retried as far as a read may be.
    fn list_fleets(
        &self,
        page: Option<&PageLink>,
    ) -> impl Future<Output = Result<Page<Fleet>, ProviderError>> + Send;

    /// Reads one page of a fleet's SIMs. A SIM of another fleet on it, or one that cannot be read,
    /// fails the page: whoever lists a fleet acts on all that it lists.
    ///
    /// # Errors
    /// [`ProviderError`]; retried as far as a read may be.
    fn list_sims(
        &self,
        fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> impl Future<Output = Result<Page<Sim>, ProviderError>> + Send;
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What stands on it; it may be empty although there is a next one.
    pub items: Vec<T>,
    /// Elements that could not be read and were left out.
    pub unreadable: usize,
    /// Where the list goes on; `None` on the last page.
    pub next: Option<PageLink>,
}

/// The address of a page, as the page before gave it: kept as text, so that a list can be gone on
/// with in another process. The adapter follows it on the API's own origin only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLink(pub String);

/// A fleet as the provider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Its SID.
    pub sid: FleetSid,
    /// The operator's own name for it.
    pub unique_name: Option<String>,
    /// Whether its SIMs may use data at all.
    pub data_enabled: Option<bool>,
    /// How many megabytes each of its SIMs may use in a billing period.
    pub data_limit_mb: Option<u32>,
}

/// More data than this, and a fleet is no quarantine: the least that the provider takes as a limit.
const QUARANTINE_MB_MAX: u32 = 1;

impl Fleet {
    /// Whether its SIMs can do no harm: they use no data, or next to none.
    #[must_use]
    pub fn is_quarantine(&self) -> bool {
        self.data_enabled == Some(false)
            || self.data_limit_mb.is_some_and(|limit| limit <= QUARANTINE_MB_MAX)
    }
}

/// A network that Super SIM can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its SID.
    pub sid: NetworkSid,
    /// What people call it.
    pub friendly_name: Option<String>,
    /// Where it is.
    pub country: Option<Country>,
    /// Its identifiers on the air.
    pub plmns: Vec<Plmn>,
}

/// The time that a SIM's data towards its fleet's limit is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BillingPeriod {
    /// Its begin.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}
