//! The aggregator's items: usage by hour and day, of SIMs and fleets, the inventory, checkpoints.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::evidence::{COHORT_SCHEMA, Cohort, Sketch};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Desired;
use simfuse_domain::money::{Bill, Money};
use simfuse_domain::port::{
    Fleet, FleetItem, Part, Pass, Recorded, Sim, SimStatus, TableError, UsageItem, UsageStore,
    UsageWindow, Usages, Used,
};
use simfuse_domain::usage::{SimUsage, USAGE_SCHEMA};

use super::error::{fault_from, table_error};
use super::item::{Draft, Item, Row};
use super::keys::{Key, parts_of};
use super::transaction::{Condition, Transaction};
use super::{Put, REST_PAUSE_FIRST, REST_RETRIES_MAX, Table, contention_pauses, pauses};

/// Items of one BatchWriteItem (its own limit).
const BATCH_PUTS_MAX: usize = 25;

/// Batches written at the same time: as many connections as one run keeps open.
const BATCHES_AT_ONCE: usize = 8;

/// How long an hour of a SIM is kept: the 31 days that the provider shows by SIM, and some to spare.
pub const HOUR_DAYS: i64 = 40;

/// How long a day is kept: a year, and a month to look back on it.
const DAY_DAYS: i64 = 400;

/// How long a part of a fleet's window is kept: until the run that needs it is certainly over.
const PART_DAYS: i64 = 2;

/// How long a checkpoint is kept that nothing writes again.
const CHECKPOINT_DAYS: i64 = 90;

/// Bytes of one SIM in a packed list: its SID and its number of bytes.
const PACKED_BYTES: usize = 24;

