use super::*;
use crate::detector::fixture::{MB, fleet, rules, sim};
use crate::evidence::{Cohort, Sketch};
use crate::id::SimSid;
use crate::time::Hour;
use crate::usage::{Beside, Source};
use crate::verdict::Verdict;

pub(super) const ALL_ACTS: &str = "[usage_spike]\nact = \"deactivate\"\n[quarantine]\nfleet = \
                        \"HF00000000000000000000000000000009\"";

pub(crate) const PAST_HOURS: usize = 10 * 24;

/// The SIM beside 399 peers that did what is usual for ten days, after these hours of its own.
pub(super) fn after(own: &[u64]) -> SimUsage {
    after_past(PAST_HOURS, own)
}

/// Of the SIM only the last hours of that past are known.
pub(super) fn after_past(past_hours: usize, own: &[u64]) -> SimUsage {
    beside_peers(past_hours, own).0
}

/// The same with its fleet, through the latest hour.
pub(crate) fn beside_peers(past_hours: usize, own: &[u64]) -> (SimUsage, Cohort) {
    let mut hour: Hour = "2026-03-01T00Z".parse().unwrap();
    let mut cohort = Cohort::default();
    let mut usage = SimUsage::new(sim());
    let others = (1..400_u16).map(|n| {
        let mut bytes = [9; 16];
        [bytes[0], bytes[1]] = n.to_be_bytes();
        SimUsage::new(SimSid::from_bytes(bytes))
    });
    let mut others: Vec<SimUsage> = others.collect();
    let unknown = std::iter::repeat_n(Some(0), PAST_HOURS.checked_sub(past_hours).unwrap());
    let usual = std::iter::repeat_n(None, past_hours);
    for own in unknown.chain(usual).chain(own.iter().copied().map(Some)) {
        let mut sketch = Sketch::default();
        let all = others.iter_mut().map(|usage| (usage, None)).chain([(&mut usage, own)]);
        for (place, (usage, bytes)) in (0..).zip(all) {
            let bytes = bytes.unwrap_or_else(|| usual_of(place, hour));
            if bytes == 0 {
                continue;
            }
            let source = Source { fleet: Some(fleet()), page: 0 };
            let beside = Beside { cohort: Some(&cohort), is_suspended: false };
            usage.close_beside(hour, Bytes(bytes), source, beside);
            sketch.add(usage, hour);
        }
        cohort.merge(hour, &sketch);
        hour = hour.after();
    }
    (usage, cohort)
}

