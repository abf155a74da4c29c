use std::collections::BTreeSet;

use super::*;
use crate::detector::Control;
use crate::detector::fixture::{
    MB, SENSOR, SENSOR_2, TABLET, attached, carries, claims_beside, hours_in, reports, rules, time,
};
use crate::detector::usage_spike::tests::{ALL_ACTS, after, after_past};
use crate::event::Event;

/// Beside 400 peers some 2.4 nats each: of so many hours the last one is not judged yet.
const FOUR: [u64; 4] = [300 * MB; 4];
const FIVE: [u64; 5] = [300 * MB; 5];
const SIX: [u64; 6] = [300 * MB; 6];
const SEVEN: [u64; 7] = [300 * MB; 7];

/// The SIM at home in its device for three days and an hour.
fn home() -> Vec<Event> {
    let at_home = |event: Event| event.in_country("US").on_network("310-260");
    hours_in(SENSOR, 73).into_iter().map(at_home).collect()
}

fn then(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    home().into_iter().chain(events).collect()
}

fn in_tablet() -> Event {
    attached("11T02:00").in_device(TABLET)
}

fn claims(own: &[u64], events: &[Event], policy: &str, control: Control<'_>) -> Vec<String> {
    claims_beside(super::DETECTOR, events, Some(&after(own)), &rules(policy), control)
}

/// What is found, without who found it and since when.
#[track_caller]
fn check_after(own: &[u64], events: &[Event], control: Control<'_>, expected: &[&str]) {
    let found = claims(own, events, ALL_ACTS, control);
    let keys = found.iter().map(|claim| {
        let key = claim.split_once(' ').unwrap().0;
        key.strip_prefix("usage_spike#2026-03-11T00Z/").unwrap().to_owned()
    });
    assert_eq!(keys.collect::<Vec<_>>(), expected);
}

#[track_caller]
fn check(own: &[u64], events: &[Event], expected: &[&str]) {
    check_after(own, events, Control::default(), expected);
}

#[test]
fn a_strange_device_and_strange_hours_are_more_than_either() {
    check(&SIX, &then([in_tablet()]), &["quarantine/device_not_allowed:86600905000001"]);
    check(&SEVEN, &then([in_tablet()]), &["deactivate/device_not_allowed:86600905000001"]);
    check(&SEVEN, &home(), &[]);
    check(&[50_000; 6], &then([in_tablet()]), &[]);
    let text = claims(&SIX, &then([in_tablet()]), ALL_ACTS, Control::default()).concat();
    insta::assert_snapshot!(text, @"usage_spike#2026-03-11T00Z/quarantine/device_not_allowed:86600905000001 2026-03-11T05:00:00Z: used 300.0 MB in 2026-03-11T04Z, usual are 50.6 kB; 1.5 GB beyond three times the usual since 2026-03-11T00:00:00Z, by chance once in 70,773,840 hours; counted in: device_not_allowed:86600905000001");
}

#[test]
fn each_sign_adds_what_it_weighs() {
    let moved = |plmn: &str, country: &str| {
        attached("11T02:00").in_device(SENSOR).on_network(plmn).in_country(country)
    };
    let steered = moved("310-410", "US");
    check(&SIX, &then([steered]), &["alert/network_new:310-410"]);
    check(&FIVE, &then([moved("334-020", "MX")]), &["alert/country_new:MX"]);
    check(&FIVE, &then([moved("262-01", "DE")]), &["quarantine/country_new:DE"]);
    check(
        &SIX,
        &then([attached("11T02:00").in_device(SENSOR_2)]),
        &["alert/device_changed:35378572000002"],
    );
    let visit = carries("11T02:00", "11T02:06", 100_000, 5 * MB);
    let sent = [reports(48, 40_000, 10_000), vec![visit]].concat();
    check(&FIVE, &sent, &["alert/download_heavy"]);
}

#[test]
fn one_cause_counts_once() {
    let back = attached("11T03:00").in_device(SENSOR);
    let there = attached("11T01:00").in_device(SENSOR);
    let in_turn = "device_flip_flop:35378572000001-86600905000001";
    // 8.5 of the pair, and not 6.2 of the tablet beside it.
    check(&FIVE, &then([there, in_tablet(), back]), &[&format!("quarantine/{in_turn}")]);
    let abroad = in_tablet().in_country("DE").on_network("262-01");
    let both = "device_not_allowed:86600905000001+country_new:DE";
    // 7.2 of three hours, and as much of the signs, which would be 13.1.
    check(&FOUR, &then([abroad.clone()]), &[&format!("alert/{both}")]);
    check(&FIVE, &then([abroad]), &[&format!("deactivate/{both}")]);
}

#[test]
fn a_technicians_phone_for_three_hours_is_no_theft() {
    let there = attached("11T01:00").in_device(SENSOR);
    let visit = carries("11T02:00", "11T02:06", 100_000, 5 * MB).in_device(TABLET);
    let back = attached("11T03:00").in_device(SENSOR);
    let events = [reports(48, 40_000, 10_000), home(), vec![there, visit, back]].concat();
    check(&[300 * MB, 300 * MB, 300 * MB, 50_000, 50_000], &events, &[]);
}

