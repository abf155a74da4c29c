//! Links in alerts, and requests that are bound to one incident.

use serde_json::{Value, json};
use simfuse_domain::alert::{Alert, AlertKind, Known, PendingAlert};
use simfuse_domain::incident::Incident;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::SimStatus;
use simfuse_domain::signed_link::{LinkKey, Links};
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_testkit::faulty::{Fault, Method};
use simfuse_testkit::service::{Fault as ServiceFault, FaultRule};

use crate::bench::{Bench, PHONE, STRICT, name, request, sim};
use crate::gate::{Gate, Gated};

/// Asks for something about one SIM as a link does: outcome and reason.
async fn bound(bench: &Bench, action: &str, number: u8, incident: &str) -> (String, String) {
    let mut asked = request(action, &[&name(number)]);
    asked["only_incident"] = json!(incident);
    let answer = bench.ask(asked).await;
    assert_eq!(answer["error"], Value::Null, "{answer}");
    let text = |key: &str| answer["sims"][0][key].as_str().unwrap().to_owned();
    (text("outcome"), text("reason"))
}

/// The same as the link in this alert asks for it, when so many findings were known.
async fn told(
    bench: &Bench,
    action: &str,
    incident: &str,
    (alert, findings): (u32, u32),
) -> (String, String) {
    let mut asked = request(action, &[&name(1)]);
    asked["only_incident"] = json!(incident);
    asked["as_told"] = json!({ "alert": alert, "findings": findings });
    let answer = bench.ask(asked).await;
    assert_eq!(answer["error"], Value::Null, "{answer}");
    let text = |key: &str| answer["sims"][0][key].as_str().unwrap().to_owned();
    (text("outcome"), text("reason"))
}

#[tokio::test]
async fn what_a_human_did_since_voids_the_links_of_earlier_alerts() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let first = id(&bench, 1).await;
    assert_eq!(told(&bench, "restore", &first, (1, 1)).await.0, "done");
    let (outcome, reason) = told(&bench, "deactivate", &first, (1, 1)).await;
    assert!(outcome == "refused" && reason.starts_with("since that alert"), "{reason}");
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    assert_eq!(id(&bench, 1).await, first, "within the same incident");
    for action in ["restore", "false_alarm"] {
        let (outcome, reason) = told(&bench, action, &first, (1, 1)).await;
        assert!(outcome == "refused" && reason.starts_with("since that alert"), "{reason}");
    }
    assert_eq!(bench.status(1), SimStatus::Inactive);
    let latest = bench.incident(1).await.unwrap().alerts_made;
    assert_eq!(told(&bench, "restore", &first, (latest, 1)).await.0, "done");
}

#[tokio::test]
async fn a_false_alarm_is_said_again_once_more_was_found() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let first = id(&bench, 1).await;
    let (outcome, reason) = told(&bench, "false_alarm", &first, (1, 0)).await;
    assert!(outcome == "refused" && reason.starts_with("more was found"), "{reason}");
    assert_eq!(bench.status(1), SimStatus::Inactive);
    assert_eq!(told(&bench, "restore", &first, (1, 0)).await.0, "done");
    assert_eq!(told(&bench, "false_alarm", &first, (1, 1)).await.0, "done", "by who undid it");
}

#[tokio::test]
async fn an_incident_that_the_link_is_not_about_is_not_let_go() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let stage = bench.stage(1).await;
    bench.service.inject(FaultRule::once(ServiceFault::Status(404)).times(u32::MAX));
    let sid = sim(1).to_string();
    for action in ["approve", "restore", "false_alarm"] {
        let mut asked = request(action, &[&sid]);
        asked["only_incident"] = json!("another");
        let answer = bench.ask(asked).await;
        assert_eq!(answer["sims"][0]["outcome"], "refused", "{answer}");
    }
    assert_eq!(bench.stage(1).await, stage);
}

async fn id(bench: &Bench, number: u8) -> String {
    bench.incident(number).await.unwrap().id
}

