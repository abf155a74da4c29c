//! Where a SIM stands: the evidence there is against it, and its place among its peers.

use serde::{Deserialize, Serialize};

use super::bins::Bin;
use super::cohort::PEER_HOURS;
use super::wallet::excess_of_hour;
use super::{Active, Cohort, Ledger, Usual, Wallet};
use crate::bytes::Bytes;
use crate::time::Hour;

/// Where a SIM stands, as of its latest active hour that is closed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Standing {
    ledger: Ledger,
    /// The deviations of the last twelve hours that no later one exceeded: the largest comes first.
    recent: Vec<(Hour, Bin)>,
    /// The place among its peers that it has, and the one that it had before.
    place: Option<(Hour, Bin)>,
    left: Option<(Hour, Bin)>,
}

/// What a cohort counts of a SIM in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) deviation: Bin,
    /// The largest deviation of the twelve hours up to then.
    pub(super) largest: Bin,
    /// Where it was counted before.
    pub(super) left: Option<(Hour, Bin)>,
}

impl Standing {
    /// Judges the hour that waits for it, by what the cohort says of that hour.
    pub(crate) fn settle(&mut self, cohort: &Cohort) {
        let worth = |hour, deviation| cohort.worth_in(hour, deviation);
        self.ledger.settle(worth, excess_of_hour);
    }

    /// Takes an active hour up, to be judged when its whole cohort's is known.
    pub(crate) fn take_up(&mut self, hour: Hour, bytes: Bytes, usual: &Usual) {
        let deviation = self.ledger.take_up(hour, bytes, usual);
        let first = hour.plus(PEER_HOURS.saturating_neg());
        self.recent.retain(|(at, known)| *at > first && *known > deviation);
        self.recent.push((hour, deviation));
        self.left = self.place;
        self.place = self.recent.first().map(|(_, largest)| (hour, *largest));
    }

    /// The SIM left its fleet: what the old peers say no longer counts, nor do they count it.
    pub(crate) const fn leave(&mut self) {
        self.ledger.leave();
        (self.place, self.left) = (None, None);
    }

    /// A human judged that it was no theft.
    pub(crate) fn forgive(&mut self) {
        self.ledger.forgive();
    }

    /// What a cohort counts of the SIM in an hour; `None` where it was not active, or not judged.
    pub(super) fn place_in(&self, hour: Hour) -> Option<Place> {
        let (_, deviation) = self.ledger.pending().filter(|(active, _)| active.hour == hour)?;
        let (_, largest) = self.place.filter(|(at, _)| *at == hour)?;
        Some(Place { deviation, largest, left: self.left })
    }

    /// Of a SIM against which there is much.
    #[cfg(test)]
    pub(crate) fn accused() -> Self {
        Self { ledger: Ledger::accused(), ..Self::default() }
    }

    /// What is held against the SIM.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The evidence.
    #[must_use]
    pub const fn wallet(&self) -> &Wallet {
        self.ledger.wallet()
    }

    /// The first hour of the evidence that there is.
    #[must_use]
    pub const fn since(&self) -> Option<Hour> {
        self.ledger.since()
    }

    /// The hour that was judged last.
    #[must_use]
    pub const fn judged(&self) -> Option<Active> {
        self.ledger.judged()
    }
}
