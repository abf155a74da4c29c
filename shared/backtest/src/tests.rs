//! A policy over simulated populations.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use jiff::SignedDuration;
use simfuse_domain::event::Event;
use simfuse_domain::finding::DetectorId;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Hold;
use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::verdict::Verdict;
use simfuse_testkit::population::config::{Delivery, PopulationConfig, Rogues};
use simfuse_testkit::population::rogue::Rogue;
use simfuse_testkit::population::{EmittedKind, Partition, Population};

mod leaks;
mod standing;

use super::stream::{self, Passed};
use super::*;

const STRICT: &str = "version = 1\n[binding]\nmode = \"strict\"\n[limits]\nhour_mb = 20\nact = \
                      \"deactivate\"\n";

fn population(sims: u32, days: u32) -> PopulationConfig {
    let start = "2026-03-01T00:00:00Z".parse().unwrap();
    let mut config = PopulationConfig::new(sims, days, 11, start);
    config.switch_all_off();
    config
}

fn pass(config: &PopulationConfig, policy: &Policy) -> Vec<Passed> {
    let trial = Trial { policy, mode: ModeFrom::Enforce };
    stream::pass(config, trial, NonZeroUsize::MIN, || {})
}

fn off(passed: &[Passed]) -> BTreeSet<SimSid> {
    let off = passed.iter().filter(|passed| passed.course.is_off());
    off.map(|passed| passed.course.sim()).collect()
}

fn with(mut config: PopulationConfig, scenarios: Vec<Rogue>) -> PopulationConfig {
    let (after_days, within_days) = (4, 1);
    config.rogues = Rogues { scenarios, sims_each: 3, after_days, within_days, ..config.rogues };
    config
}

#[test]
fn sensors_that_only_wake_are_left_alone() {
    for text in [DEFAULT, STRICT] {
        let passed = pass(&population(30, 6), &text.parse().unwrap());
        assert_eq!(passed.len(), 30);
        for passed in &passed {
            assert!(passed.course.findings().is_empty(), "{:?}", passed.course.findings());
            assert!(passed.course.judged().as_hours() > 140, "{:?}", passed.course.judged());
            assert!(passed.course.usage().is_some_and(|usage| usage.baseline().active_hours > 100));
        }
    }
}

#[test]
fn what_delivery_does_changes_nothing_of_who_is_switched_off() {
    let config = with(population(20, 8), vec![Rogue::Tablet, Rogue::HdVideo]);
    let policy: Policy = STRICT.parse().unwrap();
    let near: Policy = STRICT.replace("hour_mb = 20", "hour_mb = 0.1").parse().unwrap();
    let straight = [&policy, &near].map(|policy| off(&pass(&config, policy)));
    assert_eq!(straight[0].len(), 6);
    assert!((8..20).contains(&straight[1].len()), "sensors near the limit: {}", straight[1].len());
    let mut faulty = config.clone();
    let late = 0.2;
    faulty.delivery = Delivery {
        duplicated: 0.2,
        delayed_over_hour: late,
        reordered: 0.3,
        ended_first: 1.0,
        corrected: 0.5,
        ..config.delivery
    };
    assert_eq!([&policy, &near].map(|policy| off(&pass(&faulty, policy))), straight);
}

#[test]
fn a_deactivation_is_felt() {
    let config = with(population(6, 8), vec![Rogue::HdVideo]);
    let policy: Policy = STRICT.parse().unwrap();
    let passed = pass(&config, &policy);
    let rogues = passed.iter().filter(|passed| passed.truth.is_some());
    for passed in rogues {
        let [.., act] = passed.course.acts() else { panic!("nothing was done") };
        let bytes = passed.rogue_bytes.last().copied().flatten().unwrap();
        // 20 MB are reported with a window of 230 MB.
        assert!((20_000_000..500_000_000).contains(&bytes), "{bytes}");
        assert!(act.bytes.0 > 20_000_000 && act.bytes.0 <= bytes, "{act:?} {bytes}");
        // The provider cuts it off within ten minutes.
        let in_all = passed.truth.unwrap().bytes;
        assert!(in_all > bytes && in_all < bytes + 500_000_000, "{in_all} after {bytes}");
    }
}

