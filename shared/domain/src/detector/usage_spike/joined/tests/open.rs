//! Hours that are not closed yet.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::bytes::Bytes;
use crate::detector::asks_fleet;
use crate::detector::fixture::{claims_in_fleet, fleet, hour_of, sim, state_of, used};
use crate::detector::usage_spike::tests::{PAST_HOURS, beside_peers};
use crate::evidence::{Cohort, Sketch};
use crate::usage::{Beside, Source};

static THEFT: LazyLock<(SimUsage, Cohort)> = LazyLock::new(|| beside_peers(PAST_HOURS, &FOUR));

/// What is found, without who found it and since when: after these hours of its own, the first of
/// which is the first of the eleventh, and these events.
fn looked_at(own: &[u64], events: &[Event], policy: &str, control: Control<'_>) -> Vec<String> {
    let (usage, cohort) = beside_peers(PAST_HOURS, own);
    let beside = (Some(&usage), Some(&cohort));
    let found = claims_in_fleet(super::super::DETECTOR, events, beside, &rules(policy), control);
    let keys = found.iter().map(|claim| claim.split_once(' ').unwrap().0.to_owned());
    keys.map(|key| key.strip_prefix("usage_spike#2026-03-11T00Z/").unwrap().to_owned()).collect()
}

#[track_caller]
fn check(own: &[u64], events: &[Event], expected: &[&str]) {
    assert_eq!(looked_at(own, events, ALL_ACTS, Control::default()), expected);
}

/// So much in half of that hour of the eleventh.
fn streams(hour: u8, bytes: u64) -> Event {
    let opened: &'static str = format!("11T{hour:02}:00").leak();
    used(opened, &format!("11T{hour:02}:30"), bytes)
}

fn hours(hours: std::ops::Range<u8>) -> Vec<Event> {
    hours.map(|hour| streams(hour, 300 * MB)).collect()
}

#[test]
fn an_hour_counts_before_it_is_closed() {
    // The sixth closed hour waits for the next record, and what it was worth is known.
    check(&SIX, &hours(5..6), &["alert/open"]);
    check(&SIX, &hours(5..7), &["quarantine/open"]);
    check(&SIX, &hours(5..8), &["deactivate/open"]);
    check(&SEVEN, &hours(6..7), &["quarantine/open"]);
    check(&SEVEN, &hours(6..8), &["deactivate/open"]);
    // Without the fleet nothing is known of what they are worth.
    let (events, none) = (hours(5..8), Control::default());
    assert_eq!(claims(&SIX, &events, ALL_ACTS, none), Vec::<String>::new());
}

#[test]
fn what_is_found_is_as_of_the_latest_event_and_says_what_its_hour_holds() {
    let (usage, cohort) = beside_peers(PAST_HOURS, &SIX);
    let beside = (Some(&usage), Some(&cohort));
    let control = Control::default();
    let text = claims_in_fleet(
        super::super::DETECTOR,
        &[streams(6, 200 * MB)],
        beside,
        &rules(ALL_ACTS),
        control,
    );
    insta::assert_snapshot!(text.concat(), @"usage_spike#2026-03-11T00Z/quarantine/open 2026-03-11T06:30:00Z: used 200.0 MB in 2026-03-11T06Z so far, usual are 50.6 kB; 2.0 GB beyond three times the usual since 2026-03-11T00:00:00Z, by chance once in 16,601,440 hours");
}

#[test]
fn a_usual_or_a_silent_hour_speaks_for_the_sim_and_changes_nothing_of_what_was() {
    check(&FIVE, &[streams(5, 300 * MB)], &["alert/open"]);
    check(&FIVE, &[streams(6, 300 * MB)], &[]);
    check(&FIVE, &[streams(5, 50_000), streams(6, 300 * MB)], &[]);
    // Of the hour before it was found.
    check(&SIX, &[streams(6, 50_000), streams(7, 50_000)], &["alert/open"]);
}

#[test]
fn little_evidence_asks_no_fleet_and_is_not_looked_at() {
    let asked = |own: &[u64]| {
        let (usage, state) = (after(own), state_of(&hours(3..4)));
        asks_fleet(Some(&state), Some(&usage))
    };
    // Two hours of them are judged: 4.8 nats.
    check(&[300 * MB; 3], &hours(3..9), &[]);
    assert_eq!((asked(&[300 * MB; 3]), asked(&FOUR)), (None, Some(fleet())));
}

