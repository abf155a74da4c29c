//! Arithmetic on timestamps that saturates: virtual time may be set to anything.

use jiff::{SignedDuration, Timestamp};

/// The time that is `by` later, or the last that there is.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The time that is so many seconds later, or the last that there is.
pub(crate) fn later_secs(at: Timestamp, secs: i64) -> Timestamp {
    later(at, SignedDuration::from_secs(secs))
}

/// Milliseconds from one time to another; 0 when it is not later.
pub(crate) fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}
