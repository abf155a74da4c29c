//! The table: one DynamoDB table behind the domain's ports.
//!
//! Every item's key begins with the prefix of its one writer (`EV#` the webhook, `KS#` the
//! kill-switch, …), which is what IAM grants on. Items that a sweep has to find carry `ipk` and
//! `isk` and are in the sparse index for as long as they do.

mod audit;
mod campaigns;
mod cases;
mod dead_letters;
mod error;
mod item;
mod keys;
mod link_claims;
mod lists;
mod news;
mod policies;
mod ranks;
mod scan;
mod schema;
mod states;
#[cfg(test)]
mod tests;
mod trail;
mod transaction;
mod usages;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::{StreamExt, TryStreamExt, stream};
use simfuse_domain::port::TableError;

pub use keys::SHARDS;
pub use scan::ScanPage;
pub use schema::create_table;
pub use usages::HOUR_DAYS;

use error::{fault_from, table_error};
use item::{Draft, Item, key_of};
use keys::Key;
use transaction::Condition;

/// Keys of one BatchGetItem (its own limit).
const BATCH_KEYS_MAX: usize = 100;

/// Batches read at the same time.
const BATCHES_AT_ONCE: usize = 4;

/// How often the rest of a batch is asked for again; with the pauses below a second in all.
const REST_RETRIES_MAX: usize = 4;

/// First pause before the rest of a batch is asked for again.
const REST_PAUSE_FIRST: Duration = Duration::from_millis(50);

/// How often a write is tried that others' transactions keep in the way of.
const CONTENTION_RETRIES_MAX: usize = 5;

/// First pause before it is tried again; with the pauses that follow about a second in all.
const CONTENTION_PAUSE_FIRST: Duration = Duration::from_millis(20);

/// The table.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

/// What became of a conditional write of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    /// It is stored.
    Done,
    /// The condition does not hold.
    Refused,
    /// The item is part of a transaction under way; nothing is stored.
    Busy,
}

impl Table {
    /// The table of this name.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Reads one item, strongly consistent.
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key_of(key)))
            .consistent_read(true);
        let answer = request.send().await;
        let answer = answer.map_err(|error| table_error(&format!("reading {key}"), error))?;
        Ok(answer.item)
    }

    /// Reads items by key, strongly consistent, in any order; what does not exist is left out.
    async fn get_all(&self, keys: HashSet<Key>, doing: &str) -> Result<Vec<Item>, TableError> {
        let keys: Vec<Key> = keys.into_iter().collect();
        let batches = keys.chunks(BATCH_KEYS_MAX).map(|batch| {
            let batch: Vec<Item> = batch.iter().map(key_of).collect();
            Box::pin(self.get_batch(batch, doing))
        });
        let batches: Vec<_> = batches.collect();
        stream::iter(batches).buffer_unordered(BATCHES_AT_ONCE).try_concat().await
    }

    async fn get_batch(&self, mut keys: Vec<Item>, doing: &str) -> Result<Vec<Item>, TableError> {
        let mut pauses = pauses(REST_PAUSE_FIRST, REST_RETRIES_MAX);
        let mut items = Vec::with_capacity(keys.len());
        loop {
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            let wanted = wanted.build().map_err(|error| fault_from(doing, "no keys", error))?;
            let request = self.client.batch_get_item().request_items(&self.name, wanted);
            let answer = request.send().await.map_err(|error| table_error(doing, error))?;
            items.extend(
                answer.responses.unwrap_or_default().remove(&self.name).into_iter().flatten(),
            );
            let rest = answer.unprocessed_keys.unwrap_or_default().remove(&self.name);
            keys = rest.map(|rest| rest.keys).unwrap_or_default();
            if keys.is_empty() {
                return Ok(items);
            }
            let Some(pause) = pauses.next() else {
                return Err(TableError::Unavailable { doing: doing.to_owned(), source: None });
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Writes one item under a condition.
    async fn put(&self, draft: Draft, condition: Condition) -> Result<Put, TableError> {
        let doing = format!("writing {}", draft.key());
        let (expression, names, values) = condition.into_parts();
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(draft.build()))
            .set_condition_expression(expression)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values);
        match request.send().await {
            Ok(_) => Ok(Put::Done),
            Err(SdkError::ServiceError(answer))
                if answer.err().is_conditional_check_failed_exception() =>
            {
                Ok(Put::Refused)
            }
            Err(SdkError::ServiceError(answer))
                if matches!(answer.err(), PutItemError::TransactionConflictException(_)) =>
            {
                Ok(Put::Busy)
            }
            Err(error) => Err(table_error(&doing, error)),
        }
    }

    /// Writes one item unless it is there already; then it stays as it is.
    async fn insert(&self, draft: Draft) -> Result<(), TableError> {
        let doing = format!("writing {}", draft.key());
        match self.put(draft, Condition::Absent).await? {
            Put::Done | Put::Refused => Ok(()),
            Put::Busy => Err(TableError::Unavailable { doing, source: None }),
        }
    }
}

/// Pauses between tries of a write that others' transactions keep in the way of.
fn contention_pauses() -> impl Iterator<Item = Duration> {
    pauses(CONTENTION_PAUSE_FIRST, CONTENTION_RETRIES_MAX)
}

/// Pauses that double, with jitter.
fn pauses(first: Duration, times_max: usize) -> impl Iterator<Item = Duration> {
    let pauses = ExponentialBuilder::default().with_min_delay(first).with_max_times(times_max);
    pauses.with_jitter().build()
}

/// Items by their sort key, for a read of items whose sort keys differ.
fn by_sort_key(items: Vec<Item>) -> HashMap<String, Item> {
    let sort_key = |item: &Item| item.get("sk").and_then(|sk| sk.as_s().ok()).cloned();
    items.into_iter().filter_map(|item| Some((sort_key(&item)?, item))).collect()
}
