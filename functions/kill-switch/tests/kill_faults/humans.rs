//! Manual requests.

use serde_json::{Value, json};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::SimStatus;
use simfuse_testkit::faulty::{Fault as TableFault, Method};
use simfuse_testkit::service::{Fault, FaultRule, Requests};

use crate::bench::{Bench, STRICT, iccid, name, rejection, request, sim};
use crate::gate::Gate;

#[tokio::test]
async fn a_sim_is_named_by_sid_iccid_or_unique_name() {
    let bench = Bench::with(3, STRICT, Mode::Observe).await;
    let answer =
        bench.ask(request("deactivate", &[&sim(1).to_string(), &iccid(2), &name(3), "x"])).await;
    let expected = json!({
        "requested": sim(1).to_string(), "sim": sim(1), "name": name(1), "outcome": "done",
        "reason": "inactive",
        "found": { "status": "active", "fleet": crate::bench::fleet() },
        "incident": answer["sims"][0]["incident"],
    });
    assert_eq!(answer["sims"][0], expected);
    assert!(answer["sims"][0]["incident"].is_string());
    let outcomes: Vec<&Value> =
        answer["sims"].as_array().unwrap().iter().map(|sim| &sim["outcome"]).collect();
    assert_eq!(outcomes, ["done", "done", "done", "not_found"], "in the order of the request");
    assert_eq!((&answer["action"], &answer["dry_run"]), (&json!("deactivate"), &json!(false)));
    for number in 1..=3 {
        assert_eq!(bench.asked(number), ["inactive"]);
        bench.check_audit(number);
        let audit = bench.audit(number);
        assert!(audit.iter().any(|entry| entry.actor == "ops" && entry.reason == "a test"));
    }
    let answer = bench.ask(request("deactivate", &[&name(1)])).await;
    assert_eq!(answer["sims"][0]["outcome"], "already");
    assert_eq!(bench.posts(), 3);
}

#[tokio::test]
async fn a_dry_run_does_nothing() {
    let bench = Bench::new(2).await;
    bench.steal_and_tell([1]).await;
    let before = (bench.memory.audit(), bench.posts(), bench.alerts.published());
    for (action, outcome) in [
        ("deactivate", "pending"),
        ("restore", "already"),
        ("protect", "pending"),
        ("unprotect", "already"),
        ("approve", "refused"),
        ("stop", "done"),
    ] {
        let mut asked = request(action, &[&name(2)]);
        asked["dry_run"] = json!(true);
        let answer = bench.ask(asked).await;
        assert_eq!(answer["sims"][0]["outcome"], outcome, "{action}");
        assert_eq!(answer["dry_run"], true);
    }
    let mut asked = request("restore", &[&name(1)]);
    asked["dry_run"] = json!(true);
    let answer = bench.ask(asked).await;
    assert_eq!(answer["sims"][0]["outcome"], "pending");
    let reason = answer["sims"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("billed by the month"), "what it costs: {reason}");
    assert_eq!((bench.memory.audit(), bench.posts(), bench.alerts.published()), before);
    assert!(bench.case(2).await.stop.is_none());
}

#[tokio::test]
async fn ten_sims_need_no_digest_and_none_are_refused() {
    let bench = Bench::new(11).await;
    let names: Vec<String> = (1..=11).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for action in ["deactivate", "restore", "protect", "unprotect"] {
        let answer = bench.ask(request(action, &[])).await;
        assert!(answer["error"].as_str().unwrap().contains("no SIM"), "{answer}");
    }
    assert_eq!(bench.service.requests().len(), 0);
    assert_eq!(bench.ask(request("deactivate", &names[..10])).await["sims"][9]["outcome"], "done");
}

#[tokio::test]
async fn an_approval_is_ruled_again_however_late_it_comes() {
    let bench = Bench::with(2, STRICT, Mode::Observe).await;
    bench.steal_and_tell([1, 2]).await;
    bench.minutes(180).await;
    assert_eq!(bench.act("approve", &name(1)).await.0, "done", "policy still asks for it");
    // The device is one of theirs after all.
    bench.apply(&STRICT.replace("[\"35378572\"]", "[\"35378572\", \"35880123\"]")).await;
    let (outcome, reason) = bench.act("approve", &name(2)).await;
    assert!(outcome == "refused" && reason.contains("policy asks for it no more"), "{reason}");
    assert_eq!((bench.asked(1).len(), bench.asked(2).len()), (1, 0));
    assert_eq!(bench.act("deactivate", &name(2)).await.0, "done", "a human may all the same");
}

