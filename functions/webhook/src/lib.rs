//! The webhook: takes connection events, and stores what they say and show.
//!
//! It decides and never acts: it reads and writes its own items of one table, and reads the secret
//! with which requests are signed.

#[cfg(feature = "aws")]
pub mod adapters;
#[cfg(feature = "aws")]
pub mod config;
pub mod error;
pub mod event_stream;
pub mod handler;
pub mod intake;
pub mod sim;
