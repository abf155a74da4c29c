//! What a false alarm means, by what was done about the SIM; and what an allowed device is worth.

use super::*;
use crate::detector::fixture::SENSOR_2;
use crate::device::Imei14;
use crate::verdict::Verdict;

const DONE: TargetStatus = TargetStatus::Inactive;

fn device(imei: &str) -> BTreeSet<Imei14> {
    BTreeSet::from([imei.parse().unwrap()])
}

/// A SIM in a strange device.
fn stolen() -> Scene {
    Scene::of(&[attached("01T14:00").in_device(TABLET)])
}

/// The incident of a stolen SIM that is over, at this stage.
fn over(stage: Stage, opened: &str) -> Incident {
    let mut scene = stolen().at(stage);
    let incident = scene.incident();
    (incident.opened_at, incident.id) = (time(opened), opened.to_owned());
    incident.clone()
}

fn bare(stage: Stage) -> Incident {
    Incident { findings: Vec::new(), ..over(stage, "01T16:00") }
}

#[track_caller]
fn check(scene: &Scene, past: &[Incident], status: SimStatus, expected: &str) {
    let meaning = match false_alarm(&scene.case, past, &provider_sim(status)) {
        FalseAlarm::NoIncident => "no incident".to_owned(),
        FalseAlarm::Already(at) => format!("already at {at}"),
        FalseAlarm::File(judged) => format!("file {}", judged.stage),
        FalseAlarm::Mark(judged) => format!("mark {}", judged.stage),
        FalseAlarm::Restore(judged) => format!("restore {}", judged.stage),
    };
    let stage = scene.case.incident.as_ref().map(|(incident, _)| incident.stage);
    assert_eq!(meaning, expected, "{stage:?} {status:?} after {}", past.len());
}

#[test]
fn what_simfuse_switched_off_is_restored_and_what_it_only_told_is_filed() {
    for stage in [
        Stage::Admitted,
        Stage::Sent,
        Stage::Scheduled,
        Stage::Unreachable,
        Stage::Refused,
        Stage::Inactive,
        Stage::Quiet,
        Stage::Leaking,
        Stage::Proven,
    ] {
        for status in [SimStatus::Active, SimStatus::Inactive, SimStatus::Scheduled] {
            check(&stolen().at(stage), &[], status, &format!("restore {stage}"));
        }
    }
    for stage in [Stage::Alerted, Stage::Requested, Stage::Held(Hold::Cap)] {
        for status in [SimStatus::Active, SimStatus::Inactive] {
            check(&stolen().at(stage), &[], status, &format!("file {stage}"));
            // It is off because of another incident, which nobody calls false.
            let elsewhere = stolen().at(stage).with(|scene| {
                scene.case.desired.0.status = Some(DONE);
            });
            check(&elsewhere, &[], status, &format!("file {stage}"));
            // A request was sent before the guard came in between: it may land late.
            let sent = elsewhere.with(|scene| scene.incident().sent_at = Some(time("01T14:06:05")));
            check(&sent, &[], status, &format!("restore {stage}"));
        }
    }
}

#[test]
fn someone_else_switched_it_off_so_it_stays_off() {
    let elsewhere = |stage| stolen().at(stage).with(|scene| scene.case.desired.0.status = None);
    check(&elsewhere(Stage::Inactive), &[], SimStatus::Inactive, "file inactive");
    check(&elsewhere(Stage::Proven), &[], SimStatus::Inactive, "file proven");
    // A freeze would bring it back, whoever switched it off.
    let frozen = elsewhere(Stage::Inactive)
        .with(|scene| scene.incident().frozen_until = Some(time("01T18:00")));
    check(&frozen, &[], SimStatus::Inactive, "restore inactive");
}

#[test]
fn a_sim_in_quarantine_comes_home() {
    let kept = Quarantine { fleet: fleet(), home: FleetSid::from_bytes([7; 16]), since: None };
    let scene = stolen().at(Stage::Quarantined).with(|scene| {
        scene.case.desired.0.status = Some(TargetStatus::Active);
        scene.case.desired.0.quarantine = Some(kept);
    });
    check(&scene, &[], SimStatus::Active, "restore quarantined");
    let filed = [over(Stage::Quarantined, "01T14:06")];
    let scene = stolen().with(|other| other.case.desired = scene.case.desired);
    check(&scene, &filed, SimStatus::Active, "restore quarantined");
}

