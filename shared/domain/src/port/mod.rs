//! The ports: what the functions ask of the world, one narrow trait each.
//!
//! Each has one adapter (`simfuse-aws`, `simfuse-supersim`) and one fake (`simfuse-testkit`), and
//! both are held to the same contract.

mod clock;
mod super_sim;

pub use clock::Clock;
pub use super_sim::{ProviderError, Sim, SimName, SimStatus, SuperSim, TargetStatus};
