//! Where one more minute, finding or answer makes the difference.

use super::*;
use crate::bytes::Bytes;
use crate::detector::fixture::{SENSOR, SENSOR_2};
use crate::finding::{DetectorId, Evidence};
use crate::time::Hour;
use crate::usage::{SimUsage, Source};

#[test]
fn a_sim_without_events_is_judged_by_the_rules_of_the_fleet_that_its_records_name() {
    let scene = Scene::of(&[]).with(|scene| {
        let mut usage = SimUsage::new(sim());
        let source = Source { fleet: Some(fleet()), page: 0 };
        usage.close(Hour::of(time("01T13:00")), Bytes(30 * MB), source);
        scene.case.usage = Some(usage);
        let limits = "hour_mb = 20\nact = 'deactivate'";
        scene.policy = format!("mode = 'enforce'\n[fleet.{}.limits]\n{limits}", fleet());
    });
    scene.check(Says::Active, "deactivate by Policy, was requested");
}

#[test]
fn a_sim_that_nobody_knows_is_given_up_after_three_days() {
    let sent = || Scene::rogue().at(Stage::Sent);
    sent().when("04T14:06:04").check(Says::NotFound, "record unreachable +Unreachable");
    sent().when("04T14:06:05").check(Says::NotFound, "close expired");
}

#[test]
fn a_restore_that_does_not_get_through_is_paged_and_one_that_did_is_not() {
    let at = |stage| Scene::rogue().at(stage).when("01T14:16:05");
    at(Stage::Restoring).check(Says::Throttled, "record restoring +Unreachable");
    at(Stage::Restored).check(Says::Throttled, "record restored");
}

#[test]
fn a_restore_begins_without_what_the_kill_left() {
    let mut scene = Scene::rogue().at(Stage::Inactive);
    let incident = scene.incident();
    (incident.paged, incident.frozen_until) = (true, Some(time("02T14:00")));
    incident.begin_restore(time("01T15:00"));
    assert_eq!((incident.stage, incident.paged), (Stage::Restoring, false));
    assert_eq!((incident.frozen_until, incident.inactive_at), (None, None));
    assert_eq!(incident.sent_at, Some(time("01T15:00")));
}

#[test]
fn only_what_a_cap_holds_is_told_together() {
    for hold in HOLDS {
        let mut scene = Scene::rogue().at(Stage::Held(hold));
        assert_eq!(scene.incident().is_held_by_cap(), hold == Hold::Cap, "{hold}");
    }
    assert!(!Scene::rogue().at(Stage::Sent).incident().is_held_by_cap());
}

#[test]
fn an_incident_is_held_since_its_first_hold() {
    let incident = Scene::rogue().at(Stage::Requested).incident().clone();
    let first = held(time("01T15:00"), incident, Hold::Observe);
    assert_eq!(first.held_at, Some(time("01T15:00")));
    let second = held(time("01T16:00"), first, Hold::Cap);
    assert_eq!(second.held_at, Some(time("01T15:00")));
}

#[test]
fn a_new_finding_that_nobody_needs_to_look_at_leaves_a_hold_as_it_is() {
    let learnt = "mode = 'enforce'\n[limits]\nhour_mb = 20\nact = 'deactivate'\n\
                  [binding]\nmode = 'learnt'\nenrol = 'first'\nallowed_tacs = ['35378572']";
    let mut scene = Scene::of(&[used("01T14:00", "01T14:06", 31 * MB).in_device(SENSOR)]);
    learnt.clone_into(&mut scene.policy);
    let scene = scene.at(Stage::Held(Hold::Cap)).when("01T14:20:05");
    scene.also(attached("01T14:20").in_device(SENSOR_2)).check(Says::Active, "rest");
}

#[test]
fn a_freeze_is_for_a_month_at_most() {
    assert_eq!(FREEZE_HOURS_MAX, 744);
}

#[test]
fn an_alert_remembers_whether_the_sim_was_protected() {
    for (hold, expected) in [(Hold::Protected, true), (Hold::Stopped, false)] {
        let mut scene = Scene::rogue().at(Stage::Requested);
        let held = held(time("01T14:07"), scene.incident().clone(), hold);
        assert_eq!(held.alerts[0].is_protected, expected, "{hold}");
    }
}

#[test]
fn hour_after_hour_over_a_limit_hides_no_device() {
    let mut incident = Incident::open(sim(), "pump-17".to_owned(), None, time("01T00:00"));
    let hour = |number: u32| Finding {
        detector: DetectorId::HourLimit,
        about: number.to_string(),
        at: time("01T00:00"),
        evidence: Evidence::Fault { what: String::new() },
    };
    let hours: Vec<Finding> = (0..40).map(hour).collect();
    incident.add_findings(&hours);
    assert_eq!(incident.findings, hours[..24], "the first ones explain it");
    let device = Finding {
        evidence: Evidence::Strike {
            seen: Bytes(MB),
            usual: None,
            device: Some(SENSOR_2.parse().unwrap()),
            from: time("02T00:00"),
            to: time("02T01:00"),
        },
        at: time("02T01:00"),
        ..hour(99)
    };
    incident.add_findings([&device]);
    assert_eq!(incident.findings[..23], hours[..23]);
    assert_eq!(incident.findings[23..], [device]);
}
