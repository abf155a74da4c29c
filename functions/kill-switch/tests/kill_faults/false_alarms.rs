//! What a human calls a false alarm is undone and filed as that, and its device is allowed from then
//! on.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simfuse_domain::audit::{AuditEntry, Phase};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::SimStatus;
use simfuse_testkit::service::{Behaviour, Fault, FaultRule, Requests};

use crate::bench::{
    Bench, PHONE, QUARANTINE, STRICT, TABLET, fleet, name, rejection, request, sim,
};
use crate::crashes::{TRAPS, insist, minutes};
use crate::gate::Gate;

/// The sensors' own model, and one of the tablet's model.
const SENSOR: &str = "35378572000001";
const TABLET_2: &str = "35880123000002";

impl Bench {
    async fn false_alarm(&self, number: u8) -> (String, String) {
        self.act("false_alarm", &name(number)).await
    }

    /// The phases of the judgements that the audit holds.
    fn judgements(&self, number: u8) -> Vec<AuditEntry> {
        let entries = self.audit(number).into_iter();
        entries.filter(|entry| entry.action == "false_alarm").collect()
    }

    /// One judgement, intent before outcome, of that incident.
    fn check_judgement(&self, number: u8, incident: &str) {
        let judgements = self.judgements(number);
        let phases: Vec<Phase> = judgements.iter().map(|entry| entry.phase).collect();
        assert_eq!(phases, [Phase::Intent, Phase::Outcome], "{judgements:#?}");
        let about: BTreeSet<_> = judgements.iter().map(|entry| entry.incident.as_deref()).collect();
        assert_eq!(about, BTreeSet::from([Some(incident)]), "{judgements:#?}");
        assert!(judgements.iter().all(|entry| entry.actor == "ops"), "{judgements:#?}");
        self.check_audit(number);
    }

    async fn allowed(&self, number: u8) -> Vec<String> {
        let desired = self.case(number).await.desired.0;
        desired.allowed_devices.iter().map(ToString::to_string).collect()
    }

    /// The SIM is in this device, hour after hour, and the stream tells.
    async fn hours_in(&self, device: &str, hours: usize) {
        for _hour in 0..hours {
            self.pass(3_000);
            self.appears(1, device, 2_000_000).await;
            assert!(self.deliver().await);
            self.minutes(10).await;
        }
    }
}

#[tokio::test]
async fn a_kill_is_undone_and_the_device_never_kills_again() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let incident = bench.incident(1).await.unwrap().id;
    let (outcome, reason) = bench.false_alarm(1).await;
    assert_eq!(outcome, "done", "{reason}");
    assert_eq!(reason, format!("restored; judged a false alarm, {TABLET} allowed"));
    assert_eq!(bench.status(1), SimStatus::Active);
    assert_eq!(bench.allowed(1).await, [TABLET]);
    let status = bench.ask(request("status", &[&name(1)])).await["sims"][0]["details"].take();
    assert_eq!(status["allowed_devices"], json!([TABLET]));
    assert_eq!(status["false_alarm_at"], "2026-03-01T14:00:00Z");
    assert_eq!(status["findings"], json!([]));
    bench.check_judgement(1, &incident);
    let last = bench.judgements(1).pop().unwrap().reason;
    assert_eq!(last, format!("{incident} is judged a false alarm, {TABLET} allowed"));
    bench.minutes(20).await;
    let filed = bench.memory.past_incidents(sim(1));
    assert_eq!((filed.len(), filed[0].id.as_str()), (1, incident.as_str()));
    assert!(filed[0].false_alarm_at.is_some(), "{filed:#?}");
    // Back and forth, for days.
    for device in [SENSOR, TABLET, SENSOR, TABLET] {
        bench.hours_in(device, 8).await;
    }
    assert_eq!(bench.asked(1), ["inactive", "active"]);
    assert_eq!(bench.told(1), ["deactivated", "restored"]);
    let published = bench.alerts.published();
    let restored = published.iter().find(|alert| alert.action == "restored").unwrap();
    assert!(restored.email.contains("Judged     a false alarm at 2026-03-01T14:00:00Z"));
    // A thief is one all the same; and so is too much of the allowed device.
    bench.appears(1, PHONE, 1_000).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.asked(1), ["inactive", "active", "inactive"]);
}

