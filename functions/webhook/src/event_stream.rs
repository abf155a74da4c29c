//! The second event source: a Kinesis stream that the provider's Kinesis sink writes to.
//!
//! Its records are not signed, since IAM says who may write to the stream. Each holds one CloudEvent
//! or an array of them, and goes through the same intake as a request's body. What is not stored is
//! reported by its sequence number, and Lambda hands it out again, in its order.

use std::future::Future;
use std::time::Duration;

use aws_lambda_events::streams::KinesisEventResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;
use simfuse_domain::port::{Clock, DeadLetters, Heartbeat, NewsFeed, Policies, States, Usages};
use tokio::time::{Instant, timeout_at};

use crate::error::{Chain, WebhookError};
use crate::handler::{Handler, Secrets};

/// All records of one invocation together: well within the function's time limit of 30 s.
pub const BATCH_WITHIN: Duration = Duration::from_secs(20);

/// Records taken in at the same time. Two that name the same SIM get in each other's way, and are
/// then folded one after the other.
const RECORDS_AT_ONCE: usize = 8;

/// Of a batch what is needed, so that nothing else can make it unreadable.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    kinesis: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "sequenceNumber")]
    sequence_number: String,
    data: String,
}

impl<T, S, C> Handler<T, S, C>
where
    T: States + Usages + DeadLetters + Heartbeat + Policies + NewsFeed,
    S: Secrets,
    C: Clock,
{
    /// Handles one invocation: a request to the function's URL, or a batch of the event stream.
    ///
    /// Nobody can pass a request off as a batch, whose events are not signed: what a caller of the
    /// URL sends lies within the request, as its body.
    ///
    /// # Errors
    /// [`WebhookError::Payload`] for a payload of neither kind.
    pub async fn invoke(&self, payload: Value) -> Result<Value, WebhookError> {
        let wrong = |error: serde_json::Error| WebhookError::Payload { reason: error.to_string() };
        if payload.get("Records").is_some() {
            let batch: Batch = serde_json::from_value(payload).map_err(wrong)?;
            serde_json::to_value(self.take_records(batch).await).map_err(wrong)
        } else {
            let request = serde_json::from_value(payload).map_err(wrong)?;
            serde_json::to_value(self.handle(request).await).map_err(wrong)
        }
    }

    /// Takes every record in, whatever becomes of the others: Lambda hands out again all from the
    /// first one that is reported on, and what was stored already is then a duplicate.
    async fn take_records(&self, batch: Batch) -> KinesisEventResponse {
        let until = Instant::now() + BATCH_WITHIN;
        let taken = batch.records.into_iter().map(|record| self.take_record(record.kinesis, until));
        let taken: Vec<_> = taken.collect();
        let taken = stream::iter(taken).buffered(RECORDS_AT_ONCE);
        let failed: Vec<Option<String>> = taken.collect().await;
        let mut response = KinesisEventResponse::default();
        response.set_failures(failed.into_iter().flatten());
        response
    }

    /// Takes one record in; returns its sequence number if that failed.
    fn take_record(
        &self,
        record: Data,
        until: Instant,
    ) -> impl Future<Output = Option<String>> + Send {
        let Data { sequence_number, data } = record;
        async move {
            // What is not base64 is taken as it is, and will be set aside.
            let body = STANDARD.decode(&data).unwrap_or_else(|_not_base64| data.into_bytes());
            let taken = timeout_at(until, Box::pin(self.take_unsigned(&body))).await;
            let seconds = BATCH_WITHIN.as_secs();
            match taken.unwrap_or(Err(WebhookError::TooSlow { seconds })) {
                Ok(_tally) => None,
                Err(error) => {
                    tracing::error!(
                        record.sequence_number = sequence_number,
                        error = %Chain(&error),
                        "record not acknowledged"
                    );
                    Some(sequence_number)
                }
            }
        }
    }
}
