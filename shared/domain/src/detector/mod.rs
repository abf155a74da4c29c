//! The detectors: each looks at one snapshot and claims what it finds, in one file of its own.
//!
//! A detector cannot reach a clock, the network or the environment: the same snapshot gives the
//! same findings. It looks at every window that the snapshot retains, so it may claim several
//! things at once. What follows from a claim is policy's to say ([`crate::policy::Rules::rule`]).

mod alive_after_kill;
pub mod attach_storm;
pub mod cohort_surge;
mod country_new;
mod country_not_allowed;
mod device_changed;
mod device_flip_flop;
mod device_is_handset;
mod device_not_allowed;
pub mod download_heavy;
mod geofence_left;
mod impossible_travel;
mod limits;
mod network_new;
pub mod slow_leak;
pub mod strike;
pub mod usage_spike;

#[cfg(test)]
pub(crate) mod fixture;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::device::Imei14;
use crate::evidence::{Cohort, Usual};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::id::FleetSid;
use crate::policy::Rules;
use crate::state::SimState;
use crate::time::Hour;
use crate::usage::SimUsage;

pub use cohort_surge::cohort_surge;
pub use slow_leak::{is_leak_judged, slow_leak};
pub use usage_spike::{is_accused, is_spike_judged, usage_spike};

/// All that a detector may see.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// What events say about the SIM; its latest event time is *now*.
    pub state: &'a SimState,
    /// What usage records say about it; `None` where there are none, or none that could be read.
    pub usage: Option<&'a SimUsage>,
    /// Its fleet, for one that [asks](asks_fleet); `None` where the fleet does not say.
    pub fleet: Option<&'a Cohort>,
    /// The policy as it applies to the SIM.
    pub rules: &'a Rules,
    /// What was done about the SIM, as far as the caller may know: the webhook may not.
    pub control: Control<'a>,
    at_most: AtMost,
}

/// Bounds that are quick to compute, and spare nearly every SIM a closer look; once for all detectors.
#[derive(Debug, Clone, Copy)]
struct AtMost {
    /// What events show of any window.
    events: Bytes,
    /// What records show of any hour, and of all the hours that are kept.
    hour: Bytes,
    hours: Bytes,
}

impl<'a> Snapshot<'a> {
    /// What is known of a SIM, to be looked at.
    #[must_use]
    pub fn of(
        state: &'a SimState,
        usage: Option<&'a SimUsage>,
        fleet: Option<&'a Cohort>,
        rules: &'a Rules,
        control: Control<'a>,
    ) -> Self {
        let mut at_most = AtMost { events: state.bytes_at_most(), hour: Bytes(0), hours: Bytes(0) };
        for (_, bytes) in usage.into_iter().flat_map(SimUsage::hours) {
            at_most.hour = at_most.hour.max(bytes);
            at_most.hours = at_most.hours.plus(bytes);
        }
        Self { state, usage, fleet, rules, control, at_most }
    }

    /// What is usual in the SIM's fleet, unless a human judged that the SIM is none like the others.
    #[must_use]
    pub fn fleet_usual(&self) -> Option<Usual> {
        self.fleet.filter(|_| !self.control.has_usage_of_its_own).and_then(Cohort::usual)
    }

    /// Whether a human allowed the device for the SIM, or policy declares its model.
    #[must_use]
    pub fn allows(&self, device: Imei14) -> bool {
        let declared = &self.rules.binding.allowed_tacs;
        self.control.allowed_devices.contains(&device) || declared.contains(&device.tac())
    }

    /// The time that the snapshot shows: of the SIM's latest event, or the end of the latest hour
    /// that usage records know of.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let usage = self.usage.and_then(SimUsage::now);
        usage.map_or(self.state.now(), |usage| usage.max(self.state.now()))
    }
}

/// What was done about a SIM, as far as detectors need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Control<'a> {
    /// Since when the provider says inactive on our request.
    pub inactive_at: Option<Timestamp>,
    /// When a human restored the SIM: limits count only bytes after it, and places only where it was
    /// seen after it.
    pub restored_at: Option<Timestamp>,
    /// The devices that a human allowed for it.
    pub allowed_devices: &'a [Imei14],
    /// Keys of findings that a human judged; `None` where nobody did, or that is not known.
    pub judged: Option<&'a BTreeSet<String>>,
    /// Whether a human judged that the SIM's usage is its own: [what is usual](Snapshot::fleet_usual) in
    /// its fleet says nothing of it.
    pub has_usage_of_its_own: bool,
}

