//! Where a SIM stands: the evidence there is against it, and its place among its peers.

use serde::{Deserialize, Serialize};

use super::bins::Bin;
use super::cohort::PEER_HOURS;
use super::{Cohort, Usual, Wallet};
use crate::bytes::Bytes;
use crate::time::Hour;

/// More evidence than this is not kept, in nats: no threshold lies above, and a SIM that is itself
/// again after weeks of theft needs two days to show it, not weeks.
pub const LOG_EVIDENCE_MAX: f64 = 30.0;

/// Where a SIM stands, as of its latest active hour that is closed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Standing {
    wallet: Wallet,
    /// The first hour of the evidence that there is.
    since: Option<Hour>,
    /// The hour that was judged last.
    judged: Option<Active>,
    /// The latest active hour, which is judged when the whole cohort's is known.
    pending: Option<(Active, Bin)>,
    /// The deviations of the last twelve hours that no later one exceeded: the largest comes first.
    recent: Vec<(Hour, Bin)>,
    /// The place among its peers that it has, and the one that it had before.
    place: Option<(Hour, Bin)>,
    left: Option<(Hour, Bin)>,
}

/// An active hour beside what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// The hour.
    pub hour: Hour,
    bytes: u64,
    usual: u64,
}

impl Active {
    /// What was used.
    #[must_use]
    pub const fn bytes(self) -> Bytes {
        Bytes(self.bytes)
    }

    /// What was to be expected.
    #[must_use]
    pub const fn usual(self) -> Bytes {
        Bytes(self.usual)
    }
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
    /// Judges the hour that waits for it, by what the cohort says of that hour. Where it says
    /// nothing, the hour is unknown and speaks neither way.
    pub(crate) fn settle(&mut self, cohort: &Cohort) {
        let Some((active, deviation)) = self.pending.take() else { return };
        let Some(worth) = cohort.worth_in(active.hour, deviation) else { return };
        self.wallet.join(worth, active.bytes(), active.usual());
        self.wallet.cap(LOG_EVIDENCE_MAX);
        self.judged = Some(active);
        if self.wallet.log_evidence() > 0.0 {
            self.since.get_or_insert(active.hour);
        } else {
            self.since = None;
        }
    }

    /// Takes an active hour up, to be judged when its whole cohort's is known.
    pub(crate) fn take_up(&mut self, hour: Hour, bytes: Bytes, usual: &Usual) {
        let deviation = Bin::of_deviation(usual.deviation(bytes));
        let active = Active { hour, bytes: bytes.0, usual: usual.expected().0 };
        self.pending = Some((active, deviation));
        let first = hour.plus(PEER_HOURS.saturating_neg());
        self.recent.retain(|(at, known)| *at > first && *known > deviation);
        self.recent.push((hour, deviation));
        self.left = self.place;
        self.place = self.recent.first().map(|(_, largest)| (hour, *largest));
    }

    /// The SIM left its fleet: what the old peers say no longer counts, nor do they count it.
    pub(crate) fn leave(&mut self) {
        (self.pending, self.place, self.left) = (None, None, None);
    }

    /// A human judged that it was no theft: the evidence is gone, with what was taken up.
    pub(crate) fn forgive(&mut self) {
        (self.wallet, self.since, self.judged) = (Wallet::default(), None, None);
    }

    /// What a cohort counts of the SIM in an hour; `None` where it was not active, or not judged.
    pub(super) fn place_in(&self, hour: Hour) -> Option<Place> {
        let (_, deviation) = self.pending.filter(|(active, _)| active.hour == hour)?;
        let (_, largest) = self.place.filter(|(at, _)| *at == hour)?;
        Some(Place { deviation, largest, left: self.left })
    }

    /// The evidence.
    #[must_use]
    pub const fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// The first hour of the evidence that there is.
    #[must_use]
    pub const fn since(&self) -> Option<Hour> {
        self.since
    }

    /// The hour that was judged last.
    #[must_use]
    pub const fn judged(&self) -> Option<Active> {
        self.judged
    }
}
