//! Whole runs on a table and an account in memory: what they leave, whatever happens on the way.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set up its world fails"
)]

mod bench;
mod crashes;
mod days;
mod equal;
mod evidence;
mod findings;
mod model;
mod pages;
mod service;
