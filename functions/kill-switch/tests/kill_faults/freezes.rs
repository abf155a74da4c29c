//! A freeze ends by itself, unless someone says that the SIM is stolen.

use jiff::SignedDuration;
use serde_json::{Value, json};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::SimStatus;
use simfuse_testkit::service::Behaviour;

use crate::bench::{Bench, STRICT, TABLET, name, rejection, request, sim};
use crate::crashes::{TRAPS, insist, minutes};
use crate::gate::Gate;

fn freeze(number: u8, hours: u32) -> Value {
    let mut asked = request("deactivate", &[&name(number)]);
    asked["freeze_hours"] = json!(hours);
    asked
}

impl Bench {
    async fn freeze(&self, number: u8, hours: u32) -> Value {
        self.ask(freeze(number, hours)).await["sims"][0].clone()
    }
}

#[tokio::test]
async fn it_ends_by_itself_although_the_sim_was_proven_dead_and_all_is_stopped() {
    let bench = Bench::with(1, STRICT, Mode::Observe).await;
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.freeze(1, 2).await["outcome"], "done");
    bench.happen(sim(1), &[rejection(1, bench.pass(60))]).await;
    bench.minutes(1).await;
    assert_eq!(bench.stage(1).await, "proven");
    bench.ask(json!({ "action": "stop", "reason": "a test", "requested_by": "ops" })).await;
    bench.minutes(117).await;
    assert_eq!(bench.status(1), SimStatus::Inactive, "not yet");
    bench.minutes(2).await;
    assert_eq!(bench.status(1), SimStatus::Active);
    assert_eq!(bench.told(1), ["held", "deactivated", "proven", "restored"]);
    // What was found before is judged by that.
    bench.appears(1, TABLET, 2_000_000).await;
    assert!(bench.deliver().await);
    bench.minutes(20).await;
    assert_eq!(bench.asked(1), ["inactive", "active"]);
    assert_eq!(bench.stage(1).await, "none");
    bench.check_audit(1);
    let told = bench.alerts.published();
    assert!(
        told[1].subject.ends_with("deactivated until 2026-03-01 16:00Z"),
        "{}",
        told[1].subject
    );
}

#[tokio::test]
async fn whoever_kills_it_again_lifts_the_freeze() {
    for is_proven in [false, true] {
        let bench = Bench::with(1, STRICT, Mode::Observe).await;
        bench.steal(1).await;
        bench.freeze(1, 2).await;
        if is_proven {
            bench.happen(sim(1), &[rejection(1, bench.pass(60))]).await;
            bench.minutes(1).await;
        }
        let (outcome, reason) = bench.act("deactivate", &name(1)).await;
        assert!(outcome == "done" && reason.contains("freeze is lifted"), "{reason}");
        bench.minutes(200).await;
        assert_eq!(bench.status(1), SimStatus::Inactive);
        assert_eq!(bench.asked(1), ["inactive"]);
        let told = bench.alerts.published();
        let lifted = told.iter().find(|alert| alert.action == "frozen").unwrap();
        assert_eq!(lifted.subject, "SimFuse: pump-1 stays off: its freeze is lifted");
    }
}

#[tokio::test]
async fn a_freeze_of_a_sim_that_is_off_begins_there_and_may_be_prolonged() {
    let bench = Bench::with(1, STRICT, Mode::Observe).await;
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    assert_eq!(bench.freeze(1, 1).await["outcome"], "done");
    bench.minutes(30).await;
    let posts = bench.posts();
    let mut dry = freeze(1, 2);
    dry["dry_run"] = json!(true);
    let dry = bench.ask(dry).await["sims"][0].clone();
    let would =
        "would come back by itself at 2026-03-01T16:30:00Z, no longer at 2026-03-01T15:00:00Z";
    assert_eq!(dry["outcome"], "pending");
    assert!(dry["reason"].as_str().unwrap().contains(would), "{dry}");
    let changed = bench.freeze(1, 2).await;
    assert_eq!(changed["outcome"], "done");
    let changed = changed["reason"].as_str().unwrap().to_owned();
    assert!(changed.contains(&would.replace("would come", "comes")), "{changed}");
    assert_eq!(bench.posts(), posts, "nothing is asked of the provider");
    assert_eq!(bench.told(1), ["deactivated", "frozen", "frozen"]);
    let mail = bench.alerts.published().pop().unwrap();
    assert_eq!(mail.subject, "SimFuse: pump-1 stays off until 2026-03-01 16:30Z now");
    assert!(mail.email.contains("\nBy         ops: a test\n") && mail.sms.is_none(), "{mail:?}");
    let recorded = bench.audit(1).into_iter().filter(|entry| entry.id.starts_with("deactivate-"));
    assert_eq!(recorded.count(), 2, "each change");
    bench.minutes(118).await;
    assert_eq!(bench.status(1), SimStatus::Inactive);
    bench.minutes(4).await;
    assert_eq!(bench.status(1), SimStatus::Active);
}

