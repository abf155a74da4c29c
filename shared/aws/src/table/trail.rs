//! Reading audit entries, of one chain or of the account; and the heads of a day.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use simfuse_domain::audit::{AuditRecord, ChainHead, ChainName, DayHeads, Head, HeadsRun};
use simfuse_domain::port::{
    AuditCursor, AuditPage, AuditQuery, AuditTrail, Committed, HeadsLog, TableError,
};
use simfuse_domain::time::Hour;

use super::Table;
use super::audit::read_record;
use super::error::{fault, table_error};
use super::item::{Draft, Item, Row, key_of};
use super::keys::{Key, SHARDS, audit_chain, audit_from, audit_hour, chain_shard, sortable};
use super::lists::INDEX;
use super::transaction::{Condition, Transaction};

/// Hours of the account that one page looks through: the empty ones among them cost eight small
/// reads each.
const HOURS_MAX: usize = 24;

/// Bytes of texts in one page, but for one entry: the answer of a function may have 6 MB, and its
/// JSON some more than the texts.
const PAGE_BYTES_MAX: usize = 1_000_000;

/// Entries that are read of a shard beyond its share of a page: with that most pages are full.
const SHARE_SPARE: usize = 8;

impl AuditTrail for Table {
    async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, TableError> {
        if query.entries_max == 0 {
            return Err(fault("reading audit entries", "a page of none"));
        }
        match query.chain {
            Some(chain) => self.chain_page(chain, query).await,
            None => self.account_page(query).await,
        }
    }

    async fn audit_head(&self, chain: ChainName) -> Result<Option<Head>, TableError> {
        self.read_head(chain).await
    }

    async fn heads_page(&self, day: Date, page: u32) -> Result<Option<Vec<ChainHead>>, TableError> {
        let item = self.get(&Key::heads_page(day, page)).await?;
        item.map(|item| Row(&item).json("heads")).transpose()
    }

    async fn day_heads(&self, day: Date) -> Result<Option<DayHeads>, TableError> {
        let item = self.get(&Key::day_heads(day)).await?;
        item.map(|item| Row(&item).json("day")).transpose()
    }
}

impl HeadsLog for Table {
    async fn read_heads_run(&self) -> Result<(Option<HeadsRun>, u64), TableError> {
        match self.get(&Key::heads_run()).await? {
            Some(item) => {
                let row = Row(&item);
                Ok((Some(row.json("run")?), row.number("version")?))
            }
            None => Ok((None, 0)),
        }
    }

    async fn write_heads_run(
        &self,
        run: &HeadsRun,
        page: Option<&[ChainHead]>,
        read: u64,
    ) -> Result<Committed, TableError> {
        let day = run.so_far.day;
        let mut transaction = Transaction::new(self, format!("recording the heads of {day}"));
        let draft = Draft::new(Key::heads_run())
            .json("run", run)?
            .number("version", read.saturating_add(1));
        transaction.put((), draft, Condition::as_read(read))?;
        if let Some(page) = page {
            let key = Key::heads_page(day, run.so_far.pages);
            transaction.put((), Draft::new(key).json("heads", &page)?, Condition::Free)?;
        }
        if run.is_whole {
            let draft = Draft::new(Key::day_heads(day)).json("day", &run.so_far)?;
            transaction.put((), draft, Condition::Free)?;
        }
        let refused = Box::pin(transaction.run()).await?;
        Ok(if refused.is_empty() { Committed::Done } else { Committed::Conflict })
    }
}

/// Where the entries of a shard and an hour begin that a page wants.
enum From<'a> {
    /// At this time.
    At(Timestamp),
    /// After this time.
    After(Timestamp),
    /// Behind this entry.
    Behind(&'a Key, Timestamp),
}

/// Entries of one shard, by time.
struct Shard {
    number: u8,
    items: Vec<Item>,
    /// Whether others follow.
    more: bool,
}