/// Some 50 kB, 20 % up and down, without any pattern.
#[expect(clippy::arithmetic_side_effects, reason = "small numbers")]
fn usual_of(place: u64, hour: Hour) -> u64 {
    let seconds = hour.start().as_second().unsigned_abs();
    let mixed = (seconds / 3_600 * 1_000 + place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    40_000 + (mixed >> 40) % 20_000
}

#[track_caller]
fn level(own: &[u64], policy: &str) -> Option<Level> {
    let found = usage_spike(&after(own), &rules(policy))?;
    let Evidence::Unusual { level, .. } = found.evidence else { panic!("{found}") };
    Some(level)
}

#[test]
fn a_stream_of_hours_reaches_one_level_after_the_other() {
    let of = |hours| level(&vec![300 * MB; hours], ALL_ACTS);
    // 2.5 nats an hour beside 400 peers; the latest hour is not judged yet.
    assert_eq!(
        [of(5), of(7), of(8), of(9)],
        [None, Some(Level::Alert), Some(Level::Quarantine), Some(Level::Deactivate)]
    );
}

#[test]
fn what_is_found_says_what_is_usual_and_what_was_beyond_it() {
    let usage = after(&[300 * MB; 9]);
    let found = usage_spike(&usage, &rules(ALL_ACTS)).unwrap();
    assert_eq!(found.key(), "usage_spike#2026-03-11T00Z/deactivate");
    let text = found.to_string();
    assert!(text.starts_with("used 300.0 MB in 2026-03-11T07Z, usual are "), "{text}");
    assert!(
        text.contains("2.4 GB beyond three times the usual since 2026-03-11T00:00:00Z"),
        "{text}"
    );
    assert_eq!(found.at.to_string(), "2026-03-11T08:00:00Z");
}

#[test]
fn what_is_strange_and_harmless_is_not_cut() {
    // Five times the usual: far outside of what it ever did, and 200 kB an hour.
    let few = level(&[250_000; 9], ALL_ACTS);
    assert_eq!(few, Some(Level::Quarantine), "evidence is there, harm is not");
    assert_eq!(level(&[250_000; 32], ALL_ACTS), Some(Level::Deactivate), "48 usual hours beyond");
    let careful =
        format!("{ALL_ACTS}\n[fleet.{}]\nusage_spike = {{ excess_min_mb = 20 }}", fleet());
    let policy: crate::policy::Policy = format!("version = 1\n{careful}").parse().unwrap();
    let found = usage_spike(&after(&[250_000; 32]), policy.rules_of_fleet(fleet())).unwrap();
    assert!(found.key().ends_with("/quarantine"), "{}", found.key());
}

#[test]
fn a_new_level_for_good_is_learnt_and_never_cut() {
    let levels = [1, 2, 4, 8].map(|days| level(&vec![120_000; days * 24], ALL_ACTS));
    assert!(!levels.contains(&Some(Level::Deactivate)), "more than twice the usual: {levels:?}");
    assert_eq!(levels[3], None, "after a week it is usual");
}

#[test]
fn one_strange_day_is_forgotten_and_a_usual_sim_is_never_found() {
    assert_eq!(level(&[], ""), None);
    assert_eq!(level(&[50_000; 48], ""), None);
    assert_eq!(level(&[300 * MB, 300 * MB, 300 * MB, 50_000, 50_000], ""), None, "a near miss");
    let mut hours = vec![300 * MB; 5];
    hours.extend([50_000; 40]);
    let usage = after(&hours);
    assert_eq!((usage.standing().since(), usage_spike(&usage, &rules(""))), (None, None));
}

#[test]
fn without_a_past_nothing_is_unusual() {
    assert_eq!(usage_spike(&after_past(0, &[300 * MB; 60]), &rules(ALL_ACTS)), None);
    assert_eq!(usage_spike(&SimUsage::new(sim()), &rules(ALL_ACTS)), None);
    // Who is stolen within its first day has a past that is partly its own.
    let found = usage_spike(&after_past(20, &[300 * MB; 40]), &rules(ALL_ACTS));
    assert!(found.is_some_and(|found| found.key() == "usage_spike#2026-03-11T04Z/deactivate"));
}

#[test]
fn policy_says_how_far_it_goes_and_how_soon() {
    let hours = [300 * MB; 20];
    assert_eq!(level(&hours, ""), Some(Level::Alert), "the default tells");
    assert_eq!(level(&hours, "[usage_spike]\nact = \"off\""), None);
    let deactivates = "[usage_spike]\nact = \"deactivate\"";
    assert_eq!(level(&hours, deactivates), Some(Level::Deactivate));
    assert_eq!(level(&[300 * MB; 8], deactivates), Some(Level::Alert), "no fleet for quarantine");
    let soon = "[usage_spike]\nalert_hours = 1000";
    assert_eq!(
        (level(&[300 * MB; 4], ""), level(&[300 * MB; 4], soon)),
        (None, Some(Level::Alert))
    );
    let found = usage_spike(&after(&hours), &rules(ALL_ACTS)).unwrap();
    let verdicts = ["", ALL_ACTS, "[usage_spike]\nact = \"off\""];
    let verdicts = verdicts.map(|policy| rules(policy).verdict_of(&found));
    assert_eq!(verdicts, [Verdict::Alert, Verdict::Deactivate, Verdict::Clear]);
}

#[test]
fn what_a_human_judged_is_of_one_run_of_evidence() {
    let usage = after(&[300 * MB; 9]);
    let judged = |key: &str| is_spike_judged(&usage, &BTreeSet::from([key.to_owned()]));
    assert!(judged("usage_spike#2026-03-11T00Z/alert"), "whatever the level");
    assert!(!judged("usage_spike#2026-03-10T23Z/alert"));
    assert!(!judged("hour_limit#2026-03-11T00Z"));
    assert!(!is_spike_judged(&SimUsage::new(sim()), &BTreeSet::new()));
}
