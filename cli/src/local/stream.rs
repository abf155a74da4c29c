//! The table's stream, read as Lambda's event source mapping reads it: new findings and news go to the
//! kill-switch in the order of the shard, and a batch that fails is tried again.

use std::collections::BTreeMap;

use aws_sdk_dynamodbstreams as streams;
use serde_json::{Value, json};
use streams::types::{AttributeValue, OperationType, Record, ShardIteratorType};

use super::LocalKillSwitch;
use crate::error::CliError;

/// Records in one invocation, as in the deployed mapping.
const BATCH_MAX: usize = 100;

/// Attempts at a batch, as in the deployed mapping; after that the sweep takes over.
const ATTEMPTS_MAX: u32 = 3;

/// Partition keys of the items that are handed on begin so, as in the deployed mapping's filter.
const HANDED_ON: [&str; 2] = ["FIND#", "NEWS#"];

/// The stream of one table.
pub(crate) struct Stream {
    client: streams::Client,
    table: String,
    iterator: Option<String>,
}

impl Stream {
    pub(super) fn new(endpoint: &str, table: &str) -> Self {
        let client = streams::Client::new(&simfuse_aws::client::local_config(endpoint));
        Self { client, table: table.to_owned(), iterator: None }
    }

    /// Hands all new findings and news to the kill-switch, and returns when there are no more.
    pub(crate) async fn drain(&mut self, kill_switch: &LocalKillSwitch) -> Result<(), CliError> {
        loop {
            let records = self.next_records().await?;
            if records.is_empty() {
                return Ok(());
            }
            let findings: Vec<Value> = records.iter().filter_map(finding).collect();
            for batch in findings.chunks(BATCH_MAX) {
                deliver(kill_switch, batch).await;
            }
        }
    }

    async fn next_records(&mut self) -> Result<Vec<Record>, CliError> {
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => self.first_iterator().await?,
        };
        let answer = self.client.get_records().shard_iterator(iterator).send().await;
        let answer = answer.map_err(|error| fault("reading the table's stream", error))?;
        self.iterator = answer.next_shard_iterator;
        Ok(answer.records.unwrap_or_default())
    }

    async fn first_iterator(&self) -> Result<String, CliError> {
        let missing = || CliError::local("finding the table's stream")("there is none".into());
        let listed = self.client.list_streams().table_name(&self.table).send().await;
        let listed = listed.map_err(|error| fault("finding the table's stream", error))?;
        let stream = listed.streams().first().and_then(|stream| stream.stream_arn.clone());
        let stream = stream.ok_or_else(missing)?;
        let described = self.client.describe_stream().stream_arn(&stream).send().await;
        let described = described.map_err(|error| fault("describing the stream", error))?;
        let shards = described.stream_description.map(|stream| stream.shards.unwrap_or_default());
        let shard = shards.unwrap_or_default().first().and_then(|shard| shard.shard_id.clone());
        let iterator = self.client.get_shard_iterator().stream_arn(&stream);
        let iterator = iterator.shard_id(shard.ok_or_else(missing)?);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
        let iterator = iterator.map_err(|error| fault("opening the stream", error))?;
        iterator.shard_iterator.ok_or_else(missing)
    }
}

fn fault(doing: &str, error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::local(doing)(Box::new(error))
}

/// Invokes the kill-switch, again for what it reports as failed.
async fn deliver(kill_switch: &LocalKillSwitch, batch: &[Value]) {
    let mut rest = batch;
    for _attempt in 0..ATTEMPTS_MAX {
        let answer = kill_switch.handle(json!({ "Records": rest })).await;
        let failed = match &answer {
            Ok(answer) => first_failure(answer, rest),
            Err(error) => {
                tracing::error!(%error, "the kill-switch failed on findings");
                Some(0)
            }
        };
        match failed.and_then(|first| rest.get(first..)) {
            None => return,
            Some(failed) => rest = failed,
        }
    }
    tracing::error!(findings = rest.len(), "findings not delivered, left to the sweep");
}

fn first_failure(answer: &Value, batch: &[Value]) -> Option<usize> {
    let failures = answer.get("batchItemFailures")?.as_array()?;
    let failed: Vec<&Value> =
        failures.iter().filter_map(|failure| failure.get("itemIdentifier")).collect();
    batch.iter().position(|record| {
        record.pointer("/dynamodb/SequenceNumber").is_some_and(|number| failed.contains(&number))
    })
}

/// The record as Lambda would hand it over, if it is the insertion of a finding or of news.
fn finding(record: &Record) -> Option<Value> {
    let change = record.dynamodb.as_ref()?;
    let keys = change.keys.as_ref()?;
    let text = |name| keys.get(name).and_then(|value: &AttributeValue| value.as_s().ok());
    let (pk, sk) = (text("pk")?, text("sk")?);
    let handed_on = HANDED_ON.iter().any(|prefix| pk.starts_with(prefix));
    if record.event_name != Some(OperationType::Insert) || !handed_on {
        return None;
    }
    // Of the image only what is text: the kill-switch reads nothing else of it.
    let image = change.new_image.iter().flatten();
    let image: BTreeMap<&String, Value> = image
        .filter_map(|(name, value)| Some((name, json!({ "S": value.as_s().ok()? }))))
        .collect();
    Some(json!({
        "eventID": record.event_id.clone().unwrap_or_default(),
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "NewImage": image,
            "Keys": { "pk": { "S": pk }, "sk": { "S": sk } },
            "ApproximateCreationDateTime": change.approximate_creation_date_time.map(|at| at.secs()),
            "SequenceNumber": change.sequence_number,
            "SizeBytes": change.size_bytes.unwrap_or(0),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use simfuse_domain::id::{EventSid, SimSid};
    use simfuse_domain::news::{News, NewsKind};
    use simfuse_domain::policy::{DEFAULT, Mode};
    use simfuse_domain::port::NewsFeed as _;
    use simfuse_testkit::clock::ManualClock;

    use super::super::mailbox::Mailbox;
    use super::super::{LocalService, LocalTable, SharedClock, kill_switch};

    #[tokio::test]
    async fn news_go_through_the_stream_to_the_mailbox_once() {
        // Only the first of the tests installs it.
        drop(crate::install_tls());
        let now = "2026-03-01T14:00:00Z".parse().unwrap();
        let clock: SharedClock = Arc::new(ManualClock::new(now));
        let local = LocalTable::start(&DEFAULT.parse().unwrap(), now).await.unwrap();
        let service = LocalService::start(Arc::clone(&clock)).await.unwrap();
        let mailbox = Mailbox::new().unwrap();
        let (table, client) = (local.table.clone(), service.client().unwrap());
        let kill_switch = kill_switch(table, client, mailbox.clone(), clock, Mode::Observe);
        let news = News {
            sim: SimSid::from_bytes([1; 16]),
            kind: NewsKind::Online,
            event: EventSid::from_bytes([2; 16]),
            at: now,
            name: Some("pump-17".to_owned()),
            fleet: None,
            plmn: None,
            country: None,
            device: None,
            device_before: None,
            used: None,
            used_in_session: None,
            more: 0,
        };
        local.table.insert_news(&news, now).await.unwrap();
        local.table.insert_news(&news, now).await.unwrap();
        let mut stream = local.stream();
        stream.drain(&kill_switch).await.unwrap();
        stream.drain(&kill_switch).await.unwrap();
        let subjects: Vec<String> = mailbox.alerts().into_iter().map(|one| one.subject).collect();
        assert_eq!(subjects, ["SimFuse news: pump-17 came online"]);
        std::fs::remove_file(mailbox.path()).unwrap();
    }
}
