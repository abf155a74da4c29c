//! What guards hold, what releases them, and how an incident comes to its end.

use super::*;
use crate::bytes::Bytes;
use crate::detector::fixture::SENSOR;
use crate::evidence::Level;
use crate::finding::{DetectorId, Evidence, Finding};
use crate::id::FleetSid;
use crate::port::Stop;

const OTHER_TABLET: &str = "86600905000002";

fn stop() -> Stop {
    Stop { by: "ops".to_owned(), reason: "drill".to_owned(), at: time("01T14:00") }
}

fn protects(name: &str) -> Scene {
    Scene::rogue().with(|scene| scene.policy += &format!("\n[guards]\nprotected = ['{name}']"))
}

/// A SIM that a human restored two hours after it was cut for its bytes; the 31 MB are judged.
fn restored() -> Scene {
    Scene::rogue().when("01T16:30").with(|scene| {
        let judged = BTreeSet::from(["hour_limit#2026-03-01T14Z".to_owned()]);
        let (status, restored_at) = (Some(TargetStatus::Active), Some(time("01T16:00")));
        scene.case.desired.0 = Desired { status, restored_at, judged, ..Desired::default() };
    })
}

const OBSERVED: &str = "record held (observe mode) +Held";
const PROTECTED: &str = "record held (the SIM is protected) +Held";

#[test]
fn observing_in_policy_or_in_the_environment_holds() {
    let in_policy = |scene: &mut Scene| scene.policy = scene.policy.replace("enforce", "observe");
    Scene::rogue().with(in_policy).check(Says::Active, OBSERVED);
    Scene::rogue().with(|scene| scene.armed = Mode::Observe).check(Says::Active, OBSERVED);
}

#[test]
fn protection_by_any_name_or_at_run_time_holds() {
    let upper = sim().to_string().replace("hs", "HS").to_uppercase();
    for name in [&sim().to_string(), &upper, "8988307000000000001", "pump-17"] {
        protects(name).check(Says::Active, PROTECTED);
    }
    protects("pump-1").check(Says::Active, "deactivate by Policy, was requested");
    let at_run_time =
        |scene: &mut Scene| scene.case.desired.0.protected_by = Some("ops".to_owned());
    Scene::rogue().with(at_run_time).check(Says::Active, PROTECTED);
}

#[test]
fn the_stop_switch_holds() {
    let stopped = Scene::rogue().with(|scene| scene.case.stop = Some(stop()));
    stopped.check(Says::Active, "record held (stopped by an operator) +Held");
}

#[test]
fn every_guard_but_the_caps_and_the_cooldown_binds_a_repeated_request() {
    for stage in [Stage::Admitted, Stage::Sent, Stage::Scheduled, Stage::Unreachable] {
        let again = || Scene::rogue().at(stage).when("01T14:07:05");
        again()
            .with(|scene| scene.case.stop = Some(stop()))
            .check(Says::Active, "record held (stopped by an operator) +Held");
        again().with(|scene| scene.armed = Mode::Observe).check(Says::Active, OBSERVED);
        again()
            .with(|scene| scene.case.desired.0.protected_by = Some("ops".to_owned()))
            .check(Says::Active, PROTECTED);
        again()
            .with(|scene| scene.case.stop = Some(stop()))
            .check(Says::Inactive, "record inactive +Killed");
    }
}

#[test]
fn no_guard_binds_a_human() {
    let approved = Scene::rogue().at(Stage::Unreachable).when("01T14:07:05").with(|scene| {
        let human = Human { by: "ops".to_owned(), reason: "stolen".to_owned(), alerts_before: 0 };
        scene.incident().human = Some(human);
        scene.case.stop = Some(stop());
        scene.case.desired.0.protected_by = Some("ops".to_owned());
        scene.armed = Mode::Observe;
    });
    approved.check(Says::Active, "deactivate by Human, was unreachable");
}

