//! What the table makes of answers that an emulator does not give.

use base64::Engine;
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{
    Cases, Commit, Committed, Heartbeat, StateWrite, States, Stop, TableError, Written,
};
use simfuse_domain::state::SimState;

use super::*;
use crate::loopback::Loopback;

const DONE: (u16, &str) = (200, "{}");

fn sim(last: u8) -> SimSid {
    SimSid::from_bytes([last; 16])
}

/// A DynamoDB error of this code.
fn failing(status: u16, code: &str) -> (u16, String) {
    (status, format!(r#"{{"__type": "com.amazonaws.dynamodb.v20120810#{code}", "message": "m"}}"#))
}

/// A cancellation for these reasons.
fn cancelled(codes: &[&str]) -> (u16, String) {
    let reasons: Vec<String> =
        codes.iter().map(|code| format!(r#"{{"Code": "{code}", "Message": "m"}}"#)).collect();
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let reasons = reasons.join(", ");
    let body =
        format!(r#"{{"__type": "{kind}", "Message": "m", "CancellationReasons": [{reasons}]}}"#);
    (400, body)
}

fn table(service: &Loopback) -> Table {
    Table::new(Client::new(&service.config()), "t")
}

async fn answering(answer: (u16, String)) -> Table {
    table(&Loopback::answering([answer]).await)
}

fn write() -> StateWrite {
    StateWrite {
        state: Box::new(SimState::new(sim(1))),
        read_version: None,
        found: std::collections::BTreeSet::new(),
        findings: Vec::new(),
        received_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn is_unavailable<T>(result: &Result<T, TableError>) -> bool {
    matches!(result, Err(TableError::Unavailable { .. }))
}

fn is_fault<T>(result: &Result<T, TableError>) -> bool {
    matches!(result, Err(TableError::Fault { .. }))
}

#[tokio::test]
async fn what_may_pass_is_unavailable() {
    let answers = [
        failing(400, "ProvisionedThroughputExceededException"),
        failing(400, "ThrottlingException"),
        failing(400, "RequestLimitExceeded"),
        failing(500, "InternalServerError"),
        failing(503, "ServiceUnavailable"),
        (502, "<html>".to_owned()),
        (200, "cut of".to_owned()),
    ];
    for answer in answers {
        let table = answering(answer.clone()).await;
        assert!(is_unavailable(&table.read_states(&[sim(1)]).await), "{answer:?}");
        assert!(is_unavailable(&table.write_state(&write()).await), "{answer:?}");
        assert!(is_unavailable(&table.last_beat().await), "{answer:?}");
    }
}

#[tokio::test]
async fn a_table_that_nothing_serves_is_unavailable() {
    let table = Table::new(Client::new(&crate::client::local_config("http://127.0.0.1:9")), "t");
    assert!(is_unavailable(&table.last_beat().await));
}

#[tokio::test]
async fn what_will_fail_again_is_a_fault() {
    for code in ["ValidationException", "ResourceNotFoundException", "AccessDeniedException"] {
        let table = answering(failing(400, code)).await;
        let read = table.read_states(&[sim(1)]).await;
        assert!(is_fault(&read), "{read:?}");
        assert!(is_fault(&table.write_state(&write()).await));
    }
}

#[tokio::test]
async fn a_moment_of_throttling_is_not_noticed() {
    let throttled = failing(400, "ProvisionedThroughputExceededException");
    let service = Loopback::answering([throttled, (200, "{}".to_owned())]).await;
    assert_eq!(table(&service).write_state(&write()).await.unwrap(), Written::Done);
    assert_eq!(service.bodies().len(), 2);
}

/// An answer to a batch read with the state of one SIM, and this part left over.
fn batch(of: u8, rest: &str) -> (u16, String) {
    let state = base64::prelude::BASE64_STANDARD.encode(SimState::new(sim(of)).encode().unwrap());
    let item = format!(
        r#"{{"pk": {{"S": "EV#{}"}}, "sk": {{"S": "STATE"}}, "schema": {{"N": "1"}},
            "version": {{"N": "1"}}, "state": {{"B": "{state}"}}}}"#,
        sim(of)
    );
    (200, format!(r#"{{"Responses": {{"t": [{item}]}}, "UnprocessedKeys": {{{rest}}}}}"#))
}

fn left_over(of: u8) -> String {
    format!(r#""t": {{"Keys": [{{"pk": {{"S": "EV#{}"}}, "sk": {{"S": "STATE"}}}}]}}"#, sim(of))
}

#[tokio::test]
async fn the_rest_of_a_batch_is_asked_for_again() {
    let service = Loopback::answering([batch(1, &left_over(2)), batch(2, "")]).await;
    let read = table(&service).read_states(&[sim(1), sim(2)]).await.unwrap();
    assert_eq!(read.keys().copied().collect::<Vec<_>>(), [sim(1), sim(2)]);
    let [first, second] = service.bodies().try_into().unwrap();
    let asks_for = |body: &str, of| body.contains(&format!("EV#{}", sim(of)));
    assert!(asks_for(&first, 1) && asks_for(&first, 2) && first.contains("ConsistentRead"));
    assert!(!asks_for(&second, 1) && asks_for(&second, 2) && second.contains("ConsistentRead"));
}

#[tokio::test]
async fn a_batch_that_is_never_whole_is_unavailable() {
    let service = Loopback::answering([batch(1, &left_over(2))]).await;
    assert!(is_unavailable(&table(&service).read_states(&[sim(1), sim(2)]).await));
    assert_eq!(service.bodies().len(), 1 + REST_RETRIES_MAX);
}

fn finding() -> simfuse_domain::finding::Finding {
    simfuse_domain::finding::Finding {
        detector: simfuse_domain::finding::DetectorId::Degraded,
        about: "test".to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
        evidence: simfuse_domain::finding::Evidence::Fault { what: "test".to_owned() },
    }
}

#[tokio::test]
async fn a_cancelled_write_of_a_state_says_why() {
    let write = StateWrite { findings: vec![finding()], ..write() };
    let found = || Written::AlreadyFound([finding().key()].into());
    let outcomes = [
        (["ConditionalCheckFailed", "None"], Written::Conflict),
        (["ConditionalCheckFailed", "ConditionalCheckFailed"], Written::Conflict),
        (["TransactionConflict", "None"], Written::Conflict),
        (["None", "TransactionConflict"], Written::Conflict),
        (["None", "ConditionalCheckFailed"], found()),
        (["ThrottlingError", "ConditionalCheckFailed"], found()),
    ];
    for (codes, outcome) in outcomes {
        let table = answering(cancelled(&codes)).await;
        assert_eq!(table.write_state(&write).await.unwrap(), outcome, "{codes:?}");
    }
    for code in ["ThrottlingError", "ProvisionedThroughputExceeded"] {
        let table = answering(cancelled(&[code, "None"])).await;
        assert!(is_unavailable(&table.write_state(&write).await), "{code}");
    }
    for codes in [&["ValidationError", "None"][..], &["None", "None"], &["None"]] {
        let table = answering(cancelled(codes)).await;
        assert!(is_fault(&table.write_state(&write).await), "{codes:?}");
    }
}

#[tokio::test]
async fn a_state_that_a_transaction_is_writing_is_a_conflict() {
    let table = answering(failing(400, "TransactionConflictException")).await;
    assert_eq!(table.write_state(&write()).await.unwrap(), Written::Conflict);
    assert!(is_unavailable(&table.insert_finding(sim(1), &finding(), write().received_at).await));
}

#[tokio::test]
async fn a_cancelled_commit_is_a_conflict_unless_it_was_throttled() {
    let window = (CapScope::Account, KillWindow::default(), 0);
    let commit = Commit { kill_windows: vec![window], unless_stopped: true, ..Commit::of(sim(1)) };
    for code in ["ConditionalCheckFailed", "TransactionConflict"] {
        for codes in [[code, "None"], ["None", code]] {
            let table = answering(cancelled(&codes)).await;
            assert_eq!(table.commit(&commit).await.unwrap(), Committed::Conflict);
        }
    }
    let table = answering(cancelled(&["ThrottlingError", "None"])).await;
    assert!(is_unavailable(&table.commit(&commit).await));
    let table = answering(failing(400, "TransactionInProgressException")).await;
    assert!(is_unavailable(&table.commit(&commit).await));
}

#[tokio::test]
async fn a_stop_gets_through_the_kills_under_way() {
    let busy = cancelled(&["TransactionConflict", "None", "None"]);
    // First of all the chain's end is read: there is none.
    let done = || (DONE.0, DONE.1.to_owned());
    let answers = [done(), busy.clone(), busy.clone(), done()];
    let service = Loopback::answering(answers).await;
    let at = jiff::Timestamp::UNIX_EPOCH;
    let stop = Stop { by: "ops".to_owned(), reason: "test".to_owned(), at };
    let audit = simfuse_domain::audit::AuditEntry {
        sim: None,
        fleet: None,
        at,
        id: "1".to_owned(),
        actor: "ops".to_owned(),
        action: "stop".to_owned(),
        phase: simfuse_domain::audit::Phase::Intent,
        reason: "test".to_owned(),
        incident: None,
    };
    table(&service).write_stop(Some(&stop), &audit).await.unwrap();
    assert_eq!(service.bodies().len(), 4);
    let service = Loopback::answering([done(), busy]).await;
    assert!(is_unavailable(&table(&service).write_stop(Some(&stop), &audit).await));
    assert_eq!(service.bodies().len(), 2 + CONTENTION_RETRIES_MAX);
}

#[tokio::test]
async fn a_kill_does_not_wait_for_an_audit_chain_that_others_keep_changing() {
    let done = || (DONE.0, DONE.1.to_owned());
    let changed = || cancelled(&["None", "ConditionalCheckFailed"]);
    let entry = simfuse_domain::audit::AuditEntry {
        sim: Some(sim(1)),
        fleet: None,
        at: jiff::Timestamp::UNIX_EPOCH,
        id: "1".to_owned(),
        actor: "ops".to_owned(),
        action: "deactivate".to_owned(),
        phase: simfuse_domain::audit::Phase::Intent,
        reason: "test".to_owned(),
        incident: None,
    };
    let commit = Commit { audit: vec![entry], ..Commit::of(sim(1)) };
    // An entry is not lost because another of the same SIM is being written.
    let busy = cancelled(&["None", "TransactionConflict"]);
    let service = Loopback::answering([done(), busy.clone(), busy, done()]).await;
    assert_eq!(table(&service).commit(&commit).await.unwrap(), Committed::Done);
    assert_eq!(service.bodies().len(), 4);
    // The head and a transaction; then, each time, the entry and the head again, and another. At
    // last the entry alone is looked for, and the transaction asks nothing of the head.
    let mut answers = vec![done()];
    for _ in 0..7 {
        answers.extend([changed(), done(), done()]);
    }
    answers.extend([changed(), done(), done()]);
    let service = Loopback::answering(answers).await;
    assert_eq!(table(&service).commit(&commit).await.unwrap(), Committed::Done);
    let bodies = service.bodies();
    assert_eq!(bodies.len(), 1 + 8 * 2 + 7 + 2 - 1, "{bodies:?}");
    let last = bodies.last().unwrap();
    assert!(last.contains("contended"), "{last}");
    assert_eq!(last.matches("ConditionExpression").count(), 1, "the entry's alone: {last}");
}
