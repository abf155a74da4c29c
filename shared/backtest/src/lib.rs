//! A policy tried over history: what it would have done, by the code that does it live.
//!
//! [`course`] takes one SIM through its history as webhook and aggregator would, [`stream`] does so
//! with a simulated population on all cores, and [`caps`] holds back what the caps would. Nothing
//! here reads or writes anything.

pub mod caps;
pub mod course;
pub mod peers;
pub mod stream;
#[cfg(test)]
mod tests;

pub use caps::hold_over_caps;
pub use course::{Act, Course, ModeFrom, Trial, shown};
pub use peers::{Page, Peers};
