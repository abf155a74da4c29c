//! What holds back automatic acts: caps, protection, the stop switch, observing.

use std::sync::Arc;

use serde_json::json;
use simfuse_domain::guard::CapScope;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{Cases as _, SimStatus};
use simfuse_testkit::service::{Fault, FaultRule, Requests};

use crate::bench::{Bench, STRICT, fleet, iccid, name, records, rejection, request, sim};
use crate::gate::Gate;

async fn count(bench: &Bench, stage: &str) -> usize {
    let mut count = 0;
    for number in 1..=50 {
        count += usize::from(bench.stage(number).await == stage);
    }
    count
}

async fn kills_counted(bench: &Bench, scope: CapScope) -> u32 {
    let (window, _) = bench.memory.read_kill_window(scope).await.unwrap();
    window.kills(bench.now(), 60)
}

async fn five_are_off_and_45_wait_for_one_page(bench: &Bench) {
    assert_eq!(bench.posts(), 5, "requests to the provider");
    assert_eq!(count(bench, "inactive").await, 5);
    assert_eq!(count(bench, "held (cap on kills reached)").await, 45);
    assert_eq!(kills_counted(bench, CapScope::Fleet(fleet())).await, 5);
    assert_eq!(kills_counted(bench, CapScope::Account).await, 5);
    assert_eq!(bench.alerts.published().len(), 5, "no page for each SIM that is held");

    bench.minutes(1).await;
    let [page] = &bench.held_pages()[..] else { panic!("one page") };
    assert!(page.subject.contains("45 kills held by the cap"), "{}", page.subject);
    bench.minutes(14).await;
    assert_eq!(bench.held_pages().len(), 1, "not again within 15 minutes");
    bench.minutes(1).await;
    let pages = bench.held_pages();
    assert_eq!(pages.len(), 2, "again after 15 minutes");
    assert_ne!(pages[0].id, pages[1].id);
    assert_eq!(bench.posts(), 5, "a sweep admits none");

    let mut approve = request("approve", &[]);
    approve["confirm"] = bench.ask(approve.clone()).await["digest"].take();
    assert_eq!(bench.posts(), 5, "45 need a digest");
    let answer = bench.ask(approve).await;
    let sims = answer["sims"].as_array().unwrap();
    assert_eq!(sims.len(), 45);
    assert!(sims.iter().all(|sim| sim["outcome"] == "done"), "{answer}");
    assert_eq!(count(bench, "inactive").await, 50);
    assert_eq!(bench.posts(), 50);
    assert_eq!(kills_counted(bench, CapScope::Account).await, 5, "a human's do not use it up");
    bench.minutes(31).await;
    assert_eq!(bench.held_pages().len(), 2, "no page when none waits");
    for number in 1..=50 {
        assert_eq!(bench.status(number), SimStatus::Inactive);
        bench.check_audit(number);
    }
}

#[tokio::test]
async fn a_page_that_nobody_answers_is_told_to_more_people_and_a_stop_is_an_answer() {
    let bench = Bench::new(7).await;
    bench.steal_and_tell(1..=7).await;
    bench.minutes(50).await;
    let escalated: Vec<bool> = bench.held_pages().iter().map(|page| page.escalated).collect();
    assert_eq!(escalated, [false, false, true, true], "after 1, 16, 31 and 46 minutes");
    let ask = |action: &str| json!({ "action": action, "reason": "a test", "requested_by": "ops" });
    bench.ask(ask("stop")).await;
    bench.minutes(60).await;
    assert_eq!(bench.held_pages().len(), 4);
    bench.ask(ask("resume")).await;
    bench.minutes(1).await;
    assert_eq!(bench.held_pages().len(), 5, "they wait all the same");
}

#[tokio::test]
async fn of_fifty_thefts_at_once_the_cap_lets_five_through_and_one_approval_the_others() {
    let bench = Bench::new(50).await;
    bench.steal_and_tell(1..=50).await;
    five_are_off_and_45_wait_for_one_page(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_functions_at_once_keep_to_the_same_cap() {
    let bench = Bench::new(50).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=50 {
        bench.steal(number).await;
        assert_eq!(bench.memory.findings_stream(), [sim(number)]);
        let switch = bench.another(Mode::Enforce, Gate::new(None));
        tasks.spawn(async move { switch.handle(records(&[sim(number)])).await.unwrap() });
    }
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.unwrap(), json!({ "batchItemFailures": [] }));
    }
    five_are_off_and_45_wait_for_one_page(&bench).await;
}