#[test]
fn a_verdict_that_lapsed_leads_to_no_act() {
    let lifted = |scene: &mut Scene| scene.policy = scene.policy.replace("hour_mb = 20", "");
    Scene::rogue().with(lifted).check(Says::Active, "rest");
    Scene::rogue().at(Stage::Requested).with(lifted).check(Says::Active, "record alerted");
    Scene::rogue().at(Stage::Unreachable).with(lifted).check(Says::Active, "record alerted");
    let told = Scene::rogue().at(Stage::Sent).with(lifted);
    told.with(|scene| scene.incident().told = true).check(Says::Active, "record alerted +Opened");
}

#[test]
fn a_repeated_act_says_what_it_rests_on_now() {
    let stolen = attached("01T14:06:30").in_device(TABLET);
    let lifted = |scene: &mut Scene| scene.policy = scene.policy.replace("hour_mb = 20", "");
    let again = Scene::rogue().at(Stage::Unreachable).also(stolen).with(lifted);
    let Decision::Deactivate(incident, Authority::PolicyAgain) = again.decide(Says::Active) else {
        panic!("{:?}", again.decide(Says::Active));
    };
    let detectors = incident.findings.iter().map(|finding| finding.detector);
    let both = [DetectorId::HourLimit, DetectorId::DeviceNotAllowed];
    assert_eq!(detectors.collect::<Vec<_>>(), both);
}

#[test]
fn the_providers_word_on_the_fleet_decides_which_rules_hold() {
    let own = |fleet: FleetSid| {
        Scene::rogue()
            .with(|scene| scene.policy += &format!("\n[fleet.{fleet}.limits]\nhour_mb = 60"))
    };
    own(fleet()).check(Says::Active, "rest");
    let elsewhere = own(FleetSid::from_bytes([9; 16]));
    elsewhere.check(Says::Active, "deactivate by Policy, was requested");
    let moved = |fleet| {
        let mut answer = answer(Says::Active);
        answer.as_mut().unwrap().fleet = Some(FleetSid::from_bytes([fleet; 16]));
        let scene = own(FleetSid::from_bytes([9; 16]));
        let policy = policy(&scene.policy);
        scene.told(&decide(&scene.look(&policy, Some(&answer))))
    };
    assert_eq!(moved(2), "deactivate by Policy, was requested");
    assert_eq!(moved(9), "rest");
}

#[test]
fn an_alert_that_asks_for_no_act_is_told_once_for_each_detector() {
    let alerts = |scene: &mut Scene| scene.policy = scene.policy.replace("deactivate", "alert");
    let first = Scene::rogue().with(alerts);
    first.check(Says::Active, "record alerted +Opened");
    let first = first.then(Says::Active);
    first.check(Says::Active, "rest");
    let again = first.also(used("01T15:00", "01T15:06", 40 * MB));
    again.check(Says::Active, "record alerted");
    let other = again.then(Says::Active).with(|scene| scene.policy += "\n[places]\n");
    other.check(Says::Active, "rest");
    let daily =
        other.with(|scene| scene.policy = scene.policy.replace("hour_mb", "day_mb = 50\nhour_mb"));
    daily.check(Says::Active, "record alerted +Opened");
}

#[test]
fn what_waited_for_the_provider_is_told_when_it_only_alerts() {
    let alerts = |scene: &mut Scene| scene.policy = scene.policy.replace("deactivate", "alert");
    let waited = Scene::rogue().then(Says::Down).with(alerts).when("01T14:07");
    waited.check(Says::Active, "record alerted +Opened");
}

#[test]
fn a_change_of_mode_releases_nothing_and_a_new_finding_re_enters() {
    let observe = |scene: &mut Scene| scene.armed = Mode::Observe;
    let enforce = |scene: &mut Scene| scene.armed = Mode::Enforce;
    let held = Scene::rogue().with(observe).then(Says::Active);
    held.check(Says::Active, "rest");
    let enforced = held.with(enforce);
    enforced.check(Says::Active, "rest");
    let more = enforced.also(used("01T15:00", "01T15:06", 40 * MB));
    more.check(Says::Active, "deactivate by Policy, was held (observe mode)");
    more.with(observe).check(Says::Active, "record held (observe mode)");
}

