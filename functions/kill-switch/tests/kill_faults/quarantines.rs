//! A SIM goes to the fleet where it can do no harm, and comes home; whatever refuses on the way, it
//! stays inactive.

use jiff::SignedDuration;
use serde_json::json;
use simfuse_domain::id::FleetSid;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{Fleets as _, SimStatus};
use simfuse_testkit::service::{Behaviour, Fault, FaultRule, LateAnswer, Requests};

use crate::bench::{
    Bench, QUARANTINE, QUARANTINE_FLEET, STRICT, TABLET, fleet, name, request, sim,
};
use crate::crashes::{TRAPS, insist, invoke, minutes};
use crate::gate::Gate;

/// The sensor's own model.
const SENSOR: &str = "35378572000001";

impl Bench {
    fn fleet_of(&self, number: u8) -> FleetSid {
        self.service.sim(sim(number)).unwrap().fleet.unwrap()
    }

    /// The SIM's own device uses more than policy allows, and the stream tells.
    async fn overuse(&self, number: u8) {
        self.appears(number, SENSOR, 9_000_000).await;
        assert!(self.deliver().await);
    }
}

fn quarantine() -> FleetSid {
    QUARANTINE_FLEET.parse().unwrap()
}

#[tokio::test]
async fn a_sim_over_its_limit_is_cut_off_moved_and_active_again_and_comes_home() {
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.overuse(1).await;
    assert_eq!(bench.status(1), SimStatus::Inactive, "cut off at once");
    bench.minutes(3).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Active, quarantine()));
    assert_eq!(bench.stage(1).await, "quarantined");
    assert_eq!(bench.told(1), ["deactivated", "quarantined"]);
    // What it used before is known, and it stays where it is.
    bench.appears(1, SENSOR, 9_500_000).await;
    assert!(bench.deliver().await);
    bench.minutes(20).await;
    assert_eq!(bench.asked(1), ["inactive", "active"]);

    let (outcome, reason) = bench.act("restore", &name(1)).await;
    assert_eq!((outcome.as_str(), reason.as_str()), ("pending", "restoring"));
    bench.minutes(3).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Active, fleet()));
    let told = bench.alerts.published();
    assert_eq!(bench.told(1), ["deactivated", "quarantined", "restored"], "{told:#?}");
    bench.minutes(20).await;
    assert_eq!(bench.stage(1).await, "none");
    assert_eq!(bench.case(1).await.desired.0.quarantine, None);
    let acts = bench.audit(1);
    let acts = acts.iter().filter(|entry| entry.id.ends_with("intent"));
    let acts: Vec<&str> = acts.map(|entry| entry.action.as_str()).collect();
    let expected = ["deactivate", "quarantine", "quarantine", "restore", "restore", "restore"];
    assert_eq!(acts, expected, "off, move, on; and off, move, on");
}

#[tokio::test(start_paused = true)]
async fn it_ends_there_and_at_home_whichever_call_fails_or_is_the_last() {
    for trap in TRAPS {
        for call in 0.. {
            let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
            bench.appears(1, SENSOR, 9_000_000).await;
            let trap = trap(call);
            let gate = Gate::new(Some(trap));
            let switch = bench.another(Mode::Enforce, gate.clone());
            invoke(&switch, &gate, bench.stream()).await;
            minutes(&bench, &switch, &gate, 5, 0).await;
            assert_eq!(
                (bench.status(1), bench.fleet_of(1)),
                (SimStatus::Active, quarantine()),
                "{trap:?}"
            );
            insist(&bench, &switch, &gate, request("restore", &[&name(1)])).await;
            minutes(&bench, &switch, &gate, 9, 0).await;
            assert_eq!(
                (bench.status(1), bench.fleet_of(1)),
                (SimStatus::Active, fleet()),
                "{trap:?}"
            );
            bench.pass(900);
            minutes(&bench, &switch, &gate, 2, 0).await;
            assert_eq!(bench.stage(1).await, "none", "{trap:?}");
            bench.check_audit_of_moves(1);
            if gate.calls() <= call {
                break;
            }
        }
    }
}

impl Bench {
    /// No request for a change without an intent before it.
    fn check_audit_of_moves(&self, number: u8) {
        let intents = self.audit(number);
        let intents = intents.iter().filter(|entry| entry.id.ends_with("intent")).count();
        let changes = self.service.requests();
        let changes = changes.iter().filter(|asked| asked.method == "POST").count();
        assert!(changes <= intents, "{changes} changes, {intents} intents");
    }
}