#[test]
fn without_an_open_incident_the_latest_one_is_judged() {
    check(&stolen(), &[], SimStatus::Active, "no incident");
    check(&stolen(), &[], SimStatus::Inactive, "no incident");
    let expired = [over(Stage::Expired, "01T14:06")];
    let told_only = [Incident { sent_at: None, ..over(Stage::Expired, "01T14:06") }];
    let off = stolen().with(|scene| scene.case.desired.0.status = Some(DONE));
    check(&off, &[over(Stage::Proven, "01T14:06")], SimStatus::Inactive, "restore proven");
    check(&off, &expired, SimStatus::Inactive, "restore expired");
    check(&off, &told_only, SimStatus::Inactive, "file expired");
    check(&stolen(), &told_only, SimStatus::Active, "file expired");
    let two = [over(Stage::Expired, "02T14:06"), over(Stage::Proven, "01T14:06")];
    check(&stolen(), &two, SimStatus::Active, "file expired");
}

#[test]
fn a_restore_that_found_nothing_lies_before_the_alarm_it_is_about() {
    let restored = stolen().with(|scene| {
        scene.case.desired.0.status = Some(TargetStatus::Active);
    });
    let past = [bare(Stage::Restored), bare(Stage::Restored), over(Stage::Proven, "01T14:06")];
    check(&restored, &past, SimStatus::Active, "file proven");
    check(&restored, &past[..2], SimStatus::Active, "no incident");
    for (stage, status, expected) in [
        (Stage::Restored, SimStatus::Active, "mark proven"),
        (Stage::Restoring, SimStatus::Active, "mark proven"),
        (Stage::Restoring, SimStatus::Inactive, "restore proven"),
    ] {
        let watched = stolen().at(stage).with(|scene| scene.incident().findings.clear());
        check(&watched, &past, status, expected);
    }
}

#[test]
fn twice_is_already() {
    let at = Some(time("01T15:00"));
    let filed = [Incident { false_alarm_at: at, ..over(Stage::Restored, "01T14:06") }];
    let already = "already at 2026-03-01T15:00:00Z";
    check(&stolen(), &filed, SimStatus::Active, already);
    check(&stolen(), &filed, SimStatus::Inactive, already);
    for stage in [Stage::Restoring, Stage::Restored] {
        let watched = stolen().at(stage).with(|scene| scene.incident().false_alarm_at = at);
        check(&watched, &[], SimStatus::Active, already);
        // It is asked for again: what was asked before did not take effect, or was undone.
        check(&watched, &[], SimStatus::Inactive, &format!("restore {stage}"));
    }
    let again = [over(Stage::Expired, "02T14:06"), filed[0].clone()];
    check(&stolen(), &again, SimStatus::Active, "file expired");
}

