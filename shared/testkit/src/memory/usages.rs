//! The aggregator's items in memory.

use std::collections::BTreeMap;

use jiff::Timestamp;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::evidence::Cohort;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Desired;
use simfuse_domain::port::{
    FleetItem, FleetUsed, Part, Pass, RankPage, Recorded, Sim, TableError, UsageItem, UsageRanks,
    UsageStore, UsageWindow, Usages, Used,
};
use simfuse_domain::usage::SimUsage;

use super::MemoryTable;

/// Parts in one answer: few, so that whoever reads them has to ask again.
const PARTS_MAX: usize = 3;

/// The items, by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsageContent {
    /// All that is known of each SIM's usage.
    pub bases: BTreeMap<SimSid, SimUsage>,
    /// What SIMs used.
    pub used: BTreeMap<(SimSid, UsageWindow), Used>,
    /// What fleets used.
    pub fleets_used: BTreeMap<(FleetSid, UsageWindow), FleetUsed>,
    /// SIMs by usage.
    pub ranks: BTreeMap<(FleetSid, UsageWindow, u32), Vec<(SimSid, Bytes)>>,
    /// The inventory's SIMs.
    pub sims: BTreeMap<SimSid, Sim>,
    /// The inventory's fleets.
    pub fleets: BTreeMap<FleetSid, FleetItem>,
    /// What fleets' SIMs do.
    pub cohorts: BTreeMap<FleetSid, Cohort>,
    pub(super) parts: BTreeMap<(FleetSid, UsageWindow, Pass, u32), Part>,
    pub(super) checkpoints: BTreeMap<String, (String, u64)>,
    pub(super) items_put: usize,
}

impl MemoryTable {
    /// A copy of the aggregator's items.
    #[must_use]
    pub fn usage_content(&self) -> UsageContent {
        self.content().usage.clone()
    }

    /// How many of the aggregator's items were written, checkpoints left out.
    #[must_use]
    pub fn usage_items_put(&self) -> usize {
        self.content().usage.items_put
    }

    /// Puts an item there as if it had been written long ago.
    pub fn seed_usage(&self, usage: SimUsage) {
        self.content().usage.bases.insert(usage.sim, usage);
    }
}

impl Usages for MemoryTable {
    async fn read_usages(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, SimUsage>, TableError> {
        let content = self.content();
        let known = |sim: &SimSid| Some((*sim, content.usage.bases.get(sim)?.clone()));
        Ok(sims.iter().filter_map(known).collect())
    }

    async fn read_cohort(&self, fleet: FleetSid) -> Result<Option<Cohort>, TableError> {
        Ok(self.content().usage.cohorts.get(&fleet).cloned())
    }
}

impl UsageRanks for MemoryTable {
    async fn read_fleet_used(
        &self,
        fleet: FleetSid,
        windows: &[UsageWindow],
    ) -> Result<BTreeMap<UsageWindow, FleetUsed>, TableError> {
        let content = &self.content().usage;
        let used = |window: &UsageWindow| content.fleets_used.get(&(fleet, *window)).cloned();
        Ok(windows.iter().filter_map(|window| Some((*window, used(window)?))).collect())
    }

    async fn read_ranks(
        &self,
        fleet: FleetSid,
        pages: &[(UsageWindow, u32)],
    ) -> Result<Vec<RankPage>, TableError> {
        let content = &self.content().usage;
        let page = |(window, page): &(UsageWindow, u32)| {
            content.ranks.get(&(fleet, *window, *page)).cloned()
        };
        Ok(pages.iter().filter_map(page).collect())
    }

    async fn read_listed(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Sim>, TableError> {
        self.read_inventory(sims).await
    }
}

impl UsageStore for MemoryTable {
    async fn read_recorded(
        &self,
        window: &UsageWindow,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, Recorded>, TableError> {
        let content = &self.content().usage;
        let recorded = |sim: &SimSid| {
            let usage = content.bases.get(sim).cloned();
            let used = content.used.get(&(*sim, *window)).cloned();
            let known = usage.is_some() || used.is_some();
            known.then_some((*sim, Recorded { usage, used }))
        };
        Ok(sims.iter().filter_map(recorded).collect())
    }

    async fn put_usage(&self, items: &[UsageItem], _now: Timestamp) -> Result<(), TableError> {
        let content = &mut self.content().usage;
        content.items_put = content.items_put.saturating_add(items.len());
        for item in items.iter().cloned() {
            match item {
                UsageItem::Base(usage) => {
                    content.bases.insert(usage.sim, usage);
                }
                UsageItem::Sim(sim, _fleet, window, used) => {
                    content.used.insert((sim, window), used);
                }
                UsageItem::Fleet(fleet, window, used) => {
                    content.fleets_used.insert((fleet, window), used);
                }
                UsageItem::Rank(fleet, window, page, sims) => {
                    content.ranks.insert((fleet, window, page), sims);
                }
                UsageItem::Part(fleet, window, pass, part) => {
                    content.parts.insert((fleet, window, pass, part.page), part);
                }
                UsageItem::Cohort(fleet, cohort) => {
                    content.cohorts.insert(fleet, *cohort);
                }
                UsageItem::Inventory(sim) => {
                    content.sims.insert(sim.sid, sim);
                }
                UsageItem::FleetInventory(item) => {
                    content.fleets.insert(item.fleet.sid, item);
                }
            }
        }
        Ok(())
    }

    async fn put_together(&self, items: &[UsageItem], now: Timestamp) -> Result<(), TableError> {
        self.put_usage(items, now).await
    }

    async fn read_parts(
        &self,
        fleet: FleetSid,
        window: &UsageWindow,
        pass: Pass,
        from_page: u32,
    ) -> Result<Vec<Part>, TableError> {
        let content = &self.content().usage;
        let range = (fleet, *window, pass, from_page)..=(fleet, *window, pass, u32::MAX);
        let parts = content.parts.range(range).map(|(_, part)| part.clone());
        Ok(parts.take(PARTS_MAX).collect())
    }

    async fn read_desired(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Desired>, TableError> {
        let content = self.content();
        let desired = |sim: &SimSid| Some((*sim, content.desired.get(sim)?.0.clone()));
        Ok(sims.iter().filter_map(desired).collect())
    }

    async fn read_inventory(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Sim>, TableError> {
        let content = &self.content().usage;
        Ok(sims.iter().filter_map(|sim| Some((*sim, content.sims.get(sim)?.clone()))).collect())
    }

    async fn read_fleet(&self, fleet: FleetSid) -> Result<Option<FleetItem>, TableError> {
        Ok(self.content().usage.fleets.get(&fleet).cloned())
    }

    async fn read_checkpoint(&self, name: &str) -> Result<Option<(String, u64)>, TableError> {
        Ok(self.content().usage.checkpoints.get(name).cloned())
    }

    async fn write_checkpoint(
        &self,
        name: &str,
        text: &str,
        read_version: u64,
        _now: Timestamp,
    ) -> Result<bool, TableError> {
        let checkpoints = &mut self.content().usage.checkpoints;
        let version = checkpoints.get(name).map_or(0, |(_, version)| *version);
        if version != read_version {
            return Ok(false);
        }
        let written = (text.to_owned(), version.saturating_add(1));
        checkpoints.insert(name.to_owned(), written);
        Ok(true)
    }
}
