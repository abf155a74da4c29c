//! The sweep: every minute, whatever needs a look. It is the only one who retries.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures::{StreamExt as _, future, stream};
use jiff::{SignedDuration, Timestamp};
use simfuse_domain::alert::{Alert, HELD_PAGE};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Incident;
use simfuse_domain::port::{
    Alerts, Campaigns, Cases, Clock, Fleets, Heartbeat, OpenIncident, Policies, SuperSim,
};

use crate::campaign::waits_to_be_told;
use crate::engine::KillSwitch;
use crate::error::{Chain, KillSwitchError};

/// SIMs looked at in one sweep; the others come with the next.
const SIMS_MAX: usize = 200;

/// Due incidents listed in one sweep, of those in which something is to be done and of those that only
/// tell: as many as one request of a human may make.
const DUE_MAX: usize = 10_000;

/// SIMs looked at at the same time: the provider throttles by concurrency.
pub(crate) const SIMS_AT_ONCE: usize = 8;

/// A finding that nothing acknowledged for this long was not delivered by the stream.
const UNDELIVERED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// A human who does not answer is paged again after this long.
const PAGE_EVERY: SignedDuration = SignedDuration::from_mins(15);

/// Held incidents read for a page, and for an `approve` without names: both are about the same ones.
pub(crate) const HELD_MAX: usize = 5_000;

/// Under this name the time of the latest page about held kills is kept.
const HELD: &str = "held";

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Looks at every incident that is due, at findings that were not delivered, and pages about
    /// what a cap holds.
    ///
    /// # Errors
    /// [`KillSwitchError`]; everything that could be looked at was.
    pub async fn sweep(&self) -> Result<(), KillSwitchError> {
        let now = self.clock.now();
        let due = self.table.open_incidents(now, DUE_MAX).await;
        let due = due.map_err(KillSwitchError::table("listing due incidents"))?;
        let before = now.saturating_sub(UNDELIVERED_AFTER).unwrap_or(Timestamp::MIN);
        let undelivered = self.table.unacknowledged(before, SIMS_MAX).await;
        let undelivered = undelivered.map_err(KillSwitchError::table("listing findings"))?;
        let pressing = due.iter().filter(|open| !waits_to_be_told(open, now));
        let mut pressing: Vec<&Incident> = pressing.map(|open| &open.incident).collect();
        // Not by an alert that is older than the last look.
        pressing.sort_by_key(|incident| (incident.next_check, incident.sim));
        let pressing = pressing.into_iter().map(|incident| incident.sim).take(SIMS_MAX);
        let sims: BTreeSet<SimSid> = pressing.chain(undelivered).collect();
        // What is to be done waits for nothing that is only to be told, and pages wait for no
        // provider that does not answer.
        let looks = Box::pin(self.converge_all(&sims));
        let told = Box::pin(self.tell_waiting(due, now, &sims));
        let (mut looked, paged, told) = future::join3(looks, self.page_held(now), told).await;
        paged?;
        looked.extend(told);
        let all = looked.len();
        let mut errors = looked.into_iter().filter_map(|(_, result)| result.err());
        let faults = self.faults.swap(0, Ordering::Relaxed);
        match errors.next() {
            None if faults > 0 => Err(KillSwitchError::Faults { faults }),
            None => Ok(()),
            Some(error) => {
                let first = Chain(&error).to_string();
                Err(KillSwitchError::Sweep { failed: errors.count().saturating_add(1), all, first })
            }
        }
    }

    /// Tells of what is due: together, and by itself each of the others that wait for nothing else.
    async fn tell_waiting(
        &self,
        due: Vec<OpenIncident>,
        now: Timestamp,
        looked_at: &BTreeSet<SimSid>,
    ) -> Vec<(SimSid, Result<(), KillSwitchError>)> {
        let waiting = self.waiting(&due).await;
        let others = due.iter().filter(|open| waits_to_be_told(open, now));
        let others = others.map(|open| open.incident.sim);
        let others = others.filter(|sim| !waiting.sims.contains(sim) && !looked_at.contains(sim));
        let others: BTreeSet<SimSid> = others.take(SIMS_MAX).collect();
        drop(due);
        let (looked, ()) =
            future::join(self.converge_all(&others), self.tell_together(waiting)).await;
        looked
    }

    /// Brings each of these SIMs to where it should be, and acknowledges what was seen.
    pub(crate) async fn converge_all(
        &self,
        sims: impl IntoIterator<Item = &SimSid>,
    ) -> Vec<(SimSid, Result<(), KillSwitchError>)> {
        let looks = sims.into_iter().map(|sim| async move {
            let result = self.converge_one(*sim).await;
            if let Err(error) = &result {
                tracing::error!(sim.sid = %sim, error = %Chain(error), "SIM not looked at");
            }
            (*sim, result)
        });
        let looks: Vec<_> = looks.collect();
        stream::iter(looks).buffer_unordered(SIMS_AT_ONCE).collect().await
    }

    async fn converge_one(&self, sim: SimSid) -> Result<(), KillSwitchError> {
        let seen = self.converge(sim).await?;
        let acknowledged = self.table.acknowledge(sim, &seen).await;
        acknowledged.map_err(KillSwitchError::table("acknowledging findings"))
    }

    /// One page for all kills that a cap holds, again every 15 minutes until someone answers: by
    /// approving or restoring each, or by the stop switch, once each was in a page.
    async fn page_held(&self, now: Timestamp) -> Result<(), KillSwitchError> {
        let held = self.table.held_incidents(HELD_MAX).await;
        let held = held.map_err(KillSwitchError::table("listing held incidents"))?;
        let held: Vec<&Incident> =
            held.iter().filter(|incident| incident.is_held_by_cap()).collect();
        if held.is_empty() {
            return Ok(());
        }
        let paged = self.table.last_paged(HELD).await;
        let paged = paged.map_err(KillSwitchError::table("reading when was last paged"))?;
        let newest = held.iter().filter_map(|incident| incident.held_at).max();
        if paged > newest && self.is_stopped().await? {
            return Ok(());
        }
        if paged.is_some_and(|paged| now.duration_since(paged) < PAGE_EVERY) {
            return Ok(());
        }
        // Made from the page before, so that it is the same if this one has to be published again.
        let id = format!("{HELD_PAGE}{}", paged.map_or(0, Timestamp::as_second));
        // Without policy the page still goes out.
        let policy = self.policy().await.ok();
        let page = Alert::of_held(&held, policy.as_ref(), now, self.stack.as_ref());
        match self.publish(&Alert { id, ..page }).await {
            Ok(()) => {
                let recorded = self.table.record_paged(HELD, now).await;
                recorded.map_err(KillSwitchError::table("recording a page"))
            }
            Err(error) => {
                // The next sweep pages again.
                tracing::error!(error = %Chain(&error), "held kills not paged");
                Ok(())
            }
        }
    }

    async fn is_stopped(&self) -> Result<bool, KillSwitchError> {
        let stop = self.table.read_stop().await;
        Ok(stop.map_err(KillSwitchError::table("reading the stop switch"))?.is_some())
    }
}
