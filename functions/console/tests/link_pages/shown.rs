//! What a page shows before anything is done.

use std::time::Duration;

use jiff::SignedDuration;
use simfuse_console::handler::LOOK_WITHIN;
use simfuse_domain::signed_link::LinkAct;
use simfuse_kill_switch::request::Outcome;
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, Says, fleet, token};

#[tokio::test]
async fn a_page_names_the_sim_its_fleet_what_was_found_its_devices_and_what_would_be_done() {
    let (bench, token) = (Bench::new(), token(LinkAct::FalseAlarm));
    bench.says_dry(Says::Details);
    let page = bench.get(&token).await;
    for says in [
        "pump-17",
        &fleet().to_string(),
        "inactive at the provider; incident: inactive",
        "device_not_allowed: in device 35378572000000 (model 35378572) instead of 86012345000000",
        "<dd>35378572000000 </dd>",
        "would be made active, and judged a false alarm, 35378572000000 allowed",
        "<form",
    ] {
        assert!(page.html.contains(says), "{says}: {}", page.html);
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_come_to_nothing_has_no_button_and_what_is_unknown_has_one() {
    for (says, has_button) in [
        (Says::Outcome(Outcome::Refused, "there was another incident since"), false),
        (Says::Outcome(Outcome::Already, "it is active"), false),
        (Says::Outcome(Outcome::NotFound, "no such SIM"), false),
        (Says::RefusesAll("only_incident goes with one SIM"), false),
        (Says::Outcome(Outcome::Unreachable, "the provider is throttling requests"), true),
        (Says::Fails, true),
        (Says::NothingOfTheSim, true),
        (Says::Never, true),
    ] {
        let (bench, token) = (Bench::new(), token(LinkAct::Restore));
        bench.says_dry(says);
        let began = tokio::time::Instant::now();
        let page = bench.get(&token).await;
        assert!(began.elapsed() <= LOOK_WITHIN + Duration::from_secs(1), "a browser waits");
        assert_eq!(page.status, 200);
        assert_eq!(page.html.contains("<form"), has_button, "{}", page.html);
        assert_eq!(page.html.contains("simfuse restore HS"), !has_button, "{}", page.html);
        assert_eq!(page.html.contains("<h1>Nothing was done</h1>"), !has_button, "{}", page.html);
        let states = page.html.contains("The button makes the SIM active again");
        assert_eq!(states, has_button, "no act beside its refusal: {}", page.html);
        if let Says::Outcome(_, reason) | Says::RefusesAll(reason) = says {
            assert!(page.html.contains(reason), "{}", page.html);
        }
        assert_eq!(bench.post(&token).await.status, 200, "the link works");
    }
}

#[tokio::test]
async fn a_page_that_is_loaded_over_and_over_asks_once_in_a_while() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    let other = crate::bench::token(LinkAct::FalseAlarm);
    bench.says_dry(Says::Outcome(Outcome::Pending, "as it was at first"));
    for _load in 0..5 {
        let page = bench.get(&token).await;
        assert!(page.html.contains("as it was at first"), "{}", page.html);
        bench.clock.advance(SignedDuration::from_secs(3));
    }
    assert_eq!(bench.asked_dry().len(), 1);
    bench.get(&other).await;
    assert_eq!(bench.asked_dry().len(), 2, "another link is another matter");
    bench.clock.advance(SignedDuration::from_secs(5));
    bench.says_dry(Says::Fails);
    for _load in 0..3 {
        assert!(bench.get(&token).await.html.contains("<form"));
    }
    assert_eq!(
        bench.asked_dry().len(),
        3,
        "after a while it is asked again, and once if that fails"
    );
    // What was done about the SIM changes what each of its links would do.
    bench.says([Says::Outcome(Outcome::Refused, "protected")]);
    assert_eq!(bench.post(&token).await.status, 409);
    bench.get(&token).await;
    bench.get(&other).await;
    assert_eq!(bench.asked_dry().len(), 5);
}

#[tokio::test]
async fn without_the_table_a_link_is_shown_all_the_same() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    bench.table.fail(Method::LinkUse, Fault::Unreachable, 1);
    let page = bench.get(&token).await;
    assert!(page.status == 200 && page.html.contains("<form"), "{}", page.html);
}

#[tokio::test]
async fn an_odd_request_is_answered_with_a_page() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    let path = format!("/link/{token}");
    let request = |method: &str, more: serde_json::Value| {
        let mut request = serde_json::json!({
            "version": "2.0", "rawPath": path, "rawQueryString": "", "isBase64Encoded": false,
            "headers": { "host": "example.com" },
            "requestContext": { "timeEpoch": 0, "http": { "method": method, "path": path } },
        });
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        request
    };
    let invoke = async |request, call: &str| {
        let answer = bench.handler.invoke(request, call).await;
        (answer.status_code, answer.body.unwrap_or_default())
    };
    for odd in [
        serde_json::json!({ "headers": { "user-agent": "T\u{e9}l\u{e9}phone \u{1f6b0}", "x y": "\n" } }),
        serde_json::json!({ "headers": 7, "cookies": { "a": 1 } }),
        serde_json::json!({ "body": "not base64", "isBase64Encoded": true }),
    ] {
        let (status, page) = invoke(request("GET", odd), "odd").await;
        assert!(status == 200 && page.contains("<form"), "{status} {page}");
    }
    for wrong in [
        serde_json::json!({ "body": { "a": 1 } }),
        serde_json::json!({ "rawPath": 7 }),
        serde_json::json!({ "requestContext": "x" }),
    ] {
        let (status, page) = invoke(request("POST", wrong), "wrong").await;
        assert!(status == 400 && page.contains("cannot be read"), "{status} {page}");
    }
    for wrong in [serde_json::json!([]), serde_json::json!(null), serde_json::json!("x")] {
        assert_eq!(invoke(wrong, "wrong").await.0, 400);
    }
    bench.check_nothing_happened(&token).await;
}