impl Table {
    /// Entries of one chain, by time and id.
    async fn chain_page(
        &self,
        chain: ChainName,
        query: &AuditQuery,
    ) -> Result<AuditPage, TableError> {
        let start = match &query.after {
            Some(AuditCursor::After { at, id, .. }) => Some(key_of(&Key::audit_of(chain, *at, id))),
            Some(AuditCursor::From(_)) | None => None,
        };
        let limit = i32::try_from(query.entries_max).unwrap_or(i32::MAX);
        let text = AttributeValue::S;
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk BETWEEN :since AND :until")
            .expression_attribute_values(":pk", text(audit_chain(chain)))
            .expression_attribute_values(":since", text(audit_from(query.since)))
            // The keys of that moment go on behind this, so none of them is in the span.
            .expression_attribute_values(":until", text(audit_from(query.until)))
            .set_exclusive_start_key(start)
            .limit(limit);
        let answer = request.send().await;
        let doing = || format!("reading the audit of {chain}");
        let answer = answer.map_err(|error| table_error(&doing(), error))?;
        let mut page = AuditPage { records: Vec::new(), unreadable: 0, next: None };
        for item in answer.items.unwrap_or_default() {
            page.add(&item);
        }
        page.next = match answer.last_evaluated_key {
            Some(last) => Some(cursor_of(chain, Row(&last))?),
            None => None,
        };
        Ok(page)
    }

    /// Entries of all chains, by time, shard by shard of each hour.
    async fn account_page(&self, query: &AuditQuery) -> Result<AuditPage, TableError> {
        let first = Hour::of(query.since);
        let (mut hour, mut after) = match &query.after {
            Some(AuditCursor::After { at, chain, id }) => (Hour::of(*at), Some((*at, *chain, id))),
            Some(AuditCursor::From(hour)) => ((*hour).max(first), None),
            None => (first, None),
        };
        let mut page = AuditPage { records: Vec::new(), unreadable: 0, next: None };
        let mut bytes = 0_usize;
        for _ in 0..HOURS_MAX {
            if hour.start() >= query.until {
                return Ok(page);
            }
            let room = query.entries_max.saturating_sub(page.records.len());
            let (items, is_whole) = self.hour_of_account(hour, after, query, room).await?;
            let count = items.len();
            for (place, item) in items.iter().enumerate() {
                page.add(item);
                bytes = bytes.saturating_add(text_bytes(item));
                let is_full = bytes >= PAGE_BYTES_MAX || page.records.len() >= query.entries_max;
                let is_last = place.saturating_add(1) == count;
                let others_follow = !(is_last && is_whole);
                if others_follow && (is_full || is_last) {
                    page.next = Some(cursor_at(Row(item))?);
                    return Ok(page);
                }
            }
            (hour, after) = (hour.after(), None);
            if bytes >= PAGE_BYTES_MAX || page.records.len() >= query.entries_max {
                break;
            }
        }
        page.next = (hour.start() < query.until).then_some(AuditCursor::From(hour));
        Ok(page)
    }

    /// So many of an hour's entries, by time and shard; and whether that is all of them.
    async fn hour_of_account(
        &self,
        hour: Hour,
        after: Option<(Timestamp, ChainName, &String)>,
        query: &AuditQuery,
        room: usize,
    ) -> Result<(Vec<Item>, bool), TableError> {
        let key = after.map(|(at, chain, id)| (at, Key::audit_of(chain, at, id), chain));
        let limit = room.div_ceil(usize::from(SHARDS)).saturating_add(SHARE_SPARE).min(room);
        let since = query.since.max(hour.start());
        let shards = (0..SHARDS).map(|shard| {
            // Entries come by time, and those of one time by shard.
            let from = match &key {
                None => From::At(since),
                Some((at, key, chain)) if chain_shard(*chain) == shard => From::Behind(key, *at),
                Some((at, _, chain)) if chain_shard(*chain) > shard => From::After(*at),
                Some((at, _, _)) => From::At(*at),
            };
            Box::pin(self.shard_of_hour(hour, shard, from, since, limit))
        });
        let shards = try_join_all(shards).await?;
        // What comes behind the last entry of a shard that has more may come behind more of them.
        let ends = shards.iter().filter(|shard| shard.more).filter_map(|shard| {
            let last = shard.items.last()?;
            Some((time_of(last).to_owned(), shard.number))
        });
        let end = ends.min();
        let until = sortable(query.until);
        let mut items: Vec<(String, u8, Item)> = Vec::new();
        for Shard { number, items: of_shard, .. } in shards {
            items
                .extend(of_shard.into_iter().map(|item| (time_of(&item).to_owned(), number, item)));
        }
        // Stable: a shard's own order stays.
        items.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        let is_known = |(at, shard, _): &(String, u8, Item)| {
            end.as_ref().is_none_or(|(end, last)| (at, shard) <= (end, last))
        };
        let mut whole = end.is_none();
        let mut kept: Vec<Item> = Vec::new();
        for item in items.into_iter().filter(is_known) {
            if item.0 >= until {
                whole = true;
                break;
            }
            if kept.len() >= room {
                whole = false;
                break;
            }
            kept.push(item.2);
        }
        Ok((kept, whole))
    }