#[tokio::test]
async fn an_act_that_is_bound_to_the_open_incident_is_done() {
    let bench = Bench::with(2, STRICT, Mode::Observe).await;
    bench.steal_and_tell([1, 2]).await;
    let (first, second) = (id(&bench, 1).await, id(&bench, 2).await);
    assert_eq!(bound(&bench, "approve", 1, &first).await.0, "done");
    assert_eq!(bound(&bench, "deactivate", 2, &second).await.0, "done");
    assert_eq!(bound(&bench, "restore", 1, &first).await.0, "done");
    assert_eq!((bench.status(1), bench.status(2)), (SimStatus::Active, SimStatus::Inactive));
}

#[tokio::test]
async fn an_act_that_is_bound_to_another_incident_is_refused() {
    let bench = Bench::new(3).await;
    bench.steal_and_tell([1, 2]).await;
    let foreign = id(&bench, 2).await;
    for action in ["deactivate", "approve", "restore", "false_alarm"] {
        let (outcome, reason) = bound(&bench, action, 1, &foreign).await;
        assert_eq!(outcome, "refused", "{action}");
        assert!(reason.contains("its incident is another one now"), "{reason}");
        let (outcome, reason) = bound(&bench, action, 3, &foreign).await;
        let of_latest = matches!(action, "restore" | "false_alarm");
        let why = if of_latest { "no such incident" } else { "is over" };
        assert!(outcome == "refused" && reason.contains(why), "{action}: {reason}");
    }
    assert_eq!((bench.asked(1), bench.asked(3)), (vec!["inactive".to_owned()], vec![]));
}

#[tokio::test]
async fn a_restore_is_bound_to_the_latest_incident_though_it_is_over() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let first = id(&bench, 1).await;
    bench.happen_proof(1).await;
    assert_eq!(bench.stage(1).await, "none");
    let (outcome, reason) = bound(&bench, "deactivate", 1, &first).await;
    assert!(outcome == "refused" && reason.contains("is over"), "{reason}");
    assert_eq!(bound(&bench, "restore", 1, &first).await.0, "done");
    bench.minutes(20).await;
    assert_eq!(bench.stage(1).await, "none");
    bench.appears(1, PHONE, 1_000_000).await;
    assert!(bench.deliver().await);
    let second = id(&bench, 1).await;
    bench.happen_proof(1).await;
    let (outcome, reason) = bound(&bench, "restore", 1, &first).await;
    let says = format!("there was another incident since ({second})");
    assert_eq!((outcome.as_str(), reason), ("refused", says));
    assert_eq!(bench.status(1), SimStatus::Inactive);
    assert_eq!(bound(&bench, "restore", 1, &second).await.0, "done");
}

#[tokio::test]
async fn an_incident_that_changes_while_the_request_is_read_is_looked_at_again() {
    let bench = Bench::with(1, STRICT, Mode::Observe).await;
    bench.steal_and_tell([1]).await;
    let first = id(&bench, 1).await;
    // What is read first is the incident as it was, though another human has ended it.
    bench.pass(5);
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    bench.table.fail(Method::ReadCase, Fault::Stale, 1);
    let (outcome, reason) = bound(&bench, "approve", 1, &first).await;
    assert!(outcome == "refused" && reason.contains("is over"), "{outcome}: {reason}");
    assert_eq!(bench.asked(1), [""; 0]);
}

#[tokio::test]
async fn without_the_table_a_bound_restore_is_not_done() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let first = id(&bench, 1).await;
    bench.happen_proof(1).await;
    bench.table.fail(Method::FiledIncidents, Fault::Unreachable, 1);
    assert_eq!(bound(&bench, "restore", 1, &first).await.0, "unreachable");
    assert_eq!(bench.asked(1), ["inactive"]);
    assert_eq!(bound(&bench, "restore", 1, &first).await.0, "done");
}

#[tokio::test]
async fn a_bound_approval_does_not_override_protection() {
    let bench = Bench::with(1, STRICT, Mode::Observe).await;
    bench.steal_and_tell([1]).await;
    let first = id(&bench, 1).await;
    assert_eq!(bench.act("protect", &name(1)).await.0, "done");
    for action in ["approve", "deactivate"] {
        let (outcome, reason) = bound(&bench, action, 1, &first).await;
        assert!(outcome == "refused" && reason.contains("protected by ops"), "{reason}");
    }
    assert_eq!(bench.asked(1), [""; 0]);
}