#[test]
fn a_new_finding_that_asks_for_no_act_releases_nothing() {
    let degraded = Finding {
        detector: DetectorId::Degraded,
        about: "hour_limit".to_owned(),
        at: time("01T14:07"),
        evidence: Evidence::Fault { what: "a detector failed".to_owned() },
    };
    let held = Scene::rogue().at(Stage::Held(Hold::Observe)).with(|scene| {
        scene.case.findings.insert(degraded.key(), degraded);
    });
    held.check(Says::Active, "record held (observe mode) +Opened");
}

#[test]
fn what_waits_for_a_human_expires_after_three_days() {
    for hold in HOLDS {
        let held = || Scene::rogue().at(Stage::Held(hold));
        held().when("04T14:06:04").check(Says::Active, "rest");
        held().when("04T14:06:05").check(Says::Active, "close expired");
    }
}

#[test]
fn a_judged_finding_never_fires_again() {
    restored().check(Says::Active, "rest");
    let device = "device_not_allowed#86600905000001";
    let elsewhere = restored().also(attached("01T14:10").in_device(TABLET));
    elsewhere.check(Says::Active, "deactivate by Policy, was requested");
    let seen = elsewhere.with(|scene| {
        scene.case.desired.0.judged.insert(device.to_owned());
    });
    seen.check(Says::Active, "rest");
    let (verdict, findings) = {
        let scene = restored();
        let policy = policy(&scene.policy);
        assess(&scene.look(&policy, None), Some(fleet()))
    };
    assert_eq!((verdict, findings.len()), (Verdict::Clear, 0));
    let stored = restored().with(|scene| {
        let what = "the fold failed".to_owned();
        let evidence = Evidence::Fault { what };
        let (detector, about) = (DetectorId::Degraded, "fold".to_owned());
        let finding = Finding { detector, about, at: scene.now, evidence };
        scene.case.findings.insert(finding.key(), finding);
    });
    stored.check(Says::Active, "record alerted +Opened");
    let judged = stored.with(|scene| {
        scene.case.desired.0.judged.insert("degraded#fold".to_owned());
    });
    judged.check(Says::Active, "rest");
}

#[test]
fn the_cooldown_holds_unless_the_evidence_is_of_a_new_kind() {
    let same_kind = restored().also(used("01T16:10", "01T16:16", 40 * MB));
    let cooling = "record held (restored lately and no new evidence) +Held";
    same_kind.check(Says::Active, cooling);
    let new_kind = restored()
        .also(attached("01T16:10").in_device(SENSOR))
        .also(attached("01T16:20").in_device(TABLET));
    new_kind.check(Says::Active, "deactivate by Policy, was requested");
    let waited = new_kind.then(Says::Down);
    waited.check(Says::Active, "deactivate by Policy, was requested");
    let over = restored().also(used("02T16:01", "02T16:07", 40 * MB)).when("02T16:00");
    over.check(Says::Active, "deactivate by Policy, was requested");
    let before = restored().also(used("02T15:50", "02T15:56", 40 * MB)).when("02T15:59:59");
    before.check(Says::Active, cooling);
}

#[test]
fn a_cap_holds_without_an_alert_of_its_own() {
    let held =
        held(time("01T14:07"), Scene::rogue().at(Stage::Requested).incident().clone(), Hold::Cap);
    assert_eq!((held.stage, held.alerts.len()), (Stage::Held(Hold::Cap), 0));
    assert_eq!(held.next_check, time("04T14:07"));
}

#[test]
fn a_late_event_of_a_sim_that_we_cut_opens_nothing() {
    let cut = |scene: &mut Scene| scene.case.desired.0.status = Some(TargetStatus::Inactive);
    Scene::rogue().with(cut).check(Says::Inactive, "rest");
    let waited = Scene::rogue().with(cut).then(Says::Down);
    waited.check(Says::Inactive, "record alerted");
    Scene::rogue().with(cut).check(Says::Active, "deactivate by Policy, was requested");
}

