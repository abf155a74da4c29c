//! Lists from the index: what the sweep has to look at.
//!
//! The index follows the table within a second or so, so a list may miss the newest and may show
//! what is already done. The sweep reads each case again before it does anything.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Incident;
use simfuse_domain::port::{OpenIncident, TableError};

use super::Table;
use super::error::table_error;
use super::item::{Item, Row};
use super::keys::{
    SHARDS, due_incidents, held_incidents, open_findings, sortable, telling_incidents,
};

/// Pages of a megabyte read of one shard in one sweep; the next sweep goes on.
const PAGES_MAX: usize = 10;

/// Partitions of open incidents read at the same time: 10 MB of items each at most, of a function
/// that has 512.
const READ_AT_ONCE: usize = 2;

/// Name of the index.
pub(super) const INDEX: &str = "index";

impl Table {
    /// SIMs with open findings received before the time, those with the oldest first.
    pub(super) async fn sims_with_open_findings(
        &self,
        before: Timestamp,
        sims_max: usize,
    ) -> Result<Vec<SimSid>, TableError> {
        let enough = |items: &[Item]| {
            let sims: BTreeSet<_> =
                items.iter().filter_map(|item| item.get("pk")?.as_s().ok()).collect();
            sims.len() >= sims_max
        };
        let lists = (0..SHARDS).map(|shard| {
            Box::pin(self.oldest(open_findings(shard), "#isk < :until", before, enough))
        });
        let mut found = Vec::new();
        for item in try_join_all(lists).await?.iter().flatten() {
            let row = Row(item);
            let sim = row.text("pk")?.trim_start_matches("FIND#");
            let sim: SimSid = sim.parse().map_err(|error| row.fault_from("pk", error))?;
            found.push((row.text("isk")?.to_owned(), sim));
        }
        found.sort();
        let mut seen = BTreeSet::new();
        let sims = found.into_iter().map(|(_, sim)| sim).filter(|sim| seen.insert(*sim));
        Ok(sims.take(sims_max).collect())
    }

    /// Open incidents that are due, the longest due first: so many of those in which something is to
    /// be done, and of the others.
    pub(super) async fn due_incidents(
        &self,
        due_before: Timestamp,
        incidents_max: usize,
    ) -> Result<Vec<OpenIncident>, TableError> {
        let acting = (0..SHARDS).map(due_incidents);
        let waiting =
            (0..SHARDS).flat_map(|shard| [telling_incidents(shard), held_incidents(shard)]);
        let mut due = self.incidents_in(acting, due_before, incidents_max).await?;
        due.extend(self.incidents_in(waiting, due_before, incidents_max).await?);
        due.sort_by_key(|open| (open.next_check, open.incident.sim));
        Ok(due)
    }

    /// Open incidents that a cap holds.
    pub(super) async fn incidents_held_by_cap(
        &self,
        incidents_max: usize,
    ) -> Result<Vec<OpenIncident>, TableError> {
        let lists = (0..SHARDS).map(held_incidents);
        self.incidents_in(lists, Timestamp::MAX, incidents_max).await
    }

    /// Incidents in these partitions of the index, the longest due first. Whatever waits there, it
    /// is never in memory all at once.
    ///
    /// One that cannot be read is logged and left out: it must not keep the sweep from all others.
    async fn incidents_in(
        &self,
        partitions: impl Iterator<Item = String>,
        due_before: Timestamp,
        incidents_max: usize,
    ) -> Result<Vec<OpenIncident>, TableError> {
        let enough = |items: &[Item]| items.len() >= incidents_max;
        let lists = partitions.map(|partition| {
            Box::pin(self.oldest(partition, "#isk <= :until", due_before, enough))
        });
        let lists: Vec<_> = lists.collect();
        let mut lists = stream::iter(lists).buffer_unordered(READ_AT_ONCE);
        let mut found: Vec<OpenIncident> = Vec::new();
        while let Some(items) = lists.next().await {
            for item in &items? {
                match read_due(Row(item)) {
                    Ok(incident) => found.push(incident),
                    Err(error) => tracing::error!(
                        error.message = %error,
                        "an open incident cannot be read; the sweep goes on without it"
                    ),
                }
            }
            found.sort_by_key(|open| (open.next_check, open.incident.sim));
            found.truncate(incidents_max);
        }
        Ok(found)
    }

    /// Items of one partition of the index, the oldest first, until there are enough.
    async fn oldest(
        &self,
        partition: String,
        until: &'static str,
        time: Timestamp,
        enough: impl Fn(&[Item]) -> bool,
    ) -> Result<Vec<Item>, TableError> {
        let mut items: Vec<Item> = Vec::new();
        let mut start = None;
        for _ in 0..PAGES_MAX {
            let request = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(INDEX)
                .key_condition_expression(format!("#ipk = :partition AND {until}"))
                .expression_attribute_names("#ipk", "ipk")
                .expression_attribute_names("#isk", "isk")
                .expression_attribute_values(":partition", AttributeValue::S(partition.clone()))
                .expression_attribute_values(":until", AttributeValue::S(sortable(time)))
                .set_exclusive_start_key(start);
            let answer = request.send().await;
            let doing = || format!("listing {partition}");
            let answer = answer.map_err(|error| table_error(&doing(), error))?;
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || enough(&items) {
                break;
            }
        }
        Ok(items)
    }
}

fn read_due(row: Row<'_>) -> Result<OpenIncident, TableError> {
    let incident: Incident = row.json("incident")?;
    Ok(OpenIncident { next_check: row.parsed("isk")?, incident })
}
