use super::*;
use crate::detector::fixture::{MB, fleet, rules, sim};
use crate::evidence::{Cohort, Sketch};
use crate::id::SimSid;
use crate::time::Hour;
use crate::usage::{Beside, Source};
use crate::verdict::Verdict;

/// Days of a past in which all did what is usual.
const PAST_DAYS: usize = 20;

/// The SIM beside 199 peers, after that past and days on which it used so much; `None`: the usual.
fn after(own: &[Option<u64>]) -> SimUsage {
    after_past(PAST_DAYS, own, None)
}

/// Of the SIM only the last days of that past are known, and on one day there is planned work.
fn after_past(past_days: usize, own: &[Option<u64>], planned: Option<usize>) -> SimUsage {
    let mut hour: Hour = "2026-03-01T00Z".parse().unwrap();
    let mut cohort = Cohort::default();
    let mut usage = SimUsage::new(sim());
    let others = (1..200_u8).map(|n| SimUsage::new(SimSid::from_bytes([n; 16])));
    let mut others: Vec<SimUsage> = others.collect();
    let unknown = std::iter::repeat_n(Some(0), PAST_DAYS.checked_sub(past_days).unwrap());
    let usual = std::iter::repeat_n(None, past_days);
    let days = unknown.chain(usual).chain(own.iter().copied());
    for (number, own) in days.enumerate() {
        // Four times a day, which is as good as every hour.
        for _ in 0..4 {
            let mut sketch = Sketch::default();
            let all = others.iter_mut().map(|usage| (usage, None)).chain([(&mut usage, own)]);
            for (place, (usage, bytes)) in (0..).zip(all) {
                let bytes = bytes.map_or_else(|| usual_of(place, hour), |bytes| bytes / 4);
                if bytes == 0 {
                    continue;
                }
                let source = Source { fleet: Some(fleet()), page: 0 };
                let is_suspended = planned == Some(number);
                let beside = Beside { cohort: Some(&cohort), is_suspended };
                usage.close_beside(hour, Bytes(bytes), source, beside);
                sketch.add(usage, hour);
            }
            cohort.merge(hour, &sketch);
            // The last hour of a day is merged, used or not.
            hour = hour.plus(5);
            cohort.merge(hour, &Sketch::default());
            hour = hour.after();
        }
    }
    usage
}

