//! History from the table of a deployed stack. It is only read.

use std::collections::BTreeSet;
use std::path::Path;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use simfuse_aws::{SystemClock, Table};
use simfuse_domain::chain::Chain;
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Case, Cases as _, Clock as _, Policies as _, SimStatus, TableError, TargetStatus, UsageRecord,
    UsageStore as _,
};

use super::recorded::Recorded;
use crate::error::CliError;
use crate::output::note;
use crate::progress::Progress;
use crate::stack::{self, TABLE_RIGHTS};

/// SIMs that are asked for at a time.
const SIMS_AT_ONCE: usize = 16;

/// SIMs of the inventory that are asked for in one call.
const INVENTORY_AT_ONCE: usize = 1_000;

/// Items that cannot be read of which it is said why; the others are counted.
const UNREAD_NAMED_MAX: usize = 5;

/// What a stack keeps.
pub(super) struct Stored {
    pub(super) recorded: Recorded,
    pub(super) counts: StoredCounts,
    table: Table,
}

/// What was in the table.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StoredCounts {
    pub(super) stack: String,
    pub(super) read_at: Timestamp,
    /// SIMs with usage, events or both.
    pub(super) sims: u64,
    pub(super) usage_records: u64,
    /// When the first hour begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    /// SIMs of which what is stored was judged.
    pub(super) as_they_stand: u64,
    /// SIMs that are off: of these only their hours were judged.
    pub(super) off: u64,
    pub(super) unread: u64,
    /// The first of them, and why.
    pub(super) unread_first: Vec<String>,
}

impl Stored {
    /// Reads the table of this stack.
    pub(super) async fn read(name: &str, labels: Option<&Path>) -> Result<Self, CliError> {
        let table = stack::table_of(name).await?;
        let read_at = SystemClock.now();
        let found = Found::read(&table, read_at).await.map_err(failed(name))?;
        let Found { records, cases, sims, off, unread } = found;
        let counts = StoredCounts {
            stack: name.to_owned(),
            read_at,
            sims: count(sims),
            usage_records: count(records.len()),
            since: records.iter().map(|record| record.from).min(),
            as_they_stand: count(cases.len()),
            off,
            unread: count(unread.len()),
            unread_first: unread.into_iter().take(UNREAD_NAMED_MAX).collect(),
        };
        note(
            "simfuse: a table keeps no events: rules on devices, places and sessions were judged by \
             what is stored of each SIM now; of the hours before, usage alone",
        );
        let recorded = Recorded::stored(records, cases, labels, read_at)?;
        Ok(Self { recorded, counts, table })
    }

    /// The policy that is in force there, and what to call it.
    pub(super) async fn policy_in_force(&self) -> Result<(Policy, String), CliError> {
        let stack = &self.counts.stack;
        let policy = self.table.current_policy().await.map_err(failed(stack))?;
        let number = policy.number().map_or("?".to_owned(), |number| number.to_string());
        let called = format!("version {number}, in force in stack {stack}");
        Ok((policy, called))
    }
}

/// What the table says.
struct Found {
    records: Vec<UsageRecord>,
    cases: Vec<Case>,
    sims: usize,
    off: u64,
    unread: Vec<String>,
}

impl Found {
    async fn read(table: &Table, now: Timestamp) -> Result<Self, TableError> {
        let progress = Progress::of(table.count().await?, "items");
        let mut pages = std::pin::pin!(table.scan_sims());
        let (mut records, mut sims) = (Vec::new(), BTreeSet::new());
        let (mut unread, mut scanned) = (Vec::new(), 0_u64);
        while let Some(page) = pages.try_next().await? {
            // Of an hour that is not over, more will come.
            records.extend(page.records.into_iter().filter(|record| record.to <= now));
            sims.extend(page.sims);
            unread.extend(page.unread);
            scanned = scanned.saturating_add(page.scanned);
            progress.reach(scanned);
        }
        progress.finish();
        sims.extend(records.iter().filter_map(|record: &UsageRecord| record.sim));
        let (read, off) = cases(table, &sims).await?;
        let mut cases = Vec::with_capacity(read.len());
        for mut case in read {
            unread.append(&mut case.unread);
            cases.push(case);
        }
        Ok(Self { records, cases, sims: sims.len(), off, unread })
    }
}

/// What is stored of the SIMs that are on, and how many are off.
async fn cases(table: &Table, sims: &BTreeSet<SimSid>) -> Result<(Vec<Case>, u64), TableError> {
    let sims: Vec<SimSid> = sims.iter().copied().collect();
    let progress = Progress::of(count(sims.len()), "SIMs");
    let (mut on, mut off) = (Vec::with_capacity(sims.len()), 0_u64);
    for some in sims.chunks(INVENTORY_AT_ONCE) {
        let inventory = table.read_inventory(some).await?;
        let cases = stream::iter(some.iter().map(|sim| table.read_case(*sim)));
        let mut cases = cases.buffered(SIMS_AT_ONCE);
        while let Some(case) = cases.try_next().await? {
            let status = inventory.get(&case.sim).map(|sim| sim.status);
            let is_off = case.desired.0.status == Some(TargetStatus::Inactive)
                || status == Some(SimStatus::Inactive);
            if is_off {
                off = off.saturating_add(1);
            } else {
                on.push(case);
            }
            progress.advance();
        }
    }
    progress.finish();
    Ok((on, off))
}

fn failed(stack: &str) -> impl Fn(TableError) -> CliError + use<> {
    let stack = stack.to_owned();
    move |error| {
        let why = Chain(&error).to_string();
        let rights = match why.contains("AccessDenied") {
            true => format!("; a role needs {TABLE_RIGHTS}"),
            false => String::new(),
        };
        CliError::Remote(format!("reading the table of stack {stack}: {why}{rights}"))
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
