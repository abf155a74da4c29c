//! The policy file's `[usage_spike]`.

use serde::Deserialize;
use toml::Spanned;

use super::{Megabytes, PolicyError, located};
use crate::number::grouped;
use crate::policy::spike::{CHANCE_HOURS, SpikeAct, UsageSpike};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [usage_spike]")]
pub(super) struct UsageSpikeLayer {
    pub(super) act: Option<Spanned<SpikeAct>>,
    alert_hours: Option<Spanned<Chance>>,
    quarantine_hours: Option<Spanned<Chance>>,
    deactivate_hours: Option<Spanned<Chance>>,
    excess_min_mb: Option<Megabytes>,
}

/// Once in so many hours, or days.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct Chance(pub(super) u64);

impl TryFrom<i64> for Chance {
    type Error = &'static str;

    fn try_from(hours: i64) -> Result<Self, Self::Error> {
        let hours = u64::try_from(hours).ok().filter(|hours| CHANCE_HOURS.contains(hours));
        hours.map(Self).ok_or("must be from 1,000 to 1,000,000,000,000")
    }
}

impl UsageSpikeLayer {
    /// This layer over what lies below it.
    pub(super) fn over(&self, below: UsageSpike) -> UsageSpike {
        let hours = |layer: &Option<Spanned<Chance>>, below: u64| {
            layer.as_ref().map_or(below, |hours| hours.get_ref().0)
        };
        UsageSpike {
            act: self.act.as_ref().map_or(below.act, |act| *act.get_ref()),
            alert_hours: hours(&self.alert_hours, below.alert_hours),
            quarantine_hours: hours(&self.quarantine_hours, below.quarantine_hours),
            deactivate_hours: hours(&self.deactivate_hours, below.deactivate_hours),
            excess_min: self.excess_min_mb.map_or(below.excess_min, |mb| mb.0),
        }
    }

    /// What does more must not be more likely by chance.
    pub(super) fn check(
        &self,
        text: &str,
        prefix: &str,
        spike: UsageSpike,
    ) -> Result<(), PolicyError> {
        let hours = [
            ("alert_hours", &self.alert_hours, spike.alert_hours),
            ("quarantine_hours", &self.quarantine_hours, spike.quarantine_hours),
            ("deactivate_hours", &self.deactivate_hours, spike.deactivate_hours),
        ];
        for [(less, set_less, less_hours), (more, set_more, more_hours)] in hours.array_windows() {
            if less_hours <= more_hours {
                continue;
            }
            let (name, set) = if set_more.is_some() { (more, set_more) } else { (less, set_less) };
            let start = set.as_ref().map(|hours| hours.span().start);
            let (more_hours, less_hours) = (grouped(*more_hours), grouped(*less_hours));
            let reason =
                format!("{more} is {more_hours}, and {less} {less_hours}: it must not fall");
            return Err(located(text, start, Some(format!("{prefix}usage_spike.{name}")), reason));
        }
        Ok(())
    }
}