#[test]
fn a_sim_that_failed_to_fold_is_told_although_nothing_else_is_known_of_it() {
    let finding = Finding {
        detector: DetectorId::Degraded,
        about: "fold".to_owned(),
        at: time("01T14:00"),
        evidence: Evidence::Fault { what: "its events could not be folded".to_owned() },
    };
    let unknown = Scene::of(&[]).with(|scene| {
        scene.case.findings.insert(finding.key(), finding);
    });
    unknown.check(Says::Down, "record alerted +Opened");
    let Decision::Record(incident) = unknown.decide(Says::Down) else { panic!("recorded") };
    assert_eq!(incident.name, sim().to_string());
    Scene::of(&[]).check(Says::Active, "rest");
}

#[test]
fn what_does_not_go_off_is_paged_after_ten_minutes_and_once() {
    for (says, stage) in [(Says::Scheduled, "scheduled"), (Says::Down, "unreachable")] {
        let at = |now| Scene::rogue().at(Stage::Sent).when(now);
        at("01T14:16:04").check(says, &format!("record {stage}"));
        at("01T14:16:05").check(says, &format!("record {stage} +Unreachable"));
        let paged = at("01T14:16:05").then(says).when("01T15:30");
        paged.check(says, &format!("record {stage}"));
    }
    let refused = Scene::rogue().at(Stage::Sent);
    refused.check(Says::Refused, "record unreachable +Unreachable");
    refused.then(Says::Refused).check(Says::Refused, "record unreachable");
}

#[test]
fn a_kill_is_told_once() {
    let (incident, _) = Scene::rogue().at(Stage::Admitted).case.incident.unwrap();
    let (now, off) = (time("01T14:07"), Change::Status(TargetStatus::Inactive));
    let sent = outcome_of(now, incident, off, &answer(Says::Active));
    assert_eq!((sent.stage, sent.alerts.len()), (Stage::Sent, 1));
    let again = outcome_of(now, sent, off, &answer(Says::Scheduled));
    let off = outcome_of(now, again, off, &answer(Says::Inactive));
    assert_eq!((off.stage, off.alerts.len()), (Stage::Inactive, 1));
}

#[test]
fn an_incident_keeps_each_finding_once_and_a_bounded_number_of_them() {
    let mut incident = Scene::rogue().at(Stage::Admitted).incident().clone();
    let first = incident.findings.clone();
    incident.add_findings(&first);
    assert_eq!(incident.findings, first);
    let other = |number| Finding { about: format!("{number}"), ..first[0].clone() };
    let others: Vec<Finding> = (0..100).map(other).collect();
    incident.add_findings(&others);
    assert_eq!(incident.findings.len(), 24);
    assert!(incident.findings.contains(&first[0]));
    // What nobody was told of yet takes the place of a repetition.
    let news = Finding { detector: DetectorId::UsageSpike, ..first[0].clone() };
    incident.add_findings([&news]);
    assert_eq!(incident.findings.len(), 24);
    assert!(incident.findings.contains(&first[0]) && incident.findings.contains(&news));
}

#[test]
fn a_restore_that_fails_is_paged_although_the_kill_was() {
    let killed = Scene::rogue().at(Stage::Sent).then(Says::Unauthorized).then(Says::Inactive);
    let restoring = killed.with(|scene| scene.incident().stage = Stage::Restoring);
    restoring.check(Says::Unauthorized, "record restoring +Unreachable");
}

#[test]
fn pauses_between_requests_double_up_to_five_minutes() {
    let pause = |attempts| {
        let mut incident = Scene::rogue().at(Stage::Admitted).incident().clone();
        incident.attempts = attempts;
        let now = time("01T14:07");
        let after = outcome_of(
            now,
            incident,
            Change::Status(TargetStatus::Inactive),
            &answer(Says::Throttled),
        );
        after.next_check.duration_since(now).as_secs()
    };
    let pauses: Vec<i64> = (0..8).map(pause).collect();
    assert_eq!(pauses, [15, 30, 60, 120, 240, 300, 300, 300]);
    assert_eq!((pause(30), pause(31), pause(u32::MAX)), (300, 300, 300));
}

