//! A provider's account in memory: SIMs, fleets, usage records and billing periods, in pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::money::Money;
use simfuse_domain::port::{
    BillingPeriod, Fleet, Granularity, Inventory, Network, Page, PageLink, ProviderError, Sim,
    UsageGroup, UsageQuery, UsageRecord, UsageRecords,
};
use simfuse_domain::time::{Hour, Window};

/// Records on a page that are not those of a fleet's SIMs.
const RECORDS_PER_PAGE: usize = 249;

/// The account; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct MemoryAccount {
    content: Arc<Mutex<Content>>,
    page_size: usize,
}

#[derive(Debug, Default)]
struct Content {
    sims: BTreeMap<SimSid, Sim>,
    fleets: BTreeMap<FleetSid, Fleet>,
    /// Bytes by hour, SIM and the fleet that it was in.
    used: BTreeMap<(Hour, SimSid, FleetSid), u64>,
    periods: BTreeMap<SimSid, BillingPeriod>,
    oddities: BTreeSet<Oddity>,
    refused: BTreeSet<FleetSid>,
}

/// What pages may be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// Each page stands there twice, the second time as a page of its own.
    PagesRepeat,
    /// Behind each page comes an empty one.
    EmptyPages,
    /// Each page also has a record without a SIM, one without bytes, and one that begins within
    /// an hour.
    RecordsLackFields,
}

impl MemoryAccount {
    /// An empty account whose lists, and the records of a fleet's SIMs, have so many elements a page.
    #[must_use]
    pub fn new(page_size: usize) -> Self {
        Self { content: Arc::default(), page_size }
    }

    /// Adds a fleet, or changes it.
    pub fn set_fleet(&self, fleet: Fleet) {
        self.content().fleets.insert(fleet.sid, fleet);
    }

    /// Adds a SIM, or changes it.
    pub fn set_sim(&self, sim: Sim) {
        self.content().sims.insert(sim.sid, sim);
    }

    /// Adds to what a SIM used in an hour while it was in this fleet.
    pub fn add_usage(&self, sim: SimSid, fleet: FleetSid, hour: Hour, bytes: u64) {
        *self.content().used.entry((hour, sim, fleet)).or_default() += bytes;
    }

    /// Sets a SIM's billing period.
    pub fn set_period(&self, sim: SimSid, period: BillingPeriod) {
        self.content().periods.insert(sim, period);
    }

    /// Lets pages be odd from now on.
    pub fn set_oddity(&self, oddity: Oddity) {
        self.content().oddities.insert(oddity);
    }

    /// Refuses usage records of this fleet, or gives them again.
    pub fn refuse(&self, fleet: FleetSid, is_refused: bool) {
        let refused = &mut self.content().refused;
        _ = if is_refused { refused.insert(fleet) } else { refused.remove(&fleet) };
    }

    /// All that was used so far, by hour, SIM and fleet.
    #[must_use]
    pub fn used(&self) -> BTreeMap<(Hour, SimSid, FleetSid), u64> {
        self.content().used.clone()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One page of a list; links are page numbers.
    fn page_of<I>(
        all: Vec<I>,
        page: Option<&PageLink>,
        size: usize,
    ) -> Result<Page<I>, ProviderError> {
        let wrong = |_| ProviderError::NotFound;
        let number: usize = page.map_or(Ok(0), |link| link.0.parse().map_err(wrong))?;
        let pages = all.len().div_ceil(size);
        let items = all.into_iter().skip(number.saturating_mul(size)).take(size).collect();
        let next = number.saturating_add(1);
        let next = (next < pages).then(|| PageLink(next.to_string()));
        Ok(Page { items, unreadable: 0, next })
    }
}

impl Inventory for MemoryAccount {
    async fn sims_page(&self, page: Option<&PageLink>) -> Result<Page<Sim>, ProviderError> {
        Self::page_of(self.content().sims.values().cloned().collect(), page, self.page_size)
    }

