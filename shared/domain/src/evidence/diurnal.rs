//! What is usual by the hour of the day: a sensor that uploads once a day does so at the same hour.
//!
//! Without this an upload of every day is as strange as a theft of the same size, and where a third of
//! a fleet uploads once a day no theft stands out that is smaller than that.

use serde::{Deserialize, Serialize};

use super::Usual;
use crate::bytes::Bytes;
use crate::time::Hour;

/// Hours of a day of UTC.
const HOURS: usize = 24;

/// What the latest day weighs: three quarters of an upload are learnt after five days, and what came
/// once is down to a tenth after nine.
const WEIGHT: f64 = 0.25;

/// Steps of a logarithmic unit; 255 of them are 8 GB.
const STEPS: f64 = 16.0;

/// The level ([`Usual::level_of`]) of each hour of the day in which the SIM was active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Diurnal {
    /// In steps; 0 before the SIM was active in that hour.
    levels: [u8; HOURS],
    /// The hour that was learnt last, and what was usual of it before: an hour must not make the next
    /// one usual.
    latest: Option<(Hour, u8)>,
}

impl Diurnal {
    /// The highest level that is usual at that hour of the day, or within an hour of it: a wake-up may
    /// fall on either side of the full hour, and daylight saving moves it by one.
    #[must_use]
    pub(crate) fn level_around(&self, hour: Hour) -> f64 {
        let around = [hour.before(), hour, hour.after()];
        let levels = around.into_iter().map(|hour| match self.latest {
            Some((latest, before)) if latest == hour => before,
            _ => self.levels.get(hour.of_day()).copied().unwrap_or(0),
        });
        f64::from(levels.max().unwrap_or(0)) / STEPS
    }

    /// Learns an active hour, beside the middle of all of the SIM's hours.
    pub(crate) fn learn(&mut self, hour: Hour, bytes: Bytes, middle: f64) {
        let Some(level) = self.levels.get_mut(hour.of_day()) else { return };
        let before = if *level == 0 { middle } else { f64::from(*level) / STEPS };
        self.latest = Some((hour, *level));
        let learnt = before + WEIGHT * (Usual::level_of(bytes) - before);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; a level is not negative"
        )]
        let steps = (learnt * STEPS).round() as u8;
        *level = steps.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: f64 = 4.0;

    #[expect(clippy::arithmetic_side_effects, reason = "small numbers")]
    fn hour(day: i32, of_day: i32) -> Hour {
        "2026-03-02T00Z".parse::<Hour>().unwrap().plus(day * 24 + of_day)
    }

    fn after_days(days: i32, bytes: u64) -> Diurnal {
        let mut diurnal = Diurnal::default();
        (0..days).for_each(|day| diurnal.learn(hour(day, 3), Bytes(bytes), MIDDLE));
        diurnal
    }

    #[test]
    fn what_comes_every_day_at_the_same_hour_becomes_usual_there_and_within_an_hour_of_it() {
        let (upload, diurnal) = (Usual::level_of(Bytes(2_000_000)), after_days(7, 2_000_000));
        for of_day in [2, 3, 4] {
            let usual = diurnal.level_around(hour(7, of_day));
            assert!((upload - 0.6..upload).contains(&usual), "{usual} of {upload}");
        }
        assert!(diurnal.level_around(hour(7, 5)).abs() < 1e-9, "nothing is known of it");
    }

    #[test]
    fn what_came_once_teaches_little_and_is_forgotten() {
        let mut diurnal = after_days(1, 60_000_000);
        let once = diurnal.level_around(hour(1, 3));
        assert!(once < MIDDLE + 2.0, "{once}");
        (1..10).for_each(|day| diurnal.learn(hour(day, 3), Bytes(54_000), MIDDLE));
        assert!(diurnal.level_around(hour(10, 3)) < MIDDLE + 0.3);
    }

    #[test]
    fn an_hour_does_not_make_the_next_one_usual() {
        let mut diurnal = Diurnal::default();
        diurnal.learn(hour(0, 3), Bytes(60_000_000), MIDDLE);
        assert!(diurnal.level_around(hour(0, 4)).abs() < 1e-9);
        assert!(diurnal.level_around(hour(1, 3)) > MIDDLE);
    }
}
