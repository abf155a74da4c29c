//! States, findings and the heartbeat.

use std::collections::BTreeSet;

use simfuse_domain::port::{Beat, Cases, Heartbeat, StateWrite, States, TableError, Written};
use simfuse_domain::state::SCHEMA;

use super::{at, finding, sim, state, write};

/// A SIM that was never written is absent, and asking for none gives none.
pub async fn what_was_never_written_is_absent(table: &impl States) {
    assert!(table.read_states(&[sim(1), sim(2)]).await.unwrap().is_empty());
    assert!(table.read_states(&[]).await.unwrap().is_empty());
}

/// What is written is read back, with the next version.
pub async fn a_write_is_read_back(table: &impl States) {
    let found = BTreeSet::from(["hour_limit#earlier".to_owned()]);
    let first = StateWrite { found: found.clone(), ..write(sim(1), 0, None) };
    assert_eq!(table.write_state(&first).await.unwrap(), Written::Done);
    let read = table.read_states(&[sim(1), sim(1), sim(2)]).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[&sim(1)].state, first.state);
    assert_eq!((read[&sim(1)].version, &read[&sim(1)].found), (1, &found));
    let second = write(sim(1), 60, Some(1));
    assert_eq!(table.write_state(&second).await.unwrap(), Written::Done);
    let read = table.read_states(&[sim(1)]).await.unwrap();
    assert_eq!(read[&sim(1)].state, second.state);
    assert_eq!((read[&sim(1)].version, read[&sim(1)].found.len()), (2, 0));
}

/// A write on a version that is no longer the stored one changes nothing.
pub async fn a_write_on_an_old_version_is_a_conflict(table: &impl States) {
    let conflict = Written::Conflict;
    assert_eq!(table.write_state(&write(sim(1), 0, Some(1))).await.unwrap(), conflict);
    assert_eq!(table.write_state(&write(sim(1), 0, None)).await.unwrap(), Written::Done);
    assert_eq!(table.write_state(&write(sim(1), 60, None)).await.unwrap(), conflict);
    assert_eq!(table.write_state(&write(sim(1), 60, Some(2))).await.unwrap(), conflict);
    let read = table.read_states(&[sim(1)]).await.unwrap();
    assert_eq!((read[&sim(1)].version, &*read[&sim(1)].state), (1, &state(sim(1), 0)));
    assert_eq!(table.write_state(&write(sim(1), 60, Some(1))).await.unwrap(), Written::Done);
    assert_eq!(table.write_state(&write(sim(1), 120, Some(1))).await.unwrap(), conflict);
    let findings = vec![finding("a", 120)];
    let with_finding = StateWrite { findings, ..write(sim(1), 120, Some(1)) };
    assert_eq!(table.write_state(&with_finding).await.unwrap(), conflict);
    assert_eq!(*table.read_states(&[sim(1)]).await.unwrap()[&sim(1)].state, state(sim(1), 60));
}

/// Of many writers on one version exactly one comes first.
pub async fn of_concurrent_writers_one_comes_first(table: &impl States) {
    let writes: Vec<StateWrite> = (0..20).map(|second| write(sim(1), second, None)).collect();
    let written = futures::future::join_all(writes.iter().map(|write| table.write_state(write)));
    let done = written.await.into_iter().filter(|written| matches!(written, Ok(Written::Done)));
    assert_eq!(done.count(), 1);
    assert_eq!(table.read_states(&[sim(1)]).await.unwrap()[&sim(1)].version, 1);
}

/// A state and its findings are written together.
pub async fn findings_are_written_with_their_state(table: &(impl States + Cases)) {
    let findings = vec![finding("a", 1), finding("b", 2)];
    let first = StateWrite { findings: findings.clone(), ..write(sim(1), 0, None) };
    assert_eq!(table.write_state(&first).await.unwrap(), Written::Done);
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!(case.state, Some(*first.state));
    assert_eq!(case.findings.into_values().collect::<Vec<_>>(), findings);
    assert_eq!(table.unacknowledged(at(1), 10).await.unwrap(), [sim(1)]);
}

