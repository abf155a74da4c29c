//! Evidence that adds up from hour to hour.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::evidence::{Usual, log_e_value};

/// While there is more evidence than this, an hour is learnt only if it has no excess: a leak must not
/// teach that it is usual, and a new level that does no harm should.
const LEARN_BELOW: f64 = 5.0;

/// What exceeds so many times the expected bytes of an hour is excess. A SIM's usual may come to be up
/// to twice what it was for good, and again: that is no leak, and is learnt.
const EXPECTED_TIMES: u64 = 3;

/// How far evidence has come. The names are of the verdicts that policy may give for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Exceeded by chance once in a million hours at most.
    Alert,
    /// Once in ten million.
    Quarantine,
    /// Once in a hundred million.
    Deactivate,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Alert => "alert",
            Self::Quarantine => "quarantine",
            Self::Deactivate => "deactivate",
        })
    }
}

impl Level {
    /// The natural logarithm of the evidence that it takes.
    #[must_use]
    pub fn log_evidence(self) -> f64 {
        let hours: f64 = match self {
            Self::Alert => 1e6,
            Self::Quarantine => 1e7,
            Self::Deactivate => 1e8,
        };
        hours.ln()
    }
}

/// The evidence that has added up against one SIM.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Wallet {
    log_evidence: f64,
    excess: u64,
}

impl Wallet {
    /// Adds an active hour of these bytes and this rank.
    ///
    /// Evidence for the SIM wipes out evidence against it, and is not saved up: `ln M` begins anew at
    /// 0. What was used beyond the usual counts for as long as there is evidence.
    pub fn add(&mut self, p: f64, bytes: Bytes, usual: &Usual) {
        self.join(log_e_value(p), excess_of_hour(bytes, usual.expected()));
    }

    /// The same with the logarithm of the e-value itself, and what was used beyond the usual.
    pub(super) fn join(&mut self, log_e: f64, excess: Bytes) {
        self.log_evidence = self.log_evidence.max(0.0) + log_e;
        if self.log_evidence <= 0.0 {
            self.excess = 0;
            return;
        }
        self.excess = self.excess.saturating_add(excess.0);
    }

    /// Forgets what is more than so much.
    pub(super) const fn cap(&mut self, log_evidence: f64) {
        self.log_evidence = self.log_evidence.min(log_evidence);
    }

    /// The natural logarithm of the evidence: below 0 it speaks for the SIM.
    #[must_use]
    pub const fn log_evidence(&self) -> f64 {
        self.log_evidence
    }

    /// Bytes beyond the usual since there is evidence.
    #[must_use]
    pub const fn excess(&self) -> Bytes {
        Bytes(self.excess)
    }

    /// How far the evidence has come.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        let levels = [Level::Deactivate, Level::Quarantine, Level::Alert];
        levels.into_iter().find(|level| self.log_evidence > level.log_evidence())
    }

    /// Whether what is usual may be learnt from the hour.
    #[must_use]
    pub fn may_learn(&self) -> bool {
        self.log_evidence <= LEARN_BELOW
    }
}

/// What of an hour's bytes is beyond the usual.
pub(crate) fn excess_of_hour(bytes: Bytes, usual: Bytes) -> Bytes {
    Bytes(bytes.0.saturating_sub(usual.0.saturating_mul(EXPECTED_TIMES)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Baseline;

    fn usual() -> Usual {
        let middle = Usual::level_of(Bytes(50_000));
        Usual::of_past(&Baseline { active_hours: 100, middle, spread: 0.2 }).unwrap()
    }

    fn after(hours: &[(f64, u64)]) -> Wallet {
        let mut wallet = Wallet::default();
        hours.iter().for_each(|(p, bytes)| wallet.add(*p, Bytes(*bytes), &usual()));
        wallet
    }

    #[test]
    fn strange_hours_in_a_row_add_up_to_one_level_after_the_other() {
        let after_hours = |hours| after(&vec![(1e-4, 5_000_000); hours]).level();
        let levels: Vec<_> = (1..=5).map(after_hours).collect();
        let (alert, deactivate) = (Some(Level::Alert), Some(Level::Deactivate));
        assert_eq!(levels, [None, None, alert, deactivate, deactivate]);
    }

    #[test]
    fn one_strange_hour_is_forgotten_in_usual_ones() {
        let mut hours = vec![(1e-4, 5_000_000)];
        hours.extend([(0.5, 50_000); 30]);
        let wallet = after(&hours);
        assert!(wallet.log_evidence() < 0.0);
        assert_eq!(wallet.excess(), Bytes(0));
        hours.push((1e-4, 5_000_000));
        assert!(after(&hours).log_evidence() > 4.0, "what spoke for the SIM is not saved up");
    }

    #[test]
    fn excess_is_what_exceeds_three_times_the_expected() {
        let wallet = after(&[(1e-4, 1_000_000), (1e-4, 60_000)]);
        let expected = usual().expected().0;
        assert_eq!(wallet.excess(), Bytes(1_000_000 - expected * 3));
    }

    #[test]
    fn what_is_strange_is_not_learnt() {
        assert!(after(&[(0.5, 50_000)]).may_learn());
        assert!(after(&[(1e-4, 50_000)]).may_learn());
        assert!(!after(&[(1e-4, 50_000); 2]).may_learn());
    }
}
