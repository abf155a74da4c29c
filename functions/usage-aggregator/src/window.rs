//! One hour or day, for all fleets: page by page, then totals and ranks.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use simfuse_domain::detector::cohort_surge;
use simfuse_domain::evidence::{Cohort, Sketch};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    Alerts, Clock, Granularity, Heartbeat, Inventory, PageLink, Part, Pass, Policies, States,
    UsageGroup, UsageItem, UsageQuery, UsageRecords, UsageStore, UsageWindow, Usages,
};

use simfuse_domain::time::Hour;

use crate::checkpoint::{Checkpoint, Task};
use crate::error::{AggregatorError, Chain};
use crate::handler::Aggregator;
use crate::rank::{Rank, SIMS_PER_PAGE};
use crate::run::{Context, Progress};

/// Fleets read at the same time: the provider throttles by concurrency.
const FLEETS_AT_ONCE: usize = 4;

/// Pages of one fleet's window: more than ten million SIMs fill.
const PAGES_MAX: u32 = 50_000;

/// One fleet's window that is being read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    fleet: FleetSid,
    window: UsageWindow,
    pass: Pass,
    /// The fleet as it is merged; its hour is judged by that of the hour before.
    cohort: &'a Cohort,
}

/// Whether SIMs are judged by the window beside their peers.
const fn is_judged(window: UsageWindow, pass: Pass) -> bool {
    matches!((window, pass), (UsageWindow::Hour(_), Pass::Close))
}

/// What became of a window for several fleets.
pub(crate) struct Reads {
    /// How far those came that did not fail.
    pub(crate) progress: Progress,
    /// Those that failed; each is logged.
    pub(crate) failed: Vec<(FleetSid, AggregatorError)>,
}

