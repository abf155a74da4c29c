//! What policy makes of the evidence of days, and whether single detectors tell.

use serde::Deserialize;

use crate::bytes::Bytes;
use crate::detector::cohort_surge::SHARE_MIN_PERCENT;
use crate::detector::slow_leak::{ALERT_DAYS, EXCESS_DAYS, EXCESS_MIN};
use crate::verdict::Verdict;

/// When days that are unusual for a SIM and its peers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowLeak {
    /// Whether they are.
    pub act: TellAct,
    /// Told when chance alone would show it once in so many active days of one SIM.
    pub alert_days: u64,
    /// And only when more than this was used beyond the usual …
    pub excess_min: Bytes,
    /// … and more than is usual in so many days.
    pub excess_days: u32,
}

/// When it is told that many SIMs of a fleet are unusual at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CohortSurge {
    /// Whether it is.
    pub act: TellAct,
    /// From so many percent of the active SIMs on.
    pub share_min_percent: u32,
}

/// Whether what a detector finds is told; it does nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TellAct {
    /// It is no finding.
    Off,
    /// A human is told.
    Alert,
}

impl SlowLeak {
    /// A human is told of what happens by chance once in a million days.
    pub const DEFAULT: Self = Self {
        act: TellAct::Alert,
        alert_days: ALERT_DAYS,
        excess_min: EXCESS_MIN,
        excess_days: EXCESS_DAYS,
    };
}

impl CohortSurge {
    /// A human is told when it is a fifth of the fleet.
    pub const DEFAULT: Self = Self { act: TellAct::Alert, share_min_percent: SHARE_MIN_PERCENT };
}

impl TellAct {
    /// The verdict for what is found.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Off => Verdict::Clear,
            Self::Alert => Verdict::Alert,
        }
    }

    /// As the policy file has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Alert => "alert",
        }
    }
}