#[tokio::test]
async fn a_device_that_is_allowed_stays_so_where_a_judged_finding_would_not_do() {
    // After a restore the tablet is judged as not declared; as another one of the learnt device's
    // model it is found anew.
    for (action, stage) in [("restore", "alerted"), ("false_alarm", "none")] {
        let policy = "version = 1\nmode = \"enforce\"\n[binding]\nmode = \"strict\"\n";
        let declared = format!("{policy}allowed_tacs = [\"35378572\"]\n");
        let bench = Bench::with(1, &declared, Mode::Enforce).await;
        bench.appears(1, TABLET_2, 1_000).await;
        bench.pass(60);
        bench.steal_and_tell([1]).await;
        assert_eq!(bench.act(action, &name(1)).await.0, "done");
        bench.minutes(20).await;
        bench.apply(&format!("{policy}enrol = \"first\"\n")).await;
        bench.appears(1, TABLET, 2_000).await;
        assert!(bench.deliver().await);
        assert_eq!(bench.stage(1).await, stage, "{action}");
        assert_eq!(bench.asked(1), ["inactive", "active"], "{action}");
    }
}

#[tokio::test]
async fn what_the_allowed_device_does_counts_as_before() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.false_alarm(1).await.0, "done");
    bench.minutes(1_500).await;
    bench.appears(1, TABLET, 9_000_000).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.asked(1), ["inactive", "active", "inactive"], "over its limit");
    let findings = bench.incident(1).await.unwrap().findings;
    let found: Vec<String> = findings.iter().map(|finding| finding.detector.to_string()).collect();
    assert_eq!(found, ["hour_limit"]);
}

#[tokio::test]
async fn what_was_only_told_or_held_is_filed_and_the_sim_stays_as_it_is() {
    let learnt = STRICT.replace("\"strict\"", "\"learnt\"") + "[places]\ncountries = []\n";
    for (policy, armed, stage) in [
        (STRICT, Mode::Observe, "held (observe mode)"),
        (&*learnt, Mode::Enforce, "none"),
        (&*STRICT.replace("count = 5", "count = 1"), Mode::Enforce, "held (cap on kills reached)"),
    ] {
        let bench = Bench::with(2, policy, armed).await;
        bench.steal_and_tell([1]).await;
        bench.steal_and_tell([2]).await;
        // Of learnt binding nothing is found before a device is learnt or declared.
        let stage = if stage == "none" { "alerted" } else { stage };
        assert_eq!(bench.stage(2).await, stage);
        let incident = bench.incident(2).await.unwrap().id;
        let dry = bench.ask({
            let mut dry = request("false_alarm", &[&name(2)]);
            dry["dry_run"] = json!(true);
            dry
        });
        let dry = dry.await["sims"][0].take();
        assert_eq!(dry["outcome"], "pending");
        let would = format!("it is active, and would be judged a false alarm, {TABLET} allowed");
        assert_eq!(dry["reason"], would);
        assert_eq!((bench.stage(2).await.as_str(), bench.judgements(2).len()), (stage, 0));
        let posts = bench.posts();
        let (outcome, reason) = bench.false_alarm(2).await;
        let expected = format!("it is active; judged a false alarm, {TABLET} allowed");
        assert_eq!((outcome.as_str(), reason), ("done", expected));
        assert_eq!(bench.stage(2).await, "none");
        let filed = bench.memory.past_incidents(sim(2));
        assert!(filed[0].false_alarm_at.is_some() && filed[0].id == incident, "{filed:#?}");
        bench.check_judgement(2, &incident);
        let (outcome, reason) = bench.false_alarm(2).await;
        let expected = "it is active, and was judged a false alarm at 2026-03-01T14:00:00Z";
        assert_eq!((outcome.as_str(), reason.as_str()), ("already", expected));
        bench.check_judgement(2, &incident);
        bench.minutes(30).await;
        assert_eq!(bench.posts(), posts, "nothing is asked of the provider");
        assert_eq!(bench.held_pages().len(), 0, "nobody is paged about it");
    }
}