impl Reads {
    /// How far all came, if none failed.
    pub(crate) fn first_error(self) -> Result<Progress, AggregatorError> {
        match self.failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(self.progress),
        }
    }
}

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Reads a window for these fleets, some at a time, as it is due with an hour. One that fails keeps
    /// no other from being read.
    pub(crate) async fn read_window(
        &self,
        context: &Context<'_>,
        fleets: &[FleetSid],
        window: UsageWindow,
        pass: Pass,
        due: Hour,
    ) -> Reads {
        let reads = fleets.iter().map(|fleet| {
            Box::pin(
                async move { (*fleet, self.read_fleet(context, *fleet, window, pass, due).await) },
            )
        });
        let reads: Vec<_> = reads.collect();
        let mut reads = stream::iter(reads).buffer_unordered(FLEETS_AT_ONCE);
        let mut all = Reads { progress: Progress::Done, failed: Vec::new() };
        while let Some((fleet, read)) = reads.next().await {
            match read {
                Ok(Progress::Done) => {}
                Ok(Progress::Paused) => all.progress = Progress::Paused,
                Err(error) => {
                    tracing::error!(fleet.sid = %fleet, error = %Chain(&error), "fleet not read");
                    all.failed.push((fleet, error));
                }
            }
        }
        all
    }

    /// Reads one fleet's window from where the last run stopped.
    async fn read_fleet(
        &self,
        context: &Context<'_>,
        fleet: FleetSid,
        window: UsageWindow,
        pass: Pass,
        due: Hour,
    ) -> Result<Progress, AggregatorError> {
        let mut task = Checkpoint::of_fleet(&self.table, fleet, window, pass, due).await?;
        if task.content.is_done {
            return Ok(Progress::Done);
        }
        let mut before = self.sims_before(fleet, window, pass, &task.content).await?;
        let cohort = self.cohort(fleet, window, pass).await?;
        while !task.content.is_read {
            if self.is_over(context) {
                return Ok(Progress::Paused);
            }
            let of = Reading { fleet, window, pass, cohort: &cohort };
            let part = self.read_page(context, of, &mut task, &before).await?;
            // What a page repeats that repeats the page before is known as well.
            if !part.is_empty() {
                before = part;
            }
        }
        let of = Reading { fleet, window, pass, cohort: &cohort };
        self.total(context, of, task.content.pages).await?;
        task.content.is_done = true;
        task.write(&self.table, self.clock.now()).await?;
        Ok(Progress::Done)
    }

    /// Reads one page, writes what it holds, and notes that it did. Says which SIMs stood on it.
    async fn read_page(
        &self,
        context: &Context<'_>,
        of: Reading<'_>,
        task: &mut Checkpoint<Task>,
        before: &BTreeSet<SimSid>,
    ) -> Result<BTreeSet<SimSid>, AggregatorError> {
        let Reading { fleet, window, pass, cohort } = of;
        let query = query_of(fleet, window);
        let link = task.content.next.clone().map(PageLink);
        let page = self.provider.usage_page(&query, link.as_ref()).await;
        let doing = || format!("reading the usage of {fleet} in {}", window.window().name());
        let page = page.map_err(AggregatorError::provider(doing()))?;
        let number = task.content.pages;
        if number >= PAGES_MAX || (page.next.is_some() && page.next == link) {
            return Err(AggregatorError::Endless { what: doing(), pages: number });
        }
        context.tally(|answer| {
            answer.calls += 1;
            answer.pages += 1;
            answer.records += u64::try_from(page.items.len()).unwrap_or(0);
            answer.records_unknown += u64::try_from(page.unreadable).unwrap_or(0);
        });
        let found = self.found(context, &page.items, window, before);
        let part = match (window, pass) {
            (UsageWindow::Hour(hour), Pass::Fresh) => {
                self.see_page(context, fleet, hour, number, found).await?
            }
            (UsageWindow::Hour(hour), Pass::Close) => {
                self.close_page(context, (fleet, cohort), hour, number, found).await?
            }
            (UsageWindow::Day(day), _) => {
                self.compare_page(context, fleet, day, number, found).await?
            }
        };
        let sims = part.sims.iter().map(|(sim, _)| *sim).collect();
        self.put(context, &[UsageItem::Part(fleet, window, pass, part)]).await?;
        task.content.pages = number.saturating_add(1);
        task.content.is_read = page.next.is_none();
        task.content.next = page.next.map(|link| link.0);
        task.write(&self.table, self.clock.now()).await?;
        Ok(sims)
    }

    /// The SIMs of the page before the one with which a task goes on.
    async fn sims_before(
        &self,
        fleet: FleetSid,
        window: UsageWindow,
        pass: Pass,
        task: &Task,
    ) -> Result<BTreeSet<SimSid>, AggregatorError> {
        let Some(page) = task.pages.checked_sub(1) else { return Ok(BTreeSet::new()) };
        let parts = self.parts(fleet, window, pass, page).await?;
        Ok(parts.iter().take(1).flat_map(|part| &part.sims).map(|(sim, _)| *sim).collect())
    }

    /// What the fleet's SIMs did up to the hour before, for an hour that is to be closed; of any
    /// other window nobody is judged.
    async fn cohort(
        &self,
        fleet: FleetSid,
        window: UsageWindow,
        pass: Pass,
    ) -> Result<Cohort, AggregatorError> {
        if !is_judged(window, pass) {
            return Ok(Cohort::default());
        }
        let read = self.table.read_cohort(fleet).await;
        Ok(read.map_err(AggregatorError::table("reading a cohort"))?.unwrap_or_default())
    }

    /// Adds up what the pages left, and writes totals, ranks, and the cohort.
    async fn total(
        &self,
        context: &Context<'_>,
        of: Reading<'_>,
        pages: u32,
    ) -> Result<(), AggregatorError> {
        let Reading { fleet, window, pass, cohort } = of;
        let (mut rank, mut sketch) = (Rank::default(), Sketch::default());
        let mut from_page = 0;
        while from_page < pages {
            let parts = self.parts(fleet, window, pass, from_page).await?;
            let Some(last) = parts.last() else { break };
            from_page = last.page.saturating_add(1);
            // An earlier pass may have had more pages.
            for part in parts.iter().filter(|part| part.page < pages) {
                rank.add(part);
                sketch.join(&part.sketch);
            }
        }
        let (mut used, sims) = rank.finish();
        used.closed = pass == Pass::Close;
        let ranked = (0_u32..).zip(sims.chunks(SIMS_PER_PAGE));
        let mut items: Vec<UsageItem> = ranked
            .map(|(page, sims)| UsageItem::Rank(fleet, window, page, sims.to_vec()))
            .collect();
        used.rank_pages = u32::try_from(items.len()).unwrap_or(u32::MAX);
        items.push(UsageItem::Fleet(fleet, window, used));
        let mut surge = None;
        if let UsageWindow::Hour(hour) = window
            && is_judged(window, pass)
        {
            let mut cohort = cohort.clone();
            cohort.merge(hour, &sketch);
            surge = cohort_surge(&cohort, context.policy.rules_of_fleet(fleet));
            items.push(UsageItem::Cohort(fleet, Box::new(cohort)));
        }
        self.put(context, &items).await?;
        match surge {
            Some(surge) => self.tell_surge(fleet, surge).await,
            None => Ok(()),
        }
    }

    async fn parts(
        &self,
        fleet: FleetSid,
        window: UsageWindow,
        pass: Pass,
        from_page: u32,
    ) -> Result<Vec<Part>, AggregatorError> {
        let parts = self.table.read_parts(fleet, &window, pass, from_page).await;
        parts.map_err(AggregatorError::table("reading what pages held"))
    }

    pub(crate) async fn put(
        &self,
        context: &Context<'_>,
        items: &[UsageItem],
    ) -> Result<(), AggregatorError> {
        let put = self.table.put_usage(items, self.clock.now()).await;
        put.map_err(AggregatorError::table("writing usage"))?;
        context.tally(|answer| answer.items_written += u64::try_from(items.len()).unwrap_or(0));
        Ok(())
    }
}

fn query_of(fleet: FleetSid, window: UsageWindow) -> UsageQuery {
    UsageQuery {
        sim: None,
        fleet: Some(fleet),
        network: None,
        country: None,
        group: Some(UsageGroup::Sim),
        granularity: match window {
            UsageWindow::Hour(_) => Granularity::Hour,
            UsageWindow::Day(_) => Granularity::Day,
        },
        hours: window.window().hours,
    }
}
