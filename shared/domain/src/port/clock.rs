//! The time.

use jiff::Timestamp;

/// Receipt time. It is used for lateness, time-outs, TTL and alerts, and never by a detector: a
/// detector's `now` is the SIM's latest event time.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}
