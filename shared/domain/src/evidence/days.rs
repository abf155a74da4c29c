//! Days, for what is too slow for hours: the same evidence on the bytes of whole days of UTC.
//!
//! A SIM's day is over with its first record of a later one. It is then taken up, counted among its
//! peers' of that day, and judged when its next day is over: the peers had a whole day to come in by
//! then. So a finding comes a day and some five hours after the day that completes it, or later for a
//! SIM that does not use data every day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bins::{Bin, Counts, Weights};
use super::cohort::{HISTORY_PER_DAY, log_e_of, worth_of};
use super::{Cohort, Ledger, Usual};
use crate::bytes::Bytes;
use crate::time::Hour;
use crate::usage::{Baseline, Beside};

/// What a day's deviation was worth is kept for so many hours: a SIM that wakes once a week is judged
/// a week after its day was over.
const WORTH_HOURS: i32 = 16 * 24;

/// What exceeds so many times the expected bytes of a day is excess. A SIM's usual may come to be up
/// to twice what it was for good, and that is no leak.
const EXPECTED_TIMES: u64 = 2;

/// One day counts for at most so many usual days …
const EXCESS_DAYS_A_DAY: u64 = 4;

/// … or for this much, if that is more: one firmware update or technician is no leak.
const EXCESS_A_DAY: Bytes = Bytes(5 * Bytes::MB);

/// While there is more evidence than this, a day is learnt only if it has no excess. It is less than of
/// hours: few days are known, and each teaches much.
const LEARN_BELOW: f64 = 2.0;

/// A SIM's days.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Days {
    open: Option<Open>,
    past: Baseline,
    ledger: Ledger,
}

/// The day that is not over yet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Open {
    /// Its first active hour: with that the day before was over.
    first: Hour,
    bytes: u64,
    is_suspended: bool,
}

impl Days {
    /// Counts an active hour that is closed, and with the first of a day judges and learns.
    pub(crate) fn count(&mut self, hour: Hour, bytes: Bytes, beside: Beside<'_>) {
        let Beside { cohort, is_suspended } = beside;
        match &mut self.open {
            Some(open) if open.first.day() == hour.day() => {
                open.bytes = open.bytes.saturating_add(bytes.0);
                open.is_suspended |= is_suspended;
            }
            open => {
                let over = open.replace(Open { first: hour, bytes: bytes.0, is_suspended });
                if let Some(over) = over {
                    self.close(over, cohort);
                }
            }
        }
    }

    fn close(&mut self, over: Open, cohort: Option<&Cohort>) {
        if let Some(cohort) = cohort {
            let worth = |day, deviation| cohort.worth_of_day(day, deviation);
            self.ledger.settle(worth, excess_of_day);
        }
        if over.is_suspended {
            return;
        }
        let (bytes, usual) = (Bytes(over.bytes), Usual::of_days(&self.past));
        if let Some(usual) = &usual
            && cohort.is_some()
        {
            self.ledger.take_up(over.first.day(), bytes, usual);
        }
        // What leaks must not teach that it is usual; a new level that does no harm should.
        let excess = usual.map_or(Bytes(0), |usual| excess_of_day(bytes, usual.expected()));
        if excess == Bytes(0) || self.ledger.wallet().log_evidence() <= LEARN_BELOW {
            self.past.learn_day(bytes);
        }
    }

    /// An hour turned out to hold another number of bytes: that counts while its day is open.
    pub(crate) fn amend(&mut self, hour: Hour, was: Bytes, is: Bytes) {
        if let Some(open) = &mut self.open
            && open.first.day() == hour.day()
        {
            open.bytes = open.bytes.saturating_add(is.0).saturating_sub(was.0);
        }
    }

    /// The SIM left its fleet: what the old peers say no longer counts.
    pub(crate) const fn leave(&mut self) {
        self.ledger.leave();
    }

    /// A human judged that it was no theft: what is usual is learnt anew.
    pub(crate) fn forgive(&mut self) {
        self.ledger.forgive();
        self.past = Baseline::default();
    }

    /// The day that was over with this hour, and how far it was from the usual.
    pub(super) fn over_in(&self, hour: Hour) -> Option<(Hour, Bin)> {
        self.open.filter(|open| open.first == hour)?;
        self.ledger.pending().map(|(day, deviation)| (day.hour, deviation))
    }

    /// What is usual in a day.
    #[must_use]
    pub const fn past(&self) -> &Baseline {
        &self.past
    }

    /// The evidence that there is.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

/// What of a day's bytes is beyond the usual, as far as one day counts.
fn excess_of_day(bytes: Bytes, usual: Bytes) -> Bytes {
    let beyond = bytes.0.saturating_sub(usual.0.saturating_mul(EXPECTED_TIMES));
    let most = usual.0.saturating_mul(EXCESS_DAYS_A_DAY).max(EXCESS_A_DAY.0);
    Bytes(beyond.min(most))
}

/// The days of a cohort's SIMs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct PeerDays {
    /// Deviations on record.
    history: Weights,
    /// Those of days that are not settled.
    open: BTreeMap<Hour, Counts>,
    /// Of the latest settled days, what a deviation was worth in each.
    worth: BTreeMap<Hour, Vec<u8>>,
}

impl PeerDays {
    /// Merges the days that were over in an hour, and with the last hour of a day settles what the
    /// day before was worth.
    pub(super) fn merge(&mut self, hour: Hour, over: &BTreeMap<Hour, Counts>) {
        for (day, counts) in over {
            if self.settled() >= Some(*day) {
                // Too late to be a peer, and still what SIMs do.
                self.history.add(counts);
            } else {
                self.open.entry(*day).or_default().join(counts);
            }
        }
        let due = hour.after().day().plus(-24);
        while let Some(day) = self.open.first_entry()
            && *day.key() < due
        {
            let (day, counts) = day.remove_entry();
            let passed = self.settled().map_or(0, |settled| settled.hours_until(day));
            self.history.fade(HISTORY_PER_DAY.powf(f64::from(passed) / 24.0));
            let mut peers = Weights::default();
            peers.add(&counts);
            self.worth.insert(day, worth_of(&self.history, &peers));
            self.history.add(&counts);
        }
        let first = hour.plus(WORTH_HOURS.saturating_neg());
        self.worth.retain(|day, _| *day > first);
    }

    fn settled(&self) -> Option<Hour> {
        self.worth.last_key_value().map(|(day, _)| *day)
    }

    pub(super) fn worth_of(&self, day: Hour, deviation: Bin) -> Option<f64> {
        log_e_of(self.worth.get(&day)?, deviation)
    }
}