#[tokio::test]
async fn without_an_incident_it_is_refused_and_above_ten_sims_it_needs_a_digest() {
    let bench = Bench::new(11).await;
    let (outcome, reason) = bench.false_alarm(1).await;
    assert_eq!(outcome, "refused");
    assert!(reason.contains("no incident"), "{reason}");
    assert_eq!((bench.judgements(1).len(), bench.posts()), (0, 0));
    let names: Vec<String> = (1..=11).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = bench.ask(request("false_alarm", &names)).await;
    assert!(answer["digest"].is_string() && answer["sims"] == json!([]), "{answer}");
    // One that was restored although nothing was found of it has none, either.
    bench.service.set_status(sim(1), SimStatus::Inactive);
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    assert_eq!(bench.false_alarm(1).await.0, "refused");
}

#[tokio::test]
async fn an_incident_that_is_over_is_judged_too() {
    for restored in [false, true] {
        let bench = Bench::new(1).await;
        bench.steal_and_tell([1]).await;
        bench.minutes(1).await;
        bench.happen(sim(1), &[rejection(1, bench.now())]).await;
        bench.minutes(2).await;
        assert_eq!(bench.stage(1).await, "none", "proven, and filed");
        let incident = bench.memory.past_incidents(sim(1))[0].id.clone();
        if restored {
            assert_eq!(bench.act("restore", &name(1)).await.0, "done");
            bench.minutes(20).await;
        }
        let (outcome, reason) = bench.false_alarm(1).await;
        assert_eq!(outcome, "done", "{reason}");
        assert!(reason.ends_with(&format!("; judged a false alarm, {TABLET} allowed")), "{reason}");
        assert_eq!(bench.status(1), SimStatus::Active);
        assert_eq!(bench.asked(1), ["inactive", "active"]);
        assert_eq!(bench.allowed(1).await, [TABLET]);
        bench.minutes(20).await;
        let filed = bench.memory.past_incidents(sim(1));
        let judged = filed.iter().find(|filed| filed.id == incident).unwrap();
        assert!(judged.false_alarm_at.is_some(), "{filed:#?}");
        assert_eq!(filed.len(), 1 + usize::from(restored), "no incident of its own");
        bench.check_judgement(1, &incident);
        assert_eq!(bench.false_alarm(1).await.0, "already");
        assert_eq!(bench.told(1), ["deactivated", "proven", "restored"]);
    }
}

#[tokio::test]
async fn a_restore_that_is_being_watched_goes_on_as_a_false_alarm() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let incident = bench.incident(1).await.unwrap().id;
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.minutes(3).await;
    let until = bench.incident(1).await.unwrap();
    let (outcome, _) = bench.false_alarm(1).await;
    assert_eq!(outcome, "done");
    let marked = bench.incident(1).await.unwrap();
    assert_eq!((marked.stage, marked.next_check), (until.stage, until.next_check));
    assert_eq!(bench.allowed(1).await, [TABLET]);
    assert_eq!(bench.false_alarm(1).await.0, "already");
    bench.check_judgement(1, &incident);
    // A request that lands late is undone, as by any restore.
    bench.service.set_status(sim(1), SimStatus::Inactive);
    bench.minutes(20).await;
    assert_eq!(bench.status(1), SimStatus::Active);
    assert!(bench.memory.past_incidents(sim(1))[0].false_alarm_at.is_some());
    bench.check_judgement(1, &incident);
}

#[tokio::test]
async fn a_freeze_ends_and_a_sim_in_quarantine_comes_home() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let mut freeze = request("deactivate", &[&name(1)]);
    freeze["freeze_hours"] = json!(2);
    bench.ask(freeze).await;
    assert_eq!(bench.false_alarm(1).await.0, "done");
    bench.minutes(150).await;
    assert_eq!(bench.asked(1), ["inactive", "active"]);
    for minutes in [0, 1, 5] {
        let bench = Bench::with(1, QUARANTINE, Mode::Enforce).await;
        bench.appears(1, SENSOR, 9_000_000).await;
        assert!(bench.deliver().await);
        bench.minutes(minutes).await;
        let incident = bench.incident(1).await.unwrap().id;
        let (outcome, reason) = bench.false_alarm(1).await;
        assert!(["done", "pending"].contains(&outcome.as_str()), "{outcome}: {reason}");
        bench.minutes(25).await;
        let there = bench.service.sim(sim(1)).unwrap();
        assert_eq!((there.status, there.fleet), (SimStatus::Active, Some(fleet())), "{minutes}");
        assert_eq!(bench.stage(1).await, "none");
        assert_eq!(bench.allowed(1).await, [""; 0], "no device was found");
        assert!(bench.memory.past_incidents(sim(1))[0].false_alarm_at.is_some());
        let judgements = bench.judgements(1);
        assert!(judgements.len() == 2 && judgements[0].incident == Some(incident));
    }
}

