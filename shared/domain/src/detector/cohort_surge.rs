//! More SIMs of a fleet than ever are strange at once.
//!
//! Catches what hides each SIM behind the others: a theft campaign, a botnet. Peers that share a theft
//! are no evidence against each other, but how many they are is: in an hour that is closed, the share
//! of the active SIMs that are four standard deviations above what is usual for them is a surge, when
//! on at most three of the last 28 days there was an hour of half that share, and it is told from a fifth
//! of the SIMs on. It is of a fleet and not of a SIM; a human is told once an episode, when the hour is
//! merged, and decides.
//!
//! Fooled by a campaign that begins within a week after the fleet was first seen, or while it does the
//! like every week; by fleets with fewer than 50 active SIMs; by SIMs that are added slowly, each hour
//! a few. Told just as well is a firmware update that reaches a fifth of a fleet within an hour, and the
//! backlog of an outage, unless a maintenance window covers it: SIMs in one are not counted.

use crate::evidence::{Cohort, Surge};
use crate::policy::{CohortSurge, Rules, TellAct};

/// Told from this share of the active SIMs on, in percent. Where a region was cut off, its backlog makes
/// some 15 % of a fleet of 200 strange at once.
pub const SHARE_MIN_PERCENT: u32 = 20;

/// The surge of a fleet that goes on, or was over half a day ago at most; `None` where policy wants none
/// of it.
#[must_use]
pub fn cohort_surge(cohort: &Cohort, rules: &Rules) -> Option<Surge> {
    let CohortSurge { act, share_min_percent } = rules.cohort_surge;
    cohort.surge().filter(|surge| act != TellAct::Off && surge.is_of(share_min_percent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Bytes;
    use crate::detector::fixture::{MB, fleet, rules};
    use crate::evidence::Sketch;
    use crate::id::SimSid;
    use crate::time::Hour;
    use crate::usage::{Beside, SimUsage, Source};

    /// Days of which the first is learnt, and the others are known.
    const PAST_HOURS: u32 = 9 * 24;

    struct Story {
        hour: Hour,
        cohort: Cohort,
        sims: Vec<SimUsage>,
    }

    impl Story {
        fn learnt(sims: u8, hours: u32) -> Self {
            let hour = "2026-03-01T00Z".parse().unwrap();
            let sims = (0..sims).map(|n| SimUsage::new(SimSid::from_bytes([n; 16]))).collect();
            let mut story = Self { hour, cohort: Cohort::default(), sims };
            story.hours(hours, |_| 0);
            story
        }

        /// Hours pass in which the first SIMs use 30 MB and the others what is usual.
        fn hours(&mut self, hours: u32, strange: impl Fn(u32) -> usize) {
            self.hours_of(hours, strange, false);
        }

        fn hours_of(&mut self, hours: u32, strange: impl Fn(u32) -> usize, is_suspended: bool) {
            for number in 0..hours {
                let mut sketch = Sketch::default();
                for (place, usage) in self.sims.iter_mut().enumerate() {
                    let is_strange = place < strange(number);
                    let bytes = if is_strange { 30 * MB } else { 50_000 };
                    let source = Source { fleet: Some(fleet()), page: 0 };
                    let beside = Beside { cohort: Some(&self.cohort), is_suspended };
                    usage.close_beside(self.hour, Bytes(bytes), source, beside);
                    sketch.add(usage, self.hour);
                }
                self.cohort.merge(self.hour, &sketch);
                self.hour = self.hour.after();
            }
        }

        fn surge(&self) -> Option<Surge> {
            cohort_surge(&self.cohort, &rules(""))
        }

        /// Told of as few as there may be.
        fn surge_of_few(&self) -> Option<Surge> {
            cohort_surge(&self.cohort, &rules("[cohort_surge]\nshare_min_percent = 1"))
        }
    }

    #[test]
    fn a_third_of_a_fleet_at_once_is_told_with_the_first_hour_and_once() {
        let mut story = Story::learnt(60, PAST_HOURS);
        assert_eq!(story.surge(), None, "a usual hour is a miss");
        let since = story.hour;
        story.hours(1, |_| 18);
        let first = Surge { since, latest: since, strange: 18, active: 60 };
        assert_eq!(story.surge(), Some(first));
        assert_eq!(cohort_surge(&story.cohort, &rules("[cohort_surge]\nact = \"off\"")), None);
        story.hours(3, |_| 20);
        assert_eq!(
            story.surge(),
            Some(Surge { latest: since.plus(3), strange: 20, ..first }),
            "one"
        );
        story.hours(11, |_| 0);
        assert!(story.surge().is_some());
        story.hours(1, |_| 0);
        assert_eq!(story.surge(), None, "half a day later it is over");
        story.hours(1, |_| 19);
        assert_eq!(story.surge().map(|surge| surge.since), Some(since.plus(16)), "another");
    }

    #[test]
    fn two_sims_and_small_fleets_are_near_misses() {
        let mut story = Story::learnt(60, PAST_HOURS);
        story.hours(1, |_| 2);
        assert_eq!(story.surge_of_few(), None);
        story.hours(1, |_| 3);
        assert!(story.surge_of_few().is_some());
        let mut story = Story::learnt(49, PAST_HOURS);
        story.hours(1, |_| 30);
        assert_eq!(story.surge_of_few(), None);
        let mut story = Story::learnt(60, PAST_HOURS);
        story.hours(1, |_| 11);
        assert!(story.surge_of_few().is_some());
        assert_eq!(story.surge(), None, "less than a fifth");
        story.hours(1, |_| 12);
        assert_eq!(story.surge().map(|surge| surge.since), Some(story.hour.plus(-2)));
    }

    #[test]
    fn without_a_week_of_its_own_no_share_is_unusual() {
        let mut story = Story::learnt(60, 7 * 24);
        // The first day was learnt by each SIM, and is none of the cohort's.
        story.hours(1, |_| 30);
        assert_eq!(story.surge(), None);
        story.hours(24, |_| 0);
        story.hours(1, |_| 60);
        assert!(story.surge().is_some());
    }

    #[test]
    fn what_a_fleet_does_again_and_again_is_usual() {
        let mut story = Story::learnt(60, PAST_HOURS);
        let daily = |number: u32| if number % 24 == 3 { 6 } else { 0 };
        story.hours(4, daily);
        assert!(story.surge_of_few().is_some());
        story.hours(92, |number| daily(number.wrapping_add(4)));
        // On four days there was an hour like it.
        story.hours(4, daily);
        assert_eq!(story.surge_of_few(), None);
        story.hours(1, |_| 12);
        assert_eq!(story.surge_of_few(), None, "the like is half of it");
        story.hours(1, |_| 13);
        assert!(story.surge_of_few().is_some());
    }

    #[test]
    fn planned_work_is_no_surge() {
        let mut story = Story::learnt(60, PAST_HOURS);
        story.hours_of(4, |_| 60, true);
        assert_eq!(story.surge(), None);
    }
}
