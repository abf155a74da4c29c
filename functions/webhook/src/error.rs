//! What can go wrong in the webhook, by what the sender should do.

use std::error::Error;

pub use simfuse_domain::chain::Chain;
use simfuse_domain::port::TableError;

/// A fault of our own: the sender should send the events again.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The payload of an invocation is of no known kind.
    #[error("not a payload of the webhook: {reason}")]
    Payload {
        /// What is wrong with it.
        reason: String,
    },
    /// The secret to verify requests with could not be read.
    #[error("reading the webhook's secret")]
    Secret(#[source] Box<dyn Error + Send + Sync>),
    /// The table did not do what was asked.
    #[error("storing events")]
    Table(#[source] TableError),
    /// Other writers came first too often.
    #[error("the state of {sim} was changed by others {attempts} times in a row")]
    Contention {
        /// The SIM.
        sim: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The sender would give up before the events are stored.
    #[error("not done within {seconds} s")]
    TooSlow {
        /// The time that was allowed.
        seconds: u64,
    },
}