/// A finding that is there already fails the whole write, and is named.
pub async fn a_finding_that_exists_leaves_the_state_as_it_was(table: &(impl States + Cases)) {
    table.insert_finding(sim(1), &finding("b", 1), at(1)).await.unwrap();
    let findings = vec![finding("a", 2), finding("b", 2), finding("c", 2)];
    let both = StateWrite { findings, ..write(sim(1), 0, None) };
    let found = BTreeSet::from([finding("b", 2).key()]);
    assert_eq!(table.write_state(&both).await.unwrap(), Written::AlreadyFound(found));
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!(case.state, None);
    assert_eq!(case.findings.into_values().collect::<Vec<_>>(), [finding("b", 1)]);
}

/// When both the version and a finding stand in the way, it is a conflict: the writer has to fold
/// again anyway.
pub async fn a_conflict_comes_before_findings_that_exist(table: &(impl States + Cases)) {
    table.insert_finding(sim(1), &finding("a", 1), at(1)).await.unwrap();
    let both = StateWrite { findings: vec![finding("a", 2)], ..write(sim(1), 0, Some(3)) };
    assert_eq!(table.write_state(&both).await.unwrap(), Written::Conflict);
    let both = StateWrite { findings: vec![finding("b", 2)], ..write(sim(1), 0, Some(3)) };
    assert_eq!(table.write_state(&both).await.unwrap(), Written::Conflict);
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!(case.findings.into_values().collect::<Vec<_>>(), [finding("a", 1)]);
}

/// A finding is inserted once and stays as it is.
pub async fn a_finding_is_inserted_once(table: &(impl States + Cases)) {
    table.insert_finding(sim(1), &finding("a", 1), at(1)).await.unwrap();
    table.insert_finding(sim(1), &finding("a", 9), at(9)).await.unwrap();
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!(case.findings.into_values().collect::<Vec<_>>(), [finding("a", 1)]);
}

/// More SIMs than one batch of the real table holds, one of three of them unknown.
pub async fn a_read_of_250_sims_misses_none(table: &impl States) {
    let known: Vec<_> = (0..250).filter(|number| number % 3 != 0).collect();
    for number in &known {
        let written = table.write_state(&write(sim(*number), i64::from(*number), None)).await;
        assert_eq!(written.unwrap(), Written::Done);
    }
    let sims: Vec<_> = (0..250).map(sim).collect();
    let read = table.read_states(&sims).await.unwrap();
    assert_eq!(read.len(), known.len());
    for number in known {
        assert_eq!(*read[&sim(number)].state, state(sim(number), i64::from(number)));
    }
}

/// A state of a newer schema fails the read, and leaves a case that says so; `set_schema` changes what
/// the stored item says.
pub async fn a_newer_schema_is_refused(
    table: &(impl States + Cases),
    set_schema: impl AsyncFn(simfuse_domain::id::SimSid, u32),
) {
    assert_eq!(table.write_state(&write(sim(1), 0, None)).await.unwrap(), Written::Done);
    set_schema(sim(1), SCHEMA + 1).await;
    let is_newer = |error: &TableError| {
        matches!(error, TableError::NewerSchema { found, known, .. }
            if (*found, *known) == (SCHEMA + 1, SCHEMA))
    };
    assert!(table.read_states(&[sim(1), sim(2)]).await.is_err_and(|error| is_newer(&error)));
    let case = table.read_case(sim(1)).await.unwrap();
    assert!(case.state.is_none());
    assert!(
        case.unread[0]
            .ends_with(&format!("has schema {}, this version knows {SCHEMA}", SCHEMA + 1))
    );
    assert!(table.read_case(sim(2)).await.unwrap().unread.is_empty());
    assert_eq!(table.write_state(&write(sim(1), 60, None)).await.unwrap(), Written::Conflict);
}

/// The latest call stands.
pub async fn the_latest_heartbeat_stands(table: &impl Heartbeat) {
    assert_eq!(table.last_beat().await.unwrap(), None);
    table.beat(Beat { updated_at: Some(at(1)), ..Beat::at(at(1)) }).await.unwrap();
    table.beat(Beat { tested_at: Some(at(2)), ..Beat::at(at(2)) }).await.unwrap();
    table.beat(Beat { updated_at: Some(at(3)), ..Beat::at(at(3)) }).await.unwrap();
    table.beat(Beat { long_ended_at: Some(at(4)), ..Beat::at(at(4)) }).await.unwrap();
    table.beat(Beat::at(at(5))).await.unwrap();
    let expected = Beat {
        received_at: at(5),
        tested_at: Some(at(2)),
        updated_at: Some(at(3)),
        long_ended_at: Some(at(4)),
    };
    assert_eq!(table.last_beat().await.unwrap(), Some(expected));
}
