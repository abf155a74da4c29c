//! The guards of automatic acts that need more than policy: the caps.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::FleetSid;
use crate::policy::Cap;

/// Whose kills a cap counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CapScope {
    /// The whole account's.
    Account,
    /// One fleet's.
    Fleet(FleetSid),
}

impl fmt::Display for CapScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str("ACCOUNT"),
            Self::Fleet(fleet) => fleet.fmt(f),
        }
    }
}

/// Kills are kept for at least this long, whatever the window of the cap that counts them now: the
/// next policy's may be longer. At most one number a minute, 20 kB; a window longer than a day
/// counts from when it was introduced.
const KEPT_MINS_MIN: u32 = 24 * 60;

/// Kills per minute over the last hours: the sliding window of one cap.
///
/// A minute that the window only partly covers counts whole, so that the cap is never passed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KillWindow {
    /// Minutes since 1970, and the kills admitted in each.
    minutes: BTreeMap<i64, u32>,
}

impl KillWindow {
    /// How many kills the window that ends now holds.
    #[must_use]
    pub fn kills(&self, now: Timestamp, window_mins: u32) -> u32 {
        let first = minute(now).saturating_sub(i64::from(window_mins));
        self.minutes.range(first..).fold(0, |sum, (_, kills)| sum.saturating_add(*kills))
    }

    /// The window with one more kill, if the cap has room for it. Minutes that no window needs any
    /// more are dropped.
    #[must_use]
    pub fn admit(&self, now: Timestamp, cap: Cap, fleet_sims: Option<u32>) -> Option<Self> {
        if self.kills(now, cap.window_mins) >= cap.kills_max(fleet_sims) {
            return None;
        }
        let kept_mins = cap.window_mins.max(KEPT_MINS_MIN);
        let first = minute(now).saturating_sub(i64::from(kept_mins));
        let mut minutes = self.minutes.clone();
        minutes.retain(|minute, _| *minute >= first);
        let kills = minutes.entry(minute(now)).or_default();
        *kills = kills.saturating_add(1);
        Some(Self { minutes })
    }
}

fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    const CAP: Cap = Cap { count: 2, percent: None, window_mins: 60 };

    fn after(seconds: i64) -> Timestamp {
        let start: Timestamp = "2026-03-01T14:00:30Z".parse().unwrap();
        start.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn a_cap_holds_over_any_window_of_its_length() {
        let window = KillWindow::default().admit(after(0), CAP, None).unwrap();
        let window = window.admit(after(1_800), CAP, None).unwrap();
        assert_eq!(window.admit(after(1_801), CAP, None), None);
        assert_eq!(window.admit(after(3_600), CAP, None), None, "the first is exactly an hour old");
        let window = window.admit(after(3_660), CAP, None).unwrap();
        assert_eq!(window.kills(after(3_660), 60), 2);
        assert_eq!(window.admit(after(3_661), CAP, None), None);
    }

    #[test]
    fn a_longer_window_counts_what_a_shorter_one_let_go() {
        let short = Cap { window_mins: 10, ..CAP };
        let window = KillWindow::default().admit(after(0), short, None).unwrap();
        let window = window.admit(after(1_200), short, None).unwrap();
        assert_eq!(window.kills(after(1_200), 10), 1);
        assert_eq!(window.kills(after(1_200), 60), 2);
        assert_eq!(window.admit(after(1_260), CAP, None), None);
    }

    #[test]
    fn kills_are_forgotten_after_a_day() {
        let day = i64::from(KEPT_MINS_MIN) * 60;
        let window = KillWindow::default().admit(after(0), CAP, None).unwrap();
        let kept = window.admit(after(day), CAP, None).unwrap();
        assert_eq!(kept.minutes.len(), 2);
        let dropped = window.admit(after(day + 60), CAP, None).unwrap();
        assert_eq!(dropped.minutes.len(), 1);
    }

    #[test]
    fn a_small_fleet_may_lose_one_sim_and_no_more() {
        let cap = Cap { count: 5, percent: Some(1.0), window_mins: 60 };
        let window = KillWindow::default().admit(after(0), cap, Some(20)).unwrap();
        assert_eq!(window.admit(after(1), cap, Some(20)), None);
    }
}
