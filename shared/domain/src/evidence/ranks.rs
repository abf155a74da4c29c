//! Deviations on record, so that a new one can be ranked among them.

use serde::{Deserialize, Serialize};

/// Bins of deviations. One more beyond each end would add nothing: the outermost are open.
const BINS: usize = 128;

/// Below this, in standard deviations, a deviation is no news: a SIM is not judged for silence.
const LOWEST: f64 = -4.0;

/// Width of a bin, in standard deviations; the last one begins at 11.875.
const BIN_WIDTH: f64 = 0.125;

/// What a deviation of yesterday weighs beside one of today: a half-life of 23 days.
const WEIGHT_PER_DAY: f64 = 0.97;

/// How often deviations were seen that large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranks {
    counts: Vec<f32>,
}

impl Default for Ranks {
    fn default() -> Self {
        Self { counts: vec![0.0; BINS] }
    }
}

impl Ranks {
    /// Puts a deviation on record.
    pub fn add(&mut self, z: f64) {
        if let Some(count) = self.counts.get_mut(bin_of(z)) {
            *count += 1.0;
        }
    }

    /// Lets what is on record fade: it weighs 3 % less with each day.
    pub fn age(&mut self, days: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a factor between 0 and 1")]
        let weight = WEIGHT_PER_DAY.powf(days.max(0.0)) as f32;
        for count in &mut self.counts {
            *count *= weight;
        }
    }

    /// The rank of a deviation as a p-value: the share of those on record that were as large or
    /// larger, itself among them. A whole bin counts as larger, so it is never too small.
    #[must_use]
    pub fn p_value(&self, z: f64) -> f64 {
        let sum = |counts: &[f32]| counts.iter().copied().map(f64::from).sum::<f64>();
        let larger = self.counts.get(bin_of(z)..).map_or(0.0, sum);
        (1.0 + larger) / (1.0 + sum(&self.counts))
    }
}

fn bin_of(z: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates at both ends, which are open"
    )]
    let bin = ((z - LOWEST) / BIN_WIDTH) as usize;
    bin.min(BINS.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(deviations: &[f64]) -> Ranks {
        let mut ranks = Ranks::default();
        deviations.iter().for_each(|z| ranks.add(*z));
        ranks
    }

    #[test]
    fn without_a_record_nothing_is_unusual() {
        assert!((Ranks::default().p_value(9.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_was_never_seen_has_the_least_rank_and_what_always_is_the_greatest() {
        let known = ranks(&[0.0; 99]);
        assert!((known.p_value(3.0) - 0.01).abs() < 1e-9);
        assert!((known.p_value(0.0) - 1.0).abs() < 1e-9);
        assert!((known.p_value(-1.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn beyond_either_end_the_last_bin_counts() {
        let known = ranks(&[99.0, f64::INFINITY, -99.0, f64::NEG_INFINITY]);
        assert!((known.p_value(40.0) - 0.6).abs() < 1e-9);
        assert!((known.p_value(-40.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_on_record_fades() {
        let mut known = ranks(&[5.0; 9]);
        let before = known.p_value(6.0);
        known.age(30.0);
        assert!(known.p_value(6.0) > before * 1.5, "fewer are left to stand out from");
        known.age(-1.0);
        assert!(known.p_value(6.0) < 1.0, "a clock that goes backwards revives nothing");
    }
}
