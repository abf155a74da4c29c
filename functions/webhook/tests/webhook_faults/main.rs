//! The webhook's handler against everything that its contract lists, and with every fault injected:
//! what is acknowledged is never lost, what is not can be sent again.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod answers;
mod bench;
mod concurrency;
mod event_stream;
mod faults;
mod fleets;
mod gate;
mod news;
mod panics;
mod signatures;
