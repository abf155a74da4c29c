//! A clock that stands still until it is told to go on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::port::{Clock, Sleep};
use tokio::time::Instant;

use crate::time;

/// Virtual time. Clones show the same time. Who waits by it, or measures, does so in the runtime's time,
/// as nothing else would wake them.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Timestamp>>,
    begun: Instant,
}

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { now: Arc::new(Mutex::new(start)), begun: Instant::now() }
    }

    /// Shows `now` from here on; it may lie in the past, as a corrected clock's time does.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Goes forward by `by`, at most to the last time that there is, and gives the new time.
    pub fn advance(&self, by: SignedDuration) -> Timestamp {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = time::later(*now, by);
        *now
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    fn sleep(&self, by: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_show_the_same_time() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let other = clock.clone();
        assert_eq!(clock.advance(SignedDuration::from_mins(6)).to_string(), "1970-01-01T00:06:00Z");
        assert_eq!(other.now().to_string(), "1970-01-01T00:06:00Z");
        other.set(Timestamp::MAX);
        assert_eq!(clock.advance(SignedDuration::from_mins(6)), Timestamp::MAX, "saturates");
    }
}
