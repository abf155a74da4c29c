//! A SIM on its way to quarantine, in it, and on its way home.

use super::*;
use crate::detector::fixture::SENSOR;
use crate::id::FleetSid;
use crate::port::{Fleet, Stop};
use crate::verdict::Verdict;

fn away() -> FleetSid {
    "HF00000000000000000000000000000077".parse().unwrap()
}

/// A SIM that is over its limit, where policy asks for quarantine.
fn rogue() -> Scene {
    Scene::rogue().with(|scene| {
        let policy = scene.policy.replace("act = 'deactivate'", "act = 'quarantine'");
        scene.policy = format!("quarantine = {{ fleet = '{}' }}\n{policy}", away());
    })
}

/// The same with an incident at this stage, whose SIM goes to quarantine.
fn going(stage: Stage) -> Scene {
    rogue().at(stage).when("01T14:07:05").with(|scene| {
        scene.incident().verdict = Verdict::Quarantine;
        scene.incident().quarantine = Some(place());
    })
}

fn place() -> Quarantine {
    Quarantine { fleet: away(), home: fleet(), since: None }
}

fn at(status: SimStatus, fleet: FleetSid) -> Result<Sim, ProviderError> {
    Ok(Sim { fleet: Some(fleet), ..provider_sim(status) })
}

#[track_caller]
fn check(scene: &Scene, found: &Result<Sim, ProviderError>, expected: &str) {
    assert_eq!(scene.told(&scene.decide_on(found)), expected);
}

#[test]
fn policy_that_asks_for_it_switches_off_first_and_remembers_both_fleets() {
    let Decision::Deactivate(incident, authority) = rogue().decide(Says::Active) else {
        panic!("not deactivated");
    };
    assert_eq!((incident.quarantine, authority), (Some(place()), Authority::Policy));
    // Where it is already, or without a fleet to come back to, a human is told and no more.
    check(&rogue(), &at(SimStatus::Active, away()), "record alerted +Opened");
    let homeless = Ok(Sim { fleet: None, ..provider_sim(SimStatus::Active) });
    check(&rogue(), &homeless, "record alerted +Opened");
}

#[test]
fn every_guard_holds_it_as_it_holds_a_kill() {
    let stopped = |scene: &mut Scene| scene.case.stop = Some(stop());
    let told = "record held (stopped by an operator) +Held";
    rogue().with(stopped).check(Says::Active, told);
    going(Stage::Sent).with(stopped).check(Says::Active, told);
    let observed = "record held (observe mode) +Held";
    rogue().with(|scene| scene.armed = Mode::Observe).check(Says::Active, observed);
}

fn stop() -> Stop {
    Stop { by: "ops".to_owned(), reason: "drill".to_owned(), at: time("01T14:00") }
}

#[test]
fn off_then_moved_then_on() {
    let inactive = going(Stage::Inactive);
    check(
        &inactive,
        &at(SimStatus::Inactive, fleet()),
        &format!("ask for fleet {}, was inactive", away()),
    );
    check(&inactive, &at(SimStatus::Inactive, away()), "ask for status active, was inactive");
    check(&inactive, &at(SimStatus::Active, away()), "record quarantined +Quarantined");
    let elsewhere = "close restored elsewhere +RestoredElsewhere";
    check(&inactive, &at(SimStatus::Active, fleet()), elsewhere);
    check(&inactive, &at(SimStatus::Scheduled, away()), "record inactive");
    check(&going(Stage::Leaking), &at(SimStatus::Inactive, fleet()), "record leaking");
}

#[test]
fn a_stop_keeps_it_off_unless_a_human_asked() {
    let stopped = |scene: &mut Scene| scene.case.stop = Some(stop());
    let scene = going(Stage::Inactive).with(stopped);
    check(&scene, &at(SimStatus::Inactive, fleet()), "record inactive");
    let asked = scene.with(|scene| {
        scene.incident().human =
            Some(Human { by: "ops".to_owned(), reason: String::new(), alerts_before: 0 });
    });
    let told = format!("ask for fleet {}, was inactive", away());
    check(&asked, &at(SimStatus::Inactive, fleet()), &told);
}

#[test]
fn what_someone_else_switched_off_is_not_switched_on_by_what_was_held() {
    let held = rogue().at(Stage::Held(Hold::Observe)).with(|scene| {
        scene.incident().quarantine = Some(place());
        scene.armed = Mode::Observe;
    });
    let more = held.also(used("01T15:00", "01T15:06", 31 * MB)).when("01T15:06:05");
    check(&more, &at(SimStatus::Inactive, fleet()), "record inactive +Killed");
    let Decision::Record(incident) = more.decide_on(&at(SimStatus::Inactive, fleet())) else {
        panic!("not recorded");
    };
    assert_eq!(incident.quarantine, None);
}