/// The fleet that is to be asked before a SIM is looked at. Of nearly every SIM enough is known, or
/// there is nothing against it: then none is.
#[must_use]
pub fn asks_fleet(state: Option<&SimState>, usage: Option<&SimUsage>) -> Option<FleetSid> {
    if !strike::asks_fleet(state, usage) && !usage.is_some_and(is_accused) {
        return None;
    }
    state.and_then(SimState::fleet).or_else(|| usage?.fleet())
}

/// One detector.
#[derive(Debug, Clone, Copy)]
pub struct Detector {
    /// Its id.
    pub id: DetectorId,
    /// What it claims of a snapshot: empty for a SIM of which too little is known.
    pub assess: fn(&Snapshot<'_>) -> Vec<Finding>,
}

/// What the detectors claim of a snapshot, and which of them panicked: one that fails stops no other.
#[must_use]
pub fn assess_all(
    detectors: &[Detector],
    snapshot: &Snapshot<'_>,
) -> (Vec<Finding>, Vec<DetectorId>) {
    let (mut findings, mut failed) = (Vec::new(), Vec::new());
    for detector in detectors {
        match catch_unwind(AssertUnwindSafe(|| (detector.assess)(snapshot))) {
            // As nearly always.
            Ok(found) if found.is_empty() => {}
            Ok(found) => findings.extend(found),
            Err(_panic) => failed.push(detector.id),
        }
    }
    (findings, failed)
}

/// Whether traffic began after the SIM was inactive.
pub(crate) fn is_alive_after_kill(snapshot: &Snapshot<'_>) -> bool {
    !(alive_after_kill::DETECTOR.assess)(snapshot).is_empty()
}

/// The limits that usage records alone may break.
pub const LIMITS: &[Detector] = &[limits::HOUR, limits::DAY, limits::PERIOD];

/// What usage records alone show of the limits of windows that the hour is part of, and of strikes, by
/// what is usual in its fleet where too little is known of the SIM. Whoever acts on it rules again over
/// all that is known.
#[must_use]
pub fn shown_by_records(
    usage: &SimUsage,
    fleet: Option<&Cohort>,
    rules: &Rules,
    hour: Hour,
) -> Vec<Finding> {
    let state = SimState::new(usage.sim);
    let control = Control::default();
    let snapshot = Snapshot::of(&state, Some(usage), fleet, rules, control);
    let detectors = LIMITS.iter().chain([&strike::DETECTOR]);
    let found = detectors.flat_map(|detector| (detector.assess)(&snapshot));
    let holds = |finding: &Finding| match &finding.evidence {
        Evidence::Bytes { from, to, .. } => *from <= hour.start() && hour.end() <= *to,
        Evidence::Strike { .. } => true,
        Evidence::Device { .. }
        | Evidence::Country { .. }
        | Evidence::NewCountry { .. }
        | Evidence::NewNetwork { .. }
        | Evidence::Failures { .. }
        | Evidence::Downloads { .. }
        | Evidence::Devices { .. }
        | Evidence::Outside { .. }
        | Evidence::Travel { .. }
        | Evidence::Unusual { .. }
        | Evidence::Alive { .. }
        | Evidence::Unseen { .. }
        | Evidence::Status { .. }
        | Evidence::Silence { .. }
        | Evidence::Fault { .. } => false,
    };
    found.filter(holds).collect()
}

/// What the evidence of a SIM's closed hours and days amounts to.
#[must_use]
pub fn unusual_usage(usage: &SimUsage, rules: &Rules) -> Vec<Finding> {
    usage_spike(usage, rules).into_iter().chain(slow_leak(usage, rules)).collect()
}

/// Whether a human judged what was found of it.
#[must_use]
pub fn is_usage_judged(usage: &SimUsage, judged: &BTreeSet<String>) -> bool {
    is_spike_judged(usage, judged) || is_leak_judged(usage, judged)
}

/// Every detector.
pub const ALL: &[Detector] = &[
    device_not_allowed::DETECTOR,
    device_is_handset::DETECTOR,
    device_changed::DETECTOR,
    device_flip_flop::DETECTOR,
    strike::DETECTOR,
    usage_spike::DETECTOR,
    country_not_allowed::DETECTOR,
    geofence_left::DETECTOR,
    impossible_travel::DETECTOR,
    limits::SESSION,
    limits::HOUR,
    limits::DAY,
    limits::PERIOD,
    alive_after_kill::DETECTOR,
    country_new::DETECTOR,
    network_new::DETECTOR,
    attach_storm::DETECTOR,
    download_heavy::DETECTOR,
];