#[tokio::test]
async fn a_human_who_kills_the_sim_takes_its_devices_away() {
    for (how, is_allowed) in
        [("deactivate", false), ("freeze", true), ("quarantine", true), ("approve", false)]
    {
        let policy = format!("quarantine = {{ fleet = \"{}\" }}\n", crate::bench::QUARANTINE_FLEET);
        let policy = STRICT.replace("[binding]", &format!("{policy}[binding]"));
        let bench = Bench::with(1, &policy, Mode::Enforce).await;
        bench.steal_and_tell([1]).await;
        assert_eq!(bench.false_alarm(1).await.0, "done");
        bench.minutes(20).await;
        let mut asked = request(if how == "freeze" { "deactivate" } else { how }, &[&name(1)]);
        match how {
            "freeze" => asked["freeze_hours"] = json!(2),
            "approve" => {
                bench.ask(request("stop", &[])).await;
                bench.appears(1, TABLET, 9_000_000).await;
                assert!(bench.deliver().await);
            }
            _ => {}
        }
        let answer = bench.ask(asked.clone()).await["sims"][0].take();
        assert!(answer["outcome"] == "done" || answer["outcome"] == "pending", "{how}: {answer}");
        assert_eq!(bench.allowed(1).await.len(), usize::from(is_allowed), "{how}");
        let took = |entry: &AuditEntry| entry.action == "disallow";
        let taken: Vec<AuditEntry> = bench.audit(1).into_iter().filter(took).collect();
        assert_eq!(taken.len(), usize::from(!is_allowed), "{how}");
        if let Some(taken) = taken.first() {
            assert_eq!(taken.reason, format!("{TABLET} allowed no more: a test"));
        }
        bench.minutes(5).await;
        bench.ask(asked).await;
        assert_eq!(bench.status(1) == SimStatus::Inactive, how != "quarantine", "{how}");
        assert!(bench.incident(1).await.is_none_or(|open| open.false_alarm_at.is_none()), "{how}");
    }
}

#[tokio::test]
async fn a_kill_after_it_does_not_rest_on_what_was_judged_and_says_which_devices_it_takes() {
    let bench = Bench::with(1, STRICT, Mode::Observe).await;
    bench.appears(1, TABLET, 9_000_000).await;
    assert!(bench.deliver().await);
    let dry = async |hours: Option<u32>| {
        let mut asked = request("deactivate", &[&name(1)]);
        (asked["dry_run"], asked["freeze_hours"]) = (json!(true), json!(hours));
        bench.ask(asked).await["sims"][0]["reason"].as_str().unwrap().to_owned()
    };
    let before = dry(None).await;
    assert!(before.contains(": in device") && !before.contains("allowed no more"), "{before}");
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    assert_eq!(bench.false_alarm(1).await.0, "done");
    let after = dry(None).await;
    let takes =
        format!("it is active; {TABLET}, which a false alarm allowed, would be allowed no more");
    assert_eq!(after, format!("would be deactivated, {takes}"));
    assert!(!dry(Some(2)).await.contains("allowed no more"), "a freeze takes none");
    assert_eq!(bench.allowed(1).await.len(), 1, "a dry run takes none");
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    let told = bench.alerts.published();
    let kills: Vec<_> = told.iter().filter(|alert| alert.action == "deactivated").collect();
    assert!(kills[0].email.contains("\nWhy        hour_limit"), "{}", kills[0].email);
    let last = &kills.last().unwrap().email;
    assert!(last.contains("By         ops: a test") && !last.contains("hour_limit"), "{last}");
    assert!(last.contains("Why        device_not_allowed"), "allowed no more, it counts: {last}");
}

