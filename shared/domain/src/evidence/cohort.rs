//! What the SIMs of one fleet do, so that each can be judged beside its peers.
//!
//! One item a fleet, written once an hour by the aggregator alone: the pages of an hour each leave a
//! [`Sketch`], and their sum is merged when the last page is read. No SIM writes it and no event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bins::{Bin, Counts, Weights};
use super::days::PeerDays;
use super::surge::{Surge, Surges};
use super::{Usual, log_e_value};
use crate::time::Hour;
use crate::usage::SimUsage;

/// Version of the stored form. One of a newer version is never overwritten.
pub const COHORT_SCHEMA: u32 = 3;

/// A SIM stands among its peers with its largest deviation of so many hours: an update that reaches a
/// fleet over half a day is one event.
pub(super) const PEER_HOURS: i32 = 12;

/// What a deviation was worth is kept for so many hours: a SIM that wakes once a day is judged by the
/// hour in which it woke.
const WORTH_HOURS: i32 = 50;

/// What a deviation of yesterday weighs beside one of today: a half-life of 23 days.
pub(super) const HISTORY_PER_DAY: f64 = 0.97;

/// What spread is usual among peers, in contrast, is that of the last day or two.
const SPREADS_PER_DAY: f64 = 0.5;

/// What is usual for a SIM of which nothing is known is what this share of the SIMs do not exceed: where
/// some are cameras, a new one among sensors may be one.
const MIDDLE_SHARE: f64 = 0.98;

/// SIMs whose own past is known, below which a fleet says nothing of others: one of them would be more
/// than the rest of that share.
const SIMS_MIN: f64 = 50.0;

/// A SIM counts for the hours since it was last active, and not for more than these: one that wakes
/// once a day for as much as one that is always awake.
const MIDDLE_HOURS_MAX: u32 = 48;

/// Of what a deviation is worth, steps of a nat.
const STEPS: f64 = 16.0;

/// Added to it before it is cut off, so that it is not negative: a half, the least e-value, is -0.7.
const OFFSET: f64 = 1.0;

/// What the SIMs of one fleet do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cohort {
    merged_through: Option<Hour>,
    /// Deviations on record.
    history: Weights,
    /// The SIMs by the hour in which they were last active, and by their largest deviation of the
    /// hours before it: each once.
    peers: BTreeMap<Hour, Counts>,
    spreads: Weights,
    /// Of the latest hours, what a deviation was worth in each.
    worth: BTreeMap<Hour, Vec<u8>>,
    days: PeerDays,
    surges: Surges,
    /// The middles of what is usual for each SIM whose past is known.
    middles: Weights,
    /// The most of them that were active within twelve hours, the older the less.
    sims: f64,
}

/// What one page of an hour's records says of a fleet's SIMs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sketch {
    deviations: Counts,
    came: Counts,
    left: BTreeMap<Hour, Counts>,
    spreads: Counts,
    /// Deviations of the days that were over with this hour.
    days: BTreeMap<Hour, Counts>,
    middles: Counts,
}

impl Sketch {
    /// Counts a SIM whose hour was closed there, as it is after that: so a page that is read again
    /// says the same.
    pub fn add(&mut self, usage: &SimUsage, hour: Hour) {
        if let Some((day, deviation)) = usage.days().over_in(hour) {
            self.days.entry(day).or_default().add(deviation);
        }
        let Some(place) = usage.standing().place_in(hour) else { return };
        self.deviations.add(place.deviation);
        self.came.add(place.largest);
        if let Some((hour, largest)) = place.left {
            self.left.entry(hour).or_default().add(largest);
        }
        // Of one that a human forgave nothing is known.
        if Usual::of_past(usage.baseline()).is_some() {
            self.spreads.add(Bin::of_spread(usage.baseline().spread));
            let since = place.left.map_or(1, |(left, _)| left.hours_until(hour));
            let hours = since.clamp(1, MIDDLE_HOURS_MAX);
            self.middles.add_many(Bin::of_middle(usage.baseline().middle), hours);
        }
    }

    /// Adds what another page says.
    pub fn join(&mut self, other: &Self) {
        self.deviations.join(&other.deviations);
        self.came.join(&other.came);
        for (hour, left) in &other.left {
            self.left.entry(*hour).or_default().join(left);
        }
        self.spreads.join(&other.spreads);
        for (day, over) in &other.days {
            self.days.entry(*day).or_default().join(over);
        }
        self.middles.join(&other.middles);
    }

    /// Whether no SIM was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deviations.is_empty() && self.days.is_empty()
    }

    /// The compact form that is stored.
    ///
    /// # Errors
    /// Never for a sketch that was made here; the encoder's signature allows for one.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    /// Reads the compact form.
    ///
    /// # Errors
    /// When the bytes are not a sketch.
    pub fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        // One that was written before there were days or middles ends where they begin; of one that
        // has them what follows is not read.
        let (no_days, no_middles) = (BTreeMap::<Hour, Counts>::new(), Counts::default());
        let nothing = postcard::to_stdvec(&(no_days, no_middles))?;
        postcard::from_bytes(&[bytes, &nothing].concat())
    }
}

impl Cohort {
    /// The latest hour that is merged.
    #[must_use]
    pub const fn merged_through(&self) -> Option<Hour> {
        self.merged_through
    }