#[test]
fn of_a_fleet_of_which_nothing_new_is_known_no_later_hour_counts() {
    check(&SIX, &hours(9..12), &["deactivate/open"]);
    check(&SIX, &hours(12..20), &["alert/open"]);
    // Of the hours before it is known as before.
    check(&SIX, &hours(6..20), &["deactivate/open"]);
}

#[test]
fn nor_does_planned_work_or_another_fleet() {
    let work = "[[maintenance]]\nfrom = 2026-03-11T06:00:00Z\nto = 2026-03-11T08:00:00Z\n\
                bytes_max_mb = 60";
    let work = format!("{ALL_ACTS}\n{work}");
    let found = |events: &[Event], policy| looked_at(&SIX, events, policy, Control::default());
    assert_eq!(found(&hours(6..8), &work), ["alert/open"]);
    assert_eq!(found(&hours(6..9), &work), ["quarantine/open"]);
    let other = "HF00000000000000000000000000000008".parse().ok();
    let moved = Event { fleet: other, ..streams(6, 300 * MB) };
    assert_eq!(found(&[moved], ALL_ACTS), Vec::<String>::new());
    // Of one whose events name none, its records say which it is in.
    let unnamed = Event { fleet: None, ..streams(6, 300 * MB) };
    assert_eq!(found(&[unnamed], ALL_ACTS), ["quarantine/open"]);
}

/// What is found of this usage and these events beside the fleet, by its level.
fn levels_of(usage: &SimUsage, cohort: &Cohort, events: &[Event]) -> Vec<String> {
    let (beside, none) = ((Some(usage), Some(cohort)), Control::default());
    let found = claims_in_fleet(super::super::DETECTOR, events, beside, &rules(ALL_ACTS), none);
    let about = |claim: &String| claim.split(['/', ' ']).nth(1).unwrap().to_owned();
    found.iter().map(about).collect()
}

#[test]
fn an_hour_that_is_closed_and_not_merged_counts_once() {
    let (mut usage, cohort) = beside_peers(PAST_HOURS, &SIX);
    let source = Source { fleet: Some(fleet()), page: 0 };
    let beside = Beside { cohort: Some(&cohort), is_suspended: false };
    let none = levels_of(&usage, &cohort, &[]);
    usage.close_beside(hour_of("11T06"), Bytes(300 * MB), source, beside);
    // The hour before is judged now: an alert that the aggregator finds.
    assert_eq!(
        (none, levels_of(&usage, &cohort, &[])),
        (vec!["alert".into()], vec!["quarantine".into()])
    );
    assert_eq!(levels_of(&usage, &cohort, &hours(6..7)), ["quarantine"]);
    assert_eq!(levels_of(&usage, &cohort, &hours(6..8)), ["deactivate"]);
}

#[test]
fn an_hour_that_is_merged_and_has_no_record_does_not_count() {
    // Two hours without one.
    let own = [&SIX[..], &[0, 0]].concat();
    let (usage, cohort) = beside_peers(PAST_HOURS, &own);
    assert_eq!(levels_of(&usage, &cohort, &hours(6..8)), ["alert"]);
    assert_eq!(levels_of(&usage, &cohort, &hours(6..9)), ["quarantine"]);
}

#[test]
fn an_hour_of_which_the_fleet_knows_no_more_speaks_neither_way() {
    let own = [&SIX[..], &[0; 51]].concat();
    let (usage, cohort) = beside_peers(PAST_HOURS, &own);
    let later = attached("13T08:30");
    assert_eq!(levels_of(&usage, &cohort, &[later]), Vec::<String>::new());
}

#[test]
fn an_hour_counts_that_only_records_show() {
    let (mut usage, cohort) = beside_peers(PAST_HOURS, &SIX);
    assert!(usage.see(hour_of("11T06"), Bytes(300 * MB)));
    assert_eq!(levels_of(&usage, &cohort, &home()), ["quarantine"]);
    assert_eq!(levels_of(&usage, &cohort, &[streams(6, 50_000)]), ["quarantine"]);
}

