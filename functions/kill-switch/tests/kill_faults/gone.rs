//! A SIM that left the account: its incident ends by a human's word.

use serde_json::json;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::SimStatus;
use simfuse_testkit::service::{Fault, FaultRule, Requests};

use crate::bench::{Bench, STRICT, TABLET, name, request, sim};
use crate::crashes::{TRAPS, insist};
use crate::gate::Gate;

/// Policy wants the SIM off, and the provider knows no such SIM.
async fn gone() -> Bench {
    let bench = Bench::new(1).await;
    let unknown = FaultRule::once(Fault::Status(404)).times(u32::MAX);
    bench.service.inject(unknown);
    bench.steal(1).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.stage(1).await, "requested");
    bench
}

#[tokio::test]
async fn a_human_closes_the_incident_of_a_sim_that_is_gone_and_it_stays_closed() {
    for (action, judges) in [("restore", false), ("false_alarm", true), ("approve", false)] {
        let bench = gone().await;
        bench.minutes(30).await;
        assert_eq!(bench.told(1), ["unreachable"], "told once");
        let sid = sim(1).to_string();
        for other in ["deactivate", "protect", "status"] {
            assert_eq!(bench.act(other, &sid).await.0, "not_found", "{other}");
        }
        assert_eq!(bench.act(action, &name(1)).await.0, "not_found", "a name is the provider's");
        let mut dry = request(action, &[&sid]);
        dry["dry_run"] = json!(true);
        assert_eq!(bench.ask(dry).await["sims"][0]["outcome"], "pending");
        assert_eq!(bench.stage(1).await, "requested");
        let (outcome, reason) = bench.act(action, &sid).await;
        assert_eq!(outcome, "done", "{reason}");
        assert_eq!(
            reason,
            "the provider knows no such SIM, so nothing was asked of it: its incident \
             (requested) is closed"
        );
        assert_eq!(bench.stage(1).await, "none");
        let filed = bench.memory.past_incidents(sim(1)).pop().unwrap();
        assert_eq!(
            (filed.false_alarm_at.is_some(), filed.stage.to_string()),
            (judges, "expired".into())
        );
        assert_eq!(filed.human.unwrap().reason, "a test");
        assert_eq!(bench.audit(1).pop().unwrap().action, action);
        assert_eq!(bench.act(action, &sid).await.0, "not_found", "there is nothing more to close");
        let reads = bench.service.requests().len();
        bench.minutes(120).await;
        assert_eq!((bench.told(1).len(), bench.posts()), (1, 0));
        assert_eq!(bench.service.requests().len(), reads, "nobody asks any more");
    }
}

#[tokio::test]
async fn of_many_at_once_none_is_closed() {
    let bench = gone().await;
    let sids: Vec<String> = (1..=11).map(|number| sim(number).to_string()).collect();
    let names: Vec<&str> = sids.iter().map(String::as_str).collect();
    let mut asked = request("restore", &names);
    asked["confirm"] = bench.ask(asked.clone()).await["digest"].take();
    let answer = bench.ask(asked).await;
    let sims = answer["sims"].as_array().unwrap();
    assert!(sims.len() == 11 && sims.iter().all(|sim| sim["outcome"] == "not_found"), "{answer}");
    assert_eq!(bench.stage(1).await, "requested");
}

#[tokio::test(start_paused = true)]
async fn it_is_closed_whichever_call_fails_or_is_the_last() {
    for trap in TRAPS {
        for call in 0.. {
            let bench = gone().await;
            let trap = trap(call);
            let gate = Gate::new(Some(trap));
            let switch = bench.another(Mode::Enforce, gate.clone());
            let asked = request("false_alarm", &[&sim(1).to_string()]);
            insist(&bench, &switch, &gate, asked).await;
            assert_eq!(bench.stage(1).await, "none", "{trap:?}");
            let allowed = bench.case(1).await.desired.0.allowed_devices;
            assert_eq!(allowed.iter().map(ToString::to_string).collect::<Vec<_>>(), [TABLET]);
            let entries = bench.audit(1);
            let judged = entries.iter().filter(|entry| entry.action == "false_alarm");
            assert_eq!(judged.count(), 2, "{trap:?}");
            bench.check_audit(1);
            if gate.calls() <= call {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_restore_that_the_provider_throttles_goes_on_by_itself_and_says_so() {
    let bench = Bench::with(1, STRICT, Mode::Enforce).await;
    bench.steal_and_tell([1]).await;
    bench.service.inject(FaultRule::once(Fault::Status(429)).on(Requests::StatusUpdates).times(2));
    let (outcome, reason) = bench.act("restore", &name(1)).await;
    assert_eq!(outcome, "pending");
    assert!(reason.contains("429") && reason.ends_with("it is tried again by itself"), "{reason}");
    let details = bench.ask(request("status", &[&name(1)])).await["sims"][0]["details"].take();
    assert_eq!(details["stage"], "restoring");
    assert!(details["trouble"].as_str().unwrap().contains("429"), "{details}");
    assert!(details["next_step"].as_str().unwrap().contains("by itself"), "{details}");
    bench.minutes(6).await;
    assert_eq!(bench.status(1), SimStatus::Active);
    let details = bench.ask(request("status", &[&name(1)])).await["sims"][0]["details"].take();
    assert_eq!((&details["stage"], &details["trouble"]), (&json!("restored"), &json!(null)));
}
