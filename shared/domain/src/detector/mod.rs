//! The detectors: each looks at one snapshot and claims what it finds, in one file of its own.
//!
//! A detector cannot reach a clock, the network or the environment: the same snapshot gives the
//! same findings. It looks at every window that the snapshot retains, so it may claim several
//! things at once. What follows from a claim is policy's to say ([`crate::policy::Rules::rule`]).

mod alive_after_kill;
mod country_not_allowed;
mod device_changed;
mod device_not_allowed;
mod limits;

#[cfg(test)]
pub(crate) mod fixture;

use jiff::Timestamp;

use crate::finding::{DetectorId, Finding};
use crate::policy::Rules;
use crate::state::SimState;

/// All that a detector may see.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// What events say about the SIM; its latest event time is *now*.
    pub state: &'a SimState,
    /// The policy as it applies to the SIM.
    pub rules: &'a Rules,
    /// What was done about the SIM, as far as the caller may know: the webhook may not.
    pub control: Control,
}

/// What was done about a SIM, as far as detectors need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Control {
    /// Since when the provider says inactive on our request.
    pub inactive_at: Option<Timestamp>,
    /// When a human restored the SIM: limits count only bytes after it.
    pub restored_at: Option<Timestamp>,
}

/// One detector.
#[derive(Debug, Clone, Copy)]
pub struct Detector {
    /// Its id.
    pub id: DetectorId,
    /// What it claims of a snapshot: empty for a SIM of which too little is known.
    pub assess: fn(&Snapshot<'_>) -> Vec<Finding>,
}

/// Whether traffic began after the SIM was inactive.
pub(crate) fn is_alive_after_kill(snapshot: &Snapshot<'_>) -> bool {
    !(alive_after_kill::DETECTOR.assess)(snapshot).is_empty()
}

/// Every detector.
pub const ALL: &[Detector] = &[
    device_not_allowed::DETECTOR,
    device_changed::DETECTOR,
    country_not_allowed::DETECTOR,
    limits::SESSION,
    limits::HOUR,
    limits::DAY,
    limits::PERIOD,
    alive_after_kill::DETECTOR,
];
