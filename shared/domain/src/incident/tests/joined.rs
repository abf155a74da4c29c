//! Usage evidence to which another sign was added, by whoever saw both: what it is worth to a human who
//! judged the sign, and to a kill that is under way.

use super::*;
use crate::bytes::Bytes;
use crate::detector::fixture::SENSOR_2;
use crate::device::Imei14;
use crate::evidence::Level;
use crate::finding::{DetectorId, Evidence, Sign};

const DOES: &str = "deactivate by Policy, was requested";

/// Evidence since two o'clock, with the SIM in another device since three.
fn joined(level: Level) -> Finding {
    let sign = Sign {
        detector: DetectorId::DeviceChanged,
        about: SENSOR_2.to_owned(),
        at: time("01T03:00"),
        device: Some(SENSOR_2.parse().unwrap()),
    };
    let evidence = Evidence::Unusual {
        level,
        chance_hours: 200_000_000,
        seen: Bytes(9 * MB),
        usual: Bytes(50_000),
        excess: Bytes(60 * MB),
        from: time("01T02:00"),
        to: time("01T09:00"),
        signs: vec![sign],
        is_open: false,
    };
    let about = format!("2026-03-01T02Z/{level}/device_changed:{SENSOR_2}");
    Finding { detector: DetectorId::UsageSpike, about, at: time("01T09:00"), evidence }
}

fn alone(level: Level) -> Finding {
    let mut found = joined(level);
    found.about = format!("2026-03-01T02Z/{level}");
    if let Evidence::Unusual { signs, .. } = &mut found.evidence {
        signs.clear();
    }
    found
}

/// A SIM of which these are stored, by policy that cuts for them.
fn of(found: &[Finding]) -> Scene {
    Scene::of(&[attached("01T14:00")]).with(|scene| {
        scene.policy = "mode = 'enforce'\n[usage_spike]\nact = 'deactivate'".to_owned();
        scene.case.findings = found.iter().map(|one| (one.key(), one.clone())).collect();
    })
}

#[test]
fn it_stands_though_what_is_known_of_the_case_does_not_show_it() {
    let scene = of(&[joined(Level::Deactivate)]);
    scene.check(Says::Active, DOES);
    let sent = scene.then(Says::Active).when("01T14:20");
    sent.check(Says::Active, "deactivate by PolicyAgain, was admitted +Unreachable");
}

#[test]
fn it_is_told_once_with_what_usage_alone_shows() {
    let told = of(&[joined(Level::Alert)]);
    told.check(Says::Active, "record alerted +Opened");
    let told = told.then(Says::Active);
    let and = |found: Finding| {
        told.clone().with(|scene| drop(scene.case.findings.insert(found.key(), found)))
    };
    and(alone(Level::Alert)).check(Says::Active, "record alerted");
    and(joined(Level::Deactivate)).check(Says::Active, "deactivate by Policy, was alerted");
}

#[test]
fn a_sign_that_a_human_judged_or_allowed_takes_it_away_and_leaves_what_usage_alone_shows() {
    let judge = |change: fn(&mut Desired)| {
        let judged = |found: &[Finding]| of(found).with(|scene| change(&mut scene.case.desired.0));
        judged(&[joined(Level::Deactivate)]).check(Says::Active, "rest");
        let both = [joined(Level::Deactivate), alone(Level::Alert)];
        judged(&both).check(Says::Active, "record alerted +Opened");
    };
    judge(|desired| desired.judged = [format!("device_changed#{SENSOR_2}")].into());
    judge(|desired| desired.allowed_devices = [SENSOR_2.parse::<Imei14>().unwrap()].into());
    // A human who restored the SIM since knew of it.
    judge(|desired| desired.restored_at = Some(time("01T03:00:00.001")));
    judge(|desired| desired.restored_at = Some(time("01T02:30")));
    // Who judged another device, or restored it before, has not judged this.
    let before = of(&[joined(Level::Deactivate)]).with(|scene| {
        let desired = &mut scene.case.desired.0;
        desired.judged = [format!("device_changed#{TABLET}")].into();
        desired.restored_at = Some(time("01T02:00"));
    });
    before.check(Says::Active, DOES);
}

#[test]
fn a_restore_judges_it_with_its_evidence() {
    let mut scene = of(&[joined(Level::Deactivate)]).at(Stage::Inactive);
    let incident = scene.case.incident.take().unwrap().0;
    let rules = policy(&scene.policy);
    let judged = judged_keys(&scene.look(&rules, None), &incident);
    assert!(judged.contains(&joined(Level::Deactivate).key()), "{judged:?}");
    assert!(judged.iter().any(|key| key.starts_with("usage_spike#2026-03-01T02Z/")));
}

#[test]
fn evidence_that_was_judged_is_not_told_anew_for_another_sign() {
    let judged = |key: &str| {
        of(&[joined(Level::Deactivate)])
            .with(|scene| scene.case.desired.0.judged = [key.to_owned()].into())
    };
    judged("usage_spike#2026-03-01T02Z/alert").check(Says::Active, "rest");
    judged("usage_spike#2026-03-01T01Z/alert").check(Says::Active, DOES);
}

#[test]
fn a_strike_in_its_own_device_that_was_judged_is_no_longer_measured_by_the_fleet() {
    let is_its_own = |key: &str| {
        let judged = [key.to_owned()].into();
        Desired { judged, ..Desired::default() }.has_usage_of_its_own()
    };
    assert!(is_its_own("strike#2026-03-01T14Z") && is_its_own("slow_leak#2026-03-01/alert"));
    assert!(!is_its_own("strike#86600905000001/2026-03-01T14Z"), "that was another device");
    assert!(!is_its_own("hour_limit#2026-03-01T14Z"));
}