#[test]
fn signs_of_planned_work_do_not_count() {
    let planned = |to: &str| {
        let work = format!(
            "{ALL_ACTS}\n[[maintenance]]\nfrom = 2026-03-11T01:00:00Z\nto = {to}\nbytes_max_mb = 60"
        );
        claims(&SIX, &then([in_tablet()]), &work, Control::default()).len()
    };
    assert_eq!((planned("2026-03-11T03:00:00Z"), planned("2026-03-11T01:59:00Z")), (0, 1));
}

#[test]
fn signs_alone_are_not_enough() {
    let abroad = in_tablet().in_country("DE").on_network("262-01");
    let events = then([
        attached("11T01:00").in_device(SENSOR),
        abroad,
        attached("11T03:00").in_device(SENSOR),
    ]);
    let own = |own: &[u64]| after(own).standing().wallet().log_evidence();
    let (few, enough) = ([300 * MB; 2], [300 * MB; 4]);
    assert!((0.0..OWN_LOG_EVIDENCE_MIN).contains(&own(&few)), "{}", own(&few));
    check(&few, &events, &[]);
    assert_eq!(claims(&enough, &events, ALL_ACTS, Control::default()).len(), 1);
    // Much evidence, and no harm.
    let harmless = claims(&[250_000; 6], &events, ALL_ACTS, Control::default()).concat();
    assert!(harmless.contains("/quarantine/"), "{harmless}");
}

#[test]
fn a_sign_of_another_time_is_another_matter() {
    let at = |at: &str, expected: &[&str]| {
        // It is still there.
        let again = attached("14T10:00").in_device(TABLET);
        let events = then([attached(at).in_device(TABLET), again]);
        check(&SIX, &events, expected);
    };
    let found = ["quarantine/device_not_allowed:86600905000001"];
    at("10T00:00", &found);
    at("09T23:59", &[]);
    // Five hours are judged: the last of them ended at five.
    at("14T05:00", &found);
    at("14T05:01", &[]);
}

#[test]
fn a_place_that_was_new_days_ago_counts_as_long_as_the_evidence_lasts() {
    let abroad = attached("10T12:00").in_device(SENSOR).in_country("DE").on_network("262-01");
    let later = attached("13T12:00").in_device(SENSOR).in_country("DE").on_network("262-01");
    check(&FIVE, &then([abroad, later]), &["quarantine/country_new:DE"]);
}

#[test]
fn what_usage_alone_shows_is_not_told_again() {
    check(&[300 * MB; 12], &then([in_tablet()]), &[]);
}

#[test]
fn policy_says_how_far_it_goes() {
    let of = |policy: &str| {
        let found = claims(&SEVEN, &then([in_tablet()]), policy, Control::default());
        found.concat().split(' ').next().unwrap().to_owned()
    };
    assert_eq!(of(""), "", "that is told by usage alone");
    assert!(of("[usage_spike]\nalert_hours = 10000000").contains("/alert/"));
    assert_eq!(of("[usage_spike]\nact = 'off'"), "");
    assert_eq!(of("[binding]\nmode = 'off'"), "");
    assert!(of("[usage_spike]\nact = 'deactivate'").contains("/deactivate/"));
}

#[test]
fn what_a_human_allowed_judged_or_restored_is_no_sign() {
    let events = then([in_tablet()]);
    let found = ["quarantine/device_not_allowed:86600905000001"];
    let restored = |at: &str, expected: &[&str]| {
        let restored_at = Some(time(at));
        check_after(&SIX, &events, Control { restored_at, ..Control::default() }, expected);
    };
    restored("10T23:59", &found);
    restored("11T00:00:00.001", &[]);
    let allowed_devices = &[TABLET.parse().unwrap()];
    check_after(&SIX, &events, Control { allowed_devices, ..Control::default() }, &[]);
    let judged = |key: &str, expected: &[&str]| {
        let judged = BTreeSet::from([key.to_owned()]);
        let control = Control { judged: Some(&judged), ..Control::default() };
        check_after(&SIX, &events, control, expected);
    };
    judged("device_not_allowed#86600905000001", &[]);
    judged("device_not_allowed#86600905000002", &found);
    // The same evidence, told before this sign came.
    judged("usage_spike#2026-03-11T00Z/alert", &[]);
    judged("usage_spike#2026-03-10T00Z/alert", &found);
}

#[test]
fn without_a_past_or_usage_records_there_is_nothing_to_add_to() {
    let events = then([in_tablet()]);
    let of = |usage: Option<&SimUsage>| {
        claims_beside(super::DETECTOR, &events, usage, &rules(ALL_ACTS), Control::default()).len()
    };
    assert_eq!((of(None), of(Some(&after_past(0, &[300 * MB; 20])))), (0, 0));
    assert_eq!(of(Some(&after(&SIX))), 1);
}

mod open;
