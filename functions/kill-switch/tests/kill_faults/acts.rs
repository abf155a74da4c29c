//! Acts that are about no SIM are told: once, with who and why, and never in the act's way.

use serde_json::json;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::HeadsLog as _;
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, STRICT, request};

fn told(bench: &Bench) -> Vec<(String, String)> {
    let alerts = bench.alerts.published().into_iter();
    alerts.filter(|alert| alert.id.starts_with("act-")).map(|a| (a.id, a.action)).collect()
}

fn actions(bench: &Bench) -> Vec<String> {
    told(bench).into_iter().map(|(_, action)| action).collect()
}

async fn apply_another(bench: &Bench) {
    let answer = bench.ask(request("policy_show", &[])).await;
    let number = answer["policy"]["number"].as_u64().unwrap();
    let toml = STRICT.replace("hour_mb = 5", "hour_mb = 7");
    let request = json!({
        "action": "policy_apply", "toml": toml, "compared_with": number, "reason": "a test",
        "requested_by": "ops",
    });
    assert_eq!(bench.ask(request).await["policy"]["outcome"], "done");
}

#[tokio::test]
async fn a_stop_a_resume_and_a_policy_are_told_once_each() {
    let bench = Bench::new(1).await;
    bench.ask(request("stop", &[])).await;
    bench.minutes(5).await;
    bench.ask(request("resume", &[])).await;
    apply_another(&bench).await;
    bench.minutes(5).await;
    assert_eq!(actions(&bench), ["stopped", "resumed", "policy_applied"]);
    let mails: Vec<String> = bench.alerts.published().into_iter().map(|a| a.email).collect();
    assert!(mails.iter().all(|mail| mail.contains("\nBy         ops: ")), "{mails:?}");
    assert!(mails[2].contains("\n- hour limit 5 MB → 7 MB"), "{}", mails[2]);
}

#[tokio::test]
async fn a_dry_run_is_no_act() {
    let bench = Bench::new(1).await;
    let mut stop = request("stop", &[]);
    stop["dry_run"] = json!(true);
    bench.ask(stop).await;
    bench.minutes(5).await;
    assert_eq!(told(&bench), []);
}

#[tokio::test]
async fn a_topic_that_fails_undoes_no_act_and_hears_of_it_later_once() {
    for failures in 1..5 {
        let bench = Bench::new(1).await;
        bench.alerts.fail_next(failures);
        bench.ask(request("stop", &[])).await;
        assert!(bench.case(1).await.stop.is_some(), "stopped all the same");
        assert_eq!(told(&bench), [], "{failures} failures");
        bench.minutes(10).await;
        assert_eq!(actions(&bench), ["stopped"], "{failures} failures");
    }
}

#[tokio::test]
async fn whatever_call_fails_an_act_is_told_and_twice_only_under_one_id() {
    let methods = [Method::Publish, Method::RecordPaged, Method::LastPaged, Method::AuditPage];
    for fault in [Fault::Throttled, Fault::Unreachable, Fault::LostAnswer] {
        for method in methods {
            for after in 0..3 {
                let bench = Bench::with(1, STRICT, Mode::Enforce).await;
                bench.table.pass(method, after);
                bench.topic.pass(method, after);
                bench.table.fail(method, fault, 1);
                bench.topic.fail(method, fault, 1);
                // The answer tells of the whole, which may fail after the act.
                drop(bench.switch.handle(request("stop", &[])).await);
                drop(bench.switch.handle(request("resume", &[])).await);
                for _minute in 0..5 {
                    bench.pass(60);
                    // One that fails is reported; the next goes on.
                    drop(bench.sweep().await);
                }
                let mut ids = told(&bench);
                assert!(ids.len() <= 3, "{method} {fault:?} {after}: {ids:?}");
                ids.dedup();
                ids.sort();
                ids.dedup();
                assert_eq!(ids.len(), 2, "{method} {fault:?} {after}: {ids:?}");
            }
        }
    }
}