#[test]
fn in_a_large_fleet_an_open_hour_counts_as_in_one_of_two_thousand() {
    const SIMS: usize = 20_000;
    let (mut usage, mut other) = (SimUsage::new(sim()), SimUsage::new(sim()));
    let (mut cohort, first) = (Cohort::default(), hour_of("01T00"));
    for hours in 0..40 {
        let (hour, mut sketch) = (first.plus(hours), Sketch::default());
        let strange = if hours < 37 { 50_000 } else { 300 * MB };
        for (usage, bytes, times) in [(&mut usage, strange, 1), (&mut other, 50_000, SIMS)] {
            let source = Source { fleet: Some(fleet()), page: 0 };
            let beside = Beside { cohort: Some(&cohort), is_suspended: false };
            usage.close_beside(hour, Bytes(bytes), source, beside);
            (0..times).for_each(|_| sketch.add(usage, hour));
        }
        cohort.merge(hour, &sketch);
    }
    let shown = |_hour| Shown::Used(Bytes(300 * MB));
    let ledgers = ahead(&usage, &cohort, shown, first.plus(42));
    let all = std::iter::once(usage.standing().ledger()).chain(&ledgers);
    let all: Vec<f64> = all.map(|ledger| ledger.wallet().log_evidence()).collect();
    let steps: Vec<f64> = all.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(steps[0] > 4.0, "a closed hour counts in full: {steps:?}");
    assert!(
        steps.len() == 4 && steps[1..].iter().all(|step| (step - 3.5).abs() < 1e-9),
        "{steps:?}"
    );
}

#[test]
fn signs_are_added_to_open_hours_as_to_closed_ones() {
    let device = "device_not_allowed:86600905000001";
    let then = |events: Vec<Event>| then([vec![in_tablet()], events].concat());
    let alone = [format!("alert/{device}"), "alert/open".to_owned()];
    let both = format!("deactivate/open+{device}");
    check(&FIVE, &then(hours(5..6)), &[&alone[0], &alone[1], &both]);
    check(&FOUR, &then(hours(4..5)), &[&format!("quarantine/open+{device}")]);
    // What usage alone shows when hours are closed, the aggregator finds.
    check(&[300 * MB; 9], &then(hours(9..11)), &[]);
}

#[test]
fn what_a_human_restored_or_judged_is_not_found_again() {
    let found = |control| looked_at(&SIX, &hours(6..9), ALL_ACTS, control).len();
    let restored = |at: &str| found(Control { restored_at: Some(time(at)), ..Control::default() });
    assert_eq!((restored("10T23:59"), restored("11T00:01")), (1, 0));
    let judged = BTreeSet::from(["usage_spike#2026-03-11T00Z/alert".to_owned()]);
    assert_eq!(found(Control { judged: Some(&judged), ..Control::default() }), 0);
}

proptest! {
    /// So that events may come in any order: who looks last finds what anyone found before.
    #[test]
    fn what_comes_in_more_of_an_hour_never_shows_less(
        hours in proptest::array::uniform6((0_u64..3, 0_u64..20_000_000)),
        more in proptest::array::uniform6((0_u64..3, 0_u64..20_000_000)),
        (looked, last) in (0_i32..12).prop_flat_map(|looked| (Just(looked), looked..12)),
    ) {
        let (usage, cohort) = &*THEFT;
        let first: Hour = "2026-03-11T04Z".parse().unwrap();
        let evidence = |also: bool, until: i32| {
            let shown = |hour: Hour| {
                let place = usize::try_from(first.hours_until(hour)).unwrap();
                let of = |(times, bytes): (u64, u64)| times.saturating_mul(bytes);
                let more = if also { of(more[place]) } else { 0 };
                Shown::Used(Bytes(of(hours[place]).saturating_add(more)))
            };
            let ledgers = ahead(usage, cohort, shown, first.plus(until));
            let wallets = ledgers.iter().map(|ledger| ledger.wallet());
            let evidence = wallets.map(|wallet| (wallet.log_evidence(), wallet.excess()));
            evidence.collect::<Vec<_>>()
        };
        let (few, all) = (evidence(false, looked), evidence(true, last));
        prop_assert!(few.len() > 1 && few.len() <= all.len(), "{few:?} {all:?}");
        for (few, all) in few.iter().zip(&all) {
            prop_assert!(few.0 <= all.0 && few.1 <= all.1, "{few:?} {all:?}");
        }
    }
}
