//! The daily digest: made once a day's audit is recorded, told before the next day is begun.

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::alert::{Digest, FLEETS_SHOWN_MAX, ToLook};
use simfuse_domain::audit::{DayTally, HeadsRun};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{
    Alerts, Campaigns, Cases, Clock, Fleets, Heartbeat, Policies, States, SuperSim, UsageRanks,
    UsageWindow,
};
use simfuse_domain::time::Hour;

use crate::engine::KillSwitch;
use crate::error::{Chain, KillSwitchError};
use crate::request::Attention;

/// A digest that does not go out for so long after its day is given up: the record of the next day
/// must not wait for ever for a topic that is gone.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat + States + UsageRanks,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Tells the digest of a day whose record is whole. `false`: it is not out, the next sweep tries
    /// again, and says the same id.
    pub(crate) async fn tell_digest(&self, run: &HeadsRun) -> bool {
        // A version without tallies began the record of this day.
        let Some(tally) = &run.tally else { return true };
        let Err(error) = self.try_digest(run, tally).await else { return true };
        let (_, end) = run.span();
        let given_up =
            end.saturating_add(GIVEN_UP_AFTER).is_ok_and(|last| last <= self.clock.now());
        tracing::error!(
            error = %Chain(&error), day = %run.so_far.day, given_up, "the daily digest is not told"
        );
        given_up
    }

    async fn try_digest(&self, run: &HeadsRun, tally: &DayTally) -> Result<(), DigestError> {
        let status = self.status().await?;
        let (now, (day_begin, _)) = (self.clock.now(), run.span());
        let last_event = status.last_event_age_secs.map(SignedDuration::from_secs);
        let stopped = status.stopped.map(|stop| format!("by {}: {}", stop.by, stop.reason));
        let digest = Digest {
            heads: run.so_far,
            tally,
            now,
            open: status.open,
            stopped,
            last_event: last_event.and_then(|age| now.checked_sub(age).ok()),
            looks: status.attention.into_iter().map(to_look).collect(),
            looks_more: status.attention_more,
            used: self.used_on(day_begin, tally).await,
        };
        self.publish(&digest.alert(self.stack.as_ref())).await?;
        Ok(())
    }

    /// What the fleets of a tally used on its day, where the aggregator has recorded it.
    async fn used_on(
        &self,
        day_begin: Timestamp,
        tally: &DayTally,
    ) -> Vec<(String, Bytes, Option<i64>)> {
        let window = UsageWindow::Day(Hour::of(day_begin));
        let mut used = Vec::new();
        for name in tally.fleets.keys().take(FLEETS_SHOWN_MAX) {
            let Ok(fleet) = name.parse::<FleetSid>() else { continue };
            match self.table.read_fleet_used(fleet, &[window]).await {
                Ok(read) => used.extend(
                    read.get(&window).map(|used| (name.clone(), used.total, used.billed_micros)),
                ),
                Err(error) => tracing::warn!(
                    error = %Chain(&error), "what a fleet used is left out of the digest"
                ),
            }
        }
        used
    }
}

/// Why a digest is not out.
#[derive(Debug, thiserror::Error)]
enum DigestError {
    #[error("how things are is not known")]
    Status(#[from] KillSwitchError),
    #[error("it was not published")]
    Publish(#[from] simfuse_domain::port::AlertError),
}

fn to_look(attention: Attention) -> ToLook {
    ToLook {
        name: attention.name,
        stage: attention.stage,
        since: attention.since,
        used: attention.used_bytes,
        command: attention.command,
    }
}
