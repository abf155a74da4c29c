//! That a signed link is used once.

use std::future::Future;

use jiff::Timestamp;

use crate::port::TableError;
use crate::signed_link::SignedLink;

/// Which links were used. The console's own items; it writes no others.
pub trait LinkClaims: Send + Sync {
    /// Takes a link for one call, which has an id that no other call has. Taken again by the same
    /// call, as after a lost answer, it is still taken by it.
    ///
    /// # Errors
    /// [`TableError`]; after `Unavailable` it may or may not be taken.
    fn claim(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Claim, TableError>> + Send;

    /// Gives a link back that this call took, because nothing came of it. One that another call
    /// took stays taken.
    ///
    /// # Errors
    /// [`TableError`].
    fn give_back(
        &self,
        link: &SignedLink,
        call: &str,
    ) -> impl Future<Output = Result<(), TableError>> + Send;
}

/// Whose a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The call's that asked.
    Taken,
    /// Another call's, which took it then.
    Used(Timestamp),
}
