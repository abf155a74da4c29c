//! What ends a run before it is done.

pub use simfuse_domain::chain::Chain;
use simfuse_domain::port::{ProviderError, TableError};

/// Why a run ended. Whatever it did is kept, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum AggregatorError {
    /// The payload is none of the aggregator's.
    #[error("the payload is not one of the aggregator's: {reason}")]
    Payload {
        /// What is wrong with it.
        reason: String,
    },
    /// The provider did not give what was asked for.
    #[error("{doing}")]
    Provider {
        /// What was being done, to what.
        doing: String,
        /// Why.
        source: ProviderError,
    },
    /// The table did not do what was asked.
    #[error("{doing}")]
    Table {
        /// What was being done, to what.
        doing: String,
        /// Why.
        source: TableError,
    },
    /// A checkpoint is none that this version wrote.
    #[error("the checkpoint {name} cannot be read")]
    Checkpoint {
        /// Which.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Another run wrote a checkpoint meanwhile: this one must not go on.
    #[error("another run is under way: the checkpoint {name} changed")]
    Overtaken {
        /// Which checkpoint.
        name: String,
    },
    /// A list does not come to its end.
    #[error("{what} goes on after {pages} pages, or links to itself")]
    Endless {
        /// Which list.
        what: String,
        /// How many pages were read.
        pages: u32,
    },
}

impl AggregatorError {
    /// Says what was asked of the provider when it failed.
    pub(crate) fn provider(doing: impl Into<String>) -> impl FnOnce(ProviderError) -> Self {
        let doing = doing.into();
        move |source| Self::Provider { doing, source }
    }

    /// Says what was asked of the table when it failed.
    pub(crate) fn table(doing: impl Into<String>) -> impl FnOnce(TableError) -> Self {
        let doing = doing.into();
        move |source| Self::Table { doing, source }
    }
}