#[tokio::test]
async fn no_device_is_dropped_for_the_one_that_finds_no_room() {
    use simfuse_domain::incident::{ALLOWED_DEVICES_MAX, Desired};
    use simfuse_domain::port::{Cases as _, Commit};
    let bench = Bench::new(1).await;
    let imei = |number: usize| format!("866009050{number:05}").parse().unwrap();
    let allowed_devices = (0..ALLOWED_DEVICES_MAX).map(imei).collect();
    let desired = Desired { allowed_devices, ..Desired::default() };
    let commit = Commit { desired: Some((desired, 0)), ..Commit::of(sim(1)) };
    bench.memory.commit(&commit).await.unwrap();
    bench.steal_and_tell([1]).await;
    let (outcome, reason) = bench.false_alarm(1).await;
    assert_eq!(outcome, "refused");
    assert!(reason.starts_with("more than 32 devices"), "{reason}");
    assert_eq!((bench.allowed(1).await.len(), bench.judgements(1).len()), (32, 0));
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
}

#[tokio::test]
async fn a_provider_that_is_slow_or_refuses_makes_no_second_judgement() {
    for fault in [Fault::Status(503), Fault::Status(429), Fault::Status(401)] {
        let bench = Bench::new(1).await;
        bench.steal_and_tell([1]).await;
        let incident = bench.incident(1).await.unwrap().id;
        bench.service.inject(FaultRule::once(fault).on(Requests::StatusUpdates).times(3));
        bench.false_alarm(1).await;
        bench.pass(5);
        bench.false_alarm(1).await;
        bench.minutes(40).await;
        assert_eq!(bench.status(1), SimStatus::Active, "{fault:?}");
        bench.check_judgement(1, &incident);
        assert!(bench.memory.past_incidents(sim(1))[0].false_alarm_at.is_some(), "{fault:?}");
    }
    let bench = Bench::new(1).await;
    let after = jiff::SignedDuration::from_mins(10);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    bench.steal_and_tell([1]).await;
    bench.minutes(2).await;
    let incident = bench.incident(1).await.unwrap().id;
    assert_eq!(bench.false_alarm(1).await.0, "pending");
    bench.minutes(40).await;
    assert_eq!((bench.status(1), bench.stage(1).await), (SimStatus::Active, "none".to_owned()));
    bench.check_judgement(1, &incident);
}

/// A false alarm, and what the SIM is before it.
async fn set_up(before: &str) -> Bench {
    let armed = if before == "held" { Mode::Observe } else { Mode::Enforce };
    let bench = Bench::with(1, STRICT, armed).await;
    bench.steal_and_tell([1]).await;
    if before == "proven" {
        bench.minutes(1).await;
        bench.happen(sim(1), &[rejection(1, bench.now())]).await;
        bench.minutes(2).await;
    }
    bench
}

#[tokio::test(start_paused = true)]
async fn it_is_judged_once_whichever_call_fails_or_is_the_last() {
    for before in ["inactive", "held", "proven"] {
        for trap in TRAPS {
            for call in 0.. {
                let bench = set_up(before).await;
                let open = bench.incident(1).await;
                let open = open.or_else(|| bench.memory.past_incidents(sim(1)).pop()).unwrap();
                let trap = trap(call);
                let gate = Gate::new(Some(trap));
                let armed = if before == "held" { Mode::Observe } else { Mode::Enforce };
                let switch = bench.another(armed, gate.clone());
                let asked: Value = request("false_alarm", &[&name(1)]);
                let answer = insist(&bench, &switch, &gate, asked).await;
                assert_ne!(answer["sims"][0]["outcome"], "refused", "{before} {trap:?}: {answer}");
                minutes(&bench, &switch, &gate, 3, 0).await;
                assert_eq!(bench.status(1), SimStatus::Active, "{before} {trap:?}");
                bench.pass(900);
                minutes(&bench, &switch, &gate, 2, 0).await;
                assert_eq!(bench.stage(1).await, "none", "{before} {trap:?}");
                assert_eq!(bench.allowed(1).await, [TABLET], "{before} {trap:?}");
                let filed = bench.memory.past_incidents(sim(1));
                assert_eq!(filed.len(), 1, "{before} {trap:?}");
                assert!(filed[0].false_alarm_at.is_some(), "{before} {trap:?}");
                bench.check_judgement(1, &open.id);
                if gate.calls() <= call {
                    break;
                }
            }
        }
    }
}
