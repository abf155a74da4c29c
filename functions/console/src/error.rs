//! What can go wrong in the console.

use std::error::Error;

pub use simfuse_domain::chain::Chain;
use simfuse_domain::port::TableError;

/// Why a link's act was not carried out, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Whether the link was used could not be read or recorded.
    #[error("looking a link up, taking it, using it up or giving it back")]
    Table(#[source] TableError),
    /// The kill-switch gave no answer, so what it did is unknown.
    #[error("asking the kill-switch")]
    Switch(#[source] Box<dyn Error + Send + Sync>),
    /// The kill-switch's answer is about no SIM.
    #[error("the kill-switch answered nothing about the SIM")]
    NoAnswer,
    /// The browser would give up before the kill-switch answers.
    #[error("the kill-switch did not answer within {seconds} s")]
    TooSlow {
        /// The time that was allowed.
        seconds: u64,
    },
}