    async fn fleets_page(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        Self::page_of(self.content().fleets.values().cloned().collect(), page, self.page_size)
    }

    async fn networks_page(&self, page: Option<&PageLink>) -> Result<Page<Network>, ProviderError> {
        Self::page_of(Vec::new(), page, self.page_size)
    }

    async fn billing_period(&self, sim: SimSid) -> Result<Option<BillingPeriod>, ProviderError> {
        Ok(self.content().periods.get(&sim).copied())
    }
}

impl UsageRecords for MemoryAccount {
    async fn usage_page(
        &self,
        query: &UsageQuery,
        page: Option<&PageLink>,
    ) -> Result<Page<UsageRecord>, ProviderError> {
        if query.fleet.is_some_and(|fleet| self.content().refused.contains(&fleet)) {
            return Err(ProviderError::NotFound);
        }
        let oddities = self.content().oddities.clone();
        let number: usize = page.map_or(Ok(0), |link| link.0.parse()).unwrap_or(usize::MAX);
        // Odd pages come between the others: of each page two.
        let is_odd = |oddity| oddities.contains(&oddity);
        let between = is_odd(Oddity::PagesRepeat) || is_odd(Oddity::EmptyPages);
        let real = if between { number / 2 } else { number };
        let by_sim = query.group == Some(UsageGroup::Sim);
        let size = if by_sim { self.page_size } else { RECORDS_PER_PAGE };
        let link = PageLink(real.to_string());
        let mut page = Self::page_of(self.records(query), Some(&link), size)?;
        if between && !number.is_multiple_of(2) && !is_odd(Oddity::PagesRepeat) {
            page.items.clear();
        }
        if is_odd(Oddity::RecordsLackFields)
            && let Some(record) = page.items.first().cloned()
        {
            page.items.push(UsageRecord { sim: None, ..record.clone() });
            page.items.push(UsageRecord { total: None, up: None, down: None, ..record.clone() });
            let from = crate::time::later_secs(record.from, 1_800);
            page.items.push(UsageRecord { from, ..record });
        }
        if between {
            let more = page.next.is_some() || number.is_multiple_of(2);
            page.next = more.then(|| PageLink(number.saturating_add(1).to_string()));
        }
        Ok(page)
    }
}

impl MemoryAccount {
    /// The records that a query asks for, newest first, as the provider lists them.
    fn records(&self, query: &UsageQuery) -> Vec<UsageRecord> {
        let content = self.content();
        let by_sim = query.sim.is_some() || query.group == Some(UsageGroup::Sim);
        let by_fleet = query.fleet.is_some() || query.group == Some(UsageGroup::Fleet);
        let mut sums: BTreeMap<_, u64> = BTreeMap::new();
        for ((hour, sim, fleet), bytes) in &content.used {
            let asked = query.hours.contains(hour)
                && query.sim.is_none_or(|asked| asked == *sim)
                && query.fleet.is_none_or(|asked| asked == *fleet);
            if !asked {
                continue;
            }
            let window = match query.granularity {
                Granularity::Hour => *hour..hour.after(),
                Granularity::Day => Window::of_day(*hour).hours,
                Granularity::All => query.hours.clone(),
            };
            let of = (window.start, window.end, by_sim.then_some(*sim), by_fleet.then_some(*fleet));
            *sums.entry(of).or_default() += bytes;
        }
        let records = sums.into_iter().rev();
        let records = records.map(|((from, to, sim, fleet), bytes)| UsageRecord {
            sim,
            fleet,
            network: None,
            country: None,
            from: from.start(),
            to: to.start(),
            up: Some(Bytes(bytes / 4)),
            down: Some(Bytes(bytes - bytes / 4)),
            total: Some(Bytes(bytes)),
            billed: i64::try_from(bytes / 100)
                .ok()
                .zip("USD".parse().ok())
                .map(|(micros, currency)| Money { micros, currency }),
        });
        records.collect()
    }
}
