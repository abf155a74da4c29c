//! Telling a human, once a day for each thing; and what is looked at in every run.

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::evidence::Surge;
use simfuse_domain::id::FleetSid;
use simfuse_domain::notice::{Drift, Notice};
use simfuse_domain::port::{
    Alerts, Beat, Clock, Fleet, FleetItem, Heartbeat, Inventory, Policies, States, UsageItem,
    UsageRecords, UsageStore, Usages,
};
use simfuse_domain::time::Hour;

use crate::checkpoint::Run;
use crate::error::{AggregatorError, Chain};
use crate::handler::Aggregator;
use crate::run::Context;

/// The account may be silent for this much longer than ever in the last two weeks.
const SILENCE_MARGIN_HOURS: u32 = 2;

/// With fewer active hours than this a rhythm is not known, and a day of silence is granted.
const RHYTHM_HOURS_MIN: usize = 24;

/// Sessions must end without any update for so long: then it is no lost event.
const UPDATES_MISSED_MIN: SignedDuration = SignedDuration::from_hours(24);

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Publishes a notice unless it was today, and says whether it is out. One that is not keeps the
    /// run from nothing; whoever asked has to ask again.
    pub(crate) async fn notify(&self, notice: &Notice) -> Result<bool, AggregatorError> {
        let now = self.clock.now();
        let name = format!("NOTICE#{}", notice.id(now));
        let read = self.table.read_checkpoint(&name).await;
        if read.map_err(AggregatorError::table("looking for a notice"))?.is_some() {
            return Ok(true);
        }
        if let Err(error) = self.alerts.publish(&notice.alert(now, self.stack.as_ref())).await {
            tracing::error!(error = %Chain(&error), "notice not published");
            return Ok(false);
        }
        let written = self.table.write_checkpoint(&name, "told", 0, now).await;
        written.map_err(AggregatorError::table("recording a notice"))?;
        Ok(true)
    }

    /// Tells a fleet's surge once: each hour of the episode asks again, so that one that did not go out
    /// does with the next.
    pub(crate) async fn tell_surge(
        &self,
        fleet: FleetSid,
        surge: Surge,
    ) -> Result<(), AggregatorError> {
        let known = self.table.read_fleet(fleet).await;
        let known = known.map_err(AggregatorError::table("reading a fleet"))?;
        let name = known.and_then(|known| known.fleet.unique_name);
        self.notify(&Notice::CohortSurge { fleet, name, surge }).await?;
        Ok(())
    }

    /// Compares each fleet's own data limit with what it was and with policy.
    pub(crate) async fn look_at_fleets(
        &self,
        context: &Context<'_>,
        fleets: &[Fleet],
    ) -> Result<(), AggregatorError> {
        for fleet in fleets {
            let known = self.table.read_fleet(fleet.sid).await;
            let known = known.map_err(AggregatorError::table("reading a fleet"))?;
            let wanted_mb = context.policy.rules_of_fleet(fleet.sid).limits.fleet_limit_mb;
            if let Some(drift) = drift_of(fleet, known.as_ref(), wanted_mb) {
                let notice = Notice::LimitDrift { fleet: fleet.clone(), drift };
                if !self.notify(&notice).await? {
                    // What the fleet was has to be known when it is tried again.
                    continue;
                }
            }
            if known.as_ref().map(|known| &known.fleet) != Some(fleet) {
                let sims = known.and_then(|known| known.sims);
                let item = FleetItem { fleet: fleet.clone(), sims };
                self.put(context, &[UsageItem::FleetInventory(item)]).await?;
            }
        }
        Ok(())
    }

    /// Looks whether events still come: the dead man's switch of the whole pipeline.
    pub(crate) async fn look_for_silence(
        &self,
        run: &mut Run,
        now: Timestamp,
    ) -> Result<(), AggregatorError> {
        // Without usage there is no rhythm, and nothing that events could have shown.
        let Some(first) = run.active_hours.first() else { return Ok(()) };
        let first = first.start();
        let allowed = allowed_silence(run);
        let last = self.table.last_beat().await;
        let last = last.map_err(AggregatorError::table("reading the heartbeat"))?;
        if let Some(beat) = last {
            self.look_for_updates(run, &beat, now).await?;
        }
        let since = last.map(|beat| beat.received_at);
        if now.duration_since(since.unwrap_or(first)) > allowed {
            self.notify(&Notice::NoEvents { since, allowed }).await?;
        }
        Ok(())
    }
}

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Looks whether long sessions still end after updates. Any update makes it begin anew.
    async fn look_for_updates(
        &self,
        run: &mut Run,
        beat: &Beat,
        now: Timestamp,
    ) -> Result<(), AggregatorError> {
        if beat.long_ended_at.is_none() || beat.long_ended_at <= beat.updated_at {
            run.updates_missed_since = None;
            return Ok(());
        }
        let missed_since = *run.updates_missed_since.get_or_insert(now);
        if now.duration_since(missed_since) >= UPDATES_MISSED_MIN {
            self.notify(&Notice::UpdatesMissing { since: beat.updated_at }).await?;
        }
        Ok(())
    }
}

/// The longest pause between two hours in which any SIM used data, and a margin.
fn allowed_silence(run: &Run) -> SignedDuration {
    let hours: Vec<Hour> = run.active_hours.iter().copied().collect();
    let pauses = hours.array_windows().map(|[one, next]| one.hours_until(*next));
    let longest = pauses.max().unwrap_or(1);
    let longest = if hours.len() < RHYTHM_HOURS_MIN { longest.max(24) } else { longest };
    SignedDuration::from_hours(i64::from(longest.saturating_add(SILENCE_MARGIN_HOURS)))
}

/// What is wrong with a fleet's own data limit, beside what policy wants and what it was.
fn drift_of(fleet: &Fleet, known: Option<&FleetItem>, wanted_mb: Option<u32>) -> Option<Drift> {
    let Some(limit) = fleet.data_limit_mb else {
        // A fleet without data needs none.
        return (fleet.data_enabled != Some(false)).then_some(Drift::Missing);
    };
    if let Some(wanted_mb) = wanted_mb.filter(|wanted_mb| limit > *wanted_mb) {
        return Some(Drift::AbovePolicy { wanted_mb });
    }
    let was_mb = known.and_then(|known| known.fleet.data_limit_mb);
    was_mb.filter(|was_mb| *was_mb != limit).map(|was_mb| Drift::Changed { was_mb })
}
