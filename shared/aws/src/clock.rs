//! The real time.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use simfuse_domain::port::{Clock, Sleep};

/// The system's clock, in whole milliseconds, which is what the table stores: a time that was
/// written and read again is still the same.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // A time that is a Timestamp stays one without its nanoseconds.
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn uptime(&self) -> Duration {
        /// When it was first asked.
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        BEGUN.get_or_init(Instant::now).elapsed()
    }

    fn sleep(&self, by: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_has_no_more_than_milliseconds() {
        assert_eq!(SystemClock.now().subsec_nanosecond() % 1_000_000, 0);
    }
}