#[tokio::test]
async fn alerts_hold_links_where_there_is_a_console() {
    let bench = Bench::new(1).await;
    let gate = Gate::new(None);
    let links = Links::new(
        "https://console.example.com/".parse().unwrap(),
        LinkKey::new(&[7; 32]).unwrap(),
    );
    let switch = KillSwitch::new(
        Gated { inner: bench.table.clone(), gate: gate.clone() },
        Gated { inner: bench.provider.clone(), gate: gate.clone() },
        Gated { inner: bench.topic.clone(), gate },
        bench.clock.clone(),
        Mode::Enforce,
    );
    let switch = switch.linking(Some(links.clone()));
    bench.steal(1).await;
    // The same alert goes out twice when it is not recorded as published: it must be the same.
    bench.topic.fail(Method::Publish, Fault::LostAnswer, 1);
    switch.handle(bench.stream()).await.unwrap();
    bench.pass(600);
    switch.handle(json!({ "sweep": true })).await.unwrap();
    let alerts = bench.alerts.published();
    let [first, again] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert!(first.id == again.id && first.email.contains("https://console.example.com/link/"));
    let link = |alert: &Alert| alert.email.lines().last().unwrap().to_owned();
    assert_eq!(link(first), link(again));
    let incident: Incident = bench.incident(1).await.unwrap();
    let pending = PendingAlert {
        number: 1,
        kind: AlertKind::Killed,
        at: incident.opened_at,
        fleet: None,
        by_human: false,
        is_protected: false,
    };
    let expected = Alert::of_incident(&incident, &pending, Known::default(), None, Some(&links));
    assert_eq!(link(first), link(&expected));
}

#[tokio::test]
async fn a_dry_run_for_a_links_page_names_what_it_rests_on_and_changes_nothing() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    let first = id(&bench, 1).await;
    let (before, audit) = (bench.incident(1).await, bench.audit(1));
    let look = async |action: &str| {
        let mut asked = request(action, &[&name(1)]);
        asked["only_incident"] = json!(first);
        asked["as_told"] = json!({ "alert": 1, "findings": 1 });
        asked["dry_run"] = json!(true);
        bench.ask(asked).await["sims"][0].take()
    };
    let answer = look("false_alarm").await;
    assert_eq!(
        (&answer["outcome"], &answer["found"]["status"]),
        (&json!("pending"), &json!("inactive"))
    );
    let device = &answer["details"]["findings"][0]["evidence"]["seen"];
    let allowed = format!("judged a false alarm, {} allowed", device.as_str().unwrap());
    assert!(answer["reason"].as_str().unwrap().contains(&allowed), "{answer}");
    assert_eq!(look("deactivate").await["outcome"], "already");
    assert_eq!((bench.incident(1).await, bench.audit(1)), (before, audit));
    assert_eq!(told(&bench, "restore", &first, (1, 1)).await.0, "done");
    let answer = look("deactivate").await;
    assert_eq!(answer["outcome"], "refused", "{answer}");
    assert_eq!(answer["details"]["stage"], "restored", "{answer}");
}

#[tokio::test]
async fn a_link_that_is_asked_for_again_does_nothing_twice() {
    for (action, undo) in [("restore", "deactivate"), ("false_alarm", "deactivate")] {
        let bench = Bench::new(1).await;
        bench.steal_and_tell([1]).await;
        let first = id(&bench, 1).await;
        assert_eq!(told(&bench, action, &first, (1, 1)).await.0, "done");
        let asked = bench.asked(1);
        // The console died before it heard of it, and asks again; then once more after others.
        let (outcome, reason) = told(&bench, action, &first, (1, 1)).await;
        assert!(outcome == "refused" || outcome == "already", "{action}: {outcome} {reason}");
        assert_eq!(bench.act(undo, &name(1)).await.0, "done");
        let (outcome, reason) = told(&bench, action, &first, (1, 1)).await;
        assert!(outcome == "refused" && reason.contains("since that alert"), "{reason}");
        assert_eq!(bench.asked(1), [asked, vec!["inactive".to_owned()]].concat(), "{action}");
    }
}
