//! What a human restored stays restored, until the SIM shows something new.

use jiff::SignedDuration;
use simfuse_domain::audit::Phase;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::SimStatus;
use simfuse_testkit::service::{Behaviour, Fault, FaultRule, LateAnswer, Requests};

use crate::bench::{Bench, PHONE, STRICT, TABLET, name, request, sim};
use crate::gate::{Gate, Trap};

#[tokio::test]
async fn the_same_findings_do_not_kill_again() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    assert_eq!(bench.status(1), SimStatus::Active);
    assert_eq!(bench.act("restore", &name(1)).await.0, "already");
    for _hour in 0..30 {
        bench.pass(3_000);
        bench.appears(1, TABLET, 2_000_000).await;
        assert!(bench.deliver().await);
        bench.minutes(10).await;
    }
    assert_eq!(bench.asked(1), ["inactive", "active"]);
    assert_eq!(bench.stage(1).await, "none");
    assert_eq!(bench.told(1), ["deactivated", "restored"]);
    bench.check_audit(1);
}

#[tokio::test]
async fn a_restore_whose_function_died_before_it_asked_is_recorded_as_it_ended() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.service.set_status(sim(1), SimStatus::Inactive);
    // Policy, SIM, case and intent: the fifth call would be the request.
    let gate = Gate::new(Some(Trap::DiesBefore(4)));
    let switch = bench.another(Mode::Enforce, gate.clone());
    tokio::select! {
        answer = switch.handle(request("restore", &[&name(1)])) => panic!("{answer:?}"),
        () = gate.died() => {}
    }
    assert_eq!(bench.asked(1), ["inactive", "active"], "it was not asked again");
    let last = bench.audit(1).pop().unwrap();
    assert_eq!((last.phase, last.action.as_str()), (Phase::Intent, "restore"));
    bench.service.set_status(sim(1), SimStatus::Active);
    bench.minutes(20).await;
    assert_eq!(bench.stage(1).await, "none");
    let last = bench.audit(1).pop().unwrap();
    assert_eq!((last.phase, last.action.as_str()), (Phase::Outcome, "restored"));
}

#[tokio::test]
async fn a_new_device_kills_again_at_any_time_after_the_restore() {
    for minutes in [0, 1, 5, 14, 15, 16, 60] {
        let bench = Bench::new(1).await;
        bench.steal_and_tell([1]).await;
        assert_eq!(bench.act("restore", &name(1)).await.0, "done");
        bench.minutes(minutes).await;
        bench.pass(5);
        bench.appears(1, PHONE, 1_000).await;
        assert!(bench.deliver().await);
        bench.minutes(1).await;
        assert_eq!(bench.asked(1), ["inactive", "active", "inactive"], "{minutes} minutes later");
        assert_eq!(bench.told(1), ["deactivated", "restored", "deactivated"]);
    }
}

#[tokio::test]
async fn an_alert_that_came_during_the_watch_is_told_after_it() {
    let policy = STRICT.replace("act = \"deactivate\"", "act = \"alert\"");
    let bench = Bench::with(1, &policy, simfuse_domain::policy::Mode::Enforce).await;
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.minutes(5).await;
    bench.appears(1, TABLET, 30_000_000).await;
    assert!(bench.deliver().await);
    bench.minutes(20).await;
    assert_eq!(bench.told(1), ["deactivated", "restored", "alerted"]);
    assert_eq!(bench.asked(1), ["inactive", "active"]);
}

#[tokio::test]
async fn within_the_cool_down_more_of_the_same_kind_is_held() {
    let bench = Bench::new(1).await;
    bench.appears(1, "35378572000001", 9_000_000).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.asked(1), ["inactive"], "too much in an hour");
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.minutes(70).await;
    bench.appears(1, "35378572000001", 9_000_000).await;
    assert!(bench.deliver().await);
    bench.minutes(5).await;
    assert_eq!(bench.asked(1), ["inactive", "active"]);
    assert_eq!(bench.stage(1).await, "held (restored lately and no new evidence)");
    bench.appears(1, PHONE, 1_000).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.asked(1), ["inactive", "active", "inactive"], "a device is new evidence");
}

#[tokio::test]
async fn new_evidence_stays_new_while_the_provider_does_not_answer() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.minutes(20).await;
    bench.service.inject(FaultRule::once(Fault::Status(503)).on(Requests::Reads).times(2));
    bench.appears(1, PHONE, 1_000).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.stage(1).await, "requested");
    bench.minutes(6).await;
    assert_eq!(bench.asked(1), ["inactive", "active", "inactive"]);
}

