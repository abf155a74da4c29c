//! The policy file's `[guards]`.

use serde::Deserialize;
use toml::Spanned;

use super::Minutes;
use crate::policy::Cap;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [guards]")]
pub(super) struct GuardsLayer {
    pub(super) protected: Option<Vec<String>>,
    pub(super) max_kills: Option<Spanned<CapLayer>>,
    pub(super) account_max_kills: Option<Spanned<CapLayer>>,
    pub(super) cooldown_mins: Option<Minutes>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a cap, such as { count = 5, window_mins = 60 }")]
pub(super) struct CapLayer {
    count: Count,
    percent: Option<Percent>,
    window_mins: Option<Minutes>,
}

impl CapLayer {
    /// What it leaves out holds as below.
    pub(super) fn over(self, below: Cap) -> Cap {
        Cap {
            count: self.count.0,
            percent: self.percent.map_or(below.percent, |percent| Some(percent.0)),
            window_mins: self.window_mins.map_or(below.window_mins, |minutes| minutes.0),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Count(u32);

impl TryFrom<i64> for Count {
    type Error = &'static str;

    fn try_from(count: i64) -> Result<Self, Self::Error> {
        let count = u32::try_from(count).ok().filter(|count| (1..=1_000_000).contains(count));
        count.map(Self).ok_or("must be from 1 to 1,000,000; to switch nothing off use mode observe")
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Percent(f64);

impl TryFrom<f64> for Percent {
    type Error = &'static str;

    fn try_from(percent: f64) -> Result<Self, Self::Error> {
        let within = percent > 0.0 && percent <= 100.0;
        if within { Ok(Self(percent)) } else { Err("must be more than 0 and at most 100") }
    }
}
