//! The stream as the provider would write it, read by the real readers.

use axum::Router;
use axum::routing::get;
use simfuse_domain::port::{Granularity, UsageGroup, UsageQuery, UsageRecords as _};
use simfuse_supersim::Provider;
use simfuse_supersim::client::{ClientConfig, SuperSimClient};
use simfuse_supersim::envelope::{Decoded, decode};
use simfuse_supersim::secret::ApiCredentials;

use super::*;
use crate::fleet::Envelope;
use crate::population::encode::{event_json, usage_json};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

#[test]
fn every_event_is_read_as_it_was_told_from_either_envelope() {
    let mut kinds: HashMap<EventKind, usize> = HashMap::new();
    let mut config = mixed(31);
    config.days = 6;
    let mut population = whole(&config);
    while let Some(emitted) = population.next() {
        if population.truth_of(emitted.sim_index, emitted.at).is_some_and(|one| one.bytes > 0) {
            population.deactivate(emitted.sim, emitted.at);
        }
        let Some(event) = event(&emitted) else { continue };
        for envelope in [Envelope::Twilio, Envelope::Kore] {
            let json = event_json(envelope, ACCOUNT, event);
            decode(json.as_bytes(), |decoded| {
                assert_eq!(decoded, Decoded::Event(event.clone()), "{json}");
            });
        }
        *kinds.entry(event.kind).or_default() += 1;
    }
    assert_eq!(kinds.len(), 7, "every kind: {kinds:?}");
}

#[test]
fn an_unknown_identity_is_null_and_a_known_one_has_all_digits() {
    let mut config = plain(1, 1, 32);
    let json = |config: &PopulationConfig| -> serde_json::Value {
        let emitted = all(config);
        let json = event_json(Envelope::Kore, ACCOUNT, event(&emitted[0]).unwrap());
        serde_json::from_str(&json).unwrap()
    };
    let known = json(&config);
    assert_eq!(known["data"]["imei"].as_str().unwrap().len(), 15);
    assert!(known["data"]["location"]["lat"].is_f64());
    assert!(known["data"]["network"]["friendly_name"].as_str().is_some_and(|name| name.len() > 1));
    config.delivery.identity_unknown = 1.0;
    let unknown = json(&config);
    assert!(unknown["data"]["imei"].is_null() && unknown["data"]["location"].is_null());
}

/// A client of an API that gives one answer to every question about usage.
async fn client_of(answer: String) -> SuperSimClient {
    // Only the first of the tests installs it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let json = [("content-type", "application/json")];
    let router =
        Router::new().route("/v1/UsageRecords", get(move || async move { (json, answer) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let secret = serde_json::json!({ "account_sid": ACCOUNT, "auth_token": "hush" }).to_string();
    SuperSimClient::new(ClientConfig {
        origin: origin.parse().unwrap(),
        token_url: format!("{origin}/token").parse().unwrap(),
        credentials: ApiCredentials::from_json(Provider::Twilio, &secret).unwrap(),
    })
    .unwrap()
}

#[tokio::test]
async fn every_usage_record_is_read_as_it_was_told() {
    let records: Vec<_> = all(&plain(5, 2, 33))
        .into_iter()
        .filter_map(|emitted| match emitted.kind {
            EmittedKind::Usage(record) => Some(record),
            EmittedKind::Event(_) | EmittedKind::Label(_) => None,
        })
        .collect();
    let list: Vec<String> = records.iter().map(|record| usage_json(ACCOUNT, record)).collect();
    let answer = format!(r#"{{"usage_records":[{}],"meta":{{}}}}"#, list.join(","));
    let query = UsageQuery {
        sim: None,
        fleet: None,
        network: None,
        country: None,
        group: Some(UsageGroup::Sim),
        granularity: Granularity::Hour,
        hours: Hour::of(start())..Hour::of(start() + days(2)),
    };
    let page = client_of(answer).await.usage_page(&query, None).await.unwrap();
    assert_eq!((page.unreadable, &page.items), (0, &records));
    assert!(records.len() > 200, "{}", records.len());
}
