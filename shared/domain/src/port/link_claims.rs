//! That a signed link is used once.

use std::future::Future;

use jiff::{SignedDuration, Timestamp};

use crate::port::TableError;
use crate::signed_link::SignedLink;

/// How long a call that took a link is waited for before another call may ask in its place: what the
/// console's function may run at most. A call that is older has ended without an answer.
pub const LINK_ASKED_MAX: SignedDuration = SignedDuration::from_secs(30);

/// Which links were used. The console's own items; it writes no others.
///
/// A link is free, taken by a call that asks for its act, or used. One that was taken and never used,
/// since its call died, is free again after [`LINK_ASKED_MAX`]: what it asked for may be done or not,
/// and is asked for once more.
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

    /// Says that the act was answered for, so that the link is used up. One that another call took
    /// meanwhile stays as it is.
    ///
    /// # Errors
    /// [`TableError`]; after `Unavailable` it may or may not be used up.
    fn use_up(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), TableError>> + Send;

    /// Gives a link back that this call took, because nothing came of it. One that another call
    /// took, or that is used up, stays so.
    ///
    /// # Errors
    /// [`TableError`].
    fn give_back(
        &self,
        link: &SignedLink,
        call: &str,
    ) -> impl Future<Output = Result<(), TableError>> + Send;

    /// How far a link is, without taking it; `None` for one that nobody took.
    ///
    /// # Errors
    /// [`TableError`].
    fn link_use(
        &self,
        link: &SignedLink,
    ) -> impl Future<Output = Result<Option<LinkUse>, TableError>> + Send;
}

/// How far a link is that somebody pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkUse {
    /// A call took it then, and whether anything came of it is not known yet.
    Asked(Timestamp),
    /// It was used up then.
    Used(Timestamp),
}

impl LinkUse {
    /// Whether a call may take the link: the one that took it before has ended without an answer.
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        match self {
            Self::Asked(at) => now.duration_since(at) > LINK_ASKED_MAX,
            Self::Used(_) => false,
        }
    }
}

/// Whose a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The call's that asked.
    Taken,
    /// Not the call's: another took it.
    Others(LinkUse),
}