#[tokio::test]
async fn stolen_is_stolen_though_the_provider_is_still_at_it() {
    let bench = Bench::with(1, STRICT, Mode::Observe).await;
    let after = SignedDuration::from_mins(5);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    assert_eq!(bench.freeze(1, 2).await["outcome"], "pending");
    let (outcome, reason) = bench.act("deactivate", &name(1)).await;
    assert!(outcome == "pending" && reason.contains("its freeze is lifted"), "{reason}");
    assert_eq!(bench.told(1), ["deactivated", "frozen"]);
    bench.minutes(200).await;
    assert_eq!(bench.status(1), SimStatus::Inactive);
    assert_eq!(bench.asked(1), ["inactive"]);
    let actors: Vec<_> = bench.audit(1).into_iter().map(|entry| entry.actor).collect();
    assert!(actors.iter().filter(|actor| *actor == "ops").count() >= 3, "{actors:?}");
}

#[tokio::test]
async fn what_policy_would_cut_at_once_stays_off_and_a_human_is_told() {
    let bench = Bench::new(1).await;
    assert_eq!(bench.freeze(1, 2).await["outcome"], "done");
    bench.steal(1).await;
    bench.minutes(125).await;
    assert_eq!(bench.status(1), SimStatus::Inactive);
    assert_eq!(bench.asked(1), ["inactive"]);
    let told = bench.alerts.published();
    let told: Vec<&str> = told.iter().map(|alert| alert.subject.as_str()).collect();
    let kept = "SimFuse: pump-1 stays off after its freeze: policy asks for it";
    assert_eq!(told.iter().filter(|subject| **subject == kept).count(), 1, "{told:?}");
}

#[tokio::test]
async fn a_freeze_that_is_changed_while_the_provider_refuses_is_told_once() {
    let bench = Bench::with(1, STRICT, Mode::Observe).await;
    let after = SignedDuration::from_mins(5);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    bench.freeze(1, 1).await;
    bench.freeze(1, 3).await;
    bench.minutes(10).await;
    assert_eq!(bench.told(1), ["deactivated", "frozen"]);
    bench.minutes(100).await;
    assert_eq!(bench.status(1), SimStatus::Inactive, "the later end holds");
    bench.minutes(75).await;
    assert_eq!(bench.status(1), SimStatus::Active);
}

#[tokio::test]
async fn a_restore_before_its_end_is_the_only_one() {
    let bench = Bench::with(1, STRICT, Mode::Observe).await;
    bench.freeze(1, 2).await;
    bench.minutes(5).await;
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.minutes(150).await;
    assert_eq!(bench.asked(1), ["inactive", "active"]);
    assert_eq!(bench.told(1), ["deactivated", "restored"]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_whichever_call_fails_or_is_the_last() {
    for trap in TRAPS {
        for call in 0.. {
            let bench = Bench::with(1, STRICT, Mode::Observe).await;
            let trap = trap(call);
            let gate = Gate::new(Some(trap));
            let switch = bench.another(Mode::Observe, gate.clone());
            insist(&bench, &switch, &gate, freeze(1, 1)).await;
            minutes(&bench, &switch, &gate, 5, 0).await;
            assert_eq!(bench.status(1), SimStatus::Inactive, "{trap:?}");
            bench.pass(3_300);
            minutes(&bench, &switch, &gate, 22, 0).await;
            assert_eq!(bench.status(1), SimStatus::Active, "{trap:?}");
            assert_eq!(bench.stage(1).await, "none", "{trap:?}");
            bench.check_audit(1);
            if gate.calls() <= call {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_freeze_without_sense_is_refused() {
    let bench = Bench::new(1).await;
    for hours in [0, 745] {
        let answer = bench.ask(freeze(1, hours)).await;
        assert!(answer["error"].as_str().unwrap().contains("1 to 744"), "{answer}");
    }
    let mut restore = freeze(1, 2);
    restore["action"] = json!("restore");
    let answer = bench.ask(restore).await;
    assert!(answer["error"].as_str().unwrap().contains("for deactivate"), "{answer}");
    assert_eq!(bench.posts(), 0);
}