#[tokio::test]
async fn held_kills_are_approved_although_many_other_incidents_are_due_before() {
    // 700 SIMs that only alert, in the same table, all of which are due before those that are held.
    let bench = Bench::new(8).await;
    for number in 0..700_u16 {
        let [high, low] = number.to_be_bytes();
        let other = simfuse_domain::id::SimSid::from_bytes([
            high, low, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        ]);
        let mut incident =
            simfuse_domain::incident::Incident::open(other, "x".into(), None, bench.now());
        incident.stage = simfuse_domain::incident::Stage::Alerted;
        incident.next_check = bench.now() + jiff::SignedDuration::from_hours(1);
        let commit = simfuse_domain::port::Commit {
            incident: Some((incident, 0)),
            ..simfuse_domain::port::Commit::of(other)
        };
        bench.memory.commit(&commit).await.unwrap();
    }
    bench.steal_and_tell(1..=8).await;
    assert_eq!(bench.posts(), 5);
    let answer = bench.ask(request("approve", &[])).await;
    assert_eq!(answer["sims"].as_array().unwrap().len(), 3, "{answer}");
    assert_eq!(bench.posts(), 8);
}

/// Nothing is posted, not by a sweep either; a human is told once, and may do it all the same.
async fn holds(bench: &Bench, hold: &str) {
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.stage(1).await, format!("held ({hold})"));
    bench.minutes(20).await;
    // More of the same: another session of the thief's, and too many bytes.
    bench.appears(1, crate::bench::TABLET, 30_000_000).await;
    assert!(bench.deliver().await);
    bench.minutes(20).await;
    assert_eq!(bench.posts(), 0, "{hold}");
    assert_eq!(bench.told(1), ["held"], "once");
    assert_eq!(kills_counted(bench, CapScope::Account).await, 0);
}

#[tokio::test]
async fn a_protected_sim_is_never_switched_off_by_policy() {
    for protected in [sim(1).to_string(), iccid(1), name(1)] {
        let policy =
            STRICT.replace("[guards]", &format!("[guards]\nprotected = [\"{protected}\"]"));
        let bench = Bench::with(2, &policy, Mode::Enforce).await;
        holds(&bench, "the SIM is protected").await;
        let (outcome, reason) = bench.act("deactivate", &sim(1).to_string()).await;
        assert_eq!(outcome, "refused");
        assert!(reason.contains("override_protection"), "{reason}");
        let (outcome, _) = bench.act("approve", &name(1)).await;
        assert_eq!((outcome.as_str(), bench.posts()), ("refused", 0));
        let mut forced = request("deactivate", &[&iccid(1)]);
        forced["override_protection"] = json!(true);
        assert_eq!(bench.ask(forced).await["sims"][0]["outcome"], "done");
        assert_eq!(bench.asked(1), ["inactive"]);
    }
}

#[tokio::test]
async fn a_sim_that_a_human_protected_is_never_switched_off_by_policy() {
    let bench = Bench::new(2).await;
    assert_eq!(bench.act("protect", &name(1)).await.0, "done");
    assert_eq!(bench.act("protect", &name(1)).await.0, "already");
    holds(&bench, "the SIM is protected").await;
    assert_eq!(bench.act("unprotect", &name(1)).await.0, "done");
    bench.minutes(5).await;
    assert_eq!(bench.posts(), 0, "lifting a guard releases nothing");
    assert_eq!(bench.act("approve", &name(1)).await.0, "done");
    assert_eq!(bench.asked(1), ["inactive"]);
}

#[tokio::test]
async fn while_observing_nothing_is_switched_off() {
    let observe = STRICT.replace("enforce", "observe");
    for (policy, armed) in [(STRICT, Mode::Observe), (&observe, Mode::Enforce)] {
        let bench = Bench::with(2, policy, armed).await;
        holds(&bench, "observe mode").await;
        bench.apply(STRICT).await;
        bench.minutes(5).await;
        assert_eq!(bench.posts(), 0, "a change of mode releases nothing");
        assert_eq!(bench.act("deactivate", &name(2)).await.0, "done", "a human may");
        assert_eq!(bench.act("approve", &name(1)).await.0, "done");
        assert_eq!(bench.told(1), ["held", "deactivated"]);
    }
}

#[tokio::test]
async fn a_stop_holds_back_policy_everywhere_and_no_human() {
    let bench = Bench::new(3).await;
    let answer = bench.ask(request("stop", &[])).await;
    assert_eq!(answer["status"]["stopped"]["by"], "ops");
    holds(&bench, "stopped by an operator").await;
    assert_eq!(bench.act("deactivate", &name(2)).await.0, "done");
    let answer = bench.ask(request("resume", &[])).await;
    assert_eq!(answer["status"]["stopped"], json!(null));
    bench.minutes(5).await;
    assert_eq!(bench.asked(1), Vec::<String>::new(), "lifting it releases nothing");
    bench.steal_and_tell([3]).await;
    assert_eq!(bench.status(3), SimStatus::Inactive);
    let actions: Vec<String> = bench
        .memory
        .audit()
        .into_iter()
        .filter(|entry| entry.sim.is_none())
        .map(|entry| format!("{} by {}: {}", entry.action, entry.actor, entry.reason))
        .collect();
    assert_eq!(actions, ["stop by ops: a test", "resume by ops: a test"]);
}