#[test]
fn a_strange_device_is_cut_off_before_its_first_byte() {
    let config = with(population(12, 8), vec![Rogue::Tablet]);
    let tacs = simfuse_testkit::population::SENSOR_TACS.map(|tac| format!("\"{tac}\""));
    let policy = format!(
        "version = 1\n[binding]\nmode = \"strict\"\nallowed_tacs = [{}]\n",
        tacs.join(", ")
    );
    let passed = pass(&config, &policy.parse().unwrap());
    let killed: Vec<_> = passed.iter().filter(|passed| passed.course.is_off()).collect();
    assert_eq!(killed.len(), 3);
    for passed in killed {
        assert_eq!(passed.rogue_bytes, [Some(0)], "{:?}", passed.course.acts());
    }
}

#[test]
fn caps_hold_in_the_order_of_time() {
    let config = with(population(40, 8), vec![Rogue::Campaign]);
    let policy = format!("{STRICT}[guards]\nmax_kills = {{ count = 2, window_mins = 60 }}\n");
    let policy: Policy = policy.parse().unwrap();
    let passed = pass(&config, &policy);
    let mut acts: Vec<Act> =
        passed.iter().flat_map(|passed| passed.course.acts().to_vec()).collect();
    assert!(acts.len() > 5, "{}", acts.len());
    // However they are handed over.
    acts.reverse();
    hold_over_caps(&mut acts, &policy, &Default::default());
    acts.sort_by_key(|act| (act.at, act.sim));
    let held: Vec<bool> = acts.iter().map(|act| act.hold == Some(Hold::Cap)).collect();
    assert_eq!(&held[..4], [false, false, true, true]);
    assert!(acts.iter().all(|act| act.hold.is_none() || act.hold == Some(Hold::Cap)));
}

#[test]
fn an_event_that_comes_twice_leaves_what_is_known() {
    let (config, policy) = (population(1, 1), DEFAULT.parse().unwrap());
    let trial = Trial { policy: &policy, mode: ModeFrom::Enforce };
    let mut population = Population::new(&config, Partition::WHOLE);
    let mut course: Option<Course> = None;
    while let Some(emitted) = population.next() {
        let EmittedKind::Event(event) = &emitted.kind else { continue };
        let course = course.get_or_insert_with(|| Course::new(emitted.sim));
        course.event(trial, event, emitted.at, &Peers::default());
        let once = course.state().cloned();
        course.event(trial, event, emitted.at, &Peers::default());
        assert!(once.is_some() && course.state() == once.as_ref(), "{event:?}");
    }
    assert!(course.is_some());
}

#[test]
fn a_leak_that_keeps_every_limit_is_found_by_what_is_usual_among_peers() {
    let config = with(population(60, 9), vec![Rogue::LeakTenTimes]);
    let cuts = format!("{DEFAULT}\n").replace("[usage_spike]", "[usage_spike]\nalert_hours = 1000");
    let by_policy = ["version = 1", &cuts].map(|text| pass(&config, &text.parse().unwrap()));
    let [told, cut] = by_policy.map(|passed| {
        let rogue = |passed: &Passed| passed.truth.is_some();
        let (rogues, healthy): (Vec<_>, Vec<_>) = passed.into_iter().partition(rogue);
        assert!(healthy.iter().all(|passed| passed.course.acts().is_empty()));
        let acts = rogues.iter().map(|passed| passed.course.acts().to_vec());
        acts.collect::<Vec<_>>()
    });
    assert_eq!((told.len(), cut.len()), (3, 3));
    for acts in told.iter().chain(&cut) {
        assert!(acts.iter().all(|act| act.detector == DetectorId::UsageSpike), "{acts:?}");
    }
    let first = |acts: &[Act]| acts.first().map(|act| act.what);
    let last = |acts: &[Act]| acts.last().map(|act| act.what);
    assert!(told.iter().all(|acts| last(acts) == Some(Verdict::Alert)), "{told:?}");
    assert!(cut.iter().all(|acts| first(acts) == Some(Verdict::Alert)), "{cut:?}");
    assert!(cut.iter().all(|acts| last(acts) == Some(Verdict::Deactivate)), "{cut:?}");
}

