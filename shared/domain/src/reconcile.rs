//! What contradicts itself between events, usage records, the provider's word, and what was done.
//!
//! Looked at once a day for every SIM by the aggregator, which alone sees all of it. What is found
//! rests on more than a case shows, so it stands until a human judged it ([`DetectorId::is_kept`]).

use jiff::{SignedDuration, Timestamp};

use crate::bytes::Bytes;
use crate::finding::{DetectorId, Evidence, Finding};
use crate::incident::Desired;
use crate::port::{Sim, SimStatus, TargetStatus};
use crate::state::SimState;
use crate::time::{Hour, Window};
use crate::usage::SimUsage;

/// Closed hours looked at: with the three hours to the present they lie within the horizon of what
/// events show.
const HOURS_LOOKED_AT: i32 = 20;

/// Closing must not lag behind by more than this.
const LAG_MAX: SignedDuration = SignedDuration::from_hours(5);

/// Closed hours of a SIM that others made inactive: fewer than lie between two inventories.
const HOURS_INACTIVE: i32 = 12;

/// Usage records must hold this many times what events showed …
const UNSEEN_FACTOR: u64 = 2;

/// … and this much more: updates that cross the turn of an hour prove less than was used.
const UNSEEN_BYTES_MIN: u64 = Bytes::MB;

/// Active hours before a SIM's rhythm is known.
const RHYTHM_HOURS_MIN: u32 = 24;

/// A pause this many times the longest one before is silence.
const PAUSES_MAX: i32 = 3;

/// The shortest silence that is told.
const SILENCE_MIN: SignedDuration = SignedDuration::from_hours(24);

/// All that is known of one SIM.
#[derive(Debug, Clone, Copy)]
pub struct Reconciliation<'a> {
    /// The time.
    pub now: Timestamp,
    /// The latest hour that is closed.
    pub closed_through: Hour,
    /// The SIM as the provider knows it.
    pub sim: &'a Sim,
    /// Its status when it was looked at before.
    pub status_before: Option<SimStatus>,
    /// What the kill-switch wants of it.
    pub desired: Option<&'a Desired>,
    /// What events say.
    pub state: Option<&'a SimState>,
    /// What usage records say.
    pub usage: Option<&'a SimUsage>,
}

impl Reconciliation<'_> {
    /// All that contradicts itself.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let found = [
            self.bytes_unseen(),
            self.active_after_kill(),
            self.inactive_uses_data(),
            self.silent(),
        ];
        found.into_iter().flatten().collect()
    }

    /// Whether usage is known only up to a time that is long past.
    fn lags(&self) -> bool {
        self.now.duration_since(self.closed_through.end()) > LAG_MAX
    }

    fn hours(&self) -> std::ops::Range<Hour> {
        let end = self.closed_through.after();
        end.plus(HOURS_LOOKED_AT.saturating_neg())..end
    }

    /// Events were lost, or never subscribed to. Fooled by nothing: both are counts of the same
    /// bytes. Silent while less than 1 MB is missing.
    fn bytes_unseen(&self) -> Option<Finding> {
        let hours = self.hours();
        // Of older hours events no longer tell.
        if self.lags() {
            return None;
        }
        let billed = self.usage?.bytes_within(&hours);
        // An hour more on either side: events need not keep to the records' hours.
        let around = hours.start.before()..hours.end.after();
        let shown = self.state.map_or(Bytes(0), |state| state.bytes_in(&around));
        let enough = shown.0.saturating_mul(UNSEEN_FACTOR).saturating_add(UNSEEN_BYTES_MIN);
        let (from, to) = (hours.start.start(), hours.end.start());
        let evidence = Evidence::Unseen { billed, shown, from, to };
        (billed.0 > enough).then(|| Finding {
            detector: DetectorId::BytesUnseen,
            about: Window::of_day(self.closed_through).name(),
            at: to,
            evidence,
        })
    }

    /// A SIM that was proven dead is active, and nobody restored it here.
    fn active_after_kill(&self) -> Option<Finding> {
        let (inactive_at, _) = self.killed()?;
        if !matches!(self.sim.status, SimStatus::Active | SimStatus::Ready) {
            return None;
        }
        Some(Finding {
            detector: DetectorId::ActiveAfterKill,
            about: inactive_at.to_string(),
            at: self.now,
            evidence: Evidence::Status {
                status: self.sim.status,
                inactive_since: Some(inactive_at),
                used: None,
            },
        })
    }

    /// The provider says inactive, now and a day ago or since our kill, and bills usage.
    fn inactive_uses_data(&self) -> Option<Finding> {
        if self.sim.status != SimStatus::Inactive {
            return None;
        }
        let since = match self.killed() {
            Some((_, first_hour)) => first_hour,
            None if self.status_before == Some(SimStatus::Inactive) => {
                self.closed_through.after().plus(HOURS_INACTIVE.saturating_neg())
            }
            None => return None,
        };
        let hours = since..self.closed_through.after();
        let used = self.usage?.bytes_within(&hours);
        let inactive_since = self.killed().map(|(inactive_at, _)| inactive_at);
        (used > Bytes(0)).then(|| Finding {
            detector: DetectorId::InactiveUsesData,
            about: Window::of_day(self.closed_through).name(),
            at: hours.end.start(),
            evidence: Evidence::Status {
                status: self.sim.status,
                inactive_since,
                used: Some(used),
            },
        })
    }

    /// When the SIM was inactive on our request, proven; and the first hour that lies wholly behind.
    fn killed(&self) -> Option<(Timestamp, Hour)> {
        let desired = self.desired.filter(|desired| desired.status == Some(TargetStatus::Inactive));
        let inactive_at = desired?.inactive_at?;
        Some((inactive_at, Hour::ending_at(inactive_at).after()))
    }

    /// A SIM that may connect is silent for far longer than it ever was.
    fn silent(&self) -> Option<Finding> {
        let usage = self.usage?;
        if self.lags()
            || !matches!(self.sim.status, SimStatus::Active | SimStatus::Ready)
            || usage.baseline().active_hours < RHYTHM_HOURS_MIN
        {
            return None;
        }
        let event = self.state.map(SimState::now);
        let since = usage.last_active().map(Hour::end).max(event)?;
        let pause = usage.pause_max();
        let allowed = (pause.checked_mul(PAUSES_MAX)?).max(SILENCE_MIN);
        (self.now.duration_since(since) > allowed).then(|| Finding {
            detector: DetectorId::Silent,
            about: since.to_string(),
            at: self.now,
            evidence: Evidence::Silence { since, pause_hours_max: pause.as_hours() },
        })
    }
}

#[cfg(test)]
mod tests;