#[tokio::test]
async fn a_fleet_with_data_is_no_quarantine() {
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.fleets.set_data_limit(quarantine(), 250).await.unwrap();
    bench.overuse(1).await;
    bench.minutes(40).await;
    assert_eq!(bench.status(1), SimStatus::Inactive);
    assert_eq!(bench.asked(1), ["inactive"], "it was never made active there");
    let told = bench.alerts.published();
    let failed = told.iter().find(|alert| alert.subject.contains("NOT in quarantine")).unwrap();
    assert!(failed.email.contains("is no quarantine"), "{}", failed.email);
    assert_eq!(bench.stage(1).await, "quiet");
    // It comes home all the same.
    assert_ne!(bench.act("restore", &name(1)).await.0, "refused");
    bench.minutes(3).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Active, fleet()));
}

#[tokio::test]
async fn a_refused_move_leaves_it_inactive_and_one_that_comes_too_early_is_tried_again() {
    for (code, status, fleet) in [
        (83_008, SimStatus::Inactive, fleet()),
        (83_006, SimStatus::Inactive, fleet()),
        (83_009, SimStatus::Active, quarantine()),
    ] {
        let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
        bench.service.inject(FaultRule::once(Fault::Refusal(code)).on(Requests::Moves));
        bench.overuse(1).await;
        bench.minutes(8).await;
        assert_eq!((bench.status(1), bench.fleet_of(1)), (status, fleet), "{code}");
        let failed = bench.alerts.published();
        let failed = failed.iter().any(|alert| alert.subject.contains("NOT in quarantine"));
        assert_eq!(failed, code != 83_009, "{code}");
    }
}

/// What `status` says of the SIM's way to quarantine.
async fn said_of(bench: &Bench) -> String {
    let answer = bench.ask(request("status", &[&name(1)])).await;
    answer["sims"][0]["details"]["quarantine"].as_str().unwrap_or("nothing").to_owned()
}

#[tokio::test]
async fn status_says_how_far_it_is_and_whether_it_failed() {
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    assert_eq!(said_of(&bench).await, "nothing");
    bench.overuse(1).await;
    let (there, home) = (quarantine(), fleet());
    assert_eq!(said_of(&bench).await, format!("under way to {there}, from {home}"));
    bench.minutes(3).await;
    let is_there = format!("in {there}, at home in {home}");
    assert_eq!(said_of(&bench).await, is_there);
    bench.minutes(73 * 60).await;
    assert_eq!(bench.stage(1).await, "none");
    assert_eq!(said_of(&bench).await, is_there, "also once its incident is over");
    assert_eq!(bench.act("restore", &name(1)).await.0, "pending");
    assert_eq!(said_of(&bench).await, format!("on its way home from {there} to {home}"));
    bench.minutes(30).await;
    assert_eq!(said_of(&bench).await, "nothing");

    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.fleets.set_data_limit(quarantine(), 250).await.unwrap();
    bench.overuse(1).await;
    bench.minutes(40).await;
    assert_eq!(said_of(&bench).await, format!("FAILED: it stays inactive {is_there}"));
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.service.inject(FaultRule::once(Fault::Refusal(83_006)).on(Requests::Moves));
    bench.overuse(1).await;
    bench.minutes(5).await;
    assert_eq!(said_of(&bench).await, "FAILED: it stays inactive where it was");
    let trouble = bench.incident(1).await.unwrap().trouble.unwrap();
    assert!(trouble.contains("code 83006)"), "{trouble}");
}

#[tokio::test]
async fn a_dry_run_promises_no_fleet_that_the_provider_does_not_know() {
    const UNKNOWN: &str = "HF08080808080808080808080808080808";
    let dry = |action: &str| {
        let mut asked = request(action, &[&name(1), &name(2)]);
        asked["dry_run"] = json!(true);
        asked
    };
    for (fleet, data_mb, outcome, says) in [
        (QUARANTINE_FLEET, 1, "pending", "moved to HF0707"),
        (QUARANTINE_FLEET, 250, "pending", "it has more than 1 MB of data"),
        (UNKNOWN, 1, "pending", "the provider knows no fleet HF0808"),
    ] {
        let bench = Bench::with(2, QUARANTINE, Mode::Observe).await;
        bench.apply(&QUARANTINE.replace(QUARANTINE_FLEET, fleet)).await;
        bench.fleets.set_data_limit(quarantine(), data_mb).await.unwrap();
        for number in [1, 2] {
            bench.overuse(number).await;
        }
        for action in ["quarantine", "approve"] {
            let answer = bench.ask(dry(action)).await;
            for sim in answer["sims"].as_array().unwrap() {
                assert_eq!(sim["outcome"], outcome, "{action}: {sim}");
                assert!(sim["reason"].as_str().unwrap().contains(says), "{action}: {sim}");
            }
        }
        let killed = bench.ask(dry("deactivate")).await;
        assert_eq!(killed["sims"][0]["outcome"], "pending", "a kill goes nowhere");
        assert_eq!(bench.posts(), 0);
    }
}