/// What comes up after the first request, and binds the second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    Stop,
    Protection,
    PolicyObserves,
    FunctionObserves,
}

#[tokio::test]
async fn a_guard_that_comes_up_between_admission_and_retry_holds() {
    for (guard, hold) in [
        (Guard::Stop, "stopped by an operator"),
        (Guard::Protection, "the SIM is protected"),
        (Guard::PolicyObserves, "observe mode"),
        (Guard::FunctionObserves, "observe mode"),
    ] {
        let bench = Bench::new(2).await;
        bench.service.inject(FaultRule::once(Fault::Status(500)).on(Requests::StatusUpdates));
        bench.steal_and_tell([1]).await;
        assert_eq!(bench.stage(1).await, "unreachable");
        assert_eq!(bench.asked(1).len(), 1);
        let mut switch = Arc::clone(&bench.switch);
        match guard {
            Guard::Stop => drop(bench.ask(request("stop", &[])).await),
            Guard::Protection => assert_eq!(bench.act("protect", &name(1)).await.0, "done"),
            Guard::PolicyObserves => bench.apply(&STRICT.replace("enforce", "observe")).await,
            Guard::FunctionObserves => switch = bench.another(Mode::Observe, Gate::new(None)),
        }
        for _minute in 0..12 {
            bench.pass(60);
            switch.handle(json!({ "sweep": true })).await.unwrap();
        }
        assert_eq!(bench.asked(1).len(), 1, "{guard:?}");
        assert_eq!(bench.stage(1).await, format!("held ({hold})"));
        assert_eq!(bench.told(1), ["held"]);
        assert_eq!(kills_counted(&bench, CapScope::Account).await, 1);
        let mut forced = request("approve", &[&name(1)]);
        forced["override_protection"] = json!(true);
        assert_eq!(bench.ask(forced).await["sims"][0]["outcome"], "done");
        bench.pass(30);
        bench.happen(sim(1), &[rejection(1, bench.now())]).await;
        bench.minutes(2).await;
        assert_eq!(bench.told(1), ["held", "deactivated", "proven"]);
        bench.check_audit(1);
    }
}

/// It comes up between the reading of the case and the intent.
#[tokio::test]
async fn a_guard_that_comes_up_at_the_last_moment_still_binds() {
    for guard in ["stop", "protect"] {
        for call in 0..12 {
            let bench = Bench::new(1).await;
            bench.steal(1).await;
            let gate = Gate::new(Some(crate::gate::Trap::DiesBefore(call)));
            let switch = bench.another(Mode::Enforce, gate.clone());
            let stream = bench.stream();
            let handled = tokio::select! {
                _ = switch.handle(stream) => true,
                () = gate.died() => false,
            };
            if handled {
                break;
            }
            let before = bench.posts();
            let of = if guard == "stop" { vec![] } else { vec![name(1)] };
            let of: Vec<&str> = of.iter().map(String::as_str).collect();
            bench.ask(request(guard, &of)).await;
            bench.minutes(15).await;
            assert_eq!(bench.posts(), before, "{guard} after call {call}");
        }
    }
}

#[tokio::test]
async fn what_policy_protects_when_the_intent_is_written_is_not_killed() {
    let protects = STRICT.replace("[guards]", "[guards]\nprotected = [\"pump-1\"]");
    let mut held = 0;
    for call in 0.. {
        let bench = Bench::new(1).await;
        bench.steal(1).await;
        let gate = Gate::new(None);
        let switch = bench.another(Mode::Enforce, gate.clone());
        let stream = bench.stream();
        let task = tokio::spawn(async move { switch.handle(stream).await });
        while gate.calls() <= call && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        let is_over = task.is_finished();
        // Between these two lines nobody else comes to his turn.
        let is_intended = !bench.audit(1).is_empty();
        bench.apply(&protects).await;
        task.await.unwrap().unwrap();
        bench.minutes(3).await;
        assert_eq!(bench.posts() > 0, is_intended, "call {call}");
        if !is_intended {
            assert_eq!(bench.stage(1).await, "held (the SIM is protected)", "call {call}");
            held += 1;
        }
        if is_over {
            break;
        }
    }
    assert!(held > 3, "it was protected before the intent {held} times");
}