#[tokio::test]
async fn an_approval_needs_something_that_is_held() {
    let bench = Bench::new(2).await;
    let (outcome, reason) = bench.act("approve", &name(1)).await;
    assert_eq!(
        (outcome.as_str(), reason.as_str()),
        ("refused", "nothing is held for it (no open incident)")
    );
    bench.steal_and_tell([1]).await;
    let (outcome, reason) = bench.act("approve", &name(1)).await;
    assert_eq!(
        (outcome.as_str(), reason.as_str()),
        ("refused", "nothing is held for it (inactive)")
    );
    assert_eq!(bench.ask(request("approve", &[])).await["sims"], json!([]));
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn an_approval_of_what_is_off_already_ends_the_hold() {
    let bench = Bench::new(8).await;
    bench.steal_and_tell(1..=8).await;
    for number in 1..=8 {
        bench.service.set_status(sim(number), SimStatus::Inactive);
    }
    let answer = bench.ask(request("approve", &[])).await;
    let sims = answer["sims"].as_array().unwrap();
    assert_eq!(sims.len(), 3);
    assert!(sims.iter().all(|sim| sim["outcome"] == "already"), "{answer}");
    bench.minutes(20).await;
    assert_eq!(bench.held_pages().len(), 0, "nothing waits");
    assert_eq!(bench.posts(), 5);
}

#[tokio::test]
async fn status_tells_of_the_whole_and_of_one_sim() {
    let bench = Bench::new(8).await;
    let answer = bench.ask(request("status", &[])).await;
    assert_eq!(
        answer["status"],
        json!({
            "policy_mode": "enforce", "enforces_anywhere": true, "armed": "enforce", "stopped": null, "open": 0, "held": 0,
            "unproven": 0, "last_event_age_secs": null, "last_alert": null,
        })
    );
    use simfuse_domain::port::{Beat, Heartbeat as _};
    bench.memory.beat(Beat::at(bench.now())).await.unwrap();
    bench.steal_and_tell(1..=8).await;
    bench.pass(90);
    let status = bench.ask(request("status", &[])).await["status"].take();
    assert_eq!(
        (&status["open"], &status["held"], &status["unproven"]),
        (&json!(8), &json!(3), &json!(5))
    );
    assert_eq!(status["last_event_age_secs"], 90);
    assert_eq!(status["last_alert"], "2026-03-01T14:00:00Z");
    let mut held = Vec::new();
    for number in 1..=8 {
        let answer = bench.ask(request("status", &[&name(number)])).await;
        let sim = &answer["sims"][0];
        let details = &sim["details"];
        assert_eq!(sim["outcome"], "done");
        assert_eq!(details["verdict"], "deactivate");
        assert_eq!(details["findings"][0]["detector"], "device_not_allowed");
        if details["held_by"].is_string() {
            held.push((number, details["next_step"].as_str().unwrap().to_owned()));
        } else {
            assert_eq!(details["stage"], "inactive");
        }
    }
    assert_eq!(held.len(), 3);
    assert!(held[0].1.starts_with("approve it"), "{held:?}");
    assert_eq!(bench.posts(), 5);
    let (outcome, _) = bench.act("status", "nobody").await;
    assert_eq!(outcome, "not_found");
}

#[tokio::test]
async fn what_the_provider_refuses_or_does_not_answer_is_said() {
    let bench = Bench::new(1).await;
    bench.service.inject(FaultRule::once(Fault::Status(401)).on(Requests::StatusUpdates));
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "refused");
    bench.minutes(7).await;
    assert_eq!(bench.status(1), SimStatus::Inactive, "it is tried again by itself");
    let bench = Bench::new(1).await;
    bench.service.inject(FaultRule::once(Fault::Status(503)));
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "unreachable");
    assert_eq!(bench.posts(), 0);
    bench.service.inject(FaultRule::once(Fault::Status(503)).on(Requests::StatusUpdates));
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "unreachable");
    bench.ask(request("stop", &[])).await;
    bench.minutes(3).await;
    assert_eq!(bench.asked(1), ["inactive", "inactive"], "a stop does not bind what a human asked");
}