#[test]
fn active_after_inactive_is_someone_elses_act_and_no_second_kill() {
    let found = Scene::rogue().at(Stage::Quiet);
    found.check(Says::Active, "close restored elsewhere +RestoredElsewhere");
    let told = found.with(|scene| {
        scene.incident().stage = Stage::RestoredElsewhere;
    });
    told.check(Says::Active, "close restored elsewhere");
}

#[test]
fn a_restore_is_defended_for_fifteen_minutes() {
    let restored = |now| Scene::rogue().at(Stage::Restored).when(now);
    restored("01T14:21:04").check(Says::Inactive, "restore, was restored");
    restored("01T14:21:04").check(Says::Active, "record restored");
    restored("01T14:21:05").check(Says::Active, "close restored");
    restored("01T15:00").check(Says::Down, "record restored");
    restored("01T15:00").check(Says::Unauthorized, "record restored +Unreachable");
    restored("01T14:21:04").check(Says::NotFound, "record restored +Unreachable");
    restored("01T14:21:05").check(Says::NotFound, "close restored");
}

#[test]
fn what_nobody_judged_does_not_wait_until_the_watch_over_a_restore_ends() {
    let restored = Scene::rogue().at(Stage::Restored).when("01T14:20");
    restored.check(Says::Active, "record restored");
    let again = restored.also(attached("01T14:19").in_device(TABLET));
    again.check(Says::Active, "close restored");
    again.with(|scene| scene.case.stop = Some(stop())).check(Says::Active, "record restored");
}

#[test]
fn what_a_guard_held_back_during_the_watch_waits_for_a_human_though_the_guard_is_gone() {
    let found = Scene::rogue().at(Stage::Restored).when("01T14:20");
    let found = found.also(attached("01T14:19").in_device(TABLET));
    type Guard = fn(&mut Scene);
    let guards: [(Hold, Guard); 3] = [
        (Hold::Observe, |scene| scene.armed = Mode::Observe),
        (Hold::Stopped, |scene| scene.case.stop = Some(stop())),
        (Hold::Protected, |scene| scene.case.desired.0.protected_by = Some("ops".to_owned())),
    ];
    for (hold, guard) in guards {
        let Decision::Record(seen) = found.clone().with(guard).decide(Says::Active) else {
            panic!("{hold}");
        };
        assert_eq!(seen.withheld.values().collect::<Vec<_>>(), [&hold]);
        let watched = found.clone().with(|scene| scene.case.incident = Some((*seen.clone(), 2)));
        watched.clone().check(Says::Active, "record restored");
        let other = watched.clone().also(attached("01T14:19:30").in_device(OTHER_TABLET));
        other.check(Says::Active, "close restored");
        watched.clone().when("01T14:22").check(Says::Active, "close restored");
        let over = watched.with(|scene| {
            (scene.case.incident, scene.case.desired.0.withheld) = (None, seen.withheld.clone());
        });
        over.clone().check(Says::Active, &format!("record held ({hold}) +Held"));
        let more = over.also(attached("01T14:19:30").in_device(OTHER_TABLET));
        more.check(Says::Active, "deactivate by Policy, was requested");
    }
}

#[test]
fn an_alert_that_is_not_out_is_due_before_the_next_look() {
    let mut scene = Scene::rogue().at(Stage::Held(Hold::Observe));
    assert_eq!(scene.incident().due_at(), time("04T14:06:05"));
    scene.incident().alert(AlertKind::Held, time("01T14:06:05"));
    assert_eq!(scene.incident().due_at(), time("01T14:06:35"));
    scene.incident().next_check = time("01T14:06:10");
    assert_eq!(scene.incident().due_at(), time("01T14:06:10"));
}

