//! The policy file's `[attach_storm]`.

use serde::Deserialize;

use crate::policy::watched::{AttachStorm, FAILED_MINUTES, WatchAct};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [attach_storm]")]
pub(super) struct AttachStormLayer {
    act: Option<WatchAct>,
    minutes_max: Option<FailedMinutes>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct FailedMinutes(u32);

impl TryFrom<i64> for FailedMinutes {
    type Error = &'static str;

    fn try_from(minutes: i64) -> Result<Self, Self::Error> {
        let minutes = u32::try_from(minutes).ok().filter(|some| FAILED_MINUTES.contains(some));
        minutes.map(Self).ok_or("must be from 60 to 1,560 minutes, of 26 hours")
    }
}

impl AttachStormLayer {
    /// This layer over what lies below it.
    pub(super) fn over(&self, below: AttachStorm) -> AttachStorm {
        AttachStorm {
            act: self.act.unwrap_or(below.act),
            minutes_max: self.minutes_max.map_or(below.minutes_max, |minutes| minutes.0),
        }
    }
}
