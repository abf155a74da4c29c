//! What policy makes of signs that alone never suffice for an act: a country or network that is new
//! for a SIM, attachments that fail.

use serde::Deserialize;

use crate::detector::attach_storm::FAILED_MINUTES_MAX;
use crate::verdict::Verdict;

/// How many minutes of 26 hours may be tolerated: fewer than an hour is any retry, and there are no
/// more.
pub const FAILED_MINUTES: std::ops::RangeInclusive<u32> = 60..=1_560;

/// The most that a sign leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchAct {
    /// Nothing: it is not looked at.
    Off,
    /// It is recorded, and shown beside what else is found.
    Watch,
    /// A human is told.
    Alert,
}

/// When attachments that fail are a finding, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachStorm {
    /// The most that it leads to.
    pub act: WatchAct,
    /// Found when more minutes than these saw a failure, of the 26 hours that are known.
    pub minutes_max: u32,
}

impl AttachStorm {
    /// A human is told.
    pub const DEFAULT: Self = Self { act: WatchAct::Alert, minutes_max: FAILED_MINUTES_MAX };
}

impl WatchAct {
    pub(super) const fn verdict(self) -> Verdict {
        match self {
            Self::Off => Verdict::Clear,
            Self::Watch => Verdict::Watch,
            Self::Alert => Verdict::Alert,
        }
    }

    /// As the policy file has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Watch => "watch",
            Self::Alert => "alert",
        }
    }
}