#[tokio::test]
async fn a_request_that_lands_after_the_restore_is_undone() {
    for answer in [LateAnswer::Error, LateAnswer::Silence] {
        for minutes in [3, 8, 14] {
            let bench = Bench::new(1).await;
            let after = SignedDuration::from_mins(minutes);
            bench.service.inject(FaultRule::once(Fault::LateEffect { after, answer }));
            bench.steal_and_tell([1]).await;
            assert_eq!(bench.status(1), SimStatus::Active, "not yet");
            let (outcome, _) = bench.act("restore", &name(1)).await;
            assert!(["done", "pending"].contains(&outcome.as_str()), "{outcome}");
            bench.minutes(16).await;
            assert_eq!(bench.status(1), SimStatus::Active, "{answer:?} after {minutes} minutes");
            assert_eq!(bench.asked(1).last().unwrap(), "active");
            bench.minutes(30).await;
            assert_eq!(bench.status(1), SimStatus::Active);
            assert_eq!(bench.stage(1).await, "none");
            assert_eq!(bench.told(1), ["restored"]);
            bench.check_audit(1);
        }
    }
}

#[tokio::test]
async fn a_restore_while_the_kill_is_scheduled_comes_through() {
    let bench = Bench::new(1).await;
    let after = SignedDuration::from_mins(10);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    bench.steal_and_tell([1]).await;
    bench.minutes(2).await;
    assert_eq!(bench.act("restore", &name(1)).await.0, "pending");
    bench.minutes(40).await;
    assert_eq!(bench.status(1), SimStatus::Active);
    assert_eq!(bench.stage(1).await, "none");
    assert!(bench.told(1).contains(&"restored".to_owned()));
}

#[tokio::test]
async fn what_someone_else_restored_is_not_killed_again() {
    for quiet_mins in [1, 40] {
        let bench = Bench::new(1).await;
        bench.steal_and_tell([1]).await;
        bench.minutes(quiet_mins).await;
        bench.service.set_status(sim(1), SimStatus::Active);
        bench.minutes(16).await;
        assert_eq!(bench.told(1), ["deactivated", "restored_elsewhere"]);
        assert_eq!(bench.stage(1).await, "none");
        for _hour in 0..5 {
            bench.pass(3_600);
            bench.appears(1, TABLET, 1_000_000).await;
            assert!(bench.deliver().await);
            bench.minutes(2).await;
        }
        assert_eq!(bench.asked(1), ["inactive"]);
        bench.appears(1, PHONE, 1_000).await;
        assert!(bench.deliver().await);
        assert_eq!(bench.asked(1), ["inactive", "inactive"], "a new device is another matter");
    }
}

#[tokio::test]
async fn a_restore_judges_what_policy_finds_although_nobody_has_told_yet() {
    // A human killed it, then policy learnt a limit that it breaks: the restore knows of both.
    let bench =
        Bench::with(1, "version = 1\nmode = \"enforce\"\n", simfuse_domain::policy::Mode::Enforce)
            .await;
    bench.appears(1, "35378572000001", 9_000_000).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    bench.apply(STRICT).await;
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.minutes(60).await;
    assert_eq!(bench.asked(1), ["inactive", "active"]);
    assert_eq!(bench.stage(1).await, "none");
}

#[tokio::test]
async fn what_was_found_in_observe_mode_while_a_restore_was_watched_is_not_cut_once_it_is_armed() {
    for (armed_after, watch_over) in [(2, 15), (14, 3), (20, 0)] {
        let bench = Bench::with(1, STRICT, Mode::Observe).await;
        bench.steal_and_tell([1]).await;
        assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
        assert_eq!(bench.act("restore", &name(1)).await.0, "done");
        bench.appears(1, PHONE, 1_000_000).await;
        assert!(bench.deliver().await);
        bench.minutes(armed_after).await;
        let armed = bench.another(Mode::Enforce, Gate::new(None));
        for _minute in 0..watch_over + 5 {
            bench.pass(60);
            armed.handle(serde_json::json!({ "sweep": true })).await.unwrap();
        }
        assert_eq!(bench.stage(1).await, "held (observe mode)", "after {armed_after} minutes");
        assert_eq!(bench.asked(1), ["inactive", "active"]);
        let approved = armed.handle(request("approve", &[&name(1)])).await.unwrap();
        assert_eq!(approved["sims"][0]["outcome"], "done", "{approved}");
        assert_eq!(bench.asked(1), ["inactive", "active", "inactive"]);
    }
}
