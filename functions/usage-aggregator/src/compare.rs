//! Days: their totals are kept, and tell which SIMs' hours changed after they were closed.

use std::collections::BTreeMap;

use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    Alerts, Clock, Granularity, Heartbeat, Inventory, Part, Policies, Recorded, States, UsageItem,
    UsageRecords, UsageStore, UsageWindow, Usages, Used,
};
use simfuse_domain::time::{Hour, Window};
use simfuse_domain::usage::{SimUsage, Source};

use crate::billing::query_of;
use crate::error::AggregatorError;
use crate::handler::Aggregator;
use crate::page::{Found, part_of, used_of};
use crate::run::Context;

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// One page of a day's records. A SIM whose total is what its hours say is done; of any other
    /// the hours are read again.
    pub(crate) async fn compare_page(
        &self,
        context: &Context<'_>,
        fleet: FleetSid,
        day: Hour,
        page: u32,
        found: Found,
    ) -> Result<Part, AggregatorError> {
        let window = UsageWindow::Day(day);
        let sims: Vec<SimSid> = found.keys().copied().collect();
        let recorded = self.table.read_recorded(&window, &sims).await;
        let mut recorded = recorded.map_err(AggregatorError::table("reading a day"))?;
        let mut items = Vec::new();
        for (sim, used) in &found {
            let Recorded { usage, used: known } = recorded.remove(sim).unwrap_or_default();
            let hours = usage.as_ref().map(|usage| usage.bytes_within(&window.window().hours));
            let total = known.as_ref().map(|known| known.total).or(hours);
            if total != Some(used.total) {
                let usage = usage.unwrap_or_else(|| SimUsage::new(*sim));
                self.read_hours_again(context, fleet, day, usage, used).await?;
            } else if known.as_ref() != Some(used) {
                items.push(UsageItem::Sim(*sim, Some(fleet), window, used.clone()));
            }
        }
        self.put(context, &items).await?;
        Ok(part_of(page, found))
    }

    /// Reads a SIM's hours of one day again, and writes those that changed, the day, and what
    /// follows for the SIM's period, all at once: else a run that dies in between would count the
    /// growth twice or never.
    async fn read_hours_again(
        &self,
        context: &Context<'_>,
        fleet: FleetSid,
        day: Hour,
        mut usage: SimUsage,
        used: &Used,
    ) -> Result<(), AggregatorError> {
        let sim = usage.sim;
        let hours = Window::of_day(day).hours;
        let query = query_of(sim, Granularity::Hour, hours.clone());
        let records = self.records_of(context, &query).await;
        let doing = format!("reading the hours of {sim} again");
        let records = records.map_err(AggregatorError::provider(doing))?;
        let mut by_hour: BTreeMap<Hour, Used> = BTreeMap::new();
        for record in &records {
            if let (Some(hour), Some(used)) = (record.hour(), used_of(record)) {
                by_hour.insert(hour, used);
            }
        }
        let mut items = Vec::new();
        for (hour, is) in &by_hour {
            let window = UsageWindow::Hour(*hour);
            let known = self.table.read_recorded(&window, &[sim]).await;
            let mut known = known.map_err(AggregatorError::table("reading an hour"))?;
            let known = known.remove(&sim).and_then(|recorded| recorded.used);
            let recorded = known.as_ref().map_or(Bytes(0), |known| known.total);
            // An hour may be recorded as it was seen, and never have been closed.
            let counted = if usage.keeps(*hour) { usage.bytes_in(*hour) } else { recorded };
            if usage.closed_through() < Some(*hour) {
                usage.close(*hour, is.total, Source { fleet: None, page: 0 });
            } else if counted != is.total {
                usage.amend(*hour, counted, is.total);
            }
            if known.as_ref() != Some(is) {
                items.push(UsageItem::Sim(sim, Some(fleet), window, is.clone()));
            }
        }
        let total: Bytes = by_hour.values().map(|used| used.total).sum();
        // A SIM that changed its fleet has one record of each; its hours are those of both.
        let day_used =
            if total == used.total { used.clone() } else { Used { total, ..Used::default() } };
        items.push(UsageItem::Sim(sim, Some(fleet), UsageWindow::Day(day), day_used));
        items.push(UsageItem::Base(usage));
        let put = self.table.put_together(&items, self.clock.now()).await;
        put.map_err(AggregatorError::table(format!("writing the hours of {sim} again")))?;
        tracing::info!(sim.sid = %sim, day = %Window::of_day(day).name(), "hours changed later");
        context.tally(|answer| answer.items_written += u64::try_from(items.len()).unwrap_or(0));
        Ok(())
    }
}
