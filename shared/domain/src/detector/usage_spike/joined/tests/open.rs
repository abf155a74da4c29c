//! Hours that are not closed yet.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::bytes::Bytes;
use crate::detector::asks_fleet;
use crate::detector::fixture::{claims_in_fleet, fleet, state_of, used};
use crate::detector::usage_spike::tests::{PAST_HOURS, beside_peers};
use crate::evidence::Cohort;

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
    check(&SIX, &hours(5..6), &["alert"]);
    check(&SIX, &hours(5..7), &["quarantine"]);
    check(&SIX, &hours(5..8), &["deactivate"]);
    check(&SEVEN, &hours(6..7), &["quarantine"]);
    check(&SEVEN, &hours(6..8), &["deactivate"]);
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
    insta::assert_snapshot!(text.concat(), @"usage_spike#2026-03-11T00Z/quarantine 2026-03-11T06:30:00Z: used 200.0 MB in an hour, usual are 50.6 kB; 2.0 GB beyond the usual since 2026-03-11T00:00:00Z, by chance once in 16,601,440 hours");
}

#[test]
fn a_usual_or_a_silent_hour_speaks_for_the_sim_and_changes_nothing_of_what_was() {
    check(&FIVE, &[streams(5, 300 * MB)], &["alert"]);
    check(&FIVE, &[streams(6, 300 * MB)], &[]);
    check(&FIVE, &[streams(5, 50_000), streams(6, 300 * MB)], &[]);
    // Of the hour before it was found.
    check(&SIX, &[streams(6, 50_000), streams(7, 50_000)], &["alert"]);
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
fn of_a_fleet_of_which_nothing_new_is_known_no_hour_counts() {
    check(&SIX, &hours(9..12), &["deactivate"]);
    check(&SIX, &[streams(12, 300 * MB)], &[]);
    check(&SIX, &hours(6..13), &[]);
}

#[test]
fn nor_does_planned_work_or_another_fleet() {
    let work = "[[maintenance]]\nfrom = 2026-03-11T06:00:00Z\nto = 2026-03-11T08:00:00Z\n\
                bytes_max_mb = 60";
    let work = format!("{ALL_ACTS}\n{work}");
    let found = |events: &[Event], policy| looked_at(&SIX, events, policy, Control::default());
    assert_eq!(found(&hours(6..8), &work), ["alert"]);
    assert_eq!(found(&hours(6..9), &work), ["quarantine"]);
    let other = "HF00000000000000000000000000000008".parse().ok();
    let moved = Event { fleet: other, ..streams(6, 300 * MB) };
    assert_eq!(found(&[moved], ALL_ACTS), Vec::<String>::new());
}

#[test]
fn signs_are_added_to_open_hours_as_to_closed_ones() {
    let device = "device_not_allowed:86600905000001";
    let then = |events: Vec<Event>| then([vec![in_tablet()], events].concat());
    check(&FIVE, &then(hours(5..6)), &[&format!("deactivate/{device}")]);
    check(&FOUR, &then(vec![streams(4, 300 * MB)]), &[&format!("quarantine/{device}")]);
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
    ) {
        let (usage, cohort) = &*THEFT;
        let first: Hour = "2026-03-11T04Z".parse().unwrap();
        let evidence = |also: bool| {
            let shown = |hour: Hour| {
                let place = usize::try_from(first.hours_until(hour)).unwrap();
                let of = |(times, bytes): (u64, u64)| times.saturating_mul(bytes);
                let more = if also { of(more[place]) } else { 0 };
                Shown::Used(Bytes(of(hours[place]).saturating_add(more)))
            };
            let ledgers = ahead(usage, cohort, shown, first.plus(5));
            let wallets = ledgers.iter().map(|ledger| ledger.wallet());
            let evidence = wallets.map(|wallet| (wallet.log_evidence(), wallet.excess()));
            evidence.collect::<Vec<_>>()
        };
        let (few, all) = (evidence(false), evidence(true));
        prop_assert!(few.len() > 1 && few.len() <= all.len(), "{few:?} {all:?}");
        for (few, all) in few.iter().zip(&all) {
            prop_assert!(few.0 <= all.0 && few.1 <= all.1, "{few:?} {all:?}");
        }
    }
}