#[tokio::test]
async fn what_was_held_while_the_provider_did_not_answer_is_approved_as_it_is_meant() {
    let bench = Bench::with(1, QUARANTINE, Mode::Observe).await;
    let throttled = FaultRule::once(Fault::Status(429)).on(Requests::Reads).times(1);
    bench.service.inject(throttled);
    bench.overuse(1).await;
    assert_eq!(bench.stage(1).await, "held (observe mode)");
    bench.act("approve", &name(1)).await;
    bench.minutes(5).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Active, quarantine()));
}

#[tokio::test]
async fn a_stop_leaves_it_inactive() {
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.overuse(1).await;
    bench.ask(json!({ "action": "stop", "reason": "a test", "requested_by": "ops" })).await;
    bench.minutes(10).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Inactive, fleet()));
}

#[tokio::test]
async fn in_quarantine_a_new_reason_to_deactivate_does() {
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.overuse(1).await;
    bench.minutes(3).await;
    bench.appears(1, TABLET, 1_000).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.asked(1), ["inactive", "active", "inactive"]);
    bench.minutes(40).await;
    assert_eq!(bench.status(1), SimStatus::Inactive, "and it stays off");
    assert_ne!(bench.act("restore", &name(1)).await.0, "refused");
    bench.minutes(3).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Active, fleet()));
}

#[tokio::test]
async fn a_human_who_kills_it_on_the_way_stops_it_there() {
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.overuse(1).await;
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "already");
    bench.minutes(5).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Inactive, fleet()));
    // The last step was asked for, and lands after the kill.
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.overuse(1).await;
    bench.minutes(1).await;
    let after = SignedDuration::from_secs(90);
    let fault = Fault::LateEffect { after, answer: LateAnswer::Error };
    bench.service.inject(FaultRule::once(fault).on(Requests::StatusUpdates));
    bench.minutes(1).await;
    assert_eq!(bench.status(1), SimStatus::Inactive);
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "pending", "83010: it is off already");
    bench.minutes(10).await;
    assert_eq!(bench.status(1), SimStatus::Inactive, "the human's word stands");
}

#[tokio::test]
async fn a_restore_while_it_settles_in_quarantine_brings_it_home() {
    let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
    bench.overuse(1).await;
    bench.minutes(1).await;
    let after = SignedDuration::from_mins(4);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    bench.minutes(1).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Scheduled, quarantine()));
    assert_eq!(bench.act("restore", &name(1)).await.0, "pending");
    bench.minutes(30).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Active, fleet()));
    assert_eq!(bench.case(1).await.desired.0.quarantine, None);
}

#[tokio::test]
async fn what_is_held_for_quarantine_is_approved_for_it() {
    let bench = Bench::with(1, QUARANTINE, Mode::Observe).await;
    bench.overuse(1).await;
    assert_eq!(bench.told(1), ["held"]);
    assert_eq!(bench.act("approve", &name(1)).await.0, "pending");
    bench.minutes(3).await;
    assert_eq!((bench.status(1), bench.fleet_of(1)), (SimStatus::Active, quarantine()));
}

#[tokio::test]
async fn a_human_moves_a_sim_where_policy_names_a_fleet() {
    let bench = Bench::with(2, STRICT, Mode::Observe).await;
    let (outcome, reason) = bench.act("quarantine", &name(1)).await;
    assert!(outcome == "refused" && reason.contains("policy names no fleet"), "{reason}");
    bench.apply(QUARANTINE).await;
    assert_eq!(bench.act("quarantine", &name(1)).await.0, "pending");
    assert_eq!(bench.act("deactivate", &name(2)).await.0, "done");
    assert_eq!(bench.act("quarantine", &name(2)).await.0, "pending", "from where it is");
    bench.minutes(3).await;
    for number in [1, 2] {
        assert_eq!(
            (bench.status(number), bench.fleet_of(number)),
            (SimStatus::Active, quarantine())
        );
        assert_eq!(bench.act("quarantine", &name(number)).await.0, "already");
    }
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done", "stolen after all");
    bench.minutes(3).await;
    assert_eq!(bench.status(1), SimStatus::Inactive);
}
