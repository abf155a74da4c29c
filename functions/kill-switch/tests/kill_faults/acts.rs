//! Acts that are about no SIM are told: once, with who and why, and never in the act's way.

use serde_json::json;
use simfuse_domain::policy::Mode;
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