#[tokio::test]
async fn a_human_whose_table_call_fails_hears_of_it() {
    let bench = Bench::new(1).await;
    bench.table.fail(Method::ReadCase, TableFault::Throttled, 1);
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "unreachable");
    bench.table.fail(Method::Commit, TableFault::Throttled, 1);
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "unreachable");
    assert_eq!(bench.posts(), 0, "no intent, no act");
    bench.table.fail(Method::Commit, TableFault::Conflict, 3);
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    // Whether it is stopped already need not be known.
    for (method, times) in [
        (Method::WriteStop, 1),
        (Method::CurrentPolicy, 1),
        (Method::OpenIncidents, 1),
        (Method::ReadStop, 2),
    ] {
        bench.table.fail(method, TableFault::Throttled, times);
        assert!(bench.switch.handle(request("stop", &[])).await.is_err(), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_humans_at_once_agree_with_what_is_done() {
    for actions in
        [["deactivate", "deactivate"], ["deactivate", "restore"], ["protect", "deactivate"]]
    {
        for _round in 0..6 {
            let bench = Bench::new(1).await;
            bench.steal_and_tell([1]).await;
            if actions[1] != "restore" {
                assert_eq!(bench.act("restore", &name(1)).await.0, "done");
                bench.minutes(16).await;
            }
            let mut tasks = tokio::task::JoinSet::new();
            for action in actions {
                let switch = bench.another(Mode::Enforce, Gate::new(None));
                let asked = request(action, &[&name(1)]);
                tasks.spawn(async move { switch.handle(asked).await.unwrap() });
            }
            while let Some(answer) = tasks.join_next().await {
                let answer = answer.unwrap();
                assert_ne!(answer["sims"][0]["outcome"], "unreachable", "{answer}");
            }
            bench.minutes(20).await;
            let wanted = bench.case(1).await.desired.0.status.unwrap().status();
            assert_eq!(bench.status(1), wanted, "{actions:?}");
            bench.check_audit(1);
        }
    }
}

#[tokio::test]
async fn a_kill_after_a_restore_is_told_and_proven_anew() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    bench.minutes(1).await;
    bench.happen(sim(1), &[rejection(1, bench.now())]).await;
    // Restored before the proof is seen, and killed again at once, within the watch.
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.minutes(1).await;
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    bench.minutes(5).await;
    assert_eq!(bench.stage(1).await, "inactive", "the sign from before the restore proves nothing");
    bench.happen(sim(1), &[rejection(1, bench.now())]).await;
    bench.minutes(2).await;
    assert_eq!(bench.told(1), ["deactivated", "restored", "deactivated", "proven"]);
}

#[tokio::test]
async fn a_kill_while_a_restore_is_under_way_wins_over_it() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    bench.service.inject(FaultRule::once(Fault::Status(500)).on(Requests::StatusUpdates));
    let (outcome, _) = bench.act("restore", &name(1)).await;
    assert_eq!(outcome, "pending");
    assert_eq!(bench.status(1), SimStatus::Inactive, "not yet active");
    let (outcome, _) = bench.act("deactivate", &name(1)).await;
    assert_ne!(outcome, "already", "the restore would still be carried out");
    bench.minutes(30).await;
    assert_eq!(bench.status(1), SimStatus::Inactive, "the latest word stands");
}

#[tokio::test]
async fn a_restore_that_fails_is_paged_although_the_kill_was() {
    let bench = Bench::new(1).await;
    let down = FaultRule::once(Fault::Status(503)).on(Requests::StatusUpdates);
    bench.service.inject(down.times(4));
    bench.steal_and_tell([1]).await;
    bench.minutes(25).await;
    assert_eq!(bench.told(1), ["unreachable", "deactivated"]);
    bench.service.inject(down.times(u32::MAX));
    assert_eq!(bench.act("restore", &name(1)).await.0, "pending");
    bench.minutes(8).await;
    assert_eq!(bench.told(1).len(), 2, "it has 10 minutes, too");
    bench.minutes(10).await;
    assert_eq!(bench.told(1), ["unreachable", "deactivated", "unreachable"]);
    bench.service.clear_faults();
    bench.minutes(10).await;
    assert_eq!(bench.status(1), SimStatus::Active);
}
