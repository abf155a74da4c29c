//! Audit entries.

use simfuse_domain::audit::AuditEntry;
use simfuse_domain::port::{AuditLog, TableError};

use super::error::fault;
use super::item::{Draft, Row};
use super::keys::{Key, audit_hour};
use super::transaction::{Condition, Transaction};
use super::{Put, Table};

/// Why an entry is refused.
pub(super) const ENTRY_DIFFERS: &str = "an audit entry of this time and id says something else";

impl AuditLog for Table {
    async fn record_audit(&self, entry: &AuditEntry) -> Result<(), TableError> {
        let (draft, condition) = entry_draft(entry)?;
        let doing = format!("writing {}", draft.key());
        match self.put(draft, condition).await? {
            Put::Done => Ok(()),
            Put::Refused => Err(fault(&doing, ENTRY_DIFFERS)),
            Put::Busy => Err(TableError::Unavailable { doing, source: None }),
        }
    }
}

/// Entries are never changed. The same entry may come again with a decision that is repeated after
/// its answer was lost, or together with another after a conflict: writing it again as it is
/// changes nothing.
pub(super) fn put_audit<Part>(
    transaction: &mut Transaction<'_, Part>,
    part: Part,
    entry: &AuditEntry,
) -> Result<(), TableError> {
    let (draft, condition) = entry_draft(entry)?;
    transaction.put(part, draft, condition)
}

fn entry_draft(entry: &AuditEntry) -> Result<(Draft, Condition), TableError> {
    let draft =
        Draft::new(Key::audit(entry)).json("entry", entry)?.indexed(audit_hour(entry), entry.at);
    let same = Row(draft.item()).text("entry")?.to_owned();
    Ok((draft, Condition::AbsentOrSame("entry", same)))
}
