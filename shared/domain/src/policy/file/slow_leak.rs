//! The policy file's `[slow_leak]` and `[cohort_surge]`.

use serde::Deserialize;

use super::Megabytes;
use super::usage_spike::Chance;
use crate::policy::leak::{CohortSurge, SlowLeak, TellAct};

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [slow_leak]")]
pub(super) struct SlowLeakLayer {
    act: Option<TellAct>,
    alert_days: Option<Chance>,
    excess_min_mb: Option<Megabytes>,
    excess_days: Option<ExcessDays>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [cohort_surge]")]
pub(super) struct CohortSurgeLayer {
    act: Option<TellAct>,
    share_min_percent: Option<Percent>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Percent(u32);

impl TryFrom<i64> for Percent {
    type Error = &'static str;

    fn try_from(percent: i64) -> Result<Self, Self::Error> {
        let percent = u32::try_from(percent).ok().filter(|percent| (1..=100).contains(percent));
        percent.map(Self).ok_or("must be from 1 to 100 percent")
    }
}

/// Beyond a year evidence is of another time.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct ExcessDays(u32);

impl TryFrom<i64> for ExcessDays {
    type Error = &'static str;

    fn try_from(days: i64) -> Result<Self, Self::Error> {
        let days = u32::try_from(days).ok().filter(|days| (1..=365).contains(days));
        days.map(Self).ok_or("must be from 1 to 365 days")
    }
}

impl CohortSurgeLayer {
    /// This layer over what lies below it.
    pub(super) fn over(self, below: CohortSurge) -> CohortSurge {
        let percent = self.share_min_percent;
        CohortSurge {
            act: self.act.unwrap_or(below.act),
            share_min_percent: percent.map_or(below.share_min_percent, |percent| percent.0),
        }
    }
}

impl SlowLeakLayer {
    /// This layer over what lies below it.
    pub(super) fn over(self, below: SlowLeak) -> SlowLeak {
        SlowLeak {
            act: self.act.unwrap_or(below.act),
            alert_days: self.alert_days.map_or(below.alert_days, |days| days.0),
            excess_min: self.excess_min_mb.map_or(below.excess_min, |mb| mb.0),
            excess_days: self.excess_days.map_or(below.excess_days, |days| days.0),
        }
    }
}
