//! What invokes the kill-switch, and what does not.

use jiff::SignedDuration;
use serde_json::{Value, json};
use simfuse_kill_switch::error::Chain;
use simfuse_kill_switch::handler::diagnostic;
use simfuse_testkit::faulty::{Fault, Method};
use simfuse_testkit::service::Behaviour;

use crate::bench::{Bench, TABLET, records, session, sim};

/// A record as AWS documents it, with both images.
fn documented(event: &str, pk: &str) -> Value {
    let image = json!({
        "pk": { "S": pk }, "sk": { "S": "device_not_allowed#35880123000000" },
        "finding": { "S": "{}" }, "received_at": { "S": "2026-03-01T14:00:00.000Z" },
        "ipk": { "S": "OPEN#1" }, "expires_at": { "N": "1780149600" },
        "flags": { "SS": ["a", "b"] }, "raw": { "B": "aGVsbG8=" }, "none": { "NULL": true },
        "list": { "L": [{ "N": "1" }, { "BOOL": false }] }, "map": { "M": { "x": { "S": "" } } },
    });
    json!({ "Records": [{
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": event,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_772_373_600.0,
            "Keys": { "pk": { "S": pk }, "sk": { "S": "device_not_allowed#35880123000000" } },
            "NewImage": image,
            "OldImage": image,
            "SequenceNumber": "4421584500000000017450439091",
            "SizeBytes": 312,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/simfuse/stream/2026-03-01T00:00:00.000",
        "userIdentity": { "type": "Service", "principalId": "dynamodb.amazonaws.com" },
    }]})
}

