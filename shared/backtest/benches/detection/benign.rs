//! Healthy SIMs alone under the shipped policy: many, so that a small rate can be shown.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Instant;

use simfuse_backtest::stream::{Passed, pass};
use simfuse_backtest::{ModeFrom, Trial};
use simfuse_domain::policy::Policy;
use simfuse_domain::verdict::Verdict;
use simfuse_testkit::population::config::PopulationConfig;

use crate::tally::Wrong;

/// SIMs of one round: their courses are kept until it is over.
const ROUND_SIMS: u32 = 20_000;

/// What was done about SIMs with which nothing is wrong.
#[derive(Debug, Default)]
pub(crate) struct Benign {
    pub(crate) hours: f64,
    pub(crate) secs: f64,
    pub(crate) wrong: Wrong,
    pub(crate) by_detector: BTreeMap<String, Wrong>,
    /// Each kill, in words.
    pub(crate) kills: Vec<String>,
}

/// Takes healthy SIMs through the policy, with so many SIM-hours in all; the seeds are the first one and
/// those after it.
pub(crate) fn run(
    config: &PopulationConfig,
    sim_hours: u64,
    policy: &Policy,
    threads: NonZeroUsize,
) -> Result<Benign, std::num::TryFromIntError> {
    let began = Instant::now();
    let mut benign = Benign::default();
    let hours = u64::from(config.days.max(1)) * 24;
    let mut left = u32::try_from(sim_hours.div_ceil(hours))?;
    let mut config = config.clone();
    while left > 0 {
        config.sims = left.min(ROUND_SIMS);
        left -= config.sims;
        let trial = Trial { policy, mode: ModeFrom::Enforce };
        pass(&config, trial, threads, || ()).iter().for_each(|passed| benign.add(passed));
        config.seed = config.seed.wrapping_add(1);
        if left > 0 {
            let (hours, kills) = (benign.hours, benign.wrong.kills);
            eprintln!("{hours:.0} SIM-hours, {kills} false kills, {left} SIMs to go");
        }
    }
    benign.secs = began.elapsed().as_secs_f64();
    Ok(benign)
}

impl Benign {
    fn add(&mut self, passed: &Passed) {
        self.hours += passed.course.judged().as_secs_f64() / 3_600.0;
        for act in passed.course.acts() {
            let kills = act.what == Verdict::Deactivate && act.hold.is_none();
            let wrong = Wrong { kills: u64::from(kills), alerts: u64::from(!kills) };
            self.wrong.add(wrong);
            self.by_detector.entry(act.detector.to_string()).or_default().add(wrong);
            if kills {
                self.kills
                    .push(format!("{} {} {}: {}", act.sim, act.at, act.detector, act.sentence));
            }
        }
    }
}