#[test]
fn a_sim_in_another_device_is_cut_on_less_evidence_of_usage() {
    let config = with(population(60, 14), vec![Rogue::SameModel]);
    let off = "binding = { mode = \"off\" }\nplaces = { new_network = \"off\" }\n\
               download_heavy = { act = \"off\" }";
    let cuts = "usage_spike = { act = \"deactivate\" }\nstrike = { act = \"off\" }";
    let cut = |policy: &str| {
        let passed = pass(&config, &format!("version = 1\n{cuts}\n{policy}").parse().unwrap());
        let (rogues, healthy): (Vec<_>, Vec<_>) =
            passed.into_iter().partition(|passed| passed.truth.is_some());
        assert!(healthy.iter().all(|passed| passed.course.acts().is_empty()));
        let last = rogues.iter().map(|passed| passed.course.acts().last().cloned().unwrap());
        last.collect::<Vec<Act>>()
    };
    let (alone, joined) = (cut(off), cut(""));
    assert_eq!((alone.len(), joined.len()), (3, 3));
    for (alone, joined) in alone.iter().zip(&joined) {
        assert_eq!((alone.what, joined.what), (Verdict::Deactivate, Verdict::Deactivate));
        assert!(!alone.sentence.contains("counted in"), "{}", alone.sentence);
        let counted = "counted in: device_changed:";
        assert!(joined.sentence.contains(counted), "{}", joined.sentence);
        assert!(joined.sentence.ends_with(", download_heavy"), "{}", joined.sentence);
        let sooner = alone.at.duration_since(joined.at);
        assert!(sooner > SignedDuration::from_hours(24), "{sooner}");
    }
}

#[test]
fn in_a_fleet_of_three_only_limits_tell() {
    let mut config = with(population(3, 9), vec![Rogue::LeakTenTimes]);
    config.rogues.sims_each = 1;
    let passed = pass(&config, &DEFAULT.parse().unwrap());
    assert!(passed.iter().all(|passed| passed.course.findings().is_empty()));
}

#[test]
fn the_first_sim_of_an_update_is_not_cut() {
    let mut config = population(40, 20);
    config.benign.firmware_days = 8;
    config.benign.firmware_bytes = 60e6..60.1e6;
    let cut = |policy: &str| off(&pass(&config, &policy.parse().unwrap())).len();
    assert_eq!(cut(DEFAULT), 0);
    // It is its speed that tells an update from a thief.
    let slow = DEFAULT.replace("# faster_than_kbps = 340 ", "faster_than_kbps = 200 ");
    assert!(cut(&slow) > 5, "{}", cut(&slow));
}

