//! What the fuzz targets share.

use std::sync::Arc;

use jiff::Timestamp;
use simfuse_testkit::clock::ManualClock;

/// Runs to its end what waits for nothing but itself.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without threads").block_on(future)
}

/// The time of the fixtures.
#[must_use]
pub fn now() -> Timestamp {
    "2026-03-01T14:06:05Z".parse().expect("a time")
}

/// A clock that stands still.
#[must_use]
pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(now()))
}