impl Usages for Table {
    async fn read_usages(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, SimUsage>, TableError> {
        if sims.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys = sims.iter().map(|sim| Key::usage(*sim)).collect();
        let items = self.get_all(keys, "reading the usage of a batch of SIMs").await?;
        let usages = items.iter().filter_map(|item| readable_usage(Row(item)));
        Ok(usages.map(|usage| (usage.sim, usage)).collect())
    }

    async fn read_cohort(&self, fleet: FleetSid) -> Result<Option<Cohort>, TableError> {
        let item = self.get(&Key::cohort(fleet)).await?;
        item.map(|item| read_cohort(Row(&item))).transpose()
    }
}

/// Usage for those who only judge by it. What cannot be read, because a newer version wrote it, must
/// not keep a SIM's events from being stored.
fn readable_usage(row: Row<'_>) -> Option<SimUsage> {
    match read_usage(row) {
        Ok(usage) => Some(usage),
        Err(error) => {
            tracing::error!(
                error.message = %error,
                "usage cannot be read; the SIM is judged by its events alone"
            );
            None
        }
    }
}

impl UsageStore for Table {
    async fn read_recorded(
        &self,
        window: &UsageWindow,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, Recorded>, TableError> {
        if sims.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys = sims.iter().flat_map(|sim| [Key::usage(*sim), Key::used(*sim, *window)]);
        let items = self.get_all(keys.collect(), "reading what SIMs used").await?;
        let mut recorded: BTreeMap<SimSid, Recorded> = BTreeMap::new();
        for item in &items {
            let row = Row(item);
            let of_sim = recorded.entry(sim_of(row)?).or_default();
            if row.text("sk")? == "BASE" {
                of_sim.usage = Some(read_usage(row)?);
            } else {
                of_sim.used = Some(read_used(row)?);
            }
        }
        Ok(recorded)
    }

    async fn put_usage(&self, items: &[UsageItem], now: Timestamp) -> Result<(), TableError> {
        // A batch may name an item once; of two the later one stands.
        let mut drafts: HashMap<Key, Draft> = HashMap::with_capacity(items.len());
        for item in items {
            let draft = draft_of(item, now)?;
            drafts.insert(draft.key().clone(), draft);
        }
        let drafts: Vec<Item> = drafts.into_values().map(Draft::build).collect();
        let batches = drafts.chunks(BATCH_PUTS_MAX).map(|batch| {
            let batch: Vec<Item> = batch.to_vec();
            Box::pin(self.put_batch(batch))
        });
        let batches: Vec<_> = batches.collect();
        stream::iter(batches).buffer_unordered(BATCHES_AT_ONCE).try_collect().await
    }

    async fn put_together(&self, items: &[UsageItem], now: Timestamp) -> Result<(), TableError> {
        let doing = "writing usage together";
        let mut pauses = contention_pauses();
        loop {
            let mut transaction = Transaction::new(self, doing.to_owned());
            for item in items {
                transaction.put((), draft_of(item, now)?, Condition::Free)?;
            }
            if Box::pin(transaction.run()).await?.is_empty() {
                return Ok(());
            }
            let Some(pause) = pauses.next() else {
                return Err(TableError::Unavailable { doing: doing.to_owned(), source: None });
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn read_parts(
        &self,
        fleet: FleetSid,
        window: &UsageWindow,
        pass: Pass,
        from_page: u32,
    ) -> Result<Vec<Part>, TableError> {
        let first = Key::part(fleet, *window, pass, from_page);
        let last = Key::part(fleet, *window, pass, u32::MAX);
        let doing = || format!("reading {}", parts_of(*window, pass));
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", AttributeValue::S(first.pk))
            .expression_attribute_values(":first", AttributeValue::S(first.sk))
            .expression_attribute_values(":last", AttributeValue::S(last.sk));
        let answer = request.send().await.map_err(|error| table_error(&doing(), error))?;
        answer.items.unwrap_or_default().iter().map(|item| read_part(Row(item))).collect()
    }

    async fn read_desired(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Desired>, TableError> {
        if sims.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys = sims.iter().map(|sim| Key::control(*sim)).collect();
        let items = self.get_all(keys, "reading what should be of a batch of SIMs").await?;
        let desired = items.iter().map(|item| {
            let row = Row(item);
            let sim = row.text("pk")?.trim_start_matches("KS#");
            let sim = sim.parse().map_err(|error| row.fault_from("pk", error))?;
            Ok((sim, row.json("desired")?))
        });
        desired.collect()
    }

    async fn read_inventory(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Sim>, TableError> {
        if sims.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys = sims.iter().map(|sim| Key::inventory(*sim)).collect();
        let items = self.get_all(keys, "reading the inventory of a batch of SIMs").await?;
        items.iter().map(|item| read_sim(Row(item)).map(|sim| (sim.sid, sim))).collect()
    }

    async fn read_fleet(&self, fleet: FleetSid) -> Result<Option<FleetItem>, TableError> {
        let item = self.get(&Key::fleet_inventory(fleet)).await?;
        item.map(|item| read_fleet(fleet, Row(&item))).transpose()
    }

    async fn read_checkpoint(&self, name: &str) -> Result<Option<(String, u64)>, TableError> {
        let item = self.get(&Key::checkpoint(name)).await?;
        let read = |item: Item| {
            let row = Row(&item);
            Ok((row.text("checkpoint")?.to_owned(), row.number("version")?))
        };
        item.map(read).transpose()
    }

    async fn write_checkpoint(
        &self,
        name: &str,
        text: &str,
        read_version: u64,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        let draft = Draft::new(Key::checkpoint(name))
            .text("checkpoint", text)
            .number("version", read_version.saturating_add(1))
            .expires(now, CHECKPOINT_DAYS);
        Ok(self.put(draft, Condition::as_read(read_version)).await? == Put::Done)
    }
}

impl Table {
    async fn put_batch(&self, batch: Vec<Item>) -> Result<(), TableError> {
        let doing = "writing a batch of usage";
        let mut writes = Vec::with_capacity(batch.len());
        for item in batch {
            let put = PutRequest::builder().set_item(Some(item)).build();
            let put = put.map_err(|error| fault_from(doing, "incomplete request", error))?;
            writes.push(WriteRequest::builder().put_request(put).build());
        }
        let mut pauses = pauses(REST_PAUSE_FIRST, REST_RETRIES_MAX);
        loop {
            let request = self.client.batch_write_item().request_items(&self.name, writes);
            let answer = request.send().await.map_err(|error| table_error(doing, error))?;
            let rest = answer.unprocessed_items.unwrap_or_default().remove(&self.name);
            writes = rest.unwrap_or_default();
            if writes.is_empty() {
                return Ok(());
            }
            let Some(pause) = pauses.next() else {
                return Err(TableError::Unavailable { doing: doing.to_owned(), source: None });
            };
            tokio::time::sleep(pause).await;
        }
    }
}

fn draft_of(item: &UsageItem, now: Timestamp) -> Result<Draft, TableError> {
    Ok(match item {
        UsageItem::Base(usage) => {
            let key = Key::usage(usage.sim);
            let encoded = usage.encode();
            let encoded = encoded
                .map_err(|error| fault_from(&format!("writing {key}"), "the usage", error))?;
            let draft = Draft::new(key).bytes("usage", encoded).number("schema", USAGE_SCHEMA);
            match usage.closed_through() {
                Some(hour) => draft.text("closed_through", hour.to_string()),
                None => draft,
            }
        }
        UsageItem::Sim(sim, fleet, window, used) => {
            draft_used(Draft::new(Key::used(*sim, *window)), used)
                .maybe_text("fleet", fleet.map(|fleet| fleet.to_string()))
                .expires(now, days_kept(*window))
        }
        UsageItem::Fleet(fleet, window, used) => {
            let draft = draft_bill(Draft::new(Key::fleet_used(*fleet, *window)), used.bill)
                .number("sims", used.sims)
                .number("total", used.total.0)
                .number("closed", u8::from(used.closed))
                .number("rank_pages", used.rank_pages);
            draft.expires(now, DAY_DAYS)
        }
        UsageItem::Rank(fleet, window, page, sims) => {
            let draft = Draft::new(Key::rank(*fleet, *window, *page)).bytes("sims", packed(sims));
            draft.expires(now, days_kept(*window))
        }
        UsageItem::Part(fleet, window, pass, part) => {
            let key = Key::part(*fleet, *window, *pass, part.page);
            let draft = draft_bill(Draft::new(key), part.bill)
                .number("page", part.page)
                .bytes("sims", packed(&part.sims));
            draft_sketch(draft, &part.sketch)?.expires(now, PART_DAYS)
        }
        UsageItem::Cohort(fleet, cohort) => {
            let key = Key::cohort(*fleet);
            let encoded = cohort.encode();
            let encoded = encoded
                .map_err(|error| fault_from(&format!("writing {key}"), "the cohort", error))?;
            Draft::new(key).bytes("cohort", encoded).number("schema", COHORT_SCHEMA)
        }
        UsageItem::Inventory(sim) => Draft::new(Key::inventory(sim.sid))
            .maybe_text("iccid", sim.iccid.map(|iccid| iccid.to_string()))
            .maybe_text("unique_name", sim.unique_name.clone())
            .text("status", sim.status.to_string())
            .maybe_text("fleet", sim.fleet.map(|fleet| fleet.to_string())),
        UsageItem::FleetInventory(item) => {
            let Fleet { sid, unique_name, data_enabled, data_limit_mb } = &item.fleet;
            let draft = Draft::new(Key::fleet_inventory(*sid))
                .maybe_text("unique_name", unique_name.clone())
                .maybe_number("data_enabled", data_enabled.map(u8::from))
                .maybe_number("data_limit_mb", *data_limit_mb);
            match &item.sims {
                Some(sims) => draft.json("sims", sims)?,
                None => draft,
            }
        }
    })
}

fn draft_used(draft: Draft, used: &Used) -> Draft {
    draft
        .maybe_number("up", used.up.map(|bytes| bytes.0))
        .maybe_number("down", used.down.map(|bytes| bytes.0))
        .number("total", used.total.0)
        .maybe_number("billed_micros", used.billed.map(|billed| billed.micros))
        .maybe_text("currency", used.billed.map(|billed| billed.currency.to_string()))
}

fn draft_bill(draft: Draft, bill: Bill) -> Draft {
    let Some((money, of)) = bill.known() else { return draft };
    draft
        .number("billed_micros", money.micros)
        .text("currency", money.currency.to_string())
        .number("billed_of", of.0)
}

/// Most parts are of windows in which nobody is judged: they have none.
fn draft_sketch(draft: Draft, sketch: &Sketch) -> Result<Draft, TableError> {
    if sketch.is_empty() {
        return Ok(draft);
    }
    let encoded = sketch.encode();
    let encoded = encoded.map_err(|error| fault_from("writing a part", "its sketch", error))?;
    Ok(draft.bytes("sketch", encoded))
}

/// What is billed. An amount without its currency, or without the bytes that it is of, says nothing.
pub(super) fn read_bill(row: Row<'_>) -> Result<Bill, TableError> {
    let (of, money) = (row.maybe_number("billed_of")?.map(Bytes), read_money(row)?);
    Ok(of.map_or_else(Bill::default, |of| Bill::of(of, money)))
}

fn read_money(row: Row<'_>) -> Result<Option<Money>, TableError> {
    let micros = row.maybe_number("billed_micros")?;
    let currency = row.maybe_text("currency")?.and_then(|currency| currency.parse().ok());
    Ok(micros.zip(currency).map(|(micros, currency)| Money { micros, currency }))
}

const fn days_kept(window: UsageWindow) -> i64 {
    match window {
        UsageWindow::Hour(_) => HOUR_DAYS,
        UsageWindow::Day(_) => DAY_DAYS,
    }
}

/// A list of SIMs in 24 bytes each, so that thousands fit into an item.
fn packed(sims: &[(SimSid, Bytes)]) -> Vec<u8> {
    let pairs = sims.iter();
    pairs.flat_map(|(sim, bytes)| [&sim.as_bytes()[..], &bytes.0.to_be_bytes()].concat()).collect()
}

pub(super) fn unpacked(bytes: &[u8]) -> Option<Vec<(SimSid, Bytes)>> {
    let (pairs, rest) = bytes.as_chunks::<PACKED_BYTES>();
    let pair = |pair: &[u8; PACKED_BYTES]| {
        let (sim, bytes) = pair.split_first_chunk::<16>()?;
        Some((SimSid::from_bytes(*sim), Bytes(u64::from_be_bytes(bytes.try_into().ok()?))))
    };
    rest.is_empty().then(|| pairs.iter().map(pair).collect())?
}

/// Reads what is known of a SIM's usage.
pub(super) fn read_usage(row: Row<'_>) -> Result<SimUsage, TableError> {
    let found: u32 = row.number("schema")?;
    if found > USAGE_SCHEMA {
        let what = format!("the usage at {}", row.text("pk")?);
        return Err(TableError::NewerSchema { what, found, known: USAGE_SCHEMA });
    }
    let usage = SimUsage::decode(found, row.bytes("usage")?);
    let usage = usage.map_err(|error| row.fault_from("usage", error))?;
    if row.text("pk")? != Key::usage(usage.sim).pk {
        return Err(row.fault(format!("it holds the usage of {}", usage.sim)));
    }
    Ok(usage)
}

fn read_used(row: Row<'_>) -> Result<Used, TableError> {
    Ok(Used {
        up: row.maybe_number("up")?.map(Bytes),
        down: row.maybe_number("down")?.map(Bytes),
        total: Bytes(row.number("total")?),
        billed: read_money(row)?,
    })
}

fn read_part(row: Row<'_>) -> Result<Part, TableError> {
    let sims = unpacked(row.bytes("sims")?);
    Ok(Part {
        page: row.number("page")?,
        sims: sims.ok_or_else(|| row.fault("sims is not a list of SIMs"))?,
        bill: read_bill(row)?,
        sketch: read_sketch(row)?,
    })
}

fn read_sketch(row: Row<'_>) -> Result<Sketch, TableError> {
    let Some(bytes) = row.maybe_bytes("sketch")? else { return Ok(Sketch::default()) };
    Sketch::decode(bytes).map_err(|error| row.fault_from("sketch", error))
}

pub(super) fn read_cohort(row: Row<'_>) -> Result<Cohort, TableError> {
    let found: u32 = row.number("schema")?;
    if found > COHORT_SCHEMA {
        let what = format!("the cohort at {}", row.text("pk")?);
        return Err(TableError::NewerSchema { what, found, known: COHORT_SCHEMA });
    }
    Cohort::decode(found, row.bytes("cohort")?).map_err(|error| row.fault_from("cohort", error))
}

pub(super) fn read_sim(row: Row<'_>) -> Result<Sim, TableError> {
    let status = row.text("status")?;
    let status = serde_json::from_value(status.into()).unwrap_or(SimStatus::Unknown);
    Ok(Sim {
        sid: sim_of(row)?,
        iccid: row.maybe_parsed("iccid")?,
        unique_name: row.maybe_text("unique_name")?.map(str::to_owned),
        status,
        fleet: row.maybe_parsed("fleet")?,
    })
}

fn read_fleet(sid: FleetSid, row: Row<'_>) -> Result<FleetItem, TableError> {
    let enabled: Option<u8> = row.maybe_number("data_enabled")?;
    let fleet = Fleet {
        sid,
        unique_name: row.maybe_text("unique_name")?.map(str::to_owned),
        data_enabled: enabled.map(|enabled| enabled == 1),
        data_limit_mb: row.maybe_number("data_limit_mb")?,
    };
    let sims = row.maybe_text("sims")?.map(|_| row.json("sims")).transpose()?;
    Ok(FleetItem { fleet, sims })
}

pub(super) fn sim_of(row: Row<'_>) -> Result<SimSid, TableError> {
    let sim = row.text("pk")?.trim_start_matches("US#");
    sim.parse().map_err(|error| row.fault_from("pk", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_list_is_read_back_and_a_damaged_one_is_not() {
        let sims: Vec<_> =
            (0..3).map(|n| (SimSid::from_bytes([n; 16]), Bytes(u64::MAX - u64::from(n)))).collect();
        let bytes = packed(&sims);
        assert_eq!(bytes.len(), 3 * PACKED_BYTES);
        assert_eq!(unpacked(&bytes), Some(sims));
        assert_eq!(unpacked(&bytes[1..]), None);
        assert_eq!(unpacked(&[]), Some(Vec::new()));
    }
}
