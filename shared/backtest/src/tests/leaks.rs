//! Whole days and whole fleets in simulated populations. Only usage records are read, which is all that
//! both rest on.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use simfuse_domain::evidence::Surge;
use simfuse_domain::id::FleetSid;
use simfuse_domain::time::Hour;
use simfuse_testkit::population::Truth;

use super::*;

/// What usage records alone lead to.
struct Told {
    /// Each SIM at the end, with the truth about it.
    sims: Vec<(Course, Option<Truth>)>,
    /// Of each fleet the episodes by their begin, as they were in the end.
    surges: BTreeMap<(FleetSid, Hour), Surge>,
}

fn records_alone(config: &PopulationConfig, policy: &str) -> Told {
    let policy: Policy = format!("version = 1\n{policy}").parse().unwrap();
    let trial = Trial { policy: &policy, mode: ModeFrom::Enforce };
    let mut population = Population::new(config, Partition::WHOLE);
    let (mut all, mut peers): (BTreeMap<u32, Course>, Peers) = Default::default();
    while let Some(emitted) = population.next() {
        while let Some(hour) = peers.due(emitted.at) {
            for course in all.values_mut() {
                course.close(trial, hour, &mut peers);
            }
            peers.merge(hour, &policy);
        }
        let EmittedKind::Usage(record) = &emitted.kind else { continue };
        let course = all.entry(emitted.sim_index).or_insert_with(|| Course::new(emitted.sim));
        course.record(trial, record, emitted.at);
    }
    let end = population.now();
    let sims = all.into_iter().map(|(index, course)| (course, population.truth_of(index, end)));
    let surges = peers.pages().map(|page| ((page.fleet, page.told.since), page.in_the_end));
    Told { sims: sims.collect(), surges: surges.collect() }
}

impl Told {
    /// How many of a rogue's SIMs were told within so many days after it began, and how many there are.
    fn within(&self, rogue: Rogue, days: i64) -> (usize, usize) {
        let is_it = |truth: &Truth| truth.rogue == rogue;
        let rogues = self.sims.iter().filter_map(|(course, truth)| {
            let truth = truth.filter(is_it)?;
            let days = SignedDuration::from_hours(days.checked_mul(24)?);
            let by = truth.from.checked_add(days).ok()?;
            Some(course.acts().iter().any(|act| act.at >= truth.from && act.at <= by))
        });
        let told: Vec<bool> = rogues.collect();
        (told.iter().filter(|told| **told).count(), told.len())
    }

    /// What healthy SIMs were accused of.
    fn of_healthy(&self) -> Vec<&Act> {
        let healthy = self.sims.iter().filter(|(_, truth)| truth.is_none());
        healthy.flat_map(|(course, _)| course.acts()).collect()
    }
}

/// Sensors as they are, with leaks that begin after two weeks.
fn leaks(sims: u32, days: u32, seed: u64) -> PopulationConfig {
    let start = "2026-03-01T00:00:00Z".parse().unwrap();
    let mut config = PopulationConfig::new(sims, days, seed, start);
    let names = ["R5x2", "R5x5", "R5x10", "R15", "R16"];
    config.rogues.scenarios = names.into_iter().flat_map(Rogue::named).collect();
    config.fleet_sims = sims;
    config.rogues.sims_each = 8;
    config
}

const DAYS_ALONE: &str = "[strike]\nact = \"off\"\n[usage_spike]\nact = \"off\"";

#[test]
fn leaks_are_told_by_their_days_and_no_healthy_sim_is() {
    let told = records_alone(&leaks(2_000, 45, 3), DAYS_ALONE);
    assert_eq!(told.of_healthy(), Vec::<&Act>::new());
    let (five, ten) = (Rogue::LeakFiveTimes, Rogue::LeakTenTimes);
    let by_rogue = [five, ten].map(|rogue| told.within(rogue, 14));
    assert!(by_rogue[0] >= (5, 8) && by_rogue[1] >= (6, 8), "{by_rogue:?}");
    // What may come to be usual for good, and what is learnt as it grows.
    let [twice, boil] = [Rogue::LeakTwice, Rogue::SlowBoil].map(|rogue| told.within(rogue, 28));
    assert_eq!([twice, boil], [(0, 8); 2]);
    let sizes = told.sims.iter().filter_map(|(course, _)| Some(course.usage()?.encode().unwrap()));
    assert!(sizes.map(|bytes| bytes.len()).max().unwrap() < 800);
}

#[test]
fn no_healthy_sim_is_told_in_half_a_year() {
    let mut config = leaks(800, 200, 5);
    (config.fleet_sims, config.rogues.sims_each) = (200, 1);
    let told = records_alone(&config, DAYS_ALONE);
    assert_eq!(told.of_healthy(), Vec::<&Act>::new());
    assert_eq!(told.surges.len(), 4, "{:?}", told.surges);
}

#[test]
fn a_campaign_is_told_with_the_hour_in_which_it_begins() {
    for seed in 1..=6 {
        a_campaign_is_told(seed);
    }
}

fn a_campaign_is_told(seed: u64) {
    let mut config = leaks(200, 25, seed);
    config.rogues.scenarios = vec![Rogue::Campaign];
    let told = records_alone(&config, DAYS_ALONE);
    let from = told.sims.iter().filter_map(|(_, truth)| *truth).map(|truth| truth.from).min();
    let from = from.unwrap();
    let is_in_time = |surge: &Surge| {
        let late = surge.since.end().duration_since(from);
        late.is_positive() && late.as_hours() < 2 && surge.is_of(25)
    };
    assert!(told.surges.values().any(is_in_time), "{seed}: {:?} {from:?}", told.surges);
    assert!(told.surges.len() <= 2, "{seed}: {:?}", told.surges);
    // Each of them hides behind the others.
    assert!(told.within(Rogue::Campaign, 7).0 < 10, "{:?}", told.within(Rogue::Campaign, 7));
}
