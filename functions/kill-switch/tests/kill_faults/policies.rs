//! The policy, shown and applied through the Invoke call.

use serde_json::{Value, json};
use simfuse_domain::audit::Phase;
use simfuse_domain::chain::Chain;
use simfuse_domain::policy::Mode;
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, STRICT, name};

const OBSERVE: &str = "version = 1\n";

fn apply(toml: &str, compared_with: Option<u64>) -> Value {
    json!({
        "action": "policy_apply", "toml": toml, "compared_with": compared_with,
        "reason": "a test", "requested_by": "ops",
    })
}

#[tokio::test]
async fn the_policy_is_shown_with_its_number_and_who_applied_it() {
    let bench = Bench::new(1).await;
    let shown = bench.ask(json!({ "action": "policy_show" })).await;
    let policy = json!({
        "outcome": "current", "number": 1, "applied": null, "toml": STRICT,
        "changes": [], "warnings": [],
    });
    assert_eq!(shown["policy"], policy);
    bench.ask(apply(OBSERVE, Some(1))).await;
    let shown = bench.ask(json!({ "action": "policy_show" })).await;
    let applied = json!({ "by": "ops", "at": "2026-03-01T14:00:00Z", "reason": "a test" });
    assert_eq!((&shown["policy"]["number"], &shown["policy"]["applied"]), (&json!(2), &applied));
}

#[tokio::test]
async fn an_older_version_is_shown_by_its_number() {
    let bench = Bench::new(1).await;
    bench.ask(apply(OBSERVE, Some(1))).await;
    let shown = async |version: u64| {
        let mut answer = bench.ask(json!({ "action": "policy_show", "version": version })).await;
        let policy = answer["policy"].take();
        (policy["outcome"].clone(), policy["number"].clone(), policy["toml"].clone(), answer)
    };
    let (outcome, number, toml, _) = shown(1).await;
    assert_eq!((outcome, number, toml), (json!("past"), json!(1), json!(STRICT)));
    let (outcome, number, toml, _) = shown(2).await;
    assert_eq!((outcome, number, toml), (json!("current"), json!(2), json!(OBSERVE)));
    let (outcome, number, toml, _) = shown(0).await;
    let default = simfuse_domain::policy::DEFAULT;
    assert_eq!((outcome, number, toml), (json!("past"), json!(0), json!(default)));
    let (outcome, _, _, answer) = shown(3).await;
    assert_eq!(outcome, Value::Null);
    assert_eq!(answer["error"], "no version 3: the current one is 2");
}

#[tokio::test]
async fn an_applied_policy_holds_at_once_and_is_recorded_with_both_numbers() {
    let bench = Bench::new(1).await;
    let answer = bench.ask(apply(OBSERVE, Some(1))).await;
    assert_eq!(answer["policy"]["outcome"], "done", "{answer}");
    assert_eq!((&answer["policy"]["number"], &answer["error"]), (&json!(2), &Value::Null));
    let changes = answer["policy"]["changes"].to_string();
    assert!(changes.contains("mode enforce → observe"), "{changes}");
    let entry = bench.memory.audit().pop().unwrap();
    assert_eq!((entry.actor.as_str(), entry.action.as_str()), ("ops", "policy_apply"));
    assert_eq!((entry.phase, entry.reason.as_str()), (Phase::Outcome, "version 1 → 2: a test"));
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.posts(), 0, "it observes now");
}

#[tokio::test]
async fn a_dry_run_compares_and_applies_nothing() {
    let bench = Bench::new(1).await;
    let mut asked = apply(OBSERVE, None);
    asked["dry_run"] = json!(true);
    let policy = &bench.ask(asked).await["policy"];
    assert_eq!((&policy["outcome"], &policy["number"]), (&json!("pending"), &json!(1)));
    assert_eq!(policy["toml"], STRICT, "what it is compared with");
    assert!(!policy["changes"].as_array().unwrap().is_empty());
    assert!(bench.memory.audit().is_empty());
    let shown = bench.ask(json!({ "action": "policy_show" })).await;
    assert_eq!(shown["policy"]["number"], 1);
}

