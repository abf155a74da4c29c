//! Usage that is unusual for a SIM and for its peers, hour after hour.
//!
//! Catches what keeps no limit busy: a thief who streams under the limit, a leak, a botnet, whichever
//! the device. The aggregator, which sees each of a SIM's closed hours beside those of its whole fleet,
//! adds them up ([`crate::evidence`]) and looks at the sum when it closes an hour ([`usage_spike`]).
//! What is found then rests on more than a case shows, so it stands until a human judged it.
//!
//! Fooled by whoever uses no more than peers do once in a while: where many SIMs upload at odd hours,
//! no theft is found that is smaller than such an upload. By a theft within the first 24 active hours,
//! which teaches what is usual; by what stays under three times the usual and so is learnt; by peers
//! that share the theft; and it sees little in a fleet of some ten SIMs, nothing in one of three.
//! Accused wrongly is a SIM that has a new use of its own: a human who calls it a false alarm makes
//! that usual.
//!
//! Where events are known as well, [`joined`] looks at hours before they are closed, and adds what else
//! speaks against the SIM at the same time.

mod joined;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::evidence::{Ledger, Level, Usual};
use crate::finding::{DetectorId, Evidence, Finding, Sign};
use crate::policy::Rules;
use crate::usage::{Baseline, SimUsage};

pub(super) use joined::DETECTOR;
pub use joined::is_accused;

/// Told when chance alone would show it once in so many active hours of a SIM.
pub const ALERT_HOURS: u64 = 1_000_000;

/// Kept where it can do no harm: once in so many hours.
pub const QUARANTINE_HOURS: u64 = 10_000_000;

/// Switched off: once in so many hours …
pub const DEACTIVATE_HOURS: u64 = 100_000_000;

/// … and only when it used more than this beyond the usual since the evidence began …
pub const EXCESS_MIN: Bytes = Bytes(2 * Bytes::MB);

/// … and more than it usually uses in so many active hours. A SIM that is strange and harmless is a
/// matter for humans.
pub const EXCESS_HOURS: u64 = 48;

/// The largest number of hours that is told; evidence is kept up to about there.
const HOURS_TOLD_MAX: f64 = 1e13;

/// What the evidence against a SIM amounts to; `None` while that is too little, or policy wants none
/// of it.
#[must_use]
pub fn usage_spike(usage: &SimUsage, rules: &Rules) -> Option<Finding> {
    let ledger = usage.standing().ledger();
    let level = level_with(ledger, usage.baseline(), rules, 0.0)?;
    let (added, signs, is_open) = (0.0, Vec::new(), false);
    Claim { ledger: *ledger, level, added, signs, is_open }.finding()
}

/// That usage, and what was added to it, is evidence of this level.
struct Claim {
    ledger: Ledger,
    level: Level,
    added: f64,
    signs: Vec<Sign>,
    is_open: bool,
}

impl Claim {
    fn finding(self) -> Option<Finding> {
        let Self { ledger, level, added, signs, is_open } = self;
        let (since, judged) = (ledger.since()?, ledger.judged()?);
        // Under other keys than what closed hours alone show: of one that a human settled, or that
        // turns out to be less, the others are left.
        let open = is_open.then(|| "open".to_owned());
        let more: Vec<String> = open.into_iter().chain(signs.iter().map(Sign::name)).collect();
        let slash = if more.is_empty() { "" } else { "/" };
        let about = format!("{since}/{level}{slash}{}", more.join("+"));
        let hours = (ledger.wallet().log_evidence() + added).exp().min(HOURS_TOLD_MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 1e13"
        )]
        let chance_hours = hours as u64;
        let to = judged.hour.end();
        let at = signs.iter().map(|sign| sign.at).fold(to, Timestamp::max);
        let evidence = Evidence::Unusual {
            level,
            chance_hours,
            seen: judged.bytes(),
            usual: judged.usual(),
            excess: ledger.wallet().excess(),
            from: since.start(),
            to,
            signs,
            is_open,
        };
        Some(Finding { detector: DetectorId::UsageSpike, about, at, evidence })
    }
}

/// The level of the evidence with so much added, as far as policy has a use for it.
fn level_with(ledger: &Ledger, past: &Baseline, rules: &Rules, added: f64) -> Option<Level> {
    let (wallet, spike) = (ledger.wallet(), &rules.usage_spike);
    // Whichever hour of the day was judged last.
    let usual = Usual::of_past(past)?.expected();
    let harm = Bytes(usual.0.saturating_mul(EXCESS_HOURS)).max(spike.excess_min);
    let is_above = |hours: u64| {
        #[expect(clippy::cast_precision_loss, reason = "its logarithm is taken")]
        let hours = hours as f64;
        wallet.log_evidence() + added > hours.ln()
    };
    let levels = [
        (Level::Deactivate, is_above(spike.deactivate_hours) && wallet.excess() > harm),
        (Level::Quarantine, is_above(spike.quarantine_hours) && rules.quarantine.is_some()),
        (Level::Alert, is_above(spike.alert_hours)),
    ];
    let most = levels.into_iter().find(|(_, is_reached)| *is_reached).map(|(level, _)| level);
    spike.act.level().and_then(|act| most.map(|level| level.min(act)))
}

/// Whether a human judged what was found of the evidence that there is.
#[must_use]
pub fn is_spike_judged(usage: &SimUsage, judged: &BTreeSet<String>) -> bool {
    let Some(since) = usage.standing().since() else { return false };
    is_begin_judged(&since.to_string(), judged)
}

/// Whether a human judged what was found of the evidence that began with this hour, whatever its level
/// and whatever was added to it.
pub(crate) fn is_begin_judged(since: &str, judged: &BTreeSet<String>) -> bool {
    let of_it = format!("{}#{since}/", DetectorId::UsageSpike);
    judged.iter().any(|key| key.starts_with(&of_it))
}

#[cfg(test)]
pub(crate) mod tests;