    async fn shard_of_hour(
        &self,
        hour: Hour,
        number: u8,
        from: From<'_>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Shard, TableError> {
        let partition = audit_hour(hour.start(), number);
        let (condition, from, start) = match from {
            From::At(at) => ("#isk >= :from", at, None),
            From::After(at) => ("#isk > :from", at, None),
            From::Behind(key, at) => {
                let mut start = key_of(key);
                start.insert("ipk".to_owned(), AttributeValue::S(partition.clone()));
                start.insert("isk".to_owned(), AttributeValue::S(sortable(at)));
                ("#isk >= :from", since, Some(start))
            }
        };
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(INDEX)
            .key_condition_expression(format!("#ipk = :partition AND {condition}"))
            .expression_attribute_names("#ipk", "ipk")
            .expression_attribute_names("#isk", "isk")
            .expression_attribute_values(":partition", AttributeValue::S(partition.clone()))
            .expression_attribute_values(":from", AttributeValue::S(sortable(from)))
            .set_exclusive_start_key(start)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = request.send().await;
        let answer = answer.map_err(|error| table_error(&format!("listing {partition}"), error))?;
        let more = answer.last_evaluated_key.is_some();
        Ok(Shard { number, items: answer.items.unwrap_or_default(), more })
    }
}

/// Adds what can be read; what cannot must not keep anyone from the rest.
trait Add {
    fn add(&mut self, item: &Item);
}

impl Add for AuditPage {
    fn add(&mut self, item: &Item) {
        let read: Result<AuditRecord, TableError> = read_record(item);
        match read {
            Ok(record) => self.records.push(record),
            Err(error) => {
                tracing::error!(
                    error = %simfuse_domain::chain::Chain(&error),
                    "an audit entry cannot be read; the rest is read without it"
                );
                self.unreadable = self.unreadable.saturating_add(1);
            }
        }
    }
}

/// The cursor behind an item, by its key alone: its entry may be unreadable.
fn cursor_at(row: Row<'_>) -> Result<AuditCursor, TableError> {
    let chain = row.text("pk")?.trim_start_matches("KS#");
    let chain = chain.parse().map_err(|error| row.fault_from("pk", error))?;
    cursor_of(chain, row)
}

fn cursor_of(chain: ChainName, row: Row<'_>) -> Result<AuditCursor, TableError> {
    let key = row.text("sk")?.strip_prefix("AUDIT#").and_then(|key| key.split_once('#'));
    let (at, id) = key.ok_or_else(|| row.fault("its key is not an audit entry's"))?;
    let at = at.parse().map_err(|error| row.fault_from("sk", error))?;
    Ok(AuditCursor::After { at, chain, id: id.to_owned() })
}

fn time_of(item: &Item) -> &str {
    item.get("isk").and_then(|isk| isk.as_s().ok()).map_or("", String::as_str)
}

fn text_bytes(item: &Item) -> usize {
    item.values().filter_map(|value| value.as_s().ok()).map(String::len).sum()
}
