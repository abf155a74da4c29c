//! The daily digest: made once a day's audit is recorded, told before the next day is begun.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use simfuse_domain::alert::{Digest, FLEETS_SHOWN_MAX, ToLook};
use simfuse_domain::audit::{DayTally, HeadsRun};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::FleetSid;
use simfuse_domain::money::Bill;
use simfuse_domain::port::{
    Alerts, Campaigns, Cases, Clock, Fleets, Heartbeat, Policies, States, SuperSim, TableError,
    UsageRanks, UsageWindow,
};
use simfuse_domain::time::Hour;

use crate::engine::KillSwitch;
use crate::error::{Chain, KillSwitchError};
use crate::request::Attention;

/// Under this name the end of the latest day is kept whose digest is out.
const DIGEST: &str = "digest";

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
        let (now, (day_begin, day_end)) = (self.clock.now(), run.span());
        let told = self.table.last_paged(DIGEST).await.map_err(DigestError::Claim)?;
        if told.is_some_and(|told| told >= day_end) {
            return Ok(());
        }
        let status = self.status().await?;
        let used_from = Hour::of(day_begin).plus(-24);
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
            used_on: used_from.start().to_zoned(TimeZone::UTC).date(),
            used: self.used_on(used_from, tally).await,
        };
        self.publish(&digest.alert(self.stack.as_ref())).await?;
        // Dying before this is recorded tells it once more, with the same id; that alone is no reason to.
        if let Err(error) = self.table.record_paged(DIGEST, day_end).await {
            tracing::warn!(error = %Chain(&error), "the daily digest may be told again");
        }
        Ok(())
    }

    /// What the fleets of a tally used on the day that begins with this hour, where the aggregator has
    /// recorded it.
    async fn used_on(&self, day_begin: Hour, tally: &DayTally) -> Vec<(String, Bytes, Bill)> {
        let window = UsageWindow::Day(day_begin);
        let mut used = Vec::new();
        for name in tally.fleets.keys().take(FLEETS_SHOWN_MAX) {
            let Ok(fleet) = name.parse::<FleetSid>() else { continue };
            match self.table.read_fleet_used(fleet, &[window]).await {
                Ok(read) => {
                    used.extend(read.get(&window).map(|used| (name.clone(), used.total, used.bill)))
                }
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
    #[error("whether it is out cannot be read")]
    Claim(#[source] TableError),
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
