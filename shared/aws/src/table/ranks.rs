//! Fleets' totals and ranks, for those who select SIMs by usage.

use std::collections::{BTreeMap, HashMap};

use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    FleetUsed, RankPage, Sim, TableError, UsageRanks, UsageStore as _, UsageWindow,
};

use super::Table;
use super::item::Row;
use super::keys::Key;
use super::usages::{read_bill, unpacked};

impl UsageRanks for Table {
    async fn read_fleet_used(
        &self,
        fleet: FleetSid,
        windows: &[UsageWindow],
    ) -> Result<BTreeMap<UsageWindow, FleetUsed>, TableError> {
        if windows.is_empty() {
            return Ok(BTreeMap::new());
        }
        let named: HashMap<String, UsageWindow> =
            windows.iter().map(|window| (Key::fleet_used(fleet, *window).sk, *window)).collect();
        let keys = windows.iter().map(|window| Key::fleet_used(fleet, *window)).collect();
        let items = Box::pin(self.get_all(keys, "reading what a fleet used")).await?;
        let mut used = BTreeMap::new();
        for item in &items {
            let row = Row(item);
            if let Some(window) = named.get(row.text("sk")?) {
                used.insert(*window, read_fleet_used(row)?);
            }
        }
        Ok(used)
    }

    async fn read_ranks(
        &self,
        fleet: FleetSid,
        pages: &[(UsageWindow, u32)],
    ) -> Result<Vec<RankPage>, TableError> {
        if pages.is_empty() {
            return Ok(Vec::new());
        }
        let keys = pages.iter().map(|(window, page)| Key::rank(fleet, *window, *page)).collect();
        let items = Box::pin(self.get_all(keys, "reading a fleet's SIMs by usage")).await?;
        let page = |item| {
            let row = Row(item);
            unpacked(row.bytes("sims")?).ok_or_else(|| row.fault("sims is not a list of SIMs"))
        };
        items.iter().map(page).collect()
    }

    async fn read_listed(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Sim>, TableError> {
        self.read_inventory(sims).await
    }
}

fn read_fleet_used(row: Row<'_>) -> Result<FleetUsed, TableError> {
    let closed: u8 = row.number("closed")?;
    Ok(FleetUsed {
        sims: row.number("sims")?,
        total: Bytes(row.number("total")?),
        bill: read_bill(row)?,
        closed: closed == 1,
        rank_pages: row.number("rank_pages")?,
    })
}
