//! A port fails as it is told to, and only then.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its port fails")]

use jiff::Timestamp;
use simfuse_domain::alert::{Alert, Severity};
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{
    Alerts, Cases, Commit, Committed, StateWrite, States, TableError, Written,
};
use simfuse_domain::state::SimState;
use simfuse_testkit::faulty::{Fault, Faulty, Method};
use simfuse_testkit::memory::{MemoryAlerts, MemoryTable};

fn sim() -> SimSid {
    SimSid::from_bytes([1; 16])
}

fn write(read_version: Option<u64>) -> StateWrite {
    StateWrite {
        state: Box::new(SimState::new(sim())),
        read_version,
        found: std::collections::BTreeSet::new(),
        findings: Vec::new(),
        received_at: Timestamp::UNIX_EPOCH,
    }
}

async fn version(table: &impl States) -> Option<u64> {
    table.read_states(&[sim()]).await.unwrap().get(&sim()).map(|stored| stored.version)
}

#[tokio::test]
async fn faults_come_in_the_order_in_which_they_were_scripted() {
    let table = Faulty::new(MemoryTable::new());
    table.fail(Method::WriteState, Fault::Throttled, 1);
    table.fail(Method::WriteState, Fault::Unreachable, 1);
    table.pass(Method::WriteState, 1);
    table.fail(Method::WriteState, Fault::LostAnswer, 1);
    table.fail(Method::WriteState, Fault::Conflict, 1);
    let unavailable = |written| matches!(written, Err(TableError::Unavailable { .. }));
    assert!(unavailable(table.write_state(&write(None)).await));
    assert!(unavailable(table.write_state(&write(None)).await));
    assert_eq!(version(&table).await, None, "nothing happened");
    assert_eq!(table.write_state(&write(None)).await.unwrap(), Written::Done);
    assert!(unavailable(table.write_state(&write(Some(1))).await));
    assert_eq!(version(&table).await, Some(2), "it took effect");
    assert_eq!(table.write_state(&write(Some(2))).await.unwrap(), Written::Conflict);
    assert_eq!(table.write_state(&write(Some(2))).await.unwrap(), Written::Done);
    assert_eq!((table.calls(Method::WriteState), table.calls(Method::ReadStates)), (6, 2));
}

#[tokio::test]
async fn a_stale_read_gives_what_was_read_before() {
    let table = Faulty::new(MemoryTable::new());
    table.fail(Method::ReadStates, Fault::Stale, 1);
    assert_eq!(table.write_state(&write(None)).await.unwrap(), Written::Done);
    assert_eq!(version(&table).await, None);
    assert_eq!(version(&table).await, Some(1));
    assert_eq!(table.write_state(&write(Some(1))).await.unwrap(), Written::Done);
    table.fail(Method::ReadStates, Fault::Stale, 1);
    assert_eq!(version(&table).await, Some(1));
    assert_eq!(version(&table).await, Some(2));
}

#[tokio::test]
async fn a_commit_can_be_cancelled() {
    let table = Faulty::new(MemoryTable::new());
    table.fail(Method::Commit, Fault::Conflict, 1);
    assert_eq!(table.commit(&Commit::of(sim())).await.unwrap(), Committed::Conflict);
    assert_eq!(table.commit(&Commit::of(sim())).await.unwrap(), Committed::Done);
    table.fail(Method::ReadStop, Fault::Conflict, 1);
    assert!(table.read_stop().await.is_err(), "a read knows no conflict");
}

#[tokio::test]
async fn an_alert_whose_answer_is_lost_is_published() {
    let alerts = Faulty::new(MemoryAlerts::new());
    let alert = Alert {
        escalated: false,
        stack: None,
        tells: Vec::new(),
        id: "1".to_owned(),
        severity: Severity::Info,
        subject: String::new(),
        email: String::new(),
        sms: None,
        fleet: None,
        detector: None,
        action: String::new(),
    };
    alerts.fail(Method::Publish, Fault::Throttled, 1);
    alerts.fail(Method::Publish, Fault::LostAnswer, 1);
    alerts.publish(&alert).await.unwrap_err();
    assert_eq!(alerts.inner().published().len(), 0);
    alerts.publish(&alert).await.unwrap_err();
    assert_eq!(alerts.inner().published().len(), 1);
    alerts.inner().fail_next(1);
    alerts.publish(&alert).await.unwrap_err();
    alerts.publish(&alert).await.unwrap();
    assert_eq!(alerts.inner().published().len(), 2);
}