#[test]
fn thieves_are_cut_by_their_speed_and_a_clock_ten_minutes_off_changes_nothing() {
    let config = with(population(20, 7), vec![Rogue::SpoofedImei, Rogue::HdVideo, Rogue::Tether]);
    let policy: Policy = DEFAULT.parse().unwrap();
    let trial = Trial { policy: &policy, mode: ModeFrom::Enforce };
    let rogues = |minutes: i64| {
        let by = SignedDuration::from_mins(minutes);
        let (mut all, mut peers) = (BTreeMap::new(), Peers::default());
        let mut population = Population::new(&config, Partition::WHOLE);
        while let Some(emitted) = population.next() {
            while let Some(hour) = peers.due(emitted.at) {
                for course in all.values_mut() {
                    Course::close(course, trial, hour, &mut peers);
                }
                peers.merge(hour, &policy);
            }
            let course = all.entry(emitted.sim).or_insert_with(|| Course::new(emitted.sim));
            match &emitted.kind {
                EmittedKind::Event(event) => {
                    course.event(trial, &later(event, by), emitted.at, &peers);
                }
                EmittedKind::Usage(record) => {
                    course.record(trial, record, emitted.at);
                }
                EmittedKind::Label(_) => {}
            }
        }
        let off: BTreeSet<SimSid> =
            all.values().filter(|course| course.is_off()).map(Course::sim).collect();
        off
    };
    let right = rogues(0);
    assert_eq!(right.len(), 9, "three of each");
    assert_eq!(rogues(10), right);
    assert_eq!(rogues(-10), right);
}

#[test]
fn who_steals_a_sim_in_its_first_hour_is_cut_where_its_fleet_says_what_is_usual() {
    let cut = |sims: u32| {
        let config = with(population(sims, 9), vec![Rogue::FirstHour]);
        let passed = pass(&config, &DEFAULT.parse().unwrap());
        let (rogues, healthy): (Vec<_>, Vec<_>) =
            passed.iter().partition(|passed| passed.truth.is_some());
        assert!(rogues.len() == 3 && healthy.iter().all(|passed| !passed.course.is_off()));
        let acts = rogues.iter().filter(|passed| passed.course.is_off());
        let acts: Vec<&Act> = acts.filter_map(|passed| passed.course.acts().last()).collect();
        assert!(acts.iter().all(|act| act.detector == DetectorId::Strike), "{acts:?}");
        acts.len()
    };
    assert_eq!(cut(70), 3);
    assert_eq!(cut(40), 0);
}

/// The event by a clock that is so far ahead.
fn later(event: &Event, by: SignedDuration) -> Event {
    let mut event = event.clone();
    event.at = event.at.checked_add(by).unwrap();
    if let Some(session) = &mut event.session {
        let times = [
            &mut session.start,
            &mut session.end,
            &mut session.update_start,
            &mut session.update_end,
        ];
        for time in times {
            *time = time.map(|at| at.checked_add(by).unwrap());
        }
    }
    event
}

#[test]
fn a_sim_that_is_taken_abroad_is_new_there_and_a_bad_hour_is_no_storm() {
    let mut config = with(population(20, 8), vec![Rogue::MovedAbroad]);
    config.benign.retry_storms = 50.0;
    let passed = pass(&config, &DEFAULT.parse().unwrap());
    let of = |passed: &Passed| {
        let found = passed.course.findings().iter().map(|found| found.detector);
        found.collect::<BTreeSet<DetectorId>>()
    };
    let abroad = BTreeSet::from([DetectorId::CountryNew, DetectorId::NetworkNew]);
    for passed in &passed {
        let expected = if passed.truth.is_some() { abroad.clone() } else { BTreeSet::new() };
        assert_eq!(of(passed), expected, "{:?}", passed.truth);
        assert!(passed.course.acts().is_empty(), "recorded, and told to nobody");
    }
    assert_eq!(passed.iter().filter(|passed| passed.truth.is_some()).count(), 3);
    let failed = |passed: &&Passed| {
        passed.course.state().is_some_and(|state| state.failed_minutes().count() > 5)
    };
    assert!(passed.iter().any(|passed| failed(&passed)), "some SIM's storm is remembered");
    let told = DEFAULT.replace("new_country = \"watch\"", "new_country = \"alert\"");
    let told = pass(&config, &told.parse().unwrap());
    for passed in &told {
        let acts = passed.course.acts().iter().map(|act| (act.what, act.detector));
        let expected = passed.truth.map(|_| (Verdict::Alert, DetectorId::CountryNew));
        assert_eq!(acts.collect::<Vec<_>>(), Vec::from_iter(expected));
    }
}