    /// Merges what all pages of an hour say, and with it settles what a deviation was worth in that
    /// hour; an hour that was merged before, or one before that, changes nothing.
    pub fn merge(&mut self, hour: Hour, sketch: &Sketch) {
        if self.merged_through >= Some(hour) {
            return;
        }
        let passed = self.merged_through.map_or(0, |merged| merged.hours_until(hour));
        let days = f64::from(passed) / 24.0;
        self.history.fade(HISTORY_PER_DAY.powf(days));
        self.spreads.fade(SPREADS_PER_DAY.powf(days));
        self.middles.fade(SPREADS_PER_DAY.powf(days));
        let since = |hours: i32| hour.plus(hours.saturating_neg());
        self.peers.retain(|at, _| *at > since(PEER_HOURS));
        for (at, left) in &sketch.left {
            if let Some(known) = self.peers.get_mut(at) {
                known.take(left);
            }
        }
        self.merged_through = Some(hour);
        self.worth.retain(|at, _| *at > since(WORTH_HOURS));
        if !sketch.deviations.is_empty() {
            self.peers.insert(hour, sketch.came.clone());
            self.worth.insert(hour, self.worth_now());
        }
        // What an hour holds is judged by what was before it.
        self.history.add(&sketch.deviations);
        self.spreads.add(&sketch.spreads);
        self.middles.add(&sketch.middles);
        self.sims = (self.sims * HISTORY_PER_DAY.powf(days)).max(self.peers());
        self.days.merge(hour, &sketch.days);
        self.surges.judge(hour, &sketch.deviations);
    }

    fn worth_now(&self) -> Vec<u8> {
        let mut peers = Weights::default();
        self.peers.values().for_each(|counts| peers.add(counts));
        worth_of(&self.history, &peers)
    }

    /// What a deviation was worth in an hour; `None` for an hour that is not merged, or too long ago.
    #[must_use]
    pub(super) fn worth_in(&self, hour: Hour, deviation: Bin) -> Option<f64> {
        log_e_of(self.worth.get(&hour)?, deviation)
    }

    /// What a deviation was worth in the latest hour in which a SIM was active.
    #[must_use]
    pub(super) fn worth_lately(&self, deviation: Bin) -> Option<f64> {
        log_e_of(self.worth.last_key_value()?.1, deviation)
    }

    /// What the deviation of a day was worth, likewise. The day goes by its first hour.
    #[must_use]
    pub(super) fn worth_of_day(&self, day: Hour, deviation: Bin) -> Option<f64> {
        self.days.worth_of(day, deviation)
    }

    /// That more SIMs than ever are strange at once, in the latest hour or shortly before.
    #[must_use]
    pub const fn surge(&self) -> Option<Surge> {
        self.surges.episode()
    }

    /// The median of the SIMs' spreads; `None` before any is known.
    #[must_use]
    pub fn spread(&self) -> Option<f64> {
        self.spreads.spread_at(0.5)
    }

    /// What is usual for a SIM of which nothing is known by itself: as much as nearly every SIM's own
    /// middle at most, and a spread as of half of them. `None` where fewer than 50 are known.
    #[must_use]
    pub fn usual(&self) -> Option<Usual> {
        let middle = self.middles.middle_at(MIDDLE_SHARE).filter(|_| self.sims >= SIMS_MIN)?;
        Some(Usual::of_peers(middle, self.spread()?))
    }

    /// SIMs that were active in the last twelve hours, by the latest that is merged.
    #[must_use]
    pub fn peers(&self) -> f64 {
        let mut peers = Weights::default();
        self.peers.values().for_each(|counts| peers.add(counts));
        peers.sum()
    }

    /// The compact form that is stored.
    ///
    /// # Errors
    /// Never for a cohort that was made here; the encoder's signature allows for one.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    /// Reads the compact form of this schema.
    ///
    /// # Errors
    /// When the bytes are not a cohort of that schema.
    pub fn decode(schema: u32, bytes: &[u8]) -> Result<Self, postcard::Error> {
        match schema {
            // It ended before the days and the surges …
            ..2 => {
                let nothing = [Self::no_days()?, Self::no_middles()?].concat();
                postcard::from_bytes(&[bytes, &nothing].concat())
            }
            // … or before the middles.
            2 => postcard::from_bytes(&[bytes, &Self::no_middles()?].concat()),
            3.. => postcard::from_bytes(bytes),
        }
    }
}

impl Cohort {
    /// What a cohort of the first schema lacks.
    pub(super) fn no_days() -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&(PeerDays::default(), Surges::default()))
    }

    /// What one of the second lacks.
    pub(super) fn no_middles() -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&(Weights::default(), 0.0_f64))
    }

    #[cfg(test)]
    pub(super) fn forget_days(&mut self) {
        (self.days, self.surges) = Default::default();
    }

    #[cfg(test)]
    pub(super) fn forget_middles(&mut self) {
        (self.middles, self.sims) = Default::default();
    }
}

/// What every deviation is worth: the logarithm of the e-value of the larger of both ranks, in steps,
/// cut off. A SIM must look wrong beside its own kind's past *and* beside its peers.
pub(super) fn worth_of(history: &Weights, peers: &Weights) -> Vec<u8> {
    let (known, now) = (history.sum(), peers.sum());
    let pairs = history.upwards().into_iter().zip(peers.upwards());
    let worth = pairs.map(|(known_up, now_up)| {
        let by_past = (1.0 + known_up) / (1.0 + known);
        // The SIM itself is among them.
        let by_peers = now_up.max(1.0) / now.max(1.0);
        steps_of(log_e_value(by_past.max(by_peers)))
    });
    worth.collect()
}

/// The logarithm of the e-value of a deviation, by what every one is worth.
pub(super) fn log_e_of(worth: &[u8], deviation: Bin) -> Option<f64> {
    let steps = worth.get(deviation.place())?;
    Some(f64::from(*steps) / STEPS - OFFSET)
}

fn steps_of(log_e: f64) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cut off, so that it is never worth too much; saturates"
    )]
    let steps = ((log_e + OFFSET) * STEPS) as u8;
    steps
}
