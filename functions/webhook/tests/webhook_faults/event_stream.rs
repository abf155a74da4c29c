//! A batch of the event stream: every record is stored, set aside, or reported to come again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simfuse_supersim::Provider;
use simfuse_testkit::faulty::{Fault, Method};
use simfuse_testkit::memory::MemoryTable;
use simfuse_webhook::event_stream::BATCH_WITHIN;

use crate::bench::{BOTH, Bench, SECRET, URL, body, handler_on, held, signed, update};
use crate::gate::{Gate, Hang};

/// A batch as Lambda hands it out, with these data in its records, numbered from 1.
fn batch(records: &[&[u8]]) -> Value {
    let record = |(place, data): (usize, &&[u8])| {
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "1",
                "sequenceNumber": (place + 1).to_string(), "data": STANDARD.encode(data),
                "approximateArrivalTimestamp": 1_772_373_600.0,
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0",
            "eventID": format!("shardId-000000000000:{}", place + 1),
            "eventName": "aws:kinesis:record", "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/events",
        })
    };
    json!({ "Records": records.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// The sequence numbers that are reported.
fn failures(answer: &Value) -> Vec<&str> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn records_hold_one_event_or_several_and_need_no_signature() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let one = update(provider, 1, 0).to_string();
        let several = body(&[update(provider, 2, 0), update(provider, 3, 0)]);
        let answer = bench.handler.invoke(batch(&[one.as_bytes(), &several])).await.unwrap();
        assert_eq!(failures(&answer), [""; 0]);
        for number in 1..=3 {
            assert_eq!(bench.stored(number).await.unwrap().version, 1);
        }
        assert_eq!(bench.secrets.fetched(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_leaves_what_requests_leave() {
    for provider in BOTH {
        let (posted, streamed) = (Bench::new(provider).await, Bench::new(provider).await);
        let bodies = [0, 1, 2].map(|report| body(&[1, 2].map(|sim| update(provider, sim, report))));
        for raw in &bodies {
            assert_eq!(posted.post(raw).await.status, 200);
            let answer = streamed.handler.invoke(batch(&[raw])).await.unwrap();
            assert_eq!(failures(&answer), [""; 0]);
        }
        assert_eq!(held(&posted.memory, 3).await, held(&streamed.memory, 3).await);
        let again: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
        assert_eq!(failures(&streamed.handler.invoke(batch(&again)).await.unwrap()), [""; 0]);
        assert_eq!(held(&posted.memory, 3).await, held(&streamed.memory, 3).await);
    }
}

#[tokio::test(start_paused = true)]
async fn reports_of_one_sim_in_one_batch_are_all_applied() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let reports = [4, 0, 2, 1, 3].map(|report| body(&[update(provider, 1, report)]));
        let records: Vec<&[u8]> = reports.iter().map(Vec::as_slice).collect();
        assert_eq!(failures(&bench.handler.invoke(batch(&records)).await.unwrap()), [""; 0]);
        let all = Bench::new(provider).await;
        let events = [0, 1, 2, 3, 4].map(|report| update(provider, 1, report));
        assert_eq!(all.post(&body(&events)).await.status, 200);
        let (one_by_one, at_once) = (bench.stored(1).await.unwrap(), all.stored(1).await.unwrap());
        assert_eq!(one_by_one.state, at_once.state);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_is_set_aside_and_does_not_come_again() {
    let bench = Bench::new(Provider::Kore).await;
    let good = body(&[update(Provider::Kore, 1, 0)]);
    let mut payload = batch(&[b"", b"no json", b"\xff\xfe", &good, b"{}"]);
    payload["Records"][4]["kinesis"]["data"] = json!("not base64!");
    let answer = bench.handler.invoke(payload).await.unwrap();
    assert_eq!(failures(&answer), [""; 0]);
    assert_eq!(bench.memory.dead_letters().len(), 4);
    let letters = bench.memory.dead_letters();
    assert!(letters.iter().any(|letter| letter.bytes == b"not base64!"));
    assert_eq!(bench.stored(1).await.unwrap().version, 1);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_table_reports_its_record_and_no_other() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let bodies = [1, 2, 3].map(|sim| body(&[update(provider, sim, 0)]));
        let records: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
        bench.table.pass(Method::WriteState, 1);
        bench.table.fail(Method::WriteState, Fault::Throttled, 1);
        let answer = bench.handler.invoke(batch(&records)).await.unwrap();
        assert_eq!(failures(&answer), ["2"]);
        assert!(bench.stored(2).await.is_none());
        assert!(bench.stored(1).await.is_some() && bench.stored(3).await.is_some());
        // Lambda hands out again what was reported, and what came after it.
        let answer = bench.handler.invoke(batch(&records[1..])).await.unwrap();
        assert_eq!(failures(&answer), [""; 0]);
        for number in 1..=3 {
            assert_eq!(bench.stored(number).await.unwrap().version, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_answer_reports_the_batch_in_time() {
    let gate = Gate::new(MemoryTable::new()).hanging(Hang::Before(0));
    let handler = handler_on(gate, Provider::Twilio);
    let bodies = [1, 2].map(|sim| body(&[update(Provider::Twilio, sim, 0)]));
    let began = tokio::time::Instant::now();
    let answer = handler.invoke(batch(&[&bodies[0], &bodies[1]])).await.unwrap();
    assert_eq!(failures(&answer), ["1", "2"]);
    assert_eq!(began.elapsed().as_secs(), BATCH_WITHIN.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_invocation_is_a_request_or_a_batch_and_a_request_stays_one() {
    let provider = Provider::Twilio;
    let bench = Bench::new(provider).await;
    // A batch in the body of a request that nobody signed.
    let forged = batch(&[&body(&[update(provider, 1, 0)])]).to_string();
    let mut request = signed(provider, "another secret", URL, forged.as_bytes());
    let answer = bench.handler.invoke(serde_json::to_value(&request).unwrap()).await.unwrap();
    assert_eq!(answer["statusCode"], 403);
    assert!(bench.stored(1).await.is_none());
    request = signed(provider, SECRET, URL, &body(&[update(provider, 1, 0)]));
    let answer = bench.handler.invoke(serde_json::to_value(&request).unwrap()).await.unwrap();
    assert_eq!(answer["statusCode"], 200);
    let error = bench.handler.invoke(json!({ "Records": "none" })).await.unwrap_err();
    assert!(error.to_string().starts_with("not a payload of the webhook: "), "{error}");
}
