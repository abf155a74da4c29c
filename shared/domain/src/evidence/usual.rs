//! What is usual in an active hour or day, and how far one is from it.

use crate::bytes::Bytes;
use crate::usage::Baseline;

/// The least spread that is believed, in logarithmic units: some 20 % of the usual bytes. A sensor
/// that sends the same bytes every hour is not a thief for one retransmission.
const SPREAD_MIN: f64 = 0.2;

/// Active hours before a SIM's own past says anything, where it has no peers to compare with.
const OWN_HOURS_MIN: u32 = 24;

/// Active days before a SIM's days say anything: two weeks, each weekday twice.
const OWN_DAYS_MIN: u32 = 14;

/// Active hours of its own that the peers' spread weighs.
const PEERS_HOURS: f64 = 24.0;

/// More active hours than this say nothing more of a SIM's own spread.
const SPREAD_HOURS_MAX: f64 = 500.0;

/// What is usual in an active hour or day: middle and spread of [`Usual::level_of`] its bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    middle: f64,
    spread: f64,
}

impl Usual {
    /// What a SIM's own past says; `None` while that is too short to say anything.
    #[must_use]
    pub fn of_past(past: &Baseline) -> Option<Self> {
        let is_known = past.active_hours >= OWN_HOURS_MIN;
        is_known.then(|| Self { middle: past.middle, spread: past.spread.max(SPREAD_MIN) })
    }

    /// What a SIM's own days say; `None` while they are too few to say anything.
    #[must_use]
    pub fn of_days(past: &Baseline) -> Option<Self> {
        let is_known = past.active_hours >= OWN_DAYS_MIN;
        is_known.then(|| Self { middle: past.middle, spread: past.spread.max(SPREAD_MIN) })
    }

    /// What a fleet says of a SIM whose own past says nothing.
    pub(super) fn of_peers(middle: f64, spread: f64) -> Self {
        Self { middle, spread: spread.max(SPREAD_MIN) }
    }

    /// What a SIM's own past says, its spread drawn towards the median of its peers' while there is
    /// little of it. The middle is its own alone: a fleet may hold SIMs whose usual is ten times
    /// another's, and after 24 hours it is known well enough.
    #[must_use]
    pub fn beside(past: &Baseline, peers_spread: Option<f64>) -> Option<Self> {
        let own = Self::of_past(past)?;
        let Some(peers_spread) = peers_spread else { return Some(own) };
        let hours = f64::from(past.active_hours).min(SPREAD_HOURS_MAX);
        let square = (hours * past.spread.powi(2) + PEERS_HOURS * peers_spread.powi(2))
            / (hours + PEERS_HOURS);
        Some(Self { spread: square.sqrt().max(SPREAD_MIN), ..own })
    }

    /// The logarithm in which bytes are compared, `ln(1 + bytes/1000)`: twice as much is as far from
    /// the usual for a quiet sensor as for a busy one, and less than a kilobyte is next to nothing.
    #[must_use]
    pub fn level_of(bytes: Bytes) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a logarithm of it is taken")]
        let kilobytes = bytes.0 as f64 / 1e3;
        kilobytes.ln_1p()
    }

    /// The same where more than the middle is usual at that hour of the day.
    #[must_use]
    pub(crate) fn at_least(self, level: f64) -> Self {
        Self { middle: self.middle.max(level), ..self }
    }

    /// How far an hour of these bytes is above the usual, in standard deviations.
    #[must_use]
    pub fn deviation(&self, bytes: Bytes) -> f64 {
        (Self::level_of(bytes) - self.middle) / self.spread
    }

    /// The bytes that are to be expected of an active hour: the mean of the log-normal distribution
    /// with this middle and spread.
    #[must_use]
    pub fn expected(&self) -> Bytes {
        let mean = (self.middle + self.spread * self.spread / 2.0).exp_m1() * 1e3;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; a mean of bytes is not negative"
        )]
        Bytes(mean as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(active_hours: u32, middle: f64, spread: f64) -> Baseline {
        Baseline { active_hours, middle, spread }
    }

    #[test]
    fn a_short_past_says_nothing() {
        assert_eq!(Usual::of_past(&past(23, 4.0, 0.5)), None);
        assert!(Usual::of_past(&past(24, 4.0, 0.5)).is_some());
        assert_eq!(Usual::of_days(&past(13, 4.0, 0.5)), None);
        assert!(Usual::of_days(&past(14, 4.0, 0.5)).is_some());
    }

    #[test]
    fn a_deviation_is_counted_in_spreads_of_which_none_is_tiny() {
        let middle = Usual::level_of(Bytes(50_000));
        let usual = Usual::of_past(&past(100, middle, 0.5)).unwrap();
        assert!(usual.deviation(Bytes(50_000)).abs() < 1e-9);
        assert!((usual.deviation(Bytes(5_000_000)) - 9.17).abs() < 0.01);
        let steady = Usual::of_past(&past(100, middle, 0.0)).unwrap();
        assert!((steady.deviation(Bytes(61_290)) - 1.0).abs() < 0.01);
    }

    #[test]
    fn what_is_expected_is_the_mean_and_not_the_middle() {
        let middle = Usual::level_of(Bytes(50_000));
        let usual = Usual::of_past(&past(100, middle, 1.0)).unwrap();
        let expected = usual.expected().0;
        assert!((83_000..83_200).contains(&expected), "{expected}");
    }
}
