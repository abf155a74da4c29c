mod fields;
mod lists;
mod retries;

use serde_json::{Value, json};
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{SimName, SimStatus, SuperSim, TargetStatus};
use wiremock::matchers::{any, body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::provider::Provider;

const SID: &str = "HS00000000000000000000000000000001";
const ICCID: &str = "8988307000000000001";

fn sim_sid() -> SimSid {
    SID.parse().unwrap()
}

fn sim_json(status: &str) -> Value {
    json!({
        "sid": SID, "unique_name": "pump-17", "account_sid": null, "iccid": ICCID,
        "status": status, "fleet_sid": "HF00000000000000000000000000000001", "links": {},
    })
}

fn client(provider: Provider, server: &MockServer) -> SuperSimClient {
    client_at(provider, &server.uri())
}

fn client_at(provider: Provider, origin: &str) -> SuperSimClient {
    // Another test may have installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let json =
        r#"{"account_sid": "AC1", "auth_token": "t", "client_id": "c", "client_secret": "s"}"#;
    let mut client = SuperSimClient::new(ClientConfig {
        origin: origin.parse().unwrap(),
        token_url: format!("{origin}/token").parse().unwrap(),
        credentials: ApiCredentials::from_json(provider, json).unwrap(),
    })
    .unwrap();
    client.pauses = Pauses { first: Duration::ZERO, longest: Duration::ZERO };
    client
}

/// A token endpoint that gives `token-1`, `token-2`… and is asked `times` times.
async fn token_endpoint(server: &MockServer, life: Value, times: u64) {
    let count = std::sync::atomic::AtomicU64::new(1);
    Mock::given(method("POST"))
        .and(path("/token"))
        .and(body_string("grant_type=client_credentials&client_id=c&client_secret=s"))
        .respond_with(move |_: &wiremock::Request| {
            let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let token = json!({"access_token": format!("token-{n}"), "expires_in": life});
            ResponseTemplate::new(200).set_body_json(token)
        })
        .expect(times)
        .mount(server)
        .await;
}

async fn answering(provider: Provider, template: ResponseTemplate) -> (MockServer, SuperSimClient) {
    let server = MockServer::start().await;
    if provider == Provider::Kore {
        let token = json!({"access_token": "token", "expires_in": 3600});
        Mock::given(path("/token"))
            .respond_with(ResponseTemplate::new(200).set_body_json(token))
            .mount(&server)
            .await;
    }
    Mock::given(any()).respond_with(template).mount(&server).await;
    let client = client(provider, &server);
    (server, client)
}

#[tokio::test]
async fn fetches_by_sid_and_by_unique_name() {
    let server = MockServer::start().await;
    for segment in [SID, "pump%2F17"] {
        Mock::given(method("GET"))
            .and(path(format!("/v1/Sims/{segment}")))
            .and(header("authorization", "Basic QUMxOnQ="))
            .respond_with(ResponseTemplate::new(200).set_body_json(sim_json("active")))
            .expect(1)
            .mount(&server)
            .await;
    }
    let client = client(Provider::Twilio, &server);
    let sim = client.fetch(&SimName::parse(SID)).await.unwrap();
    assert_eq!((sim.sid, sim.status), (sim_sid(), SimStatus::Active));
    assert_eq!(sim.iccid, ICCID.parse().ok());
    assert_eq!(sim.unique_name.as_deref(), Some("pump-17"));
    assert_eq!(sim.fleet, "HF00000000000000000000000000000001".parse().ok());
    assert_eq!(client.fetch(&SimName::parse("pump/17")).await.unwrap(), sim);
    let nameless = client.fetch(&SimName::UniqueName("..".to_owned())).await;
    assert!(matches!(nameless, Err(ProviderError::NotFound)), "not the list of all SIMs");
}

#[tokio::test]
async fn fetches_by_iccid_only_the_one_that_has_it() {
    let other = "8988307000000000002";
    for (answer, expected) in [
        (json!({"sims": [sim_json("ready")], "meta": {}}), "found"),
        (json!({"sims": []}), "NotFound"),
        (json!({"sims": [sim_json("ready"), sim_json("ready")]}), "Unavailable"),
        (json!({"sims": null}), "Unavailable"),
        (json!({}), "Unavailable"),
        (json!({"sims": [{"sid": SID, "iccid": other}]}), "Unavailable"),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path("/v1/Sims"))
            .and(query_param("Iccid", ICCID))
            .respond_with(ResponseTemplate::new(200).set_body_json(&answer))
            .expect(1)
            .mount(&server)
            .await;
        let result = client(Provider::Twilio, &server).fetch(&SimName::parse(ICCID)).await;
        let found = result.map_or_else(|error| format!("{error:?}"), |_| "found".to_owned());
        assert!(found.starts_with(expected), "{answer}: {found}");
    }
}

