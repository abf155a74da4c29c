//! The first run: 31 days of every SIM's hours, taught at once.

use std::collections::BTreeMap;
use std::ops::Range;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::FleetSid;
use simfuse_domain::money::Bill;
use simfuse_domain::port::{
    Alerts, Clock, FleetUsed, Granularity, Heartbeat, Inventory, PageLink, Policies, ProviderError,
    Sim, SimStatus, States, UsageGroup, UsageItem, UsageQuery, UsageRecords, UsageStore,
    UsageWindow, Usages, Used,
};
use simfuse_domain::time::{Hour, Window};
use simfuse_domain::usage::{Closed, SimUsage, Source};

use crate::billing::query_of;
use crate::checkpoint::{Checkpoint, History, Run};
use crate::error::{AggregatorError, Chain};
use crate::handler::Aggregator;
use crate::page::used_of;
use crate::run::{Context, Progress};

/// Hours of history: the 31 days that the provider shows by the hour, less one, so that an hour that
/// ends meanwhile does not make them too many (error 83603).
const HISTORY_HOURS: i32 = 31 * 24 - 1;

/// SIMs taught at the same time: the provider throttles by concurrency.
const SIMS_AT_ONCE: usize = 4;

/// SIMs after which the progress is noted.
const SIMS_PER_CHECKPOINT: usize = 50;

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Teaches the history of all SIMs, up to the hour from which on hours are closed one by one.
    pub(crate) async fn read_history(
        &self,
        context: &Context<'_>,
        run: &mut Checkpoint<Run>,
        fleets: &[FleetSid],
    ) -> Result<Progress, AggregatorError> {
        let Some(until) = run.content.closed_through else { return Ok(Progress::Done) };
        let hours = until.after().plus(HISTORY_HOURS.saturating_neg())..until.after();
        if run.content.history == History::Unread {
            for fleet in fleets {
                self.read_fleet_history(context, run, *fleet, &hours).await?;
            }
            run.content.history =
                History::Reading { next: None, sims_done_of_page: 0, sims_done: 0 };
            run.write(&self.table, self.clock.now()).await?;
        }
        while let History::Reading { next, sims_done_of_page, sims_done } =
            run.content.history.clone()
        {
            context.at(format!("reading the history of SIMs, {sims_done} so far"));
            if self.is_over(context) {
                return Ok(Progress::Paused);
            }
            let page = self.provider.sims_page(next.clone().map(PageLink).as_ref()).await;
            context.tally(|answer| answer.calls += 1);
            let page = page.map_err(AggregatorError::provider("listing SIMs"))?;
            let following = page.next.map(|link| link.0);
            let rest = page.items.get(sims_done_of_page..).unwrap_or_default();
            let mut done = sims_done_of_page;
            for sims in rest.chunks(SIMS_PER_CHECKPOINT) {
                if self.is_over(context) {
                    return Ok(Progress::Paused);
                }
                self.teach_all(context, sims, &hours).await?;
                done = done.saturating_add(sims.len());
                let more = u64::try_from(done.saturating_sub(sims_done_of_page)).unwrap_or(0);
                run.content.history = History::Reading {
                    next: next.clone(),
                    sims_done_of_page: done,
                    sims_done: sims_done.saturating_add(more),
                };
                run.write(&self.table, self.clock.now()).await?;
            }
            let more = u64::try_from(done.saturating_sub(sims_done_of_page)).unwrap_or(0);
            run.content.history = match following {
                Some(following) => History::Reading {
                    next: Some(following),
                    sims_done_of_page: 0,
                    sims_done: sims_done.saturating_add(more),
                },
                None => History::Read,
            };
            run.write(&self.table, self.clock.now()).await?;
        }
        Ok(Progress::Done)
    }

    async fn teach_all(
        &self,
        context: &Context<'_>,
        sims: &[Sim],
        hours: &Range<Hour>,
    ) -> Result<(), AggregatorError> {
        // A SIM that is `new` never used anything.
        let sims = sims.iter().filter(|sim| sim.status != SimStatus::New);
        let taught = sims.map(|sim| Box::pin(self.teach(context, sim, hours)));
        let taught: Vec<_> = taught.collect();
        stream::iter(taught).buffer_unordered(SIMS_AT_ONCE).try_collect().await
    }

    /// Teaches one SIM's hours, in order.
    async fn teach(
        &self,
        context: &Context<'_>,
        sim: &Sim,
        hours: &Range<Hour>,
    ) -> Result<(), AggregatorError> {
        let query = query_of(sim.sid, Granularity::Hour, hours.clone());
        let records = self.records_of(context, &query).await;
        let records = match records {
            Ok(records) => records,
            // It will be refused again, and must not keep all others from being closed.
            Err(error @ (ProviderError::Refused { .. } | ProviderError::NotFound)) => {
                tracing::error!(
                    sim.sid = %sim.sid, error = %Chain(&error), "a SIM's history was refused"
                );
                return Ok(());
            }
            Err(error) => {
                let doing = format!("reading the history of {}", sim.sid);
                return Err(AggregatorError::provider(doing)(error));
            }
        };
        let mut by_hour: BTreeMap<Hour, Used> = BTreeMap::new();
        for record in &records {
            if let (Some(hour), Some(used)) = (record.hour(), used_of(record)) {
                by_hour.insert(hour, used);
            }
        }
        if by_hour.is_empty() {
            return Ok(());
        }
        let mut usage = SimUsage::new(sim.sid);
        let mut days: BTreeMap<Hour, Bytes> = BTreeMap::new();
        let mut items = Vec::new();
        for (hour, used) in by_hour {
            usage.close(hour, used.total, Source { fleet: None, page: 0 });
            usage.learn_price(used.total, used.billed);
            let day = days.entry(Window::of_day(hour).hours.start).or_default();
            *day = day.plus(used.total);
            items.push(UsageItem::Sim(sim.sid, sim.fleet, UsageWindow::Hour(hour), used));
        }
        // Of the first and the last day not all hours are known.
        for (day, total) in days {
            let window = Window::of_day(day).hours;
            if window.start >= hours.start && window.end <= hours.end {
                let used = Used { total, ..Used::default() };
                items.push(UsageItem::Sim(sim.sid, sim.fleet, UsageWindow::Day(day), used));
            }
        }
        let mut usages = [(usage, Closed::Now)];
        if let Some(fleet) = sim.fleet {
            self.learn_periods(context, fleet, &mut usages).await?;
        }
        self.put(context, &items).await?;
        let [(usage, _)] = usages;
        self.put(context, &[UsageItem::Base(usage)]).await
    }

    /// A fleet's own hours and days, and with them the account's rhythm.
    async fn read_fleet_history(
        &self,
        context: &Context<'_>,
        run: &mut Checkpoint<Run>,
        fleet: FleetSid,
        hours: &Range<Hour>,
    ) -> Result<(), AggregatorError> {
        let first_day = Window::of_day(hours.start).hours.end;
        let last_day = Window::of_day(hours.end).hours.start;
        for (granularity, hours) in
            [(Granularity::Hour, hours.clone()), (Granularity::Day, first_day..last_day)]
        {
            let query = UsageQuery {
                sim: None,
                fleet: Some(fleet),
                network: None,
                country: None,
                group: Some(UsageGroup::Fleet),
                granularity,
                hours,
            };
            let records = self.records_of(context, &query).await;
            let doing = format!("reading the history of {fleet}");
            let records = records.map_err(AggregatorError::provider(doing))?;
            let mut items = Vec::new();
            for record in &records {
                let (Some(hour), Some(used)) = (record.hour(), used_of(record)) else {
                    continue;
                };
                let window = if granularity == Granularity::Hour {
                    if used.total > Bytes(0) {
                        run.content.active_hours.insert(hour);
                    }
                    UsageWindow::Hour(hour)
                } else {
                    UsageWindow::day_of(hour)
                };
                let used = FleetUsed {
                    sims: 0,
                    total: used.total,
                    bill: Bill::of(used.total, used.billed),
                    closed: true,
                    rank_pages: 0,
                };
                items.push(UsageItem::Fleet(fleet, window, used));
            }
            self.put(context, &items).await?;
        }
        Ok(())
    }
}
