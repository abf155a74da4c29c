//! Policy, stop switch, pages and dead letters.

use simfuse_domain::audit::AuditEntry;
use simfuse_domain::policy::{DEFAULT, Mode, Policy};
use simfuse_domain::port::{
    Applied, AuditLog, Cases, Committed, DeadLetter, DeadLetters, Policies, PolicyChange,
    PolicyVersions, Stop, TableError,
};

use super::{at, audit};

/// The default policy holds until one is applied; then the latest one does, and each has a number.
pub async fn the_policy_applied_last_is_current(table: &(impl Policies + PolicyVersions)) {
    let policy = table.current_policy().await.unwrap();
    assert_eq!((policy.text(), policy.base().mode), (DEFAULT, Mode::Observe));
    let version = table.policy_version().await.unwrap();
    assert_eq!((version.number, version.text.as_str(), version.applied), (0, DEFAULT, None));
    let enforce: Policy = DEFAULT.replace("\"observe\"", "\"enforce\"").parse().unwrap();
    let change = change(&enforce, 0);
    assert_eq!(table.replace_policy(&change).await.unwrap(), Committed::Done);
    assert_eq!(table.current_policy().await.unwrap().base().mode, Mode::Enforce);
    let version = table.policy_version().await.unwrap();
    assert_eq!((version.number, version.text.as_str()), (1, enforce.text()));
    assert_eq!(version.applied, Some(change.applied));
    let back = self::change(&policy, 1);
    assert_eq!(table.replace_policy(&back).await.unwrap(), Committed::Done);
    assert_eq!(table.current_policy().await.unwrap().text(), DEFAULT);
    assert_eq!(table.policy_version().await.unwrap().number, 2);
    let past = table.past_policy(1).await.unwrap().unwrap();
    assert_eq!((past.number, past.text.as_str()), (1, enforce.text()), "it is kept");
    assert_eq!(table.past_policy(3).await.unwrap(), None);
}

/// Whoever read an old version replaces nothing.
pub async fn a_policy_replaces_only_the_version_that_was_read(table: &impl PolicyVersions) {
    let policies: Vec<Policy> =
        (1..=4).map(|line| format!("{DEFAULT}# {line}\n").parse().unwrap()).collect();
    let unread = table.replace_policy(&change(&policies[0], 1)).await.unwrap();
    assert_eq!((unread, table.policy_version().await.unwrap().number), (Committed::Conflict, 0));
    let changes: Vec<PolicyChange> = policies.iter().map(|policy| change(policy, 0)).collect();
    let replaced = changes.iter().map(|change| table.replace_policy(change));
    let replaced = futures::future::join_all(replaced).await;
    let done = |replaced: &Result<Committed, TableError>| matches!(replaced, Ok(Committed::Done));
    assert_eq!(replaced.iter().filter(|replaced| done(replaced)).count(), 1, "{replaced:?}");
    let current = table.policy_version().await.unwrap();
    let first = replaced.iter().position(done).unwrap();
    assert_eq!((current.number, current.text.as_str()), (1, policies[first].text()));
}

/// What its audit entry contradicts is not applied.
pub async fn a_policy_with_another_entrys_id_is_not_applied(
    table: &(impl PolicyVersions + AuditLog),
) {
    let policy: Policy = format!("{DEFAULT}# 1\n").parse().unwrap();
    let change = change(&policy, 0);
    let other = AuditEntry { reason: "another".to_owned(), ..change.audit.clone() };
    table.record_audit(&other).await.unwrap();
    let refused = table.replace_policy(&change).await;
    assert!(matches!(refused, Err(TableError::Fault { .. })), "{refused:?}");
    assert_eq!(table.policy_version().await.unwrap().number, 0);
}

/// An entry about no SIM may come again as it is, and not otherwise.
pub async fn an_entry_about_no_sim_is_never_changed(table: &impl AuditLog) {
    table.record_audit(&audit(None, "1", "why")).await.unwrap();
    table.record_audit(&audit(None, "1", "why")).await.unwrap();
    let refused = table.record_audit(&audit(None, "1", "why not")).await;
    assert!(matches!(refused, Err(TableError::Fault { .. })), "{refused:?}");
}

