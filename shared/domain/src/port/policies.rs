//! The operator's policy.

use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::AuditEntry;
use crate::policy::Policy;
use crate::port::{Committed, TableError};

/// Where the current policy is, for those who decide by it.
pub trait Policies: Send + Sync {
    /// The current policy; the default while the operator applied none.
    ///
    /// # Errors
    /// [`TableError`]; a policy that cannot be read is a `Fault`: deciding by another would be worse.
    fn current_policy(&self) -> impl Future<Output = Result<Policy, TableError>> + Send;
}

/// The policy as an item with versions, for the one function that writes it.
pub trait PolicyVersions: Send + Sync {
    /// The current version, whether or not this SimFuse can read its text.
    ///
    /// # Errors
    /// [`TableError`].
    fn policy_version(&self) -> impl Future<Output = Result<PolicyVersion, TableError>> + Send;

    /// The version of this number; `None` where there is none. All of them are kept.
    ///
    /// # Errors
    /// [`TableError`].
    fn past_policy(
        &self,
        number: u64,
    ) -> impl Future<Output = Result<Option<PolicyVersion>, TableError>> + Send;

    /// Makes a policy the current one if the current one still has the number that was read, keeps
    /// it among the versions, and records who did it: one transaction, all or nothing.
    ///
    /// # Errors
    /// [`TableError`]; after `Unavailable` it may or may not be applied: read the version again.
    fn replace_policy(
        &self,
        change: &PolicyChange,
    ) -> impl Future<Output = Result<Committed, TableError>> + Send;
}

/// One version of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Counted from 1; 0 is the default, which nobody applied.
    pub number: u64,
    /// The TOML, as it was applied.
    pub text: String,
    /// Who applied it; absent for the default.
    pub applied: Option<Applied>,
}

/// Who made a policy the current one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// One change of the policy.
#[derive(Debug, Clone)]
pub struct PolicyChange {
    /// The new policy.
    pub policy: Policy,
    /// The number of the version that it replaces.
    pub read_number: u64,
    /// Who, when and why.
    pub applied: Applied,
    /// The same for the record.
    pub audit: AuditEntry,
}