#[test]
fn an_alert_brings_no_incident_forward_in_which_something_is_to_be_done() {
    let mut scene = Scene::rogue().at(Stage::Unreachable);
    scene.incident().next_check = time("01T14:11:00");
    scene.incident().alert(AlertKind::Unreachable, time("01T14:06:05"));
    assert_eq!(scene.incident().due_at(), time("01T14:11:00"));
}

/// The SIM was cut at 14:06:05 and seen inactive at 14:07; this came after its 31 MB, all that in a
/// session opened at 14:00.
#[track_caller]
fn check_proof(events: &[Event], now: &str, expected: &str) {
    let scene = events.iter().fold(Scene::rogue(), |scene, event| scene.also(event.clone()));
    scene.at(Stage::Inactive).when(now).check(Says::Inactive, expected);
}

const OPEN: Opened = Opened("01T14:00");

#[test]
fn silence_alone_is_quiet_and_no_proof() {
    check_proof(&[], "01T14:36:59", "record inactive");
    check_proof(&[], "01T14:37", "record quiet");
    let under_way = OPEN.updated("01T14:08", "01T14:14", MB, 32 * MB);
    check_proof(std::slice::from_ref(&under_way), "01T14:37:59", "record inactive");
    check_proof(&[under_way], "01T14:38", "record quiet");
    check_proof(&[], "04T14:06:59", "record quiet");
    check_proof(&[], "04T14:07", "close expired");
}

#[test]
fn an_inactive_sim_that_left_the_account_is_let_go() {
    for stage in [Stage::Inactive, Stage::Quiet, Stage::Leaking] {
        let gone = |now| Scene::rogue().at(stage).when(now);
        gone("04T14:06:59").check(Says::NotFound, &format!("record {stage}"));
        let Decision::Record(incident) = gone("01T15:00").decide(Says::NotFound) else {
            panic!("{stage}");
        };
        assert_eq!(incident.next_check, time("01T15:15"), "seldom looked at");
        gone("04T14:07").check(Says::NotFound, "close expired");
        gone("04T14:07").check(Says::Unauthorized, &format!("record {stage}"));
    }
}

#[test]
fn the_end_of_each_session_that_was_open_is_proof() {
    check_proof(&[OPEN.ended("01T14:07:30")], "01T14:08", "close proven +Proven");
    let other = used("01T13:58", "01T14:04", MB);
    check_proof(&[OPEN.ended("01T14:07:30"), other], "01T14:08", "close proven +Proven");
}

#[test]
fn the_end_of_a_session_before_the_kill_is_no_proof() {
    check_proof(&[OPEN.ended("01T14:06:04")], "01T14:08", "record inactive");
}

#[test]
fn a_rejection_as_inactive_is_proof_and_one_before_the_kill_is_not() {
    check_proof(&[rejected("01T14:07:30")], "01T14:08", "close proven +Proven");
    check_proof(&[rejected("01T14:06:04")], "01T14:08", "record inactive");
}

#[test]
fn traffic_after_a_sign_contradicts_it() {
    let new = Opened("01T14:08");
    let ended = OPEN.ended("01T14:07:30");
    check_proof(&[ended.clone(), new.started()], "01T14:09", "record inactive");
    let leak = new.updated("01T14:10", "01T14:16", MB, MB);
    check_proof(&[rejected("01T14:07:30"), leak.clone()], "01T14:17", "record leaking +Leaking");
    let later = rejected("01T14:20");
    check_proof(&[ended, leak, later], "01T14:21", "close proven +Proven");
}

#[test]
fn what_was_under_way_is_no_contradiction() {
    let last = OPEN.updated("01T14:06", "01T14:07:10", MB, 32 * MB);
    check_proof(&[last, rejected("01T14:07:30")], "01T14:08", "close proven +Proven");
}

