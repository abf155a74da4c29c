//! The policy file's `[strike]`.

use serde::Deserialize;
use toml::Spanned;

use super::Megabytes;
use crate::policy::SpikeAct;
use crate::policy::strike::{SPEED_KBPS, Strike};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [strike]")]
pub(super) struct StrikeLayer {
    pub(super) act: Option<Spanned<SpikeAct>>,
    faster_than_kbps: Option<Speed>,
    device_mb: Option<Megabytes>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Speed(u32);

impl TryFrom<i64> for Speed {
    type Error = &'static str;

    fn try_from(kbps: i64) -> Result<Self, Self::Error> {
        let kbps = u32::try_from(kbps).ok().filter(|kbps| SPEED_KBPS.contains(kbps));
        kbps.map(Self).ok_or("must be from 180 to 1,000,000 kbit/s")
    }
}

impl StrikeLayer {
    /// This layer over what lies below it.
    pub(super) fn over(&self, below: Strike) -> Strike {
        Strike {
            act: self.act.as_ref().map_or(below.act, |act| *act.get_ref()),
            faster_than_kbps: self.faster_than_kbps.map_or(below.faster_than_kbps, |kbps| kbps.0),
            device_bytes: self.device_mb.map_or(below.device_bytes, |mb| mb.0),
        }
    }
}