/// Some 300 kB, 20 % up and down, without any pattern: 1.2 MB a day.
#[expect(clippy::arithmetic_side_effects, reason = "small numbers")]
fn usual_of(place: u64, hour: Hour) -> u64 {
    let seconds = hour.start().as_second().unsigned_abs();
    let mixed = (seconds / 3_600 * 1_000 + place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    240_000 + (mixed >> 40) % 120_000
}

fn leaking(days: usize) -> Vec<Option<u64>> {
    vec![Some(6 * MB); days]
}

#[test]
fn a_leak_of_five_times_the_usual_is_found_within_ten_days() {
    let found = |days| slow_leak(&after(&leaking(days)), &rules(""));
    assert_eq!(found(9), None, "a near miss: 1.9 nats a day, and the latest is not judged");
    let found = found(10).unwrap();
    // A usual day before it happened to speak against the SIM, a little.
    assert_eq!(found.key(), "slow_leak#2026-03-20");
    let text = found.to_string();
    assert!(text.starts_with("used 6.0 MB in a day, usual are 1.3 MB; "), "{text}");
    assert!(text.contains("beyond the usual since 2026-03-20T00:00:00Z"), "{text}");
    assert!(text.ends_with(" days"), "{text}");
    assert_eq!(found.at.to_string(), "2026-03-29T00:00:00Z");
    let verdicts =
        ["", "[slow_leak]\nact = \"off\""].map(|policy| rules(policy).verdict_of(&found));
    assert_eq!(verdicts, [Verdict::Alert, Verdict::Clear]);
}

#[test]
fn what_is_usual_and_one_wild_day_are_not_found() {
    assert_eq!(slow_leak(&after(&[]), &rules("")), None);
    let mut days = vec![Some(300 * MB), Some(300 * MB)];
    days.extend([None; 12]);
    let usage = after(&days);
    assert_eq!((usage.days().ledger().since(), slow_leak(&usage, &rules(""))), (None, None));
}

#[test]
fn what_is_strange_and_little_is_not_found_unless_policy_says_so() {
    // Two and a half times the usual: half a usual day a day is more than twice what is expected.
    let usage = after(&[Some(3_000_000); 14]);
    assert!(usage.days().ledger().wallet().level().is_some(), "evidence is there, harm is not");
    assert_eq!(slow_leak(&usage, &rules("")), None);
    let of = |policy: &str| slow_leak(&usage, &rules(&format!("[slow_leak]\n{policy}"))).is_some();
    assert!(!of("excess_min_mb = 3"), "it is less than 14 usual days");
    assert!(!of("excess_days = 3"), "it is less than 20 MB");
    assert!(of("excess_min_mb = 3\nexcess_days = 3"));
    assert!(!of("excess_min_mb = 3\nexcess_days = 3\nact = \"off\""));
    let soon = after(&leaking(8));
    let of = |policy: &str| slow_leak(&soon, &rules(policy)).is_some();
    assert_eq!((of(""), of("[slow_leak]\nalert_days = 1000")), (false, true));
}

#[test]
fn one_update_is_no_leak_however_strange_the_days_before_were() {
    let mut days = vec![Some(3_000_000); 12];
    days.extend([Some(60 * MB), None, None]);
    let usage = after(&days);
    assert!(usage.days().ledger().wallet().level().is_some());
    assert_eq!(slow_leak(&usage, &rules("")), None);
    assert!(slow_leak(&after(&[Some(60 * MB); 12]), &rules("")).is_some());
}

#[test]
fn a_new_level_that_does_no_harm_comes_to_be_usual() {
    let usage = after(&[Some(2_400_000); 60]);
    let expected = crate::evidence::Usual::of_days(usage.days().past()).unwrap().expected();
    assert!(expected > Bytes(2_000_000), "{expected}");
    let usage = after(&[Some(6 * MB); 60]);
    let expected = crate::evidence::Usual::of_days(usage.days().past()).unwrap().expected();
    assert!(expected < Bytes(1_600_000), "what leaks does not: {expected}");
}

#[test]
fn without_two_weeks_of_its_own_no_day_is_unusual() {
    assert_eq!(slow_leak(&after_past(0, &leaking(30), None), &rules("")), None);
    assert_eq!(slow_leak(&after_past(3, &leaking(12), None), &rules("")), None);
    assert_eq!(slow_leak(&SimUsage::new(sim()), &rules("")), None);
    assert!(slow_leak(&after_past(14, &leaking(12), None), &rules("")).is_some());
}

#[test]
fn a_day_of_planned_work_is_neither_evidence_nor_usual() {
    let days = [None, Some(300 * MB), None, None];
    let (worked, usual) = (after_past(PAST_DAYS, &days, Some(PAST_DAYS + 1)), after(&[]));
    // Of the last four days one is open, and one was planned work.
    let learnt = usual.days().past().active_hours + 3;
    assert_eq!(worked.days().past().active_hours, learnt);
    let log_evidence = |usage: &SimUsage| usage.days().ledger().wallet().log_evidence();
    assert!(log_evidence(&worked) + 1.0 < log_evidence(&after(&days)), "{worked:?}");
}

#[test]
fn what_a_human_judged_is_learnt_anew() {
    let mut usage = after(&leaking(10));
    let judged =
        |usage: &SimUsage, key: &str| is_leak_judged(usage, &BTreeSet::from([key.to_owned()]));
    assert!(judged(&usage, "slow_leak#2026-03-20"));
    assert!(!judged(&usage, "slow_leak#2026-03-21"));
    assert!(!judged(&usage, "usage_spike#2026-03-20"));
    assert!(!is_leak_judged(&SimUsage::new(sim()), &BTreeSet::new()));
    usage.forgive();
    assert_eq!(slow_leak(&usage, &rules("")), None);
    assert_eq!(usage.days().past().active_hours, 0);
}
