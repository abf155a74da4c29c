//! Fleets, as the aggregator closes their hours: each for all SIMs before the next.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::evidence::{Cohort, Sketch, Usual};
use simfuse_domain::id::FleetSid;
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{CLOSE_AFTER, SimUsage};
#[cfg(test)]
use simfuse_domain::{detector::cohort_surge, evidence::Surge, policy::Policy};

/// When history begins, no hour is due that ended this long before.
const FIRST_DUE: SignedDuration = SignedDuration::from_hours(4);

/// The fleets of one history under one policy.
///
/// Whoever drives it closes each hour that is [due](Self::due) for every SIM
/// ([`Course::close`](crate::Course::close)), and then [merges](Self::merge) it.
#[derive(Debug, Default)]
pub struct Peers {
    next: Option<Hour>,
    fleets: BTreeMap<FleetSid, Fleet>,
}

#[derive(Debug, Default)]
struct Fleet {
    cohort: Cohort,
    sketch: Sketch,
    /// By the cohort as it is merged.
    usual: Option<Usual>,
}

impl Peers {
    /// The first hour that is to be closed by now and is not; `None` when there is none.
    pub fn due(&mut self, now: Timestamp) -> Option<Hour> {
        let first = || Hour::of(now.saturating_sub(FIRST_DUE).unwrap_or(now));
        let next = *self.next.get_or_insert_with(first);
        (closed_at(next) <= now).then_some(next)
    }

    /// Every SIM's hour is closed: what they did together is settled.
    pub fn merge(&mut self, hour: Hour) {
        for fleet in self.fleets.values_mut() {
            fleet.cohort.merge(hour, &std::mem::take(&mut fleet.sketch));
            fleet.usual = fleet.cohort.usual();
        }
        self.next = Some(hour.after());
    }

    /// The fleet, merged through the hour before.
    pub(crate) fn cohort(&mut self, fleet: FleetSid) -> &Cohort {
        &self.fleets.entry(fleet).or_default().cohort
    }

    /// What is usual in the fleet by then.
    pub(crate) fn usual(&self, fleet: FleetSid) -> Option<Usual> {
        self.fleets.get(&fleet)?.usual
    }

    /// What is told of fleets and goes on.
    #[cfg(test)]
    pub(crate) fn surges(&self, policy: &Policy) -> impl Iterator<Item = (FleetSid, Surge)> {
        self.fleets.iter().filter_map(|(sid, fleet)| {
            Some((*sid, cohort_surge(&fleet.cohort, policy.rules_of_fleet(*sid))?))
        })
    }

    /// Counts a SIM whose hour was closed.
    pub(crate) fn count(&mut self, fleet: FleetSid, usage: &SimUsage, hour: Hour) {
        if usage.is_peer_in(fleet, hour) {
            self.fleets.entry(fleet).or_default().sketch.add(usage, hour);
        }
    }
}

/// When an hour is closed.
pub(crate) fn closed_at(hour: Hour) -> Timestamp {
    hour.end().saturating_add(CLOSE_AFTER).unwrap_or(Timestamp::MAX)
}