#[test]
fn every_guard_keeps_it_off_between_its_steps() {
    let off = at(SimStatus::Inactive, away());
    check(&going(Stage::Inactive), &off, "ask for status active, was inactive");
    let observes = |scene: &mut Scene| scene.armed = Mode::Observe;
    check(&going(Stage::Inactive).with(observes), &off, "record inactive");
    let protects = |scene: &mut Scene| scene.case.desired.0.protected_by = Some("ops".to_owned());
    check(&going(Stage::Inactive).with(protects), &off, "record inactive");
}

#[test]
fn what_policy_deactivates_for_by_now_is_not_switched_on() {
    let strange = going(Stage::Inactive).also(used("01T14:06", "01T14:07", MB).in_device(TABLET));
    let Decision::Record(incident) = strange.decide_on(&at(SimStatus::Inactive, away())) else {
        panic!("it was moved, or switched on");
    };
    assert_eq!((incident.quarantine, incident.verdict), (None, Verdict::Deactivate));
}

#[test]
fn a_sim_keeps_its_home_when_policy_names_another_fleet() {
    let other: FleetSid = "HF00000000000000000000000000000078".parse().unwrap();
    let rules = crate::detector::fixture::rules(&format!("quarantine = {{ fleet = '{other}' }}"));
    let there = at(SimStatus::Active, away()).unwrap();
    let desired = Desired { quarantine: Some(place()), ..Desired::default() };
    assert_eq!(quarantine_for(&rules, &there, &desired), None);
    let free = quarantine_for(&rules, &there, &Desired::default()).unwrap();
    assert_eq!((free.fleet, free.home), (other, away()));
}

#[test]
fn policy_that_asks_for_more_meanwhile_gives_it_up() {
    let more =
        |scene: &mut Scene| scene.policy = scene.policy.replace("quarantine'\n", "deactivate'\n");
    let scene = going(Stage::Sent).with(more);
    let Decision::Deactivate(incident, _) = scene.decide(Says::Active) else { panic!("not again") };
    assert_eq!(incident.quarantine, None);
    let Decision::Deactivate(incident, _) = going(Stage::Sent).decide(Says::Active) else {
        panic!("not again");
    };
    assert_eq!(incident.quarantine, Some(place()));
}