#[tokio::test]
async fn asks_for_a_status_and_believes_either_answer() {
    for (target, code, answered) in [
        (TargetStatus::Inactive, 202, SimStatus::Scheduled),
        (TargetStatus::Inactive, 200, SimStatus::Inactive),
        (TargetStatus::Active, 202, SimStatus::Scheduled),
    ] {
        for provider in [Provider::Twilio, Provider::Kore] {
            let server = MockServer::start().await;
            let bearer = match provider {
                Provider::Twilio => "Basic QUMxOnQ=",
                Provider::Kore => {
                    token_endpoint(&server, json!(3600), 1).await;
                    "Bearer token-1"
                }
            };
            let answer = ResponseTemplate::new(code).set_body_json(sim_json(&answered.to_string()));
            Mock::given(method("POST"))
                .and(path(format!("/v1/Sims/{SID}")))
                .and(header("authorization", bearer))
                .and(header("content-type", "application/x-www-form-urlencoded"))
                .and(body_string(format!("Status={}", target.status())))
                .respond_with(answer)
                .expect(1)
                .mount(&server)
                .await;
            let sim = client(provider, &server).set_status(sim_sid(), target).await.unwrap();
            assert_eq!(sim.status, answered);
        }
    }
}

#[tokio::test]
async fn says_what_each_refusal_means() {
    for (status, body, expected) in [
        (404, json!({}), "NotFound"),
        (404, json!("<html>"), "NotFound"),
        (400, json!({"code": 20404}), "NotFound"),
        (400, json!({"code": "83005"}), "NotFound"),
        (400, json!({"code": 83010}), "TransitionNotAllowed"),
        (409, json!({"code": "83010"}), "TransitionNotAllowed"),
        (401, json!({"code": 20003}), "Unauthorized { status: 401 }"),
        (403, json!({"error": "Invalid or expired token"}), "Unauthorized { status: 403 }"),
        (429, json!({"code": 20429}), "Throttled"),
        (
            400,
            json!({"code": 83007, "message": "no\u{0} fleet"}),
            "Refused { status: 400, code: Some(83007), message: \"no fleet\" }",
        ),
        (
            405,
            json!({"code": {}, "message": 1, "error": "no"}),
            "Refused { status: 405, code: None, message: \"no\" }",
        ),
        (400, json!({"code": 83004}), "Unavailable"),
        (408, json!({}), "Unavailable"),
        (500, json!({"code": 83010}), "Unavailable"),
        (503, json!({}), "Unavailable"),
        (302, json!({}), "Unavailable"),
        (204, json!({}), "Unavailable"),
    ] {
        for provider in [Provider::Twilio, Provider::Kore] {
            let template = ResponseTemplate::new(status)
                .set_body_json(&body)
                .insert_header("location", "/v1/elsewhere");
            let (server, client) = answering(provider, template).await;
            let fetched = client.fetch(&SimName::Sid(sim_sid())).await.unwrap_err();
            let set = client.set_status(sim_sid(), TargetStatus::Inactive).await.unwrap_err();
            for error in [fetched, set] {
                let text = format!("{error:?}");
                assert!(text.starts_with(expected), "{provider} {status} {body}: {text}");
            }
            let api = server.received_requests().await.unwrap();
            let api = api.iter().filter(|request| request.url.path() != "/token").count();
            let refused = provider == Provider::Kore && matches!(status, 401 | 403);
            assert_eq!(api, if refused { 4 } else { 2 }, "one attempt, or one more with a token");
        }
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_leaves_the_outcome_unknown() {
    let long = json!({"sid": SID, "x": "y".repeat(64 * 1024)});
    let other = json!({"sid": "HS00000000000000000000000000000002", "status": "inactive"});
    for body in [
        json!({}),
        json!({"sid": null}),
        json!({"sid": "HS1"}),
        json!([]),
        json!({"sid": 1}),
        long,
        other,
    ] {
        let template = ResponseTemplate::new(200).set_body_json(&body);
        let (_server, client) = answering(Provider::Twilio, template).await;
        let error = client.set_status(sim_sid(), TargetStatus::Inactive).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
    }
    let (_server, client) =
        answering(Provider::Twilio, ResponseTemplate::new(200).set_body_string("{")).await;
    let error = client.fetch(&SimName::Sid(sim_sid())).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
}

#[tokio::test]
async fn a_status_that_is_null_or_new_to_us_is_unknown() {
    for status in [json!(null), json!("paused")] {
        let body = json!({"sid": SID, "status": status});
        let (_server, client) =
            answering(Provider::Twilio, ResponseTemplate::new(200).set_body_json(body)).await;
        let sim = client.fetch(&SimName::Sid(sim_sid())).await.unwrap();
        assert_eq!((sim.status, sim.iccid, sim.fleet), (SimStatus::Unknown, None, None));
    }
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client_at(Provider::Twilio, &origin);
    let error = client.fetch(&SimName::parse(ICCID)).await.unwrap_err();
    let mut chain = format!("{error}");
    let mut source = std::error::Error::source(&error);
    assert!(source.is_some());
    while let Some(error) = source {
        chain = format!("{chain}: {error}");
        source = error.source();
    }
    assert!(!chain.contains(ICCID), "{chain}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_five_seconds() {
    let (server, client) =
        answering(Provider::Twilio, ResponseTemplate::new(200).set_delay(CALL_TIMEOUT * 100)).await;
    let asked = tokio::spawn(async move { client.fetch(&SimName::Sid(sim_sid())).await });
    while server.received_requests().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let asked_at = tokio::time::Instant::now();
    let error = asked.await.unwrap().unwrap_err();
    assert!(asked_at.elapsed() < Duration::from_secs(6));
    assert!(error.to_string().ends_with("no answer in time"), "{error}");
}

#[tokio::test]
async fn a_token_is_kept_until_it_is_about_to_expire() {
    for (life, times) in [
        (json!(3600), 1),
        (json!("3600"), 1),
        (json!(null), 1),
        (json!(u64::MAX), 1),
        (json!(60), 2),
        (json!("0"), 2),
    ] {
        let server = MockServer::start().await;
        token_endpoint(&server, life, times).await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(200).set_body_json(sim_json("active")))
            .mount(&server)
            .await;
        let client = client(Provider::Kore, &server);
        for _ in 0..2 {
            client.fetch(&SimName::Sid(sim_sid())).await.unwrap();
        }
        server.verify().await;
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_callers() {
    let server = MockServer::start().await;
    token_endpoint(&server, json!(3600), 2).await;
    Mock::given(header("authorization", "Bearer token-1"))
        .respond_with(ResponseTemplate::new(401))
        .mount(&server)
        .await;
    Mock::given(header("authorization", "Bearer token-2"))
        .respond_with(ResponseTemplate::new(202).set_body_json(sim_json("scheduled")))
        .expect(8)
        .mount(&server)
        .await;
    let client = std::sync::Arc::new(client(Provider::Kore, &server));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.set_status(sim_sid(), TargetStatus::Inactive).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status, SimStatus::Scheduled);
    }
}

#[tokio::test]
async fn says_what_a_token_endpoint_without_a_token_means() {
    for (status, body, expected) in [
        (400, json!({"error": "invalid_client"}), "Unauthorized { status: 400 }"),
        (401, json!({"error": "unauthorized_client"}), "Unauthorized { status: 401 }"),
        (404, json!({}), "Unavailable"),
        (429, json!({}), "Throttled"),
        (500, json!({}), "Unavailable"),
        (200, json!({}), "Unavailable"),
        (200, json!({"access_token": ""}), "Unavailable"),
    ] {
        let server = MockServer::start().await;
        Mock::given(path("/token"))
            .respond_with(ResponseTemplate::new(status).set_body_json(&body))
            .expect(1)
            .mount(&server)
            .await;
        let client = client(Provider::Kore, &server);
        let error = client.fetch(&SimName::Sid(sim_sid())).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{status} {body}: {error:?}");
    }
}