#[test]
fn a_leak_is_paged_once_and_may_be_proven_dead_later() {
    let leak = Opened("01T14:00").updated("01T14:12", "01T14:18", MB, 40 * MB);
    let scene = Scene::rogue().also(leak).at(Stage::Inactive).when("01T14:19");
    scene.check(Says::Inactive, "record leaking +Leaking");
    let paged = scene.then(Says::Inactive).when("01T14:20");
    paged.check(Says::Inactive, "record leaking");
    let ended = paged.also(OPEN.ended("01T14:25"));
    ended.check(Says::Inactive, "close proven +Proven");
}

#[test]
fn the_whole_of_a_theft_told_once() {
    let mut scene = Scene::of(&hours_in(SENSOR, 80)).when("04T08:00");
    scene.check(Says::Active, "rest");
    scene = scene.also(attached("04T09:00").in_device(TABLET)).when("04T09:00:02");
    scene.check(Says::Active, "deactivate by Policy, was requested");
    scene = scene.then(Says::Active).when("04T09:01");
    scene.check(Says::Inactive, "record inactive +Killed");
    scene = scene.then(Says::Inactive).when("04T09:32");
    scene.check(Says::Inactive, "record quiet");
    scene = scene.then(Says::Inactive).also(rejected("04T10:00")).when("04T10:01");
    scene.check(Says::Inactive, "close proven +Proven");
}

#[test]
fn traffic_after_the_proof_is_a_leak_and_not_an_event_that_came_late() {
    let proven = |inactive_at| {
        Scene::rogue().with(|scene| {
            let desired = &mut scene.case.desired.0;
            desired.status = Some(TargetStatus::Inactive);
            desired.inactive_at = Some(time(inactive_at));
        })
    };
    proven("01T13:50").check(Says::Inactive, "record leaking +Leaking");
    proven("01T14:07").check(Says::Inactive, "rest");
}

/// Usage evidence of this level, which the aggregator found.
fn unusual(level: Level) -> Finding {
    let (from, to) = (time("01T02:00"), time("01T09:00"));
    let (usual, seen, excess) = (Bytes(50_000), Bytes(9 * MB), Bytes(60 * MB));
    let chance_hours = 200_000_000;
    let (signs, is_open) = (Vec::new(), false);
    let evidence =
        Evidence::Unusual { level, chance_hours, seen, usual, excess, from, to, signs, is_open };
    let about = format!("2026-03-01T02Z/{level}");
    Finding { detector: DetectorId::UsageSpike, about, at: to, evidence }
}

#[test]
fn usage_evidence_is_told_and_goes_as_far_as_policy_lets_it() {
    let of = |level, policy: &str| {
        let quiet = Scene::of(&[attached("01T14:00")]);
        quiet.with(|scene| {
            scene.policy = format!("mode = 'enforce'\n{policy}");
            let found = unusual(level);
            scene.case.findings.insert(found.key(), found);
        })
    };
    let cuts = "[usage_spike]\nact = 'deactivate'";
    of(Level::Deactivate, "").check(Says::Active, "record alerted +Opened");
    of(Level::Alert, cuts).check(Says::Active, "record alerted +Opened");
    of(Level::Deactivate, cuts).check(Says::Active, "deactivate by Policy, was requested");
    of(Level::Deactivate, "[usage_spike]\nact = 'off'").check(Says::Active, "rest");
    // The next level of evidence that was told is no news, unless it leads to more.
    let told = of(Level::Alert, cuts).then(Says::Active);
    told.clone().check(Says::Active, "rest");
    let more = |scene: &mut Scene| {
        let found = unusual(Level::Deactivate);
        scene.case.findings.insert(found.key(), found);
    };
    told.with(more).check(Says::Active, "deactivate by Policy, was alerted");
    let restored = of(Level::Deactivate, cuts).with(|scene| {
        scene.case.desired.0.restored_at = Some(time("01T13:00"));
        scene.case.desired.0.judged = [unusual(Level::Alert).key()].into();
    });
    let held = "record held (restored lately and no new evidence) +Held";
    restored.check(Says::Active, held);
}