/// A change of that version to this policy, as an operator makes it.
#[must_use]
pub fn change(policy: &Policy, read_number: u64) -> PolicyChange {
    PolicyChange {
        policy: policy.clone(),
        read_number,
        applied: Applied { by: "ops".to_owned(), at: at(5), reason: "a test".to_owned() },
        audit: audit(None, &format!("policy-{read_number}"), policy.text()),
    }
}

/// The stop switch is set, read and lifted, each with its audit entry.
pub async fn the_stop_switch_is_set_and_lifted(table: &impl Cases) {
    let by = |by: &str| Stop { by: by.to_owned(), reason: "test".to_owned(), at: at(1) };
    assert_eq!(table.read_stop().await.unwrap(), None);
    table.write_stop(Some(&by("ops")), &audit(None, "1", "stop")).await.unwrap();
    table.write_stop(Some(&by("ops")), &audit(None, "1", "stop")).await.unwrap();
    table.write_stop(Some(&by("boss")), &audit(None, "2", "stop")).await.unwrap();
    assert_eq!(table.read_stop().await.unwrap(), Some(by("boss")));
    let stop = table.read_case(super::sim(1)).await.unwrap().stop;
    assert_eq!(stop, Some(by("boss")));
    table.write_stop(None, &audit(None, "3", "resume")).await.unwrap();
    assert_eq!(table.read_stop().await.unwrap(), None);
    table.write_stop(None, &audit(None, "4", "resume")).await.unwrap();
}

/// An audit entry is never changed, and what comes with one that would be is not done.
pub async fn a_stop_with_another_entrys_id_is_not_set(table: &impl Cases) {
    let stop = Stop { by: "ops".to_owned(), reason: "test".to_owned(), at: at(1) };
    table.write_stop(None, &audit(None, "1", "resume")).await.unwrap();
    let refused = table.write_stop(Some(&stop), &audit(None, "1", "stop")).await;
    assert!(matches!(refused, Err(TableError::Fault { .. })), "{refused:?}");
    assert_eq!(table.read_stop().await.unwrap(), None);
}

/// Pages are remembered by name, the latest of each.
pub async fn the_latest_page_of_each_name_is_remembered(table: &impl Cases) {
    assert_eq!(table.last_paged("held").await.unwrap(), None);
    table.record_paged("held", at(10)).await.unwrap();
    table.record_paged("held", at(5)).await.unwrap();
    table.record_paged("any", at(20)).await.unwrap();
    assert_eq!(table.last_paged("held").await.unwrap(), Some(at(10)));
    table.record_paged("held", at(30)).await.unwrap();
    assert_eq!(table.last_paged("held").await.unwrap(), Some(at(30)));
    assert_eq!(table.last_paged("any").await.unwrap(), Some(at(20)));
}

/// The same bytes may be set aside again on the same day; more than the table holds may not.
pub async fn dead_letters_may_come_again(table: &impl DeadLetters) {
    let letter = DeadLetter {
        bytes: b"not an event".to_vec(),
        length: 12,
        sha256: "ab".repeat(32),
        reason: "not JSON".to_owned(),
        received_at: at(0),
    };
    table.put_dead_letter(&letter).await.unwrap();
    table.put_dead_letter(&DeadLetter { received_at: at(60), ..letter.clone() }).await.unwrap();
    let tomorrow = DeadLetter { received_at: at(86_400), ..letter.clone() };
    table.put_dead_letter(&tomorrow).await.unwrap();
    let largest = vec![0; DeadLetter::BYTES_MAX];
    let sha256 = "cd".repeat(32);
    table.put_dead_letter(&DeadLetter { bytes: largest, sha256, ..letter.clone() }).await.unwrap();
    let larger = DeadLetter { bytes: vec![0; DeadLetter::BYTES_MAX + 1], ..letter };
    let refused = table.put_dead_letter(&larger).await;
    assert!(matches!(refused, Err(TableError::Fault { .. })), "{refused:?}");
}
