//! One page of an hour's records: what it says of each SIM, and what follows.

use std::collections::{BTreeMap, BTreeSet};

use simfuse_domain::bytes::Bytes;
use simfuse_domain::detector::{is_accused, is_usage_judged, shown_by_records, unusual_usage};
use simfuse_domain::evidence::{Cohort, Sketch};
use simfuse_domain::finding::Finding;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::money::Bill;
use simfuse_domain::port::{
    Alerts, Clock, Heartbeat, Inventory, Part, Policies, Recorded, States, UsageItem, UsageRecord,
    UsageRecords, UsageStore, UsageWindow, Usages, Used,
};
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{Beside, Closed, SimUsage, Source};

use crate::error::AggregatorError;
use crate::handler::Aggregator;
use crate::run::Context;

/// What a page says of each SIM.
pub(crate) type Found = BTreeMap<SimSid, Used>;

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Sorts out a page's records: those of the window, each SIM once, and none that stood on the
    /// page before (while one reads, records move to later pages). What lacks the SIM or the bytes
    /// is unknown, not zero.
    pub(crate) fn found(
        &self,
        context: &Context<'_>,
        records: &[UsageRecord],
        window: UsageWindow,
        before: &BTreeSet<SimSid>,
    ) -> Found {
        let begin = window.window().start();
        let mut found = Found::new();
        let mut unknown = 0;
        for record in records {
            let (Some(sim), Some(used)) = (record.sim, used_of(record)) else {
                unknown += 1;
                continue;
            };
            if record.from != begin {
                unknown += 1;
            } else if !before.contains(&sim)
                && found.get(&sim).is_none_or(|other| other.total < used.total)
            {
                found.insert(sim, used);
            }
        }
        context.tally(|answer| answer.records_unknown += unknown);
        found
    }

    /// An hour that has just ended: its records are kept, and limits are looked at; nothing is
    /// counted or learnt yet.
    pub(crate) async fn see_page(
        &self,
        context: &Context<'_>,
        fleet: FleetSid,
        hour: Hour,
        page: u32,
        found: Found,
    ) -> Result<Part, AggregatorError> {
        let sims: Vec<SimSid> = found.keys().copied().collect();
        let recorded = self.table.read_recorded(&UsageWindow::Hour(hour), &sims).await;
        let mut recorded = recorded.map_err(AggregatorError::table("reading usage"))?;
        let (mut items, mut findings) = (Vec::new(), Vec::new());
        for (sim, used) in &found {
            let usage = recorded.remove(sim).and_then(|recorded| recorded.usage);
            let mut usage = usage.unwrap_or_else(|| SimUsage::new(*sim));
            let rules = context.policy.rules_for(Some(fleet), *sim);
            usage.see(hour, used.total);
            // Nearly every SIM keeps within its limits, and is written when its hour is closed. What
            // was seen before is looked at again: the run that saw it may have died before it told.
            // By its fleet a SIM is judged when the hour is closed: until then nothing says which it is
            // in but this page.
            let broken = shown_by_records(&usage, None, &rules, hour);
            if !broken.is_empty() {
                items.push(UsageItem::Base(usage));
                findings.push((*sim, broken));
            }
            let window = UsageWindow::Hour(hour);
            items.push(UsageItem::Sim(*sim, Some(fleet), window, used.clone()));
        }
        self.put(context, &items).await?;
        self.insert(&findings).await?;
        Ok(part_of(page, found))
    }

    /// An hour that is to be closed: counted, learnt, judged.
    pub(crate) async fn close_page(
        &self,
        context: &Context<'_>,
        (fleet, cohort): (FleetSid, &Cohort),
        hour: Hour,
        page: u32,
        mut found: Found,
    ) -> Result<Part, AggregatorError> {
        let window = UsageWindow::Hour(hour);
        let sims: Vec<SimSid> = found.keys().copied().collect();
        let recorded = self.table.read_recorded(&window, &sims).await;
        let mut recorded = recorded.map_err(AggregatorError::table("reading usage"))?;
        let source = Source { fleet: Some(fleet), page };
        let (mut items, mut changed, mut findings) = (Vec::new(), Vec::new(), Vec::new());
        found.retain(|sim, used| {
            let Recorded { usage, used: known } = recorded.remove(sim).unwrap_or_default();
            let mut usage = usage.unwrap_or_else(|| SimUsage::new(*sim));
            let rules = context.policy.rules_for(Some(fleet), *sim);
            let is_suspended = rules.is_planned(hour.start(), hour.end());
            let beside = Beside { cohort: Some(cohort), is_suspended };
            let closed = usage.close_beside(hour, used.total, source, beside);
            if closed == Closed::Elsewhere {
                return false;
            }
            if closed == Closed::Now {
                usage.learn_price(used.total, used.billed);
            }
            let hours = if usage.bytes_in(hour) == used.total {
                used.clone()
            } else {
                Used { total: usage.bytes_in(hour), ..Used::default() }
            };
            if known.as_ref() != Some(&hours) {
                items.push(UsageItem::Sim(*sim, Some(fleet), window, hours));
            }
            changed.push((usage, closed));
            true
        });
        self.learn_periods(context, fleet, &mut changed).await?;
        self.forgive(context, fleet, &mut changed).await?;
        let mut sketch = Sketch::default();
        for (usage, closed) in changed {
            if usage.is_peer_in(fleet, hour) {
                sketch.add(&usage, hour);
            }
            let rules = context.policy.rules_for(Some(fleet), usage.sim);
            let mut found = shown_by_records(&usage, Some(cohort), &rules, hour);
            found.extend(unusual_usage(&usage, &rules));
            if !found.is_empty() {
                findings.push((usage.sim, found));
            }
            if closed != Closed::Before {
                items.push(UsageItem::Base(usage));
            }
        }
        self.put(context, &items).await?;
        self.insert(&findings).await?;
        Ok(Part { sketch, ..part_of(page, found) })
    }

    /// Lets evidence go that a human judged since it was found: else a SIM with a new use would stand
    /// accused for good, since excess is not learnt while there is evidence.
    async fn forgive(
        &self,
        context: &Context<'_>,
        fleet: FleetSid,
        changed: &mut [(SimUsage, Closed)],
    ) -> Result<(), AggregatorError> {
        let is_found = |usage: &SimUsage| {
            let rules = context.policy.rules_for(Some(fleet), usage.sim);
            // What is found where events are known as well rests on less evidence of usage.
            is_accused(usage) || !unusual_usage(usage, &rules).is_empty()
        };
        let accused: Vec<&mut SimUsage> = changed
            .iter_mut()
            .filter(|(usage, closed)| *closed == Closed::Now && is_found(usage))
            .map(|(usage, _)| usage)
            .collect();
        if accused.is_empty() {
            return Ok(());
        }
        let sims: Vec<SimSid> = accused.iter().map(|usage| usage.sim).collect();
        let desired = self.table.read_desired(&sims).await;
        let desired = desired.map_err(AggregatorError::table("reading what humans judged"))?;
        for usage in accused {
            let judged = desired.get(&usage.sim).map(|desired| &desired.judged);
            if judged.is_some_and(|judged| is_usage_judged(usage, judged)) {
                tracing::info!(sim.sid = %usage.sim, "its usage was judged, and is learnt anew");
                usage.forgive();
            }
        }
        Ok(())
    }

    /// Hands findings over to the kill-switch, after what they rest on is written.
    pub(crate) async fn insert(
        &self,
        findings: &[(SimSid, Vec<Finding>)],
    ) -> Result<(), AggregatorError> {
        let now = self.clock.now();
        for (sim, found) in findings {
            for finding in found {
                let inserted = self.table.insert_finding(*sim, finding, now).await;
                inserted.map_err(AggregatorError::table(format!("writing a finding of {sim}")))?;
            }
        }
        Ok(())
    }
}

/// What a record says was used; `None` where it does not say how much.
pub(crate) fn used_of(record: &UsageRecord) -> Option<Used> {
    let total = record.total?;
    // Nothing for something is what the provider says while it is still computing.
    let billed = record.billed.filter(|billed| billed.micros != 0 || total == Bytes(0));
    Some(Used { up: record.up, down: record.down, total, billed })
}

/// What is kept of a page for totals and ranks.
pub(crate) fn part_of(page: u32, found: Found) -> Part {
    let bills = found.values().map(|used| Bill::of(used.total, used.billed));
    let bill = bills.fold(Bill::default(), Bill::with);
    let used = found.into_iter().filter(|(_, used)| used.total > Bytes(0));
    let sims = used.map(|(sim, used)| (sim, used.total)).collect();
    Part { page, sims, bill, sketch: Sketch::default() }
}