#[test]
fn an_allowed_device_is_no_evidence_and_all_else_is() {
    let policy_text = "mode = 'enforce'\n[limits]\nhour_mb = 20\nact = 'deactivate'\n\
                       [binding]\nmode = 'strict'\nallowed_tacs = ['35378572']";
    let rules = policy(policy_text);
    let found = |events: &[Event], allowed: &[&str]| -> (Verdict, Vec<String>) {
        let mut scene = Scene::of(events);
        let allowed = allowed.iter().map(|imei| imei.parse().unwrap()).collect();
        scene.case.desired.0.allowed_devices = allowed;
        let (verdict, findings) = assess(&scene.look(&rules, None), Some(fleet()));
        (verdict, findings.into_keys().collect())
    };
    let tablet = attached("01T14:00").in_device(TABLET);
    let strange = format!("device_not_allowed#{TABLET}");
    let events = [tablet.clone()];
    assert_eq!(found(&events, &[]), (Verdict::Deactivate, vec![strange.clone()]));
    assert_eq!(found(&events, &[SENSOR_2]), (Verdict::Deactivate, vec![strange.clone()]));
    assert_eq!(found(&events, &[TABLET]), (Verdict::Clear, Vec::new()));
    let streams = [tablet.clone(), used("01T14:00", "01T14:06", 31 * MB).in_device(TABLET)];
    let (verdict, keys) = found(&streams, &[TABLET]);
    assert_eq!((verdict, keys), (Verdict::Deactivate, vec!["hour_limit#2026-03-01T14Z".into()]));
    // A thief's device beside it is as strange as it would be without.
    let other = "86600905000002";
    let both = [tablet, attached("01T15:00").in_device(other)];
    let (verdict, keys) = found(&both, &[TABLET]);
    assert_eq!((verdict, keys), (Verdict::Deactivate, vec![format!("device_not_allowed#{other}")]));
    assert_eq!(found(&both, &[TABLET, other]), (Verdict::Clear, Vec::new()));
    // To and fro between the sensor and the tablet; both at once is a clone, whoever has the other.
    let sensor = crate::detector::fixture::SENSOR;
    let seen = |imei, at| attached(at).in_device(imei);
    let fro = [seen(sensor, "01T14:00"), seen(TABLET, "01T15:00"), seen(sensor, "01T16:00")];
    let flip_flop = format!("device_flip_flop#{sensor}-{TABLET}");
    assert_eq!(found(&fro, &[]).1, [flip_flop.clone(), strange.clone()]);
    assert_eq!(found(&fro, &[TABLET]), (Verdict::Clear, Vec::new()));
    let (one, other) = (Opened("01T14:00"), Opened("01T14:10"));
    let at_once = [
        one.updated("01T14:12", "01T14:18", 5_000, 5_000).in_device(sensor),
        other.updated("01T14:10", "01T14:16", 5_000, 5_000).in_device(TABLET),
    ];
    let at_once_key = format!("{flip_flop}/at-once");
    assert_eq!(found(&at_once, &[TABLET]), (Verdict::Alert, vec![at_once_key]));
    // Another one of the learnt device's model.
    let mut swapped = hours_in(crate::detector::fixture::SENSOR, 73);
    swapped.push(attached("04T09:00").in_device(SENSOR_2));
    let changed = format!("device_changed#{SENSOR_2}");
    assert_eq!(found(&swapped, &[]), (Verdict::Alert, vec![changed]));
    assert_eq!(found(&swapped, &[SENSOR_2]), (Verdict::Clear, Vec::new()));
}

#[test]
fn nothing_opens_for_an_allowed_device_and_what_waits_lapses() {
    let allowed =
        |scene: Scene| scene.with(|scene| scene.case.desired.0.allowed_devices = device(TABLET));
    stolen().check(Says::Active, "deactivate by Policy, was requested");
    allowed(stolen()).check(Says::Active, "rest");
    let requested = allowed(stolen().at(Stage::Requested));
    requested.check(Says::Active, "record alerted");
}

#[test]
fn no_more_devices_are_allowed_than_are_kept_and_none_makes_room() {
    let imei = |number: usize| format!("866009050{number:05}").parse::<Imei14>().unwrap();
    let many = |count| (0..count).map(imei).collect::<BTreeSet<_>>();
    let full = Desired::default().allowing(many(ALLOWED_DEVICES_MAX));
    let all = full.allowed_devices.clone();
    assert_eq!(full.allowed_with(&many(3)), Some(all), "they are allowed already");
    assert_eq!(full.allowed_with(&BTreeSet::from([imei(99)])), None);
    let two = Desired::default().allowing(many(2));
    assert_eq!(two.allowed_with(&BTreeSet::from([imei(1), imei(2)])), Some(many(3)));
}

#[test]
fn what_was_judged_of_a_device_is_not_what_it_is_allowed_by() {
    let judged = [
        format!("device_not_allowed#{TABLET}"),
        format!("device_changed#{TABLET}"),
        format!("device_not_allowed#{SENSOR_2}"),
        "hour_limit#2026-03-01T14Z".to_owned(),
    ];
    let desired = Desired { judged: judged.clone().into(), ..Desired::default() };
    let desired = desired.allowing(device(TABLET));
    assert_eq!(desired.judged, judged[2..].iter().cloned().collect());
    assert_eq!(desired.allowed_devices, device(TABLET));
}

#[test]
fn an_incident_is_about_the_devices_of_its_findings() {
    let mut incident = over(Stage::Alerted, "01T14:06");
    let limit = Finding {
        detector: crate::finding::DetectorId::Degraded,
        about: "fold".to_owned(),
        at: time("01T14:00"),
        evidence: Evidence::Fault { what: "it failed".to_owned() },
    };
    incident.add_findings([&limit]);
    assert_eq!(incident.devices(), device(TABLET));
}