#[tokio::test]
async fn whoever_compared_with_an_old_version_overwrites_nothing() {
    let bench = Bench::new(1).await;
    bench.ask(apply(OBSERVE, Some(1))).await;
    let late = bench.ask(apply("version = 1\nmode = \"enforce\"\n", Some(1))).await;
    let error = late["error"].as_str().unwrap();
    assert!(error.contains("version 2 is current, applied by ops"), "{error}");
    assert_eq!(late.get("policy"), None);
    // The other one may also come between the look and the write.
    bench.table.fail(Method::ReplacePolicy, Fault::Conflict, 1);
    let raced = bench.ask(apply("version = 1\nmode = \"enforce\"\n", Some(2))).await;
    assert!(raced["error"].as_str().unwrap().contains("look at the difference again"), "{raced}");
    let unseen = bench.ask(apply("version = 1\nmode = \"enforce\"\n", None)).await;
    assert!(unseen["error"].as_str().unwrap().contains("compared_with"), "{unseen}");
    let shown = bench.ask(json!({ "action": "policy_show" })).await;
    assert_eq!(
        (&shown["policy"]["number"], &shown["policy"]["toml"]),
        (&json!(2), &json!(OBSERVE))
    );
}

#[tokio::test]
async fn the_same_policy_again_changes_nothing_even_after_a_lost_answer() {
    let bench = Bench::new(1).await;
    let same = bench.ask(apply(STRICT, Some(7))).await;
    assert_eq!(
        (&same["policy"]["outcome"], &same["policy"]["number"]),
        (&json!("already"), &json!(1))
    );
    bench.table.fail(Method::ReplacePolicy, Fault::LostAnswer, 1);
    let lost = bench.switch.handle(apply(OBSERVE, Some(1))).await;
    assert!(lost.is_err());
    let again = bench.ask(apply(OBSERVE, Some(1))).await;
    assert_eq!(
        (&again["policy"]["outcome"], &again["policy"]["number"]),
        (&json!("already"), &json!(2))
    );
    assert_eq!(bench.memory.audit().len(), 1);
}

#[tokio::test]
async fn a_policy_that_cannot_be_is_refused_with_line_key_and_reason() {
    let bench = Bench::new(1).await;
    let answer = bench.ask(apply("version = 1\n[limits]\nhour_mb = 0\n", Some(1))).await;
    let error = answer["error"].as_str().unwrap();
    for part in ["line 3", "limits.hour_mb", "more than 0"] {
        assert!(error.contains(part), "{error}");
    }
    let nothing = bench.ask(json!({ "action": "policy_apply" })).await;
    assert!(nothing["error"].as_str().unwrap().contains("toml"), "{nothing}");
    let shown = bench.ask(json!({ "action": "policy_show" })).await;
    assert_eq!(shown["policy"]["number"], 1);
}

#[tokio::test]
async fn a_policy_applied_to_nothing_replaces_the_default() {
    let bench = Bench::bare(Mode::Enforce).await;
    let shown = bench.ask(json!({ "action": "policy_show" })).await;
    assert_eq!(
        (&shown["policy"]["number"], &shown["policy"]["applied"]),
        (&json!(0), &Value::Null)
    );
    let answer = bench.ask(apply(STRICT, Some(0))).await;
    assert_eq!(
        (&answer["policy"]["outcome"], &answer["policy"]["number"]),
        (&json!("done"), &json!(1))
    );
    let changes = answer["policy"]["changes"].to_string();
    assert!(changes.contains("mode observe → enforce"), "{changes}");
}

#[tokio::test]
async fn a_policy_of_unknown_number_kills_nothing_and_stops_no_human() {
    let bench = Bench::new(2).await;
    bench.memory.lose_policy_number();
    bench.steal(1).await;
    assert!(!bench.deliver().await, "the record is reported, and handed over again");
    bench.pass(90);
    let error = Chain(&bench.sweep().await.unwrap_err()).to_string();
    assert!(error.contains("the policy's number cannot be read"), "{error}");
    assert_eq!(bench.asked(1), [""; 0]);
    assert_eq!(bench.act("deactivate", &name(2)).await.0, "done");
    assert_eq!(bench.asked(2), ["inactive"]);
}
