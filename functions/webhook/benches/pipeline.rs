//! Verify, decode, fold and detect a batch of 50 events, beside the floor that no webhook can go
//! below: SHA-256 of the body, and serde_json into owned structs of the fields that are used.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that goes wrong should stop at once; criterion makes the items"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use simfuse_domain::detector;
use simfuse_domain::event::Event;
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::port::StoredState;
use simfuse_supersim::Provider;
use simfuse_supersim::envelope::{self, Decoded};
use simfuse_supersim::signature::{SignedRequest, Verifier, sign_twilio};
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::fleet::{Envelope, Fleet, FleetConfig, batch_body};
use simfuse_testkit::service::{ServiceConfig, SuperSimService};
use simfuse_webhook::sim::{Look, fold};

const BATCH: u64 = 50;

#[derive(Deserialize)]
#[expect(dead_code, reason = "reading them is the work that is measured")]
struct OwnedEvent {
    id: String,
    r#type: String,
    time: String,
    data: OwnedPayload,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "reading them is the work that is measured")]
struct OwnedPayload {
    event_sid: String,
    event_type: String,
    timestamp: String,
    sim_sid: String,
    sim_iccid: Option<String>,
    sim_unique_name: Option<String>,
    fleet_sid: Option<String>,
    imei: Option<String>,
    network: Option<OwnedNetwork>,
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
#[expect(dead_code, reason = "reading them is the work that is measured")]
struct OwnedNetwork {
    mcc: Option<String>,
    mnc: Option<String>,
    iso_country: Option<String>,
}

/// A day's states of a fleet, and the body that comes next.
fn fleet() -> (BTreeMap<SimSid, StoredState>, String) {
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let service = ServiceConfig {
        account_sid: "AC00000000000000000000000000000000".to_owned(),
        auth_token: "bench".to_owned(),
        client_id: "bench".to_owned(),
        client_secret: "bench".to_owned(),
    };
    let service = SuperSimService::new(service, Arc::new(ManualClock::new(start)));
    let config = FleetConfig {
        sims: 240,
        seed: 7,
        start,
        fleet_sid: "HF0000000000000000000000000000000a".parse().unwrap(),
        tac: "35378572".parse().unwrap(),
        tablet_tac: "35925406".parse().unwrap(),
        envelope: Envelope::Twilio,
    };
    let mut fleet = Fleet::new(&config, service);
    let mut states: BTreeMap<SimSid, StoredState> = BTreeMap::new();
    let morning = start.checked_add(SignedDuration::from_hours(30)).unwrap();
    for emitted in fleet.advance(morning) {
        envelope::decode(emitted.json.as_bytes(), |decoded| {
            let Decoded::Event(event) = decoded else { return };
            let state = Box::new(simfuse_domain::state::SimState::new(event.sim));
            let found = BTreeSet::new();
            let stored =
                states.entry(event.sim).or_insert(StoredState { state, version: 1, found });
            stored.state.fold(&event);
        });
    }
    let later = morning.checked_add(SignedDuration::from_hours(1)).unwrap();
    let next = fleet.advance(later);
    (states, batch_body(&next[..usize::try_from(BATCH).unwrap()]))
}

fn pipeline(criterion: &mut Criterion) {
    let (mut states, body) = fleet();
    let mut in_batch = BTreeSet::new();
    envelope::decode(body.as_bytes(), |decoded| {
        if let Decoded::Event(event) = decoded {
            in_batch.insert(event.sim);
        }
    });
    states.retain(|sim, _| in_batch.contains(sim));
    let policy: Policy = DEFAULT.parse().unwrap();
    let secret = SecretString::from("a token of thirty-two characters");
    let (url, signature) = sign_twilio(&secret, "https://example.com/events", body.as_bytes());
    let verifier = Verifier::new(Provider::Twilio, vec![secret]);
    let now: Timestamp = "2026-03-02T07:00:00Z".parse().unwrap();
    let mut group = criterion.benchmark_group("batch of 50");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            let hash = Sha256::digest(black_box(body.as_bytes()));
            let events: Vec<OwnedEvent> = serde_json::from_str(black_box(&body)).unwrap();
            (hash, events)
        });
    });
    group.bench_function("verify, decode, fold, detect", |bencher| {
        // The states come fresh from the table each time; reading them is not what is measured.
        bencher.iter_batched(
            || states.clone(),
            |mut states| {
                let request = SignedRequest {
                    method: "POST",
                    url: black_box(&url),
                    signature: Some(&signature),
                    body: black_box(body.as_bytes()),
                };
                verifier.verify(&request).unwrap();
                let mut by_sim: BTreeMap<SimSid, Vec<Event>> = BTreeMap::new();
                envelope::decode(body.as_bytes(), |decoded| {
                    let Decoded::Event(event) = decoded else { return };
                    by_sim.entry(event.sim).or_default().push(event);
                });
                let known = BTreeSet::new();
                let detectors = detector::ALL;
                let (usage, cohort) = (None, None);
                let look = Look { policy: &policy, detectors, usage, cohort, known: &known };
                let mut applied = 0;
                for (sim, events) in &by_sim {
                    let events: Vec<&Event> = events.iter().collect();
                    let stored = states.remove(sim);
                    let folded = fold(*sim, stored, &events, &policy, now).unwrap();
                    applied += folded.look(look).applied;
                }
                assert_eq!(applied, 50);
                states
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
