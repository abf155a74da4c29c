//! From the invocation's payload to its answer.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use simfuse_domain::alert::StackName;
use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{
    Alerts, Clock, Heartbeat, Inventory, Policies, States, UsageRecords, UsageStore, Usages,
};

use crate::error::{AggregatorError, Chain};

/// A run stops this long before the function's time is over: longer than what is under way then may
/// take, a page with its retries included.
pub const STOP_BEFORE: SignedDuration = SignedDuration::from_secs(30);

/// The aggregator: made once, lent to each call.
pub struct Aggregator<T, P, A, C> {
    pub(crate) table: T,
    pub(crate) provider: P,
    pub(crate) alerts: A,
    pub(crate) clock: C,
    pub(crate) stack: Option<StackName>,
}

/// One invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What tells it from others.
    pub id: String,
    /// When the function is ended, done or not.
    pub deadline: Timestamp,
}

/// What a run did, and how far it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether there was nothing left to do.
    pub done: bool,
    /// Whether another run was under way, so that this one did nothing.
    pub busy: bool,
    /// What it is at: the last thing that was begun.
    pub progress: String,
    /// The latest hour that is closed for all fleets but those that are behind.
    pub closed_through: Option<String>,
    /// Fleets that could not be read when others were closed, and the latest hour that is closed for
    /// them.
    pub behind: BTreeMap<FleetSid, String>,
    /// Pages of usage records that this run read.
    pub pages: u64,
    /// Records on them.
    pub records: u64,
    /// Records that could not be read, or lacked the SIM, the time or the bytes.
    pub records_unknown: u64,
    /// Items that this run wrote.
    pub items_written: u64,
    /// Calls to the provider's API that this run made.
    pub calls: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    run: bool,
}

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// An aggregator on these ports.
    pub const fn new(table: T, provider: P, alerts: A, clock: C) -> Self {
        Self { table, provider, alerts, clock, stack: None }
    }

    /// The same of a stack with a name: commands in alerts are for it.
    #[must_use]
    pub fn of_stack(self, stack: Option<StackName>) -> Self {
        Self { stack, ..self }
    }

    /// Handles one invocation: `{"run": true}`, from the schedule or from a human.
    ///
    /// # Errors
    /// [`AggregatorError`] for another payload, and when the provider or the table fails.
    pub async fn handle(
        &self,
        payload: Value,
        invocation: &Invocation,
    ) -> Result<Answer, AggregatorError> {
        let wrong = |reason: String| AggregatorError::Payload { reason };
        let payload: Payload =
            serde_json::from_value(payload).map_err(|error| wrong(error.to_string()))?;
        if !payload.run {
            return Err(wrong("`run` is false: there is nothing else to do".to_owned()));
        }
        self.run(invocation).await
    }
}

/// An error in the form that the Lambda runtime reports, with all its causes.
#[must_use]
pub fn diagnostic(error: &AggregatorError) -> lambda_runtime::Diagnostic {
    let error_type = match error {
        AggregatorError::Payload { .. } => "Payload",
        AggregatorError::Provider { .. } => "Provider",
        AggregatorError::Table { .. } => "Table",
        AggregatorError::Checkpoint { .. } => "Checkpoint",
        AggregatorError::Overtaken { .. } => "Overtaken",
        AggregatorError::Endless { .. } => "Endless",
    };
    lambda_runtime::Diagnostic {
        error_type: error_type.to_owned(),
        error_message: Chain(error).to_string(),
    }
}
