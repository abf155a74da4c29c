//! The kill-switch against a simulated Super SIM service over real HTTP, with every fault injected:
//! a SIM that should be dead ends proven dead or a human is paged, and nothing else is switched off.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod acts;
mod alerts;
mod audit;
mod bench;
mod between;
mod bulk;
mod campaigns;
mod choices;
mod crashes;
mod digests;
mod false_alarms;
mod fleets;
mod freezes;
mod gate;
mod gone;
mod guards;
mod held;
mod humans;
mod links;
mod newcomers;
mod news;
mod payloads;
mod policies;
mod provider;
mod quarantines;
mod restores;
mod unread;
