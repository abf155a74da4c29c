//! Days that are unusual for a SIM and for its peers, one after the other.
//!
//! Catches what is too slow for [`usage_spike`](super::usage_spike()): a leak of a few times the usual that
//! hides among the uploads of single hours and shows in the sum of a day. The evidence is made as that
//! of hours is, from the bytes of whole days of UTC ([`Days`](crate::evidence::Days)); the aggregator looks at it
//! when it closes an hour. It takes a week at least, since a day is worth 1.9 nats at most beside 200
//! peers. It never switches a SIM off by itself.
//!
//! Fooled by a leak within the first 14 active days, which teaches what is usual; by one that used too
//! little yet: twice the usual needs a month to be 14 usual days more; by growth of a few percent a day;
//! by peers that share it; and in a fleet of a few SIMs. Accused wrongly is a SIM that has a new use of
//! its own for good: a human who calls it a false alarm makes that usual.

use std::collections::BTreeSet;

use crate::bytes::Bytes;
use crate::evidence::Level;
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::{Rules, TellAct};
use crate::time::Window;
use crate::usage::SimUsage;

/// Told when chance alone would show it once in so many active days of a SIM …
pub const ALERT_DAYS: u64 = 1_000_000;

/// … and only when it used more than this beyond the usual since the evidence began …
pub const EXCESS_MIN: Bytes = Bytes(20 * Bytes::MB);

/// … and more than it usually uses in so many days. A SIM whose usual changed a little for good is no
/// leak.
pub const EXCESS_DAYS: u32 = 14;

/// The largest number of days that is told; evidence is kept up to about there.
const DAYS_TOLD_MAX: f64 = 1e13;

/// What the evidence of a SIM's days amounts to; `None` while that is too little, or policy wants none
/// of it.
#[must_use]
pub fn slow_leak(usage: &SimUsage, rules: &Rules) -> Option<Finding> {
    let (ledger, leak) = (usage.days().ledger(), &rules.slow_leak);
    let (since, judged) = (ledger.since()?, ledger.judged()?);
    let (log_evidence, excess) = (ledger.wallet().log_evidence(), ledger.wallet().excess());
    let harm = Bytes(judged.usual().0.saturating_mul(leak.excess_days.into())).max(leak.excess_min);
    #[expect(clippy::cast_precision_loss, reason = "its logarithm is taken")]
    let is_above = log_evidence > (leak.alert_days as f64).ln();
    if leak.act == TellAct::Off || !is_above || excess <= harm {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 1e13"
    )]
    let chance_hours = log_evidence.exp().min(DAYS_TOLD_MAX) as u64;
    let to = judged.hour.plus(24).start();
    Some(Finding {
        detector: DetectorId::SlowLeak,
        about: Window::of_day(since).name(),
        at: to,
        evidence: Evidence::Unusual {
            level: Level::Alert,
            chance_hours,
            seen: judged.bytes(),
            usual: judged.usual(),
            excess,
            from: since.start(),
            to,
            signs: Vec::new(),
            is_open: false,
        },
    })
}

/// Whether a human judged what was found of the evidence that there is.
#[must_use]
pub fn is_leak_judged(usage: &SimUsage, judged: &BTreeSet<String>) -> bool {
    let Some(since) = usage.days().ledger().since() else { return false };
    judged.contains(&format!("{}#{}", DetectorId::SlowLeak, Window::of_day(since).name()))
}

#[cfg(test)]
mod tests;
