//! The four ways to invoke the kill-switch, told apart by the payload.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures::{StreamExt as _, future, stream};
use serde::Deserialize;
use serde_json::Value;
use simfuse_domain::id::SimSid;
use simfuse_domain::news::News;
use simfuse_domain::port::{
    Alerts, AuditLog, AuditTrail, Campaigns, Cases, Clock, Fleets, HeadsLog, Heartbeat, NewsLimits,
    Policies, PolicyVersions, States, SuperSim, UsageRanks,
};

use crate::engine::{KillSwitch, within};
use crate::error::{Chain, KillSwitchError};
use crate::request::Request;
use crate::sweep::SIMS_AT_ONCE;

/// How long an invocation may take whose end nobody said: what a local caller waits for, and some
/// to spare.
pub const USUAL_TIME: Duration = Duration::from_secs(60);

/// The stream's shard waits for one record at most this long; the sweep takes up what was not done.
const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// Partition keys of findings begin so.
const FINDING: &str = "FIND#";

/// Partition keys of news begin so.
const NEWS: &str = "NEWS#";

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns
        + Cases
        + Policies
        + PolicyVersions
        + AuditLog
        + AuditTrail
        + HeadsLog
        + NewsLimits
        + Heartbeat
        + States
        + UsageRanks,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Handles one invocation that has [`USUAL_TIME`].
    ///
    /// # Errors
    /// [`KillSwitchError`] for a payload of no known kind, and when the table fails.
    pub async fn handle(&self, payload: Value) -> Result<Value, KillSwitchError> {
        self.handle_within(payload, USUAL_TIME).await
    }

    /// How long it is until a time that is given in milliseconds since 1970, as Lambda gives the
    /// end of an invocation.
    pub fn time_until(&self, deadline_ms: u64) -> Duration {
        let now_ms = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        Duration::from_millis(deadline_ms.saturating_sub(now_ms))
    }

    /// Handles one invocation that ends after so long: a request about many SIMs stops in good time
    /// before, and says where to go on.
    ///
    /// # Errors
    /// [`KillSwitchError`] for a payload of no known kind, and when the table fails.
    pub async fn handle_within(
        &self,
        payload: Value,
        time: Duration,
    ) -> Result<Value, KillSwitchError> {
        let wrong =
            |error: serde_json::Error| KillSwitchError::Payload { reason: error.to_string() };
        if payload.get("Records").is_some() {
            let event = serde_json::from_value(payload).map_err(wrong)?;
            // Findings first: news may wait, a kill may not.
            let news = news_in(&event);
            let response = Box::pin(self.take_findings(event)).await;
            self.tell_news(news).await;
            serde_json::to_value(response).map_err(wrong)
        } else if payload.get("sweep") == Some(&Value::Bool(true)) {
            // Whatever takes the sweep's time, the rest is done beside it.
            let beside = async {
                self.tell_suppressed_news().await;
                self.tell_untold_acts().await;
                self.record_heads().await;
            };
            let (swept, ()) = future::join(Box::pin(self.sweep()), Box::pin(beside)).await;
            swept?;
            Ok(serde_json::json!({ "swept": true }))
        } else if let Some(hint) = payload.get("hint") {
            // Whoever sent it proves nothing by it: the provider is asked.
            let Hint { sim } = serde_json::from_value(hint.clone()).map_err(wrong)?;
            let looked = Box::pin(self.look_at(sim)).await.inspect_err(|error| {
                tracing::error!(sim.sid = %sim, error = %Chain(error), "SIM not looked at");
            });
            Ok(serde_json::json!({ "looked": looked.is_ok() }))
        } else if payload.get("action").is_some() {
            let request: Request = serde_json::from_value(payload).map_err(wrong)?;
            let answer = Box::pin(self.answer(&request, time)).await?;
            serde_json::to_value(answer).map_err(wrong)
        } else {
            Err(KillSwitchError::Payload { reason: "not a payload of the kill-switch".to_owned() })
        }
    }

    /// Looks at the SIMs of new findings. A SIM that is not done in time is not reported as failed:
    /// its finding is not acknowledged, so the sweep will find it, and the shard goes on.
    async fn take_findings(&self, event: StreamEvent) -> DynamoDbEventResponse {
        let mut sims: BTreeMap<SimSid, String> = BTreeMap::new();
        for record in event.records.into_iter().filter(|record| record.event_name == "INSERT") {
            if let Some(sim) = sim_of(&record.change) {
                sims.entry(sim).or_insert(record.change.sequence_number);
            }
        }
        let looks = sims.into_iter().map(|(sim, sequence)| async move {
            let look = self.converge_all(std::slice::from_ref(&sim));
            match within(&self.clock, RECORD_WITHIN, look).await {
                Some(looked) if looked.iter().all(|(_, result)| result.is_ok()) => None,
                Some(_) => Some(sequence),
                None => {
                    tracing::warn!(sim.sid = %sim, "not done in time, left to the sweep");
                    None
                }
            }
        });
        let looks: Vec<_> = looks.collect();
        let failed: Vec<Option<String>> =
            stream::iter(looks).buffer_unordered(SIMS_AT_ONCE).collect().await;
        let mut response = DynamoDbEventResponse::default();
        response.batch_item_failures = failed
            .into_iter()
            .flatten()
            .map(|sequence| {
                let mut failure = DynamoDbBatchItemFailure::default();
                failure.item_identifier = Some(sequence);
                failure
            })
            .collect();
        response
    }
}

/// A SIM that may have changed at the provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    sim: SimSid,
}

/// Of a stream's event what is needed, so that nothing else can make it unreadable.
#[derive(Deserialize)]
struct StreamEvent {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventName")]
    event_name: String,
    #[serde(rename = "dynamodb")]
    change: Change,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "Keys")]
    keys: Keys,
    #[serde(rename = "NewImage", default)]
    image: Value,
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
}

#[derive(Deserialize)]
struct Keys {
    pk: Text,
}

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

fn sim_of(change: &Change) -> Option<SimSid> {
    change.keys.pk.text.strip_prefix(FINDING)?.parse().ok()
}

/// The news among the insertions, in their order.
fn news_in(event: &StreamEvent) -> Vec<News> {
    let inserted = event.records.iter().filter(|record| record.event_name == "INSERT");
    let news = inserted.map(|record| &record.change);
    let news = news.filter(|change| change.keys.pk.text.starts_with(NEWS));
    let news = news.filter_map(|change| {
        let text = change.image.pointer("/news/S").and_then(Value::as_str).unwrap_or_default();
        match serde_json::from_str(text) {
            Ok(news) => Some(news),
            Err(error) => {
                tracing::warn!(%error, "news lost: they cannot be read");
                None
            }
        }
    });
    news.collect()
}

/// An error in the form that the Lambda runtime reports, with all its causes.
#[must_use]
pub fn diagnostic(error: &KillSwitchError) -> lambda_runtime::Diagnostic {
    let error_type = match error {
        KillSwitchError::Payload { .. } => "Payload",
        KillSwitchError::Table { .. } => "Table",
        KillSwitchError::PolicyWithoutNumber => "PolicyWithoutNumber",
        KillSwitchError::Contention { .. } => "Contention",
        KillSwitchError::Sweep { .. } => "Sweep",
        KillSwitchError::Faults { .. } => "Faults",
    };
    lambda_runtime::Diagnostic {
        error_type: error_type.to_owned(),
        error_message: Chain(error).to_string(),
    }
}
