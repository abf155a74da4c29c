//! Deviations and spreads in bins, and how many were counted in each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bins of each kind. The outermost are open.
const BINS: u8 = 128;

/// Below this, in standard deviations, a deviation is no news: a SIM is not judged for silence.
const DEVIATION_MIN: f64 = -4.0;

/// Width of a deviation's bin, in standard deviations, up to [`WIDE_FROM`].
const NARROW: f64 = 0.125;

/// From here on a bin is one standard deviation wide. What a thief streams lies 25 to 40 above the
/// usual, a weekly upload some 15: where one open bin held both, the one would hide behind the other.
const WIDE_FROM: f64 = 8.0;

/// Width of a spread's bin, in logarithmic units.
const SPREAD_WIDTH: f64 = 0.03125;

/// Width of a middle's bin, likewise: an eighth more or less. The last one begins at 8 GB an hour.
const MIDDLE_WIDTH: f64 = 0.125;

/// One bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bin(u8);

impl Bin {
    /// The bin of a deviation, in standard deviations.
    #[must_use]
    pub fn of_deviation(z: f64) -> Self {
        if z < WIDE_FROM {
            return Self::at((z - DEVIATION_MIN) / NARROW);
        }
        Self::at((WIDE_FROM - DEVIATION_MIN) / NARROW + z - WIDE_FROM)
    }

    pub(super) fn of_spread(spread: f64) -> Self {
        Self::at(spread / SPREAD_WIDTH)
    }

    pub(super) fn of_middle(middle: f64) -> Self {
        Self::at(middle / MIDDLE_WIDTH)
    }

    /// The bin at a place, counted in bins; saturates at both ends.
    fn at(place: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates at both ends, which are open"
        )]
        let place = place as u8;
        Self(place.min(BINS.saturating_sub(1)))
    }

    pub(super) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// How many were counted in each bin; few bins hold any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Counts(BTreeMap<Bin, u32>);

impl Counts {
    pub(super) fn add(&mut self, bin: Bin) {
        self.add_many(bin, 1);
    }

    pub(super) fn add_many(&mut self, bin: Bin, count: u32) {
        let known = self.0.entry(bin).or_default();
        *known = known.saturating_add(count);
    }

    pub(super) fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|(bin, count)| self.add_many(*bin, *count));
    }

    /// Takes away what is counted elsewhere from now on.
    pub(super) fn take(&mut self, other: &Self) {
        for (bin, count) in &other.0 {
            if let Some(known) = self.0.get_mut(bin) {
                *known = known.saturating_sub(*count);
            }
        }
        self.0.retain(|_, count| *count > 0);
    }

    /// What was counted in a bin and all above.
    pub(super) fn sum_from(&self, bin: Bin) -> u32 {
        self.0.range(bin..).map(|(_, count)| *count).fold(0, u32::saturating_add)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What was counted in each bin, the older the less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Weights(Vec<f32>);

impl Default for Weights {
    fn default() -> Self {
        Self(vec![0.0; usize::from(BINS)])
    }
}

impl Weights {
    pub(super) fn add(&mut self, counts: &Counts) {
        for (bin, count) in &counts.0 {
            if let Some(weight) = self.0.get_mut(bin.place()) {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^24 in one hour")]
                let count = *count as f32;
                *weight += count;
            }
        }
    }

    /// Lets what was counted fade to this part of itself.
    pub(super) fn fade(&mut self, part: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a factor between 0 and 1")]
        let part = part as f32;
        self.0.iter_mut().for_each(|weight| *weight *= part);
    }

    /// All of it.
    pub(super) fn sum(&self) -> f64 {
        self.0.iter().copied().map(f64::from).sum()
    }

    /// Of every bin what was counted in it and all above.
    pub(super) fn upwards(&self) -> Vec<f64> {
        let mut sum = 0.0;
        let mut up: Vec<f64> = self
            .0
            .iter()
            .rev()
            .map(|weight| {
                sum += f64::from(*weight);
                sum
            })
            .collect();
        up.reverse();
        up
    }

    /// The value below which this share was counted, in bins: evenly spread within a bin.
    fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.sum();
        let mut below = 0.0;
        for (place, weight) in (0_u8..).zip(&self.0) {
            let weight = f64::from(*weight);
            if weight > 0.0 && below + weight >= share * all {
                return Some(f64::from(place) + (share * all - below) / weight);
            }
            below += weight;
        }
        None
    }

    pub(super) fn spread_at(&self, share: f64) -> Option<f64> {
        self.quantile(share).map(|place| place * SPREAD_WIDTH)
    }

    pub(super) fn middle_at(&self, share: f64) -> Option<f64> {
        self.quantile(share).map(|place| place * MIDDLE_WIDTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_is_narrow_where_most_are_and_wide_where_thieves_are() {
        let bins = [-9.0, -4.0, 0.0, 7.99, 8.0, 8.99, 9.0, 15.0, 29.0, 39.5, 1e9, f64::INFINITY];
        let places = bins.map(|z| Bin::of_deviation(z).0);
        assert_eq!(places, [0, 0, 32, 95, 96, 96, 97, 103, 117, 127, 127, 127]);
        assert_eq!(Bin::of_deviation(f64::NAN).0, 0);
    }

    #[test]
    fn a_quantile_lies_within_its_bin() {
        let mut counts = Counts::default();
        (0..100).for_each(|_| counts.add(Bin::of_spread(1.0)));
        (0..100).for_each(|_| counts.add(Bin::of_spread(2.0)));
        let mut weights = Weights::default();
        assert_eq!(weights.spread_at(0.5), None);
        weights.add(&counts);
        assert!((weights.spread_at(0.25).unwrap() - 1.015_625).abs() < 1e-6);
        assert!((weights.spread_at(0.75).unwrap() - 2.015_625).abs() < 1e-6);
    }

    #[test]
    fn what_is_taken_away_was_there() {
        let (low, high) = (Bin::of_deviation(0.0), Bin::of_deviation(9.0));
        let (mut all, mut left) = (Counts::default(), Counts::default());
        all.add(low);
        all.add(high);
        left.add(high);
        all.take(&left);
        all.take(&left);
        let mut expected = Counts::default();
        expected.add(low);
        assert_eq!(all, expected);
    }
}
