//! What is counted of each contender.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use simfuse_backtest::Act;
use simfuse_testkit::population::behaviour::Behaviour;
use simfuse_testkit::population::rogue::Rogue;

use crate::baseline;

/// Two policies, then the baselines.
pub(crate) const CONTENDERS: usize = 2 + baseline::COUNT;

/// When a contender noticed a rogue, and what the rogue had used by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub(crate) at: Timestamp,
    pub(crate) bytes: u64,
}

/// One rogue SIM, as a contender saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theft {
    /// When the rogue's first session began; without one, when it was stolen.
    pub(crate) first: Timestamp,
    /// How long it could be seen since.
    pub(crate) shown: SignedDuration,
    /// The first alert or more.
    pub(crate) told: Option<Hit>,
    /// The request to deactivate it.
    pub(crate) killed: Option<Hit>,
}

/// False kills and alerts of one kind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wrong {
    pub(crate) kills: u64,
    pub(crate) alerts: u64,
}

impl Wrong {
    pub(crate) fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.alerts += other.alerts;
    }
}

/// One contender's.
#[derive(Debug, Default)]
pub(crate) struct Score {
    pub(crate) benign_hours: f64,
    pub(crate) wrong: Wrong,
    pub(crate) by_detector: BTreeMap<String, Wrong>,
    pub(crate) by_behaviour: BTreeMap<&'static str, Wrong>,
    pub(crate) thefts: BTreeMap<Rogue, Vec<Theft>>,
}

impl Score {
    /// Something was done about a SIM with which nothing is wrong.
    pub(crate) fn wrong(&mut self, wrong: Wrong, detector: &str, befell: &[Behaviour]) {
        self.wrong.add(wrong);
        self.by_detector.entry(detector.to_owned()).or_default().add(wrong);
        for behaviour in befell {
            self.by_behaviour.entry(behaviour.name()).or_default().add(wrong);
        }
        if befell.is_empty() {
            self.by_behaviour.entry("nothing that is labelled").or_default().add(wrong);
        }
    }

    fn merge(&mut self, other: Self) {
        self.benign_hours += other.benign_hours;
        self.wrong.add(other.wrong);
        for (detector, wrong) in other.by_detector {
            self.by_detector.entry(detector).or_default().add(wrong);
        }
        for (behaviour, wrong) in other.by_behaviour {
            self.by_behaviour.entry(behaviour).or_default().add(wrong);
        }
        for (rogue, thefts) in other.thefts {
            self.thefts.entry(rogue).or_default().extend(thefts);
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) scores: [Score; CONTENDERS],
    pub(crate) events: u64,
    /// What the shipped policy did about the SIMs of the campaign.
    pub(crate) campaign: Vec<Act>,
    /// How long the shipped policy took over an event, in tens of nanoseconds, and how often so long.
    pub(crate) took: BTreeMap<u64, u64>,
    /// Stored bytes of each SIM's state, and of its usage.
    pub(crate) state_bytes: Vec<usize>,
    pub(crate) usage_bytes: Vec<usize>,
}

impl Tally {
    pub(crate) fn note_ns(&mut self, ns: u64) {
        *self.took.entry(ns / 10).or_default() += 1;
    }

    /// Within how many nanoseconds so many percent of events were judged. Not their mean: what else
    /// runs on the machine stops a thread for milliseconds now and then.
    pub(crate) fn ns_at(&self, percent: u64) -> u64 {
        let upto = self.took.values().sum::<u64>() * percent / 100;
        let mut seen = 0;
        let mut sorted = self.took.iter();
        let reached = sorted.find(|(_, times)| {
            seen += **times;
            seen > upto
        });
        reached.map_or(0, |(tens, _)| tens * 10)
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (score, more) in self.scores.iter_mut().zip(other.scores) {
            score.merge(more);
        }
        self.events += other.events;
        self.campaign.extend(other.campaign);
        for (tens, times) in other.took {
            *self.took.entry(tens).or_default() += times;
        }
        self.state_bytes.extend(other.state_bytes);
        self.usage_bytes.extend(other.usage_bytes);
    }
}

/// The 95 % upper bound of a Poisson mean of which so many were seen: exactly `-ln 0.05` for none,
/// else half the chi-square quantile of `2(n + 1)` degrees of freedom by the approximation of Wilson
/// and Hilferty ("The distribution of chi-square", PNAS 17, 1931), which is good to a percent.
pub(crate) fn upper_bound(seen: u64) -> f64 {
    if seen == 0 {
        return -(0.05_f64.ln());
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let half = seen as f64 + 1.0;
    let degrees = 2.0 * half;
    let share = 2.0 / (9.0 * degrees);
    let root = 1.0 - share + 1.644_853_6 * share.sqrt();
    half * root.powi(3)
}

/// The value at so many percent of a sorted list; the greatest where there is none above.
pub(crate) fn at_percent<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let place = sorted.len().saturating_mul(percent) / 100;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied()
}