#[test]
fn every_answer_to_a_step_has_its_outcome() {
    let outcome = |stage, change, says| {
        let scene = going(stage);
        let (incident, _) = scene.case.incident.clone().unwrap();
        let after = outcome_of(scene.now, incident, change, &answer(says));
        let secs = after.next_check.duration_since(scene.now).as_secs();
        let goes_on = if after.quarantine.is_some() { "" } else { ", given up" };
        let told = scene.told(&Decision::Record(Box::new(after)));
        format!("{told}, again after {secs} s{goes_on}")
    };
    let mut table = String::new();
    for (stage, change) in [
        (Stage::Inactive, Change::Fleet(fleet())),
        (Stage::Inactive, Change::Fleet(away())),
        (Stage::Inactive, Change::Status(TargetStatus::Active)),
        (Stage::Restoring, Change::Status(TargetStatus::Inactive)),
        (Stage::Restoring, Change::Fleet(fleet())),
    ] {
        let told = grouped(|says| outcome(stage, change, says));
        table += &format!("{stage}, asked for {change}\n{told}");
    }
    insta::assert_snapshot!(table, @r"
        inactive, asked for fleet HF02020202020202020202020202020202
          New Ready Active Inactive Unknown: record inactive, again after 0 s
          Scheduled: record inactive, again after 60 s
          NotFound Unauthorized Refused: record inactive +QuarantineFailed, again after 60 s, given up
          NotAllowed Throttled Down: record inactive, again after 30 s
        inactive, asked for fleet HF00000000000000000000000000000077
          New Ready Active Inactive Scheduled Unknown: record inactive, again after 60 s
          NotFound Unauthorized Refused: record inactive +QuarantineFailed, again after 60 s, given up
          NotAllowed Throttled Down: record inactive, again after 30 s
        inactive, asked for status active
          New Ready Inactive Scheduled Unknown: record inactive, again after 60 s
          Active: record quarantined +Quarantined, again after 900 s
          NotFound Unauthorized Refused: record inactive +QuarantineFailed, again after 60 s, given up
          NotAllowed Throttled Down: record inactive, again after 30 s
        restoring, asked for status inactive
          New Ready Active Scheduled Unknown: record restoring, again after 60 s
          Inactive: record restoring, again after 0 s
          NotFound Unauthorized Refused: record restoring +Unreachable, again after 30 s
          NotAllowed Throttled Down: record restoring, again after 30 s
        restoring, asked for fleet HF02020202020202020202020202020202
          New Ready Active Inactive Unknown: record restoring, again after 0 s
          Scheduled: record restoring, again after 60 s
          NotFound Unauthorized Refused: record restoring +Unreachable, again after 30 s
          NotAllowed Throttled Down: record restoring, again after 30 s
        ");
}

#[test]
fn a_fleet_with_data_or_unknown_keeps_it_off() {
    let of = |data_enabled, data_limit_mb| {
        Ok(Fleet { sid: away(), unique_name: None, data_enabled, data_limit_mb })
    };
    let mut scene = going(Stage::Inactive);
    let incident = scene.incident().clone();
    let kept = |fleet: Result<Fleet, ProviderError>| {
        let kept = kept_out(time("01T14:08"), &incident, &fleet)?;
        let is_told = kept.alerts.iter().any(|alert| alert.kind == AlertKind::QuarantineFailed);
        assert_eq!(is_told, kept.quarantine.is_none());
        assert!(kept.trouble.is_some());
        Some(is_told)
    };
    assert_eq!(kept(of(Some(false), Some(250))), None);
    assert_eq!(kept(of(Some(true), Some(1))), None);
    assert_eq!(kept(of(Some(true), Some(2))), Some(true));
    assert_eq!(kept(of(None, None)), Some(true), "unknown is not safe");
    assert_eq!(kept(Err(ProviderError::NotFound)), Some(true));
    assert_eq!(
        kept(Err(ProviderError::Throttled { retry_after: None })),
        Some(false),
        "it is read again"
    );
}

/// A SIM in quarantine since a minute.
fn there() -> Scene {
    going(Stage::Quarantined).with(|scene| {
        scene.incident().quarantine = Some(Quarantine { since: Some(scene.now), ..place() });
    })
}

#[test]
fn in_quarantine_it_is_watched_for_three_days() {
    let found = at(SimStatus::Active, away());
    check(&there(), &found, "record quarantined");
    check(&there().when("04T14:07:04"), &found, "record quarantined");
    check(&there().when("04T14:07:05"), &found, "close quarantined");
    let gone = Err(ProviderError::NotFound);
    check(&there().when("04T14:07:04"), &gone, "record quarantined");
    check(&there().when("04T14:07:05"), &gone, "close quarantined");
    check(&there(), &at(SimStatus::Inactive, away()), "record quarantined");
    let elsewhere = "close restored elsewhere +RestoredElsewhere";
    check(&there(), &at(SimStatus::Active, fleet()), elsewhere);
    check(&there(), &Err(ProviderError::Throttled { retry_after: None }), "record quarantined");
}

#[test]
fn what_policy_deactivates_for_is_deactivated_in_quarantine() {
    let found = at(SimStatus::Active, away());
    let strange = || there().also(used("01T14:06", "01T14:07", MB).in_device(TABLET));
    check(&strange(), &found, "deactivate by Policy, was quarantined");
    let observed = strange().with(|scene| scene.armed = Mode::Observe);
    check(&observed, &found, "record quarantined +Opened");
    let known = there().also(used("01T14:06", "01T14:07", MB).in_device(SENSOR));
    check(&known, &found, "record quarantined");
    let more_of_it = there().also(used("01T15:00", "01T15:06", 31 * MB)).when("01T15:06:05");
    check(&more_of_it, &found, "record quarantined");
}

#[test]
fn the_way_home_is_off_moved_and_on() {
    let desired = Desired { quarantine: Some(place()), ..Desired::default() };
    let next = |status, fleet| {
        let sim = at(status, fleet).unwrap();
        next_step_back(&desired, &sim).map(|change| change.to_string())
    };
    assert_eq!(next(SimStatus::Active, away()).as_deref(), Some("status inactive"));
    assert_eq!(next(SimStatus::Ready, away()).as_deref(), Some("status inactive"));
    assert_eq!(next(SimStatus::Inactive, away()), Some(format!("fleet {}", fleet())));
    assert_eq!(next(SimStatus::Scheduled, away()), None);
    assert_eq!(next(SimStatus::Inactive, fleet()), None);
    let home = |stage| going(stage).with(|scene| scene.case.desired.0.quarantine = Some(place()));
    let told = "ask for status inactive, was restoring";
    check(&home(Stage::Restoring), &at(SimStatus::Active, away()), told);
    check(&home(Stage::Restoring), &at(SimStatus::Scheduled, away()), "record restoring");
    check(&home(Stage::Restoring), &at(SimStatus::Inactive, fleet()), "restore, was restoring");
    // A move that was under way landed late.
    check(&home(Stage::Restored), &at(SimStatus::Active, away()), told);
}