#[tokio::test]
async fn a_record_as_documented_and_one_with_the_least_are_taken() {
    let pk = format!("FIND#{}", sim(1));
    let mut whole_seconds = documented("INSERT", &pk);
    whole_seconds["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] = json!(1_772_373_600);
    for payload in [documented("INSERT", &pk), whole_seconds, records(&[sim(1)])] {
        let bench = Bench::new(1).await;
        bench.steal(1).await;
        let answer = bench.switch.handle(payload).await.unwrap();
        assert_eq!(answer, json!({ "batchItemFailures": [] }));
        assert_eq!(bench.asked(1), ["inactive"]);
    }
}

#[tokio::test]
async fn other_changes_of_the_table_invoke_nothing() {
    let find = format!("FIND#{}", sim(1));
    let bench = Bench::new(1).await;
    bench.steal(1).await;
    for (event, pk) in [
        ("MODIFY", find.as_str()),
        ("REMOVE", &find),
        ("INSERT", &format!("EV#{}", sim(1))),
        ("INSERT", &format!("KS#{}", sim(1))),
        ("INSERT", "FIND#HS01"),
        ("INSERT", "FIND#"),
        ("INSERT", "POLICY"),
    ] {
        let answer = bench.switch.handle(documented(event, pk)).await.unwrap();
        assert_eq!(answer, json!({ "batchItemFailures": [] }), "{event} {pk}");
    }
    assert_eq!(
        bench.switch.handle(json!({ "Records": [] })).await.unwrap()["batchItemFailures"],
        json!([])
    );
    assert_eq!(bench.service.requests().len(), 0);
}

#[tokio::test]
async fn a_wrong_payload_is_answered_by_what_is_expected() {
    let bench = Bench::new(1).await;
    for payload in [
        json!({}),
        json!(null),
        json!([]),
        json!("sweep"),
        json!({ "sweep": false }),
        json!({ "sweep": "yes" }),
        json!({ "hint": { "sim": "HS1" } }),
        json!({ "hint": true }),
        json!({ "Records": 5 }),
        json!({ "Records": [{ "eventName": "INSERT" }] }),
        json!({ "action": "explode" }),
        json!({ "action": 5 }),
        json!({ "action": "restore", "sims": "HS1" }),
    ] {
        let error = bench.switch.handle(payload.clone()).await.unwrap_err();
        let text = Chain(&error).to_string();
        let expected =
            r#"expected are a stream's "Records", {"sweep": true}, a "hint", or an "action""#;
        assert!(text.ends_with(expected), "{payload}: {text}");
        assert_eq!(diagnostic(&error).error_type, "Payload");
    }
    for (unknown, value) in [
        ("overide_protection", json!(true)),
        ("dryrun", json!(true)),
        ("selects", json!({ "fleet": "x" })),
        ("freeze_minutes", json!(24)),
        ("Sims", json!([])),
    ] {
        let mut payload = crate::bench::request("deactivate", &["pump-1"]);
        payload[unknown] = value;
        let error = bench.switch.handle(payload).await.unwrap_err();
        let text = diagnostic(&error).error_message;
        assert!(text.contains(&format!("`{unknown}`")), "{text}");
    }
    assert_eq!(bench.service.requests().len(), 0);
}

#[tokio::test]
async fn repeated_and_reordered_records_make_one_request() {
    let bench = Bench::new(3).await;
    for number in [1, 2, 3] {
        bench.steal(number).await;
    }
    bench.appears(1, TABLET, 9_000_000).await;
    let all = [3, 1, 2, 1, 1, 3].map(sim);
    assert!(bench.switch.handle(records(&all)).await.is_ok());
    for batch in [&all[..], &[sim(1)], &[sim(2), sim(3)], &all] {
        bench.pass(1);
        bench.switch.handle(records(batch)).await.unwrap();
    }
    bench.minutes(10).await;
    for number in [1, 2, 3] {
        assert_eq!(bench.asked(number), ["inactive"]);
        assert_eq!(bench.told(number), ["deactivated"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_record_in_many_functions_at_once_makes_one_admission() {
    for _round in 0..5 {
        let bench = Bench::new(1).await;
        bench.steal(1).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _function in 0..8 {
            let gate = crate::gate::Gate::new(None);
            let switch = bench.another(simfuse_domain::policy::Mode::Enforce, gate);
            tasks.spawn(async move { switch.handle(records(&[sim(1)])).await.unwrap() });
        }
        while let Some(answer) = tasks.join_next().await {
            assert_eq!(answer.unwrap(), json!({ "batchItemFailures": [] }));
        }
        use simfuse_domain::port::Cases as _;
        let scope = simfuse_domain::guard::CapScope::Account;
        let (window, _) = bench.memory.read_kill_window(scope).await.unwrap();
        assert_eq!(window.kills(bench.now(), 60), 1);
        bench.minutes(2).await;
        assert_eq!(bench.stage(1).await, "inactive");
        let ids: std::collections::BTreeSet<String> =
            bench.alerts.published().into_iter().map(|alert| alert.id).collect();
        assert_eq!(ids.len(), 1, "one alert");
        bench.check_audit(1);
    }
}

#[tokio::test]
async fn a_finding_that_the_stream_never_delivers_is_found_by_the_sweep() {
    let bench = Bench::new(1).await;
    bench.steal(1).await;
    bench.pass(60);
    bench.sweep().await.unwrap();
    assert_eq!(bench.posts(), 0, "the stream has a minute");
    bench.pass(1);
    bench.sweep().await.unwrap();
    assert_eq!(bench.asked(1), ["inactive"]);
    bench.minutes(5).await;
    assert_eq!(bench.asked(1), ["inactive"]);
}

#[tokio::test]
async fn a_record_that_fails_is_reported_by_its_number_and_costs_no_other() {
    let bench = Bench::new(3).await;
    for number in [1, 2, 3] {
        bench.steal(number).await;
    }
    bench.table.pass(Method::ReadCase, 1);
    bench.table.fail(Method::ReadCase, Fault::Throttled, 1);
    let answer = bench.switch.handle(records(&[1, 2, 3].map(sim))).await.unwrap();
    let failures = answer["batchItemFailures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    let number: usize = failures[0]["itemIdentifier"].as_str().unwrap().parse().unwrap();
    assert_eq!(bench.posts(), 2);
    let failed = u8::try_from(number).unwrap() + 1;
    assert_eq!(bench.asked(failed).len(), 0);
    bench.switch.handle(records(&[sim(failed)])).await.unwrap();
    assert_eq!(bench.posts(), 3);
}

#[tokio::test]
async fn a_sim_of_which_simfuse_failed_is_told_to_a_human_even_without_a_state() {
    use simfuse_domain::finding::{DetectorId, Evidence, Finding};
    use simfuse_domain::port::States as _;
    let bench = Bench::new(1).await;
    let what = "its events could not be folded and were set aside".to_owned();
    let finding = Finding {
        detector: DetectorId::Degraded,
        about: "fold".to_owned(),
        at: bench.now(),
        evidence: Evidence::Fault { what: what.clone() },
    };
    bench.memory.insert_finding(sim(1), &finding, bench.now()).await.unwrap();
    assert!(bench.deliver().await);
    assert_eq!(bench.told(1), ["alerted"]);
    let alert = &bench.alerts.published()[0];
    assert!(
        alert.email.contains(&what) && alert.subject.contains(&sim(1).to_string()),
        "{alert:?}"
    );
    bench.minutes(3).await;
    assert_eq!((bench.told(1).len(), bench.posts()), (1, 0));
    bench.happen(sim(1), &[session(1, TABLET, bench.now(), 5)]).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.asked(1), ["inactive"], "it is still judged by what is known later");
}

#[tokio::test]
async fn a_hint_makes_it_look_at_one_sim_and_believes_nothing() {
    let bench = Bench::new(2).await;
    let after = SignedDuration::from_mins(10);
    for number in [1, 2] {
        bench.service.set_behaviour(sim(number), Behaviour::Scheduled { after });
    }
    bench.steal_and_tell([1, 2]).await;
    let hint = async |number| bench.ask(json!({ "hint": { "sim": sim(number) } })).await;
    assert_eq!(hint(1).await, json!({ "looked": true }));
    assert_eq!(bench.stage(1).await, "scheduled", "it was not done yet, whoever says so");
    bench.pass(600);
    assert_eq!(hint(1).await, json!({ "looked": true }));
    assert_eq!(
        (bench.stage(1).await, bench.stage(2).await),
        ("inactive".into(), "scheduled".into())
    );
    assert_eq!(hint(1).await, json!({ "looked": true }), "again");
    assert_eq!(hint(9).await, json!({ "looked": true }), "of a SIM that nothing is known of");
    assert_eq!(bench.asked(1), ["inactive"]);
    assert_eq!(bench.told(1), ["deactivated"]);
    bench.table.fail(Method::ReadCase, Fault::Unreachable, 1);
    assert_eq!(hint(2).await, json!({ "looked": false }), "the sweep will");
    let wrong = json!({ "hint": { "sim": sim(1), "status": "inactive" } });
    let error = bench.switch.handle(wrong).await.unwrap_err();
    assert!(Chain(&error).to_string().contains("unknown field"), "{error}");
}
