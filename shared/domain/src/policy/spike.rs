//! What policy makes of usage evidence.

use serde::Deserialize;

use crate::bytes::Bytes;
use crate::detector::usage_spike::{ALERT_HOURS, DEACTIVATE_HOURS, EXCESS_MIN, QUARANTINE_HOURS};
use crate::evidence::Level;
use crate::verdict::Verdict;

/// What a chance may be, in hours: once in six weeks of one SIM, or less often than evidence is kept.
pub const CHANCE_HOURS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000;

/// When usage that is unusual for a SIM and its peers is told, and what follows. The chances are those
/// of an active hour of one SIM, and do not fall from one level to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageSpike {
    /// The most that it leads to.
    pub act: SpikeAct,
    /// Told when chance alone would show it once in so many hours.
    pub alert_hours: u64,
    /// Moved to quarantine.
    pub quarantine_hours: u64,
    /// Deactivated.
    pub deactivate_hours: u64,
    /// And only when more than this was used beyond the usual.
    pub excess_min: Bytes,
}

/// The most that evidence leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpikeAct {
    /// Nothing.
    Off,
    /// A human is told.
    Alert,
    /// The SIM is moved to the quarantine fleet.
    Quarantine,
    /// The SIM is deactivated.
    Deactivate,
}

impl UsageSpike {
    /// What holds where a policy does not speak of it: a human is told of what happens by chance once in
    /// a million hours, and nothing else follows.
    pub const UNSAID: Self = Self {
        act: SpikeAct::Alert,
        alert_hours: ALERT_HOURS,
        quarantine_hours: QUARANTINE_HOURS,
        deactivate_hours: DEACTIVATE_HOURS,
        excess_min: EXCESS_MIN,
    };

    /// The verdict for evidence of this level.
    #[must_use]
    pub fn verdict_of(&self, level: Level) -> Verdict {
        let most = match level {
            Level::Alert => Verdict::Alert,
            Level::Quarantine => Verdict::Quarantine,
            Level::Deactivate => Verdict::Deactivate,
        };
        most.min(self.act.verdict())
    }
}

impl SpikeAct {
    /// The highest level that it has a use for.
    #[must_use]
    pub const fn level(self) -> Option<Level> {
        match self {
            Self::Off => None,
            Self::Alert => Some(Level::Alert),
            Self::Quarantine => Some(Level::Quarantine),
            Self::Deactivate => Some(Level::Deactivate),
        }
    }

    /// The verdict that it leads to.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Off => Verdict::Clear,
            Self::Alert => Verdict::Alert,
            Self::Quarantine => Verdict::Quarantine,
            Self::Deactivate => Verdict::Deactivate,
        }
    }

    /// As the policy file has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Alert => "alert",
            Self::Quarantine => "quarantine",
            Self::Deactivate => "deactivate",
        }
    }
}
