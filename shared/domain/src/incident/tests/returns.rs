//! What was given up, judged or not read for a while, and comes back.

use super::*;
use crate::detector::fixture::SENSOR;
use crate::verdict::Verdict;

const AREA: &str = "mode = 'enforce'\n[places]\n\
    geofence = { lat = 48.0, lon = 11.0, radius_km = 50 }\ngeofence_act = 'deactivate'";
const FLIPS: &str = "mode = 'enforce'\n[binding]\nallowed_tacs = ['86600905']";

fn seen(at: &str, cell: u64, lat: f64) -> Event {
    attached(at).at_cell(cell, lat, 11.0)
}

fn under(policy: &str, events: &[Event], now: &str) -> Scene {
    Scene::of(events).when(now).with(|scene| scene.policy = policy.to_owned())
}

fn says(scene: &Scene, says: Says) -> String {
    scene.told(&scene.decide(says))
}

fn unread(scene: Scene) -> Scene {
    scene.with(|scene| {
        scene.case.state = None;
        scene.case.unread = vec!["the state has schema 9".to_owned()];
    })
}

#[test]
fn what_was_lifted_is_as_new_as_on_the_first_day_when_it_is_there_again() {
    let events = [used("01T14:00", "01T14:06", 31 * MB)];
    let scene = under(CUTS, &events, "01T14:06:05").then(Says::Throttled);
    assert!(says(&scene, Says::Active).starts_with("deactivate"));
    // Planned work, of which policy was told late, and which it forgets again.
    let planned = "[[maintenance]]\nfrom = 2026-03-01T13:00:00Z\nto = 2026-03-01T16:00:00Z\n\
                   bytes_max_mb = 90";
    let lifted = scene.with(|scene| scene.policy = format!("{CUTS}\n{planned}"));
    let lifted = lifted.then(Says::Active);
    let (incident, _) = lifted.case.incident.as_ref().unwrap();
    assert_eq!((incident.stage, incident.alerts_made), (Stage::Alerted, 0));
    assert_eq!(says(&lifted, Says::Active), "rest");
    let again = lifted.with(|scene| scene.policy = CUTS.to_owned());
    let Decision::Deactivate(incident, _) = again.decide(Says::Active) else { panic!() };
    assert!(incident.lifted.is_empty(), "{:?}", incident.lifted);
}

#[test]
fn an_excursion_is_found_though_the_sim_is_home_before_anyone_looks() {
    let out = [seen("02T14:00", 2, 48.7), seen("02T15:00", 3, 48.74)];
    let home = [&out[..], &[seen("02T17:00", 1, 48.1)]].concat();
    for events in [&out[..], &home] {
        assert!(says(&under(AREA, events, "02T17:00"), Says::Active).starts_with("deactivate"));
    }
    let asked = under(AREA, &out, "02T15:00").then(Says::Throttled);
    let asked = asked.also(seen("02T15:00:10", 1, 48.1)).when("02T15:00:30");
    assert!(says(&asked, Says::Active).starts_with("deactivate"));
}

#[test]
fn a_sim_that_lives_on_after_its_proof_is_paged_though_the_provider_answers_late() {
    let scene = || {
        Scene::rogue().with(|scene| {
            scene.case.desired.0.status = Some(TargetStatus::Inactive);
            scene.case.desired.0.inactive_at = Some(time("01T13:50"));
        })
    };
    let stopped = scene().with(|scene| {
        let (by, reason) = ("ops".to_owned(), "lunch".to_owned());
        scene.case.stop = Some(crate::port::Stop { by, reason, at: time("01T13:00") });
    });
    for scene in [scene(), stopped] {
        let leaks = says(&scene, Says::Inactive);
        assert!(leaks.ends_with("leaking +Leaking"), "{leaks}");
        let late = scene.then(Says::Throttled);
        assert_eq!(late.case.incident.as_ref().unwrap().0.stage, Stage::Requested);
        assert_eq!(says(&late, Says::Inactive), leaks);
    }
}

#[test]
fn a_freeze_does_not_end_by_itself_while_what_is_known_cannot_be_read() {
    let scene = Scene::rogue().at(Stage::Proven).when("01T16:00");
    let scene = scene.with(|scene| scene.incident().frozen_until = Some(time("01T16:00")));
    assert!(says(&scene, Says::Inactive).contains("+KeptOff"));
    let Decision::Record(waits) = unread(scene).decide(Says::Inactive) else { panic!() };
    assert_eq!(waits.frozen_until, Some(time("01T16:00")));
    assert_eq!(waits.trouble.as_deref(), Some("not ruled again: the state has schema 9"));
    let quiet = unread(Scene::rogue().at(Stage::Quiet).when("05T14:00"));
    assert!(says(&quiet, Says::Inactive).starts_with("record"), "not filed");
}