#[tokio::test]
async fn acts_are_told_in_their_order_and_none_that_is_a_day_old() {
    let bench = Bench::new(1).await;
    bench.alerts.fail_next(1);
    bench.ask(request("stop", &[])).await;
    assert_eq!(told(&bench), []);
    bench.pass(120);
    bench.ask(request("resume", &[])).await;
    assert_eq!(actions(&bench), ["stopped", "resumed"], "what was not told is told before");
    bench.pass(120);
    bench.alerts.fail_next(1);
    bench.ask(request("stop", &[])).await;
    bench.pass(10);
    bench.ask(request("resume", &[])).await;
    assert_eq!(actions(&bench)[2..], ["stopped", "resumed"], "a moment later, too");
    bench.alerts.fail_next(usize::MAX);
    bench.ask(request("stop", &[])).await;
    bench.pass(61);
    // Of the sweep's attempts the first fails: the one after it must not overtake.
    bench.ask(request("resume", &[])).await;
    bench.alerts.fail_next(0);
    bench.pass(61);
    bench.topic.fail(Method::Publish, Fault::Throttled, 1);
    bench.sweep().await.unwrap();
    bench.minutes(1).await;
    assert_eq!(actions(&bench)[4..], ["stopped", "resumed"]);
    bench.alerts.fail_next(usize::MAX);
    bench.ask(request("stop", &[])).await;
    bench.alerts.fail_next(0);
    bench.pass(25 * 3_600);
    bench.minutes(5).await;
    assert_eq!(told(&bench).len(), 6, "old news are none");
}

#[tokio::test]
async fn of_too_many_acts_the_newest_are_told() {
    let bench = Bench::new(1).await;
    bench.alerts.fail_next(usize::MAX);
    for number in 0..210 {
        bench.pass(1);
        bench.ask(request(if number % 2 == 0 { "stop" } else { "resume" }, &[])).await;
    }
    bench.alerts.fail_next(0);
    bench.minutes(3).await;
    let alerts = bench.alerts.published();
    let mut times: Vec<&str> = Vec::new();
    for alert in alerts.iter().filter(|alert| alert.id.starts_with("act-")) {
        times.push(alert.email.lines().find(|line| line.starts_with("Time")).unwrap());
    }
    // 200 at first, and the one that was too young by then.
    assert_eq!(times.len(), 201);
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[200].contains("14:03:30Z"), "the newest: {}", times[200]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_does_not_answer_holds_up_no_stop() {
    let bench = Bench::new(1).await;
    bench.topic.fail(Method::Publish, Fault::Hangs, 1);
    let stopping = bench.switch.handle(request("stop", &[]));
    let stopping = tokio::time::timeout(std::time::Duration::from_secs(10), stopping);
    let answer = stopping.await.unwrap().unwrap();
    assert!(answer["status"]["stopped"].is_object(), "{answer}");
    assert!(bench.case(1).await.stop.is_some());
    bench.minutes(3).await;
    assert_eq!(actions(&bench), ["stopped"], "the sweep tells it");
}

#[tokio::test(start_paused = true)]
async fn acts_and_the_record_of_the_day_wait_for_no_sweep() {
    let bench = Bench::new(1).await;
    bench.alerts.fail_next(1);
    bench.ask(request("stop", &[])).await;
    bench.pass(25 * 3_600 - 120);
    bench.ask(request("resume", &[])).await;
    bench.alerts.fail_next(1);
    bench.ask(request("stop", &[])).await;
    bench.pass(120);
    bench.table.fail(Method::OpenIncidents, Fault::Hangs, 1);
    let sweep = bench.sweep();
    let swept = tokio::time::timeout(std::time::Duration::from_secs(60), sweep).await;
    assert!(swept.is_err(), "it hangs");
    assert_eq!(actions(&bench), ["resumed", "stopped"]);
    let (run, _) = bench.memory.read_heads_run().await.unwrap();
    assert!(run.is_some(), "the record of the day is begun");
}

#[tokio::test]
async fn a_switch_that_is_so_already_is_told_to_nobody() {
    let bench = Bench::new(1).await;
    let resumed = bench.ask(request("resume", &[])).await;
    assert_eq!(resumed["already"], "not stopped: there is nothing to resume");
    bench.ask(request("stop", &[])).await;
    bench.pass(5);
    let mut again = request("stop", &[]);
    again["requested_by"] = json!("another");
    let again = bench.ask(again).await;
    assert_eq!(again["already"], "stopped already, by ops at 2026-03-01T14:00:00Z: a test");
    bench.minutes(3).await;
    assert_eq!(actions(&bench), ["stopped"]);
    let stops = bench.memory.audit().into_iter().filter(|entry| entry.action == "stop");
    assert_eq!(stops.count(), 1);
    assert_eq!(bench.case(1).await.stop.unwrap().by, "ops", "who did it stays known");
}

#[tokio::test]
async fn a_switch_that_cannot_be_read_is_set_all_the_same() {
    let bench = Bench::new(1).await;
    bench.table.fail(Method::ReadStop, Fault::Unreachable, 1);
    drop(bench.switch.handle(request("stop", &[])).await);
    assert!(bench.case(1).await.stop.is_some());
}
