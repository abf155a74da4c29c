//! Verifying and decoding a batch, beside the plainest code for the same: SHA-256 over the body and
//! `serde_json` into owned structures. The webhook should cost little more than that.

#![expect(clippy::expect_used, reason = "a benchmark may stop")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use simfuse_supersim::Provider;
use simfuse_supersim::envelope::{Decoded, decode};
use simfuse_supersim::signature::{SignedRequest, Verifier, sign_kore, sign_twilio};

/// What one would write first.
#[derive(Deserialize)]
#[expect(dead_code, reason = "filled, and never read")]
struct PlainEnvelope {
    r#type: String,
    id: String,
    time: String,
    data: PlainData,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "filled, and never read")]
struct PlainData {
    event_sid: String,
    event_type: String,
    timestamp: String,
    sim_sid: String,
    sim_iccid: Option<String>,
    sim_unique_name: Option<String>,
    fleet_sid: Option<String>,
    imei: Option<String>,
    network: Option<PlainNetwork>,
    data_session_sid: Option<String>,
    data_session_start_time: Option<String>,
    data_session_end_time: Option<String>,
    data_session_update_start_time: Option<String>,
    data_session_update_end_time: Option<String>,
    data_upload: Option<u64>,
    data_download: Option<u64>,
    data_total: Option<u64>,
    data_session_data_upload: Option<u64>,
    data_session_data_download: Option<u64>,
    data_session_data_total: Option<u64>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "filled, and never read")]
struct PlainNetwork {
    mcc: Option<String>,
    mnc: Option<String>,
    iso_country: Option<String>,
}

const EVENTS: usize = 100;

fn batch() -> Vec<u8> {
    let event = include_str!("../../../tests/fixtures/kore/data-session.updated.json");
    let list: Vec<serde_json::Value> = serde_json::from_str(event).expect("a fixture");
    let event = list.first().expect("one event").to_string();
    format!("[{}]", vec![event; EVENTS].join(",")).into_bytes()
}

fn events(body: &[u8]) -> usize {
    let mut events = 0;
    decode(body, |one| events += usize::from(matches!(black_box(one), Decoded::Event(_))));
    events
}

fn webhook(criterion: &mut Criterion) {
    let body = batch();
    let secret = SecretString::from("12345");
    let url = "https://h.example/events";
    let (twilio_url, twilio) = sign_twilio(&secret, url, &body);
    let kore = sign_kore(&secret, "POST", url, &body);
    let twilio_verifier = Verifier::new(Provider::Twilio, vec![secret.clone()]);
    let kore_verifier = Verifier::new(Provider::Kore, vec![secret]);
    assert_eq!(events(&body), EVENTS, "every event is read");

    let mut group = criterion.benchmark_group("webhook");
    group.throughput(Throughput::Bytes(body.len().try_into().expect("a small body")));
    group.bench_function("plain: SHA-256 and serde_json", |bencher| {
        bencher.iter(|| {
            let hash = Sha256::digest(black_box(&body));
            let list: Vec<PlainEnvelope> = serde_json::from_slice(&body).expect("events");
            black_box((hash, list))
        });
    });
    group.bench_function("twilio: verify and decode", |bencher| {
        bencher.iter(|| {
            let signature = Some(&*twilio);
            let request =
                SignedRequest { method: "POST", url: &twilio_url, signature, body: &body };
            twilio_verifier.verify(black_box(&request)).expect("signed");
            events(&body)
        });
    });
    group.bench_function("kore: verify and decode", |bencher| {
        bencher.iter(|| {
            let signature = Some(&*kore);
            let request = SignedRequest { method: "POST", url, signature, body: &body };
            kore_verifier.verify(black_box(&request)).expect("signed");
            events(&body)
        });
    });
    group.bench_function("plain: serde_json alone", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Vec<PlainEnvelope>>(black_box(&body)));
    });
    group.bench_function("decode alone", |bencher| bencher.iter(|| events(black_box(&body))));
    group.finish();
}

criterion_group!(benches, webhook);
criterion_main!(benches);
