//! The record of acts that are about no SIM.

use std::future::Future;

use crate::audit::AuditEntry;
use crate::port::TableError;

/// Where an act that no case keeps is written down.
pub trait AuditLog: Send + Sync {
    /// Adds an entry; the same one may come again.
    ///
    /// # Errors
    /// [`TableError`]; `Fault` for an entry of a time and id that another one has.
    fn record_audit(
        &self,
        entry: &AuditEntry,
    ) -> impl Future<Output = Result<(), TableError>> + Send;
}
