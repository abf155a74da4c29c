//! The time.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

/// Receipt time. It is used for lateness, time-outs, TTL and alerts, and never by a detector: a
/// detector's `now` is the SIM's latest event time.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// How long the clock has gone: it never goes back, and tells how long something takes.
    fn uptime(&self) -> Duration;

    /// Waits for this long. A port like the others, so that who waits can be run in virtual time.
    fn sleep(&self, by: Duration) -> Sleep<'_>;
}

/// A wait that is under way. Boxed, so that a clock can be lent without its type.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn uptime(&self) -> Duration {
        (**self).uptime()
    }

    fn sleep(&self, by: Duration) -> Sleep<'_> {
        (**self).sleep(by)
    }
}
