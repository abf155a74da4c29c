//! Fleets, as the aggregator closes their hours: each for all SIMs before the next.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::detector::cohort_surge;
use simfuse_domain::evidence::{Cohort, Sketch, Surge};
use simfuse_domain::id::FleetSid;
use simfuse_domain::policy::Policy;
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{CLOSE_AFTER, SimUsage};

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
    /// By fleet and the first hour of the episode.
    pages: BTreeMap<(FleetSid, Hour), Page>,
}

#[derive(Debug, Default)]
struct Fleet {
    cohort: Cohort,
    sketch: Sketch,
}

/// A page about many SIMs of one fleet that were unusual at once: one an episode, as live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The fleet.
    pub fleet: FleetSid,
    /// When a human would have been paged: when the hour that showed it is closed.
    pub at: Timestamp,
    /// The surge as the page would have said it.
    pub told: Surge,
    /// The same once it was over, or history was: its latest hour, and its largest share.
    pub in_the_end: Surge,
}

impl Peers {
    /// The first hour that is to be closed by now and is not; `None` when there is none.
    pub fn due(&mut self, now: Timestamp) -> Option<Hour> {
        let first = || Hour::of(now.saturating_sub(FIRST_DUE).unwrap_or(now));
        let next = *self.next.get_or_insert_with(first);
        (closed_at(next) <= now).then_some(next)
    }

    /// Every SIM's hour is closed: what they did together is settled, and what policy has told of it.
    pub fn merge(&mut self, hour: Hour, policy: &Policy) {
        for (sid, fleet) in &mut self.fleets {
            fleet.cohort.merge(hour, &std::mem::take(&mut fleet.sketch));
            if let Some(surge) = cohort_surge(&fleet.cohort, policy.rules_of_fleet(*sid)) {
                let at = closed_at(hour);
                let page = Page { fleet: *sid, at, told: surge, in_the_end: surge };
                let page = self.pages.entry((*sid, surge.since)).or_insert(page);
                page.in_the_end = surge;
            }
        }
        self.next = Some(hour.after());
    }

    /// What humans would have been paged for, by fleet.
    pub fn pages(&self) -> impl Iterator<Item = Page> {
        self.pages.values().copied()
    }

    /// The fleet, merged through the hour before.
    pub(crate) fn cohort(&mut self, fleet: FleetSid) -> &Cohort {
        &self.fleets.entry(fleet).or_default().cohort
    }

    /// The same, where there was anything to merge.
    pub(crate) fn known(&self, fleet: FleetSid) -> Option<&Cohort> {
        self.fleets.get(&fleet).map(|fleet| &fleet.cohort)
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
