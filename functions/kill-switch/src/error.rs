//! What can go wrong in the kill-switch.

pub use simfuse_domain::chain::Chain;
use simfuse_domain::port::TableError;

/// A fault that ends an invocation; what was under way is taken up by the sweep.
#[derive(Debug, thiserror::Error)]
pub enum KillSwitchError {
    /// The table did not do what was asked.
    #[error("{doing}")]
    Table {
        /// What was being done.
        doing: &'static str,
        /// The table's word.
        source: TableError,
    },
    /// The policy in the table says not which version it is, so that an act could not rest on it.
    #[error(
        "the policy's number cannot be read: nothing is deactivated on its authority (the item \
         POLICY CURRENT of the table; point-in-time recovery has it as it was)"
    )]
    PolicyWithoutNumber,
    /// Others kept changing the SIM's case.
    #[error("the case of {sim} was changed by others {passes} times in a row")]
    Contention {
        /// The SIM.
        sim: String,
        /// How often it was tried.
        passes: u32,
    },
    /// Neither a stream's records, nor a sweep, nor a hint, nor a request.
    #[error(
        "{reason}; expected are a stream's \"Records\", {{\"sweep\": true}}, a \"hint\", or an \
         \"action\""
    )]
    Payload {
        /// What is wrong with it.
        reason: String,
    },
    /// Some SIMs could not be looked at.
    #[error("{failed} of {all} SIMs could not be looked at, the first: {first}")]
    Sweep {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// Why the first could not.
        first: String,
    },
    /// What will fail again and was got round.
    #[error(
        "{faults} alerts or items were refused, or could not be read, for good: the log says which"
    )]
    Faults {
        /// How many.
        faults: usize,
    },
}

impl KillSwitchError {
    pub(crate) fn table(doing: &'static str) -> impl FnOnce(TableError) -> Self {
        move |source| Self::Table { doing, source }
    }
}
