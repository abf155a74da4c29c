//! What is held against a SIM, and what waits to be judged: of its hours, or of its days.

use serde::{Deserialize, Serialize};

use super::bins::Bin;
use super::{Usual, Wallet};
use crate::bytes::Bytes;
use crate::time::Hour;

/// More evidence than this is not kept, in nats: no threshold lies above, and a SIM that is itself
/// again after weeks of theft needs two days to show it, not weeks.
pub const LOG_EVIDENCE_MAX: f64 = 30.0;

/// The evidence against a SIM, and the latest active hour or day, which is judged when the whole
/// cohort's is known. A day goes by its first hour.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    wallet: Wallet,
    /// The first hour of the evidence that there is.
    since: Option<Hour>,
    /// What was judged last.
    judged: Option<Active>,
    pending: Option<(Active, Bin)>,
}

/// An active hour or day beside what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// The hour, or the first of the day.
    pub hour: Hour,
    bytes: u64,
    usual: u64,
}

impl Active {
    pub(super) const fn new(hour: Hour, bytes: Bytes, usual: Bytes) -> Self {
        Self { hour, bytes: bytes.0, usual: usual.0 }
    }

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

impl Ledger {
    /// Judges what waits, by what its deviation was worth then, and what of it was beyond the usual.
    /// Where the worth is unknown it speaks neither way.
    pub(super) fn settle(
        &mut self,
        worth: impl FnOnce(Hour, Bin) -> Option<f64>,
        excess: impl FnOnce(Bytes, Bytes) -> Bytes,
    ) {
        let Some((active, deviation)) = self.pending.take() else { return };
        let Some(worth) = worth(active.hour, deviation) else { return };
        self.judge(active, worth, excess(active.bytes(), active.usual()));
    }

    /// An hour or day is judged that was worth so much, and had so much beyond the usual.
    pub(super) fn judge(&mut self, active: Active, worth: f64, excess: Bytes) {
        self.wallet.join(worth, excess);
        self.wallet.cap(LOG_EVIDENCE_MAX);
        self.judged = Some(active);
        if self.wallet.log_evidence() > 0.0 {
            self.since.get_or_insert(active.hour);
        } else {
            self.since = None;
        }
    }

    /// Takes up what is judged later; says how far it is from the usual.
    pub(super) fn take_up(&mut self, hour: Hour, bytes: Bytes, usual: &Usual) -> Bin {
        let deviation = Bin::of_deviation(usual.deviation(bytes));
        let active = Active::new(hour, bytes, usual.expected());
        self.pending = Some((active, deviation));
        deviation
    }

    /// Lets go what waits.
    pub(super) const fn leave(&mut self) {
        self.pending = None;
    }

    /// A human judged that it was no theft: the evidence is gone. What waits still counts among the
    /// peers.
    pub(super) fn forgive(&mut self) {
        (self.wallet, self.since, self.judged) = (Wallet::default(), None, None);
    }

    #[cfg(test)]
    pub(super) fn accused() -> Self {
        let mut ledger = Self::default();
        ledger.wallet.join(LOG_EVIDENCE_MAX, Bytes(0));
        ledger
    }

    /// What waits, and how far it is from the usual.
    pub(super) const fn pending(&self) -> Option<(Active, Bin)> {
        self.pending
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

    /// The hour or day that was judged last.
    #[must_use]
    pub const fn judged(&self) -> Option<Active> {
        self.judged
    }
}
