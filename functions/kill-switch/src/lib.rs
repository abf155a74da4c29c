//! The kill-switch: the only function that acts. It rules again before each act, keeps within the
//! guards, records intent and outcome, proves that the SIM is dead, tells humans, and undoes.
//!
//! Three things invoke it: new findings from the table's stream, a sweep every minute, and humans.

mod act;
#[cfg(feature = "aws")]
pub mod adapters;
pub mod audit;
mod bulk;
mod campaign;
mod choice;
#[cfg(feature = "aws")]
pub mod config;
mod digest;
pub mod engine;
pub mod error;
mod false_alarm;
mod find;
mod fleet;
mod foretell;
mod gone;
pub mod handler;
mod held;
mod human;
mod manual;
mod news;
mod pace;
mod policy;
mod publish;
pub mod request;
mod select;
mod status;
mod sweep;
mod told;
