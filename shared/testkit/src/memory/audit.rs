//! Audit entries in memory, linked to their chains as in the real table.

use std::collections::BTreeMap;

use jiff::civil::Date;
use simfuse_domain::audit::{
    AuditEntry, AuditRecord, ChainHead, ChainName, DayHeads, Head, HeadsRun, KnownHead, Salt,
    Verified, Verifier,
};
use simfuse_domain::port::{
    AuditCursor, AuditLog, AuditPage, AuditQuery, AuditTrail, Committed, HeadsLog, TableError,
};

use super::{MemoryTable, fault};

/// Time to the millisecond, chain and id: what an entry is found by.
type Key = (i64, ChainName, String);

/// All that the table holds of the audit.
#[derive(Debug, Default)]
pub(super) struct AuditContent {
    records: BTreeMap<Key, AuditRecord>,
    heads: BTreeMap<ChainName, Head>,
    pages: BTreeMap<(Date, u32), Vec<ChainHead>>,
    days: BTreeMap<Date, DayHeads>,
    run: Option<HeadsRun>,
    run_version: u64,
}

impl AuditContent {
    /// Adds entries, all or none. The same entry may come again, and keeps its place then.
    pub(super) fn add(&mut self, entries: &[AuditEntry]) -> Result<(), TableError> {
        let kept = |entry: &AuditEntry| self.records.get(&key_of(entry));
        if entries.iter().any(|entry| kept(entry).is_some_and(|kept| kept.entry != *entry)) {
            return Err(fault("recording a decision", "an audit entry says something else"));
        }
        for entry in entries {
            let key = key_of(entry);
            if self.records.contains_key(&key) {
                continue;
            }
            let known =
                self.heads.get(&key.1).map_or(KnownHead::Nothing, |head| KnownHead::Head(*head));
            // Like a real one it differs from entry to entry; unlike one it can be guessed, so that
            // a test that runs again does the same again.
            let salt =
                Salt::from_bytes(u128::try_from(self.records.len()).unwrap_or(0).to_be_bytes());
            let record = AuditRecord::after(known, entry.clone(), salt);
            if let Some(head) = record.head() {
                self.heads.insert(key.1, head);
            }
            self.records.insert(key, record);
        }
        Ok(())
    }
}

fn key_of(entry: &AuditEntry) -> Key {
    (entry.at.as_millisecond(), ChainName::of(entry), entry.id.clone())
}

impl MemoryTable {
    /// All audit entries, by time.
    #[must_use]
    pub fn audit(&self) -> Vec<AuditEntry> {
        self.content().audit.records.values().map(|record| record.entry.clone()).collect()
    }

    /// Whether a chain holds.
    #[must_use]
    pub fn verified(&self, chain: ChainName) -> Verified {
        let content = self.content();
        let mut verifier = Verifier::new(chain);
        let records = content.audit.records.iter().filter(|((_, of, _), _)| *of == chain);
        records.for_each(|(_, record)| verifier.take(record));
        verifier.finish(content.audit.heads.get(&chain).copied(), &[])
    }

    /// Changes what is kept of the audit entries, as someone who may write the table might.
    pub fn tamper(&self, change: impl FnOnce(&mut Vec<AuditRecord>)) {
        let mut content = self.content();
        let mut records: Vec<AuditRecord> =
            std::mem::take(&mut content.audit.records).into_values().collect();
        change(&mut records);
        let keyed = records.into_iter().map(|record| (key_of(&record.entry), record));
        content.audit.records = keyed.collect();
    }

    /// Loses the end of a chain.
    pub fn lose_head(&self, chain: ChainName) {
        self.content().audit.heads.remove(&chain);
    }
}

impl AuditLog for MemoryTable {
    async fn record_audit(&self, entry: &AuditEntry) -> Result<(), TableError> {
        self.content().audit.add(std::slice::from_ref(entry))
    }
}

impl AuditTrail for MemoryTable {
    async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, TableError> {
        if query.entries_max == 0 {
            return Err(fault("reading audit entries", "a page of none"));
        }
        let after = match &query.after {
            Some(AuditCursor::After { at, chain, id }) => {
                Some((at.as_millisecond(), *chain, id.clone()))
            }
            Some(AuditCursor::From(hour)) => {
                // No entry has this key: one at the time itself comes behind it.
                Some((hour.start().as_millisecond(), ChainName::Account, String::new()))
            }
            None => None,
        };
        let content = self.content();
        let (since, until) = (query.since.as_millisecond(), query.until.as_millisecond());
        let wanted = content.audit.records.iter().filter(|(key, _)| {
            (since..until).contains(&key.0)
                && query.chain.is_none_or(|chain| key.1 == chain)
                && after.as_ref().is_none_or(|after| *key > after)
        });
        let mut records: Vec<AuditRecord> =
            wanted.map(|(_, record)| record.clone()).take(query.entries_max + 1).collect();
        let has_more = records.len() > query.entries_max;
        records.truncate(query.entries_max);
        let last = records.last().filter(|_| has_more).map(|last| &last.entry);
        let next = last.map(|entry| AuditCursor::After {
            at: entry.at,
            chain: ChainName::of(entry),
            id: entry.id.clone(),
        });
        Ok(AuditPage { records, unreadable: 0, next })
    }

    async fn audit_head(&self, chain: ChainName) -> Result<Option<Head>, TableError> {
        Ok(self.content().audit.heads.get(&chain).copied())
    }

    async fn heads_page(&self, day: Date, page: u32) -> Result<Option<Vec<ChainHead>>, TableError> {
        Ok(self.content().audit.pages.get(&(day, page)).cloned())
    }

    async fn day_heads(&self, day: Date) -> Result<Option<DayHeads>, TableError> {
        Ok(self.content().audit.days.get(&day).copied())
    }
}

impl HeadsLog for MemoryTable {
    async fn read_heads_run(&self) -> Result<(Option<HeadsRun>, u64), TableError> {
        let content = self.content();
        Ok((content.audit.run.clone(), content.audit.run_version))
    }

    async fn write_heads_run(
        &self,
        run: &HeadsRun,
        page: Option<&[ChainHead]>,
        read: u64,
    ) -> Result<Committed, TableError> {
        let audit = &mut self.content().audit;
        if audit.run_version != read {
            return Ok(Committed::Conflict);
        }
        let DayHeads { day, pages, .. } = run.so_far;
        if let Some(page) = page {
            audit.pages.insert((day, pages), page.to_vec());
        }
        if run.is_whole {
            audit.days.insert(day, run.so_far);
        }
        audit.run = Some(run.clone());
        audit.run_version = read.saturating_add(1);
        Ok(Committed::Done)
    }
}
