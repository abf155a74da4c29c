//! Billing periods: asked for where a SIM's usage may matter to its limit, once a period.

use futures::{StreamExt as _, stream};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    Alerts, BillingPeriod, Clock, Granularity, Heartbeat, Inventory, PageLink, Policies,
    ProviderError, States, UsageQuery, UsageRecord, UsageRecords, UsageStore, Usages,
};
use simfuse_domain::usage::{Closed, SimUsage};

use crate::error::AggregatorError;
use crate::handler::Aggregator;
use crate::run::Context;

/// SIMs asked about for one page of records: it must not wait for hundreds. The others are asked
/// about when their next hour is closed.
const SIMS_PER_PAGE_MAX: usize = 40;

/// SIMs asked about at the same time: the provider throttles by concurrency.
const SIMS_AT_ONCE: usize = 4;

/// Pages of one SIM's records: 31 days of hours fill three.
const PAGES_MAX: u32 = 12;

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Learns the billing periods of the SIMs that need theirs known. A provider who does not tell
    /// now is asked again with the SIM's next hour: until then the calendar month counts.
    pub(crate) async fn learn_periods(
        &self,
        context: &Context<'_>,
        fleet: FleetSid,
        changed: &mut [(SimUsage, Closed)],
    ) -> Result<(), AggregatorError> {
        let needs = |usage: &SimUsage| {
            let rules = context.policy.rules_for(Some(fleet), usage.sim);
            rules.limits.period.is_some_and(|limit| usage.needs_period(limit))
        };
        let usages = changed.iter_mut().map(|(usage, _)| usage).filter(|usage| needs(usage));
        let asked = usages.take(SIMS_PER_PAGE_MAX).map(|usage| async move {
            match self.learn_period(context, usage).await {
                Ok(()) => {}
                Err(error) => tracing::warn!(
                    sim.sid = %usage.sim, error = %crate::error::Chain(&error),
                    "the billing period is not known"
                ),
            }
        });
        let asked: Vec<_> = asked.map(Box::pin).collect();
        stream::iter(asked).buffer_unordered(SIMS_AT_ONCE).collect::<()>().await;
        Ok(())
    }

    async fn learn_period(
        &self,
        context: &Context<'_>,
        usage: &mut SimUsage,
    ) -> Result<(), ProviderError> {
        context.tally(|answer| answer.calls += 1);
        let Some(period) = self.provider.billing_period(usage.sim).await? else { return Ok(()) };
        let Some(closed) = usage.closed_through() else { return Ok(()) };
        if !period.hours().contains(&closed) {
            return Ok(());
        }
        let closed_bytes = self.bytes_of(context, usage.sim, &period, usage).await?;
        usage.set_period(period, closed_bytes);
        Ok(())
    }

    /// What a SIM used in the closed hours of a period.
    async fn bytes_of(
        &self,
        context: &Context<'_>,
        sim: SimSid,
        period: &BillingPeriod,
        usage: &SimUsage,
    ) -> Result<Bytes, ProviderError> {
        let begin = period.hours().start;
        let end = usage.open_from().unwrap_or(begin);
        let query = query_of(sim, Granularity::All, begin..end);
        let records = self.records_of(context, &query).await?;
        Ok(records.iter().filter_map(|record| record.total).sum())
    }

    /// All records of a query about one SIM.
    pub(crate) async fn records_of(
        &self,
        context: &Context<'_>,
        query: &UsageQuery,
    ) -> Result<Vec<UsageRecord>, ProviderError> {
        let mut records = Vec::new();
        let mut next: Option<PageLink> = None;
        for _ in 0..PAGES_MAX {
            let page = self.provider.usage_page(query, next.as_ref()).await?;
            context.tally(|answer| answer.calls += 1);
            records.extend(page.items);
            if page.next.is_none() {
                return Ok(records);
            }
            next = page.next;
        }
        let reason = format!("a SIM's records go on after {PAGES_MAX} pages");
        Err(ProviderError::Unavailable { reason, source: None })
    }
}

/// A query about one SIM.
pub(crate) fn query_of(
    sim: SimSid,
    granularity: Granularity,
    hours: std::ops::Range<simfuse_domain::time::Hour>,
) -> UsageQuery {
    UsageQuery {
        sim: Some(sim),
        fleet: None,
        network: None,
        country: None,
        group: None,
        granularity,
        hours,
    }
}