#[test]
fn what_waits_for_the_provider_is_not_given_up_for_what_cannot_be_read() {
    let asked = Scene::rogue().then(Says::Throttled);
    let Decision::Record(waits) = unread(asked.clone()).decide(Says::Active) else { panic!() };
    assert_eq!((waits.stage, waits.alerts_made), (Stage::Requested, 0));
    assert_eq!(waits.next_check, time("01T14:07:05"));
    // What is read may be enough.
    let partly = asked.with(|scene| scene.case.unread = vec!["the usage".to_owned()]);
    assert!(says(&partly, Says::Active).starts_with("deactivate"));
    let Decision::Record(sent) = unread(Scene::rogue().at(Stage::Sent)).decide(Says::Active) else {
        panic!()
    };
    assert_eq!((sent.stage, sent.trouble.is_some()), (Stage::Sent, true));
    // Nothing was asked for here, so that nothing has to go on.
    let held = unread(Scene::rogue().at(Stage::Held(Hold::Stopped)));
    assert_eq!(says(&held, Says::Active), "rest");
}

#[test]
fn which_fleet_observes_is_asked_of_the_provider() {
    let elsewhere = "HF00000000000000000000000000000077".parse().unwrap();
    let policy = format!("{CUTS}\n[fleet.{}]\nmode = 'observe'", fleet());
    let scene = under(&policy, &[used("01T14:00", "01T14:06", 31 * MB)], "01T14:06:05");
    let late = scene.then(Says::Throttled);
    let moved = Ok(Sim { fleet: Some(elsewhere), ..provider_sim(SimStatus::Active) });
    assert!(late.told(&late.decide_on(&moved)).starts_with("deactivate"));
}

#[test]
fn a_place_that_is_known_in_quarantine_is_not_new_on_the_next_day() {
    let away = "HF00000000000000000000000000000077".parse().unwrap();
    let events = [seen("02T08:00", 1, 48.1), seen("02T09:00", 2, 48.7), seen("02T10:00", 3, 48.74)];
    let policy = format!("quarantine = {{ fleet = '{away}' }}\n{AREA}");
    let scene = under(&policy, &events, "02T10:00").at(Stage::Quarantined).with(|scene| {
        let kept = Quarantine { fleet: away, home: fleet(), since: Some(time("02T11:00")) };
        (scene.incident().verdict, scene.incident().quarantine) = (Verdict::Quarantine, Some(kept));
    });
    let found = Ok(Sim { fleet: Some(away), ..provider_sim(SimStatus::Active) });
    let later = scene.also(seen("03T12:00", 4, 48.7)).also(seen("03T13:00", 5, 48.74));
    let later = later.when("03T13:00");
    let decided = later.told(&later.decide_on(&found));
    assert!(decided.starts_with("record quarantined"), "{decided}");
}

#[test]
fn traffic_of_two_at_once_is_news_to_whoever_knows_of_to_and_fro() {
    let mut events = hours_in(SENSOR, 80);
    events.push(attached("04T09:00").in_device(TABLET));
    events.push(attached("04T10:00").in_device(SENSOR));
    let scene = under(FLIPS, &events, "04T10:00").then(Says::Active);
    let (one, other) = (Opened("04T14:00"), Opened("04T14:20"));
    let at_once = |scene: Scene| {
        scene
            .also(one.updated("04T14:00", "04T14:40", 5_000, 5_000).in_device(SENSOR))
            .also(other.updated("04T14:20", "04T14:50", 5_000, 5_000).in_device(TABLET))
            .also(one.updated("04T14:40", "04T15:00", 5_000, 10_000).in_device(SENSOR))
            .when("04T15:00")
    };
    let open = says(&at_once(scene.clone()), Says::Active);
    assert!(open.ends_with("alerted +Opened"), "{open}");
    let judged = scene.with(|scene| {
        let (incident, _) = scene.case.incident.take().unwrap();
        let rules = policy(&scene.policy);
        let judged = judged_keys(&scene.look(&rules, None), &incident);
        let desired = Desired { judged, restored_at: Some(time("04T10:30")), ..Desired::default() };
        scene.case.desired.0 = desired.allowing(incident.devices());
    });
    let judged = says(&at_once(judged), Says::Active);
    assert!(judged.ends_with("alerted +Opened"), "{judged}");
}
