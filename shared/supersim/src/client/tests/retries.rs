//! Which reads are tried again, how often, and which calls never are.

use simfuse_domain::port::{Fleets, Inventory, UsageRecords};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::lists::{fleet_sid, page_json, query};
use super::*;

fn empty(key: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(page_json(key, &json!([]), &json!(null)))
}

/// Answers so many requests in this way, and all that follow with an empty page of usage.
async fn failing(template: ResponseTemplate, times: u64) -> (MockServer, SuperSimClient) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(template).up_to_n_times(times).mount(&server).await;
    Mock::given(any()).respond_with(empty("usage_records")).mount(&server).await;
    let client = client(Provider::Twilio, &server);
    (server, client)
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_read_is_tried_again_where_the_server_may_recover() {
    for status in [408, 429, 500, 502, 503] {
        let (server, client) = failing(ResponseTemplate::new(status), 3).await;
        client.usage_page(&query(), None).await.unwrap();
        assert_eq!(requests(&server).await, READ_ATTEMPTS_MAX, "{status}");
    }
}

#[tokio::test]
async fn a_read_that_keeps_failing_is_given_up() {
    for (status, expected) in [(429, "Throttled"), (503, "Unavailable")] {
        let (server, client) = failing(ResponseTemplate::new(status), 1000).await;
        for error in [
            client.usage_page(&query(), None).await.unwrap_err(),
            client.sims_page(None).await.unwrap_err(),
            client.fleets_page(None).await.unwrap_err(),
            client.networks_page(None).await.unwrap_err(),
            client.billing_period(sim_sid()).await.unwrap_err(),
            client.fetch_fleet("river").await.unwrap_err(),
        ] {
            assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        }
        assert_eq!(requests(&server).await, 6 * READ_ATTEMPTS_MAX, "{status}");
    }
}

#[tokio::test]
async fn a_read_that_is_refused_is_not_repeated() {
    for status in [400, 401, 403, 404, 405, 302] {
        let template = ResponseTemplate::new(status).insert_header("location", "/v1/elsewhere");
        let (server, client) = failing(template, 1).await;
        client.usage_page(&query(), None).await.unwrap_err();
        assert_eq!(requests(&server).await, 1, "{status}");
    }
}

#[tokio::test]
async fn a_page_that_is_too_long_is_not_asked_for_again() {
    let long = json!({"usage_records": [], "x": "y".repeat(PAGE_BYTES_MAX)});
    let (server, client) = failing(ResponseTemplate::new(200).set_body_json(long), 1).await;
    let error = client.usage_page(&query(), None).await.unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "more than 4194304 bytes");
    assert_eq!(requests(&server).await, 1);
}

#[tokio::test]
async fn the_wish_to_be_left_alone_is_granted_or_nothing_more_is_asked() {
    let throttled = |wish: &str| ResponseTemplate::new(429).insert_header("retry-after", wish);
    for (wish, attempts) in [("0", 2), ("Wed, 21 Oct 2015 07:28:00 GMT", 2), ("16", 1)] {
        let (server, client) = failing(throttled(wish), 1).await;
        let answered = client.usage_page(&query(), None).await;
        assert_eq!(
            (answered.is_ok(), requests(&server).await),
            (attempts == 2, attempts),
            "{wish}"
        );
    }
}

#[tokio::test]
async fn a_change_is_one_attempt_and_so_is_what_the_kill_switch_reads() {
    for status in [429, 503] {
        let (server, client) = failing(ResponseTemplate::new(status), 1000).await;
        client.fetch(&SimName::Sid(sim_sid())).await.unwrap_err();
        client.fetch(&SimName::parse(ICCID)).await.unwrap_err();
        client.set_status(sim_sid(), TargetStatus::Inactive).await.unwrap_err();
        client.set_data_limit(fleet_sid(), 250).await.unwrap_err();
        assert_eq!(requests(&server).await, 4, "{status}");
    }
}

#[tokio::test]
async fn a_change_that_is_throttled_says_how_long_the_provider_wants_to_be_left_alone() {
    for (wish, expected) in [(None, None), (Some("7"), Some(7)), (Some("soon"), None)] {
        let template = ResponseTemplate::new(429);
        let template = match wish {
            Some(wish) => template.insert_header("retry-after", wish),
            None => template,
        };
        let (_server, client) = failing(template, 1).await;
        let error = client.set_status(sim_sid(), TargetStatus::Inactive).await.unwrap_err();
        let ProviderError::Throttled { retry_after } = error else { panic!("{error}") };
        assert_eq!(retry_after.map(|wish| wish.as_secs()), expected);
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_is_made_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let body = page_json("usage_records", &json!([]), &json!(null)).to_string();
    let server = tokio::spawn(async move {
        for attempt in 1..=3 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(socket.read(&mut request).await.unwrap() > 0);
            // First nothing at all, then half an answer, then all of it.
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            let sent = [0, answer.len() / 2, answer.len()][attempt - 1];
            socket.write_all(&answer.as_bytes()[..sent]).await.unwrap();
        }
    });
    let client = client_at(Provider::Twilio, &origin);
    assert_eq!(client.usage_page(&query(), None).await.unwrap().items.len(), 0);
    server.await.unwrap();
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_in_each_attempt() {
    let server = MockServer::start().await;
    token_endpoint(&server, json!(3600), 2).await;
    Mock::given(header("authorization", "Bearer token-1"))
        .respond_with(ResponseTemplate::new(403))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(header("authorization", "Bearer token-2"))
        .respond_with(empty("sims"))
        .expect(1)
        .mount(&server)
        .await;
    client(Provider::Kore, &server).sims_page(None).await.unwrap();
    server.verify().await;

    let server = MockServer::start().await;
    token_endpoint(&server, json!(3600), 2).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(401))
        .expect(2)
        .mount(&server)
        .await;
    let error = client(Provider::Kore, &server).sims_page(None).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unauthorized { status: 401 }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_twenty_seconds_an_attempt() {
    let delay = ResponseTemplate::new(200).set_delay(READ_TIMEOUT * 100);
    let (server, client) = failing(delay, 1000).await;
    let asked = tokio::spawn(async move { client.sims_page(None).await });
    while requests(&server).await == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let asked_at = tokio::time::Instant::now();
    let error = asked.await.unwrap().unwrap_err();
    let attempts = u32::try_from(READ_ATTEMPTS_MAX).unwrap();
    assert!(asked_at.elapsed() > READ_TIMEOUT / 2, "no kill's 5 s");
    assert!(asked_at.elapsed() < READ_TIMEOUT * attempts + Duration::from_secs(1));
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
}
