//! The operator's policy.

use std::future::Future;

use crate::policy::Policy;
use crate::port::TableError;

/// Where the current policy is.
pub trait Policies: Send + Sync {
    /// The current policy; the default while the operator applied none.
    ///
    /// # Errors
    /// [`TableError`]; a policy that cannot be read is a `Fault`: deciding by another would be worse.
    fn current_policy(&self) -> impl Future<Output = Result<Policy, TableError>> + Send;

    /// Makes a policy the current one, and keeps it among its versions.
    ///
    /// # Errors
    /// [`TableError`].
    fn apply_policy(&self, policy: &Policy) -> impl Future<Output = Result<(), TableError>> + Send;
}
