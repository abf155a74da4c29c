//! What SimFuse is drilled and tested with: a simulated Super SIM service over real HTTP, a fleet of
//! sensors and thieves that lives in virtual time, and the API that runs a Lambda's own binary.
//!
//! Nothing here reaches the network beyond the sockets it is given, and all of it is repeatable from
//! a seed.

pub mod account;
pub mod clock;
mod cloud_event;
pub mod cohorts;
pub mod contract;
pub mod faulty;
pub mod fleet;
pub mod fleets;
pub mod gated;
pub mod memory;
pub mod population;
pub mod runtime_api;
pub mod secrets_manager;
pub mod service;
pub mod super_sim;

mod time;
