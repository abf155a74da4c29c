//! A Fleet's own data limit, shown and set.

use serde_json::{Value, json};
use simfuse_domain::audit::Phase;
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, STRICT, fleet};

fn limit(megabytes: Option<u64>) -> Value {
    json!({
        "action": "fleet_limit", "fleet": "river", "limit_mb": megabytes,
        "reason": "a test", "requested_by": "ops",
    })
}

fn phases(bench: &Bench) -> Vec<(Phase, String)> {
    bench.memory.audit().into_iter().map(|entry| (entry.phase, entry.reason)).collect()
}

#[tokio::test]
async fn the_limit_is_shown_beside_what_policy_wants() {
    let bench = Bench::new(1).await;
    let policy = format!("{STRICT}[fleet.{}.limits]\nfleet_limit_mb = 50\n", fleet());
    bench.apply(&policy).await;
    for name in ["river".to_owned(), fleet().to_string()] {
        let mut asked = limit(None);
        asked["fleet"] = json!(name);
        let answer = &bench.ask(asked).await["fleet"];
        assert_eq!((&answer["fleet"], &answer["outcome"]), (&json!(fleet()), &json!("done")));
        assert_eq!((&answer["limit_mb"], &answer["policy_mb"]), (&json!(250), &json!(50)));
    }
    assert!(bench.memory.audit().is_empty(), "a look is no act");
}

#[tokio::test]
async fn a_set_is_recorded_before_and_after() {
    let bench = Bench::new(1).await;
    let answer = &bench.ask(limit(Some(50))).await["fleet"];
    assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("done"), &json!("250 MB → 50 MB")));
    assert_eq!((&answer["was_mb"], &answer["limit_mb"]), (&json!(250), &json!(50)));
    assert_eq!(bench.fleets.limit_mb(fleet()), Some(50));
    let about = format!("limit of {} 250 MB → 50 MB", fleet());
    let expected = [
        (Phase::Intent, format!("{about}: a test")),
        (Phase::Outcome, format!("{about}: the provider says 50 MB")),
    ];
    assert_eq!(phases(&bench), expected);
    assert!(bench.memory.audit().iter().all(|entry| entry.actor == "ops" && entry.sim.is_none()));
    let again = &bench.ask(limit(Some(50))).await["fleet"];
    assert_eq!(again["outcome"], "already");
    assert_eq!(phases(&bench).len(), 2);
}

#[tokio::test]
async fn a_dry_run_sets_nothing() {
    let bench = Bench::new(1).await;
    let mut asked = limit(Some(50));
    asked["dry_run"] = json!(true);
    let answer = &bench.ask(asked).await["fleet"];
    assert_eq!(answer["outcome"], "pending");
    assert!(answer["reason"].as_str().unwrap().contains("250 MB → 50 MB"), "{answer}");
    assert_eq!((bench.fleets.limit_mb(fleet()), phases(&bench).len()), (Some(250), 0));
}

#[tokio::test]
async fn what_the_provider_would_not_take_is_refused() {
    let bench = Bench::new(1).await;
    for wrong in [0, 2_000_001, u64::MAX] {
        let answer = bench.ask(limit(Some(wrong))).await;
        assert!(answer["error"].as_str().unwrap().contains("1 to 2,000,000"), "{answer}");
    }
    let mut unknown = limit(Some(50));
    unknown["fleet"] = json!("lake");
    let answer = &bench.ask(unknown).await["fleet"];
    assert_eq!(answer["outcome"], "not_found");
    assert!(answer["reason"].as_str().unwrap().contains("no such fleet"), "{answer}");
    let mut unnamed = limit(Some(50));
    unnamed["fleet"] = json!(" ");
    assert!(bench.ask(unnamed).await["error"].is_string());
    assert_eq!((bench.fleets.limit_mb(fleet()), phases(&bench).len()), (Some(250), 0));
}

#[tokio::test]
async fn without_a_recorded_intent_nothing_is_set() {
    let bench = Bench::new(1).await;
    bench.table.fail(Method::RecordAudit, Fault::Unreachable, 1);
    assert!(bench.switch.handle(limit(Some(50))).await.is_err());
    assert_eq!(bench.provider.calls(Method::SetDataLimit), 0);
}

#[tokio::test]
async fn an_unknown_outcome_is_recorded_as_one() {
    let bench = Bench::new(1).await;
    bench.provider.fail(Method::SetDataLimit, Fault::LostAnswer, 1);
    let answer = &bench.ask(limit(Some(50))).await["fleet"];
    assert_eq!((&answer["outcome"], &answer["limit_mb"]), (&json!("unreachable"), &Value::Null));
    let phases = phases(&bench);
    assert_eq!(phases.len(), 2);
    assert!(phases[1].1.contains("could not be reached"), "{phases:?}");
    // Asked again, it finds what the lost answer did.
    assert_eq!(bench.ask(limit(Some(50))).await["fleet"]["outcome"], "already");
}

#[tokio::test]
async fn a_set_whose_outcome_is_not_recorded_says_so() {
    let bench = Bench::new(1).await;
    bench.table.pass(Method::RecordAudit, 1);
    bench.table.fail(Method::RecordAudit, Fault::Unreachable, 1);
    let answer = &bench.ask(limit(Some(50))).await["fleet"];
    assert_eq!(answer["outcome"], "done");
    assert!(answer["reason"].as_str().unwrap().contains("could not be recorded"), "{answer}");
}
