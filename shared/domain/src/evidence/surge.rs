//! How many SIMs of a fleet are strange at once, beside how many ever were.

use serde::{Deserialize, Serialize};

use super::bins::{Bin, Counts};
use crate::time::Hour;

/// A SIM is strange in an hour that is so many standard deviations above what is usual for it.
const STRANGE: f64 = 4.0;

/// With fewer active SIMs a share says little.
const ACTIVE_MIN: u32 = 50;

/// Two are a coincidence.
const STRANGE_MIN: u32 = 3;

/// Days that are remembered: of four weeks.
const DAYS_HOURS: i32 = 28 * 24;

/// With fewer days before it no hour is judged: what a fleet does once a week is not known yet.
const DAYS_MIN: usize = 7;

/// A share is a surge while on no more days than these there was an hour of half of it: an update in
/// three stages does not hide the next one, what a fleet does every week is usual.
const DAYS_ALIKE_MAX: usize = 3;

/// Hours after which the next surge is another episode.
const EPISODE_HOURS: i32 = 12;

/// The largest share of strange SIMs on each of the last days, and the surge that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Surges {
    days: Vec<Share>,
    episode: Option<Surge>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Share {
    /// The first hour of the day.
    day: Hour,
    strange: u32,
    active: u32,
}

/// Many SIMs of a fleet are strange at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surge {
    /// The first hour of the episode.
    pub since: Hour,
    /// The latest hour of it.
    pub latest: Hour,
    /// SIMs that were strange in the hour of the largest share.
    pub strange: u32,
    /// SIMs that were active in it.
    pub active: u32,
}

impl Surge {
    /// Whether it is of at least so many percent of the active SIMs.
    #[must_use]
    pub fn is_of(&self, percent: u32) -> bool {
        let product = |one: u32, other: u32| u64::from(one).saturating_mul(other.into());
        product(self.strange, 100) >= product(percent, self.active)
    }
}

impl Share {
    /// Whether this is at least half of the other.
    fn is_half_of(self, other: Self) -> bool {
        let product = |one: u32, other: u32| u64::from(one).saturating_mul(other.into());
        let doubled = product(self.strange, other.active).saturating_mul(2);
        doubled >= product(other.strange, self.active)
    }

    fn is_more_than(self, other: Self) -> bool {
        let product = |one: u32, other: u32| u64::from(one).saturating_mul(other.into());
        product(self.strange, other.active) > product(other.strange, self.active)
    }
}

impl Surges {
    /// Judges an hour beside the days before, and remembers it.
    pub(super) fn judge(&mut self, hour: Hour, deviations: &Counts) {
        let since = |hours: i32| hour.plus(hours.saturating_neg());
        self.days.retain(|share| share.day > since(DAYS_HOURS));
        self.episode = self.episode.filter(|surge| surge.latest > since(EPISODE_HOURS));
        let active = deviations.sum_from(Bin::of_deviation(f64::NEG_INFINITY));
        if active < ACTIVE_MIN {
            return;
        }
        let strange = deviations.sum_from(Bin::of_deviation(STRANGE));
        let now = Share { day: hour.day(), strange, active };
        let before = self.days.iter().filter(|share| share.day < now.day);
        let alike = before.clone().filter(|share| share.is_half_of(now)).count();
        let is_known = before.count() >= DAYS_MIN;
        if is_known && strange >= STRANGE_MIN && alike <= DAYS_ALIKE_MAX {
            let surge = Surge { since: hour, latest: hour, strange, active };
            let episode = self.episode.get_or_insert(surge);
            episode.latest = hour;
            let most = Share { day: now.day, strange: episode.strange, active: episode.active };
            if now.is_more_than(most) {
                (episode.strange, episode.active) = (strange, active);
            }
        }
        match self.days.last_mut().filter(|share| share.day == now.day) {
            None => self.days.push(now),
            Some(share) if now.is_more_than(*share) => *share = now,
            Some(_) => {}
        }
    }

    /// The surge that goes on, or was over half a day ago at most.
    pub(super) const fn episode(&self) -> Option<Surge> {
        self.episode
    }
}
