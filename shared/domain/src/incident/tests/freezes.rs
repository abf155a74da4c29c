//! A SIM that was switched off for a while.

use super::*;

/// A SIM that a human froze for two hours, at this stage, at this time. Policy has nothing against it.
fn frozen(stage: Stage, now: &str) -> Scene {
    Scene::of(&[attached("01T14:00")]).at(stage).when(now).with(|scene| {
        scene.incident().frozen_until = Some(time("01T16:00"));
        scene.incident().findings.clear();
        scene.incident().inactive_at = Some(time("01T14:10"));
        scene.incident().human =
            Some(Human { by: "ops".to_owned(), reason: String::new(), alerts_before: 0 });
    })
}

#[test]
fn it_is_over_at_its_hour_and_not_before() {
    for stage in [Stage::Inactive, Stage::Quiet, Stage::Leaking, Stage::Proven, Stage::Sent] {
        let before = frozen(stage, "01T15:59:59");
        let told = before.told(&before.decide(Says::Inactive));
        assert!(!told.starts_with("thaw"), "{told}");
        let told = format!("thaw, was {stage}");
        frozen(stage, "01T16:00").check(Says::Inactive, &told);
        frozen(stage, "01T16:00").check(Says::Scheduled, &told);
        frozen(stage, "01T16:00").check(Says::Active, &told);
        let late = format!("record {stage} +Unreachable");
        frozen(stage, "01T16:00").check(Says::Unauthorized, &late);
        frozen(stage, "01T16:00").check(Says::NotFound, &late);
    }
    let gone = frozen(Stage::Quiet, "04T16:00").then(Says::NotFound);
    gone.check(Says::NotFound, "close expired");
    frozen(Stage::Restored, "01T16:00").check(Says::Active, "close restored");
}

#[test]
fn it_is_looked_at_in_time_and_not_filed_before() {
    let look = frozen(Stage::Proven, "01T15:50");
    let Decision::Record(incident) = look.decide(Says::Inactive) else { panic!("not recorded") };
    assert_eq!(incident.next_check, time("01T16:00"));
    frozen(Stage::Proven, "01T14:30").check(Says::Inactive, "record proven");
    frozen(Stage::Proven, "01T14:30")
        .check(Says::Active, "close restored elsewhere +RestoredElsewhere");
    let month = |scene: &mut Scene| scene.incident().frozen_until = Some(time("31T14:00"));
    let days_later = frozen(Stage::Quiet, "05T14:00").with(month);
    days_later.check(Says::Inactive, "record quiet");
}

#[test]
fn it_ends_in_no_restore_where_policy_would_cut_at_once() {
    let rogue = || {
        Scene::rogue().at(Stage::Proven).when("01T16:00").with(|scene| {
            scene.incident().frozen_until = Some(time("01T16:00"));
        })
    };
    rogue().check(Says::Inactive, "record proven +KeptOff");
    rogue().then(Says::Inactive).check(Says::Inactive, "close proven");
    let observes = |scene: &mut Scene| scene.armed = Mode::Observe;
    rogue().with(observes).check(Says::Inactive, "thaw, was proven");
}
