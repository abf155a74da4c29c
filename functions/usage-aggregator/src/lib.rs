//! The usage aggregator: reads usage records every hour, keeps them by SIM, fleet, hour and day, and
//! finds what events did not show.
//!
//! It decides and never acts on a SIM: what it finds goes the way of the webhook's findings.

pub mod adapters;
pub mod config;
pub mod error;
pub mod handler;

mod billing;
mod checkpoint;
mod close;
mod compare;
mod history;
mod inventory;
mod notice;
mod page;
mod rank;
mod run;
mod window;

pub use checkpoint::Reached;
