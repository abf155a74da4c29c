//! History from the table of a deployed stack. It is only read.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use simfuse_aws::{HOUR_DAYS, SystemClock, Table};
use simfuse_domain::chain::Chain;
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Case, Cases as _, Clock as _, Policies as _, Sim, TableError, UsageRecord,
};

use super::recorded::Recorded;
use crate::error::CliError;
use crate::output::note;
use crate::progress::Progress;
use crate::stack::{self, TABLE_RIGHTS};

/// How long a table keeps hours for sure; what is over is deleted at some time after it.
const KEPT: SignedDuration = SignedDuration::from_hours(HOUR_DAYS * 24);

/// SIMs that are asked for at a time.
const SIMS_AT_ONCE: usize = 16;

/// Items that cannot be read of which it is said why; the others are counted.
const UNREAD_NAMED_MAX: usize = 5;

/// What a stack keeps.
pub(super) struct Stored {
    pub(super) recorded: Recorded,
    pub(super) counts: StoredCounts,
    /// The policy that is in force there, and what it is called, where it was asked for.
    pub(super) in_force: Option<(Policy, String)>,
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
    pub(super) unread: u64,
    /// The first of them, and why.
    pub(super) unread_first: Vec<String>,
    /// Whether the stop switch is set there.
    pub(super) stopped: bool,
}

impl Stored {
    /// Reads the table of this stack, and the policy in force if it is asked for.
    pub(super) async fn read(
        name: &str,
        labelled: Recorded,
        asks_policy: bool,
    ) -> Result<Self, CliError> {
        let table = stack::table_of(name).await?;
        let failed = failed(name);
        let in_force = match asks_policy {
            true => {
                let policy = table.current_policy().await.map_err(&failed)?;
                let number = policy.number().map_or("?".to_owned(), |number| number.to_string());
                Some((policy, format!("version {number}, in force in stack {name}")))
            }
            false => None,
        };
        let stopped = table.read_stop().await.map_err(&failed)?.is_some();
        let read_at = SystemClock.now();
        let kept_since = read_at.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        let Found { records, cases, inventory, sims, unread } =
            Found::read(&table, kept_since, read_at).await.map_err(&failed)?;
        let counts = StoredCounts {
            stack: name.to_owned(),
            read_at,
            sims: count(sims),
            usage_records: count(records.len()),
            since: records.iter().map(|record| record.from).min(),
            unread: count(unread.len()),
            unread_first: unread.into_iter().take(UNREAD_NAMED_MAX).collect(),
            stopped,
        };
        let recorded = labelled.with_stored(records, cases, inventory, (kept_since, read_at));
        Ok(Self { recorded, counts, in_force })
    }
}

/// What the table says.
struct Found {
    records: Vec<UsageRecord>,
    cases: Vec<Case>,
    inventory: BTreeMap<SimSid, Sim>,
    sims: usize,
    unread: Vec<String>,
}

impl Found {
    async fn read(table: &Table, since: Timestamp, now: Timestamp) -> Result<Self, TableError> {
        let (items, bytes) = table.size().await?;
        note(&format!(
            "simfuse: all of the table is read: {items} items with {bytes}, by a count that is some \
             hours old"
        ));
        // Of an hour that is not over, more will come.
        let counts = |record: &UsageRecord| since <= record.from && record.to <= now;
        let progress = Progress::of(items, "items");
        let mut pages = std::pin::pin!(table.scan_sims());
        let (mut records, mut sims) = (Vec::new(), BTreeSet::new());
        let (mut inventory, mut unread, mut scanned) = (BTreeMap::new(), Vec::new(), 0_u64);
        while let Some(page) = pages.try_next().await? {
            records.extend(page.records.into_iter().filter(counts));
            sims.extend(page.sims);
            unread.extend(page.unread);
            inventory.extend(page.inventory.into_iter().map(|sim| (sim.sid, sim)));
            scanned = scanned.saturating_add(page.scanned);
            progress.reach(scanned);
        }
        progress.finish();
        sims.extend(records.iter().filter_map(|record: &UsageRecord| record.sim));
        let mut cases = cases(table, &sims, &mut unread).await?;
        unread.extend(cases.iter_mut().flat_map(|case| std::mem::take(&mut case.unread)));
        Ok(Self { records, cases, inventory, sims: sims.len(), unread })
    }
}

/// What is stored of these SIMs. What cannot be read of one costs no other.
async fn cases(
    table: &Table,
    sims: &BTreeSet<SimSid>,
    unread: &mut Vec<String>,
) -> Result<Vec<Case>, TableError> {
    let progress = Progress::of(count(sims.len()), "SIMs");
    let mut cases = Vec::with_capacity(sims.len());
    let mut reads = stream::iter(sims).map(|sim| table.read_case(*sim)).buffered(SIMS_AT_ONCE);
    while let Some(read) = reads.next().await {
        match read {
            Ok(case) => cases.push(case),
            Err(error) if is_of_all(&error) => return Err(error),
            Err(error) => unread.push(Chain(&error).to_string()),
        }
        progress.advance();
    }
    progress.finish();
    Ok(cases)
}

/// Whether the next SIM's would fail in the same way.
fn is_of_all(error: &TableError) -> bool {
    matches!(error, TableError::Unavailable { .. }) || is_denied(error)
}

fn is_denied(error: &TableError) -> bool {
    matches!(error, TableError::Fault { reason, .. } if reason == "AccessDeniedException")
}

fn failed(stack: &str) -> impl Fn(TableError) -> CliError + use<> {
    let stack = stack.to_owned();
    move |error| {
        let why = Chain(&error).to_string();
        let rights = match is_denied(&error) {
            true => format!("; a role needs {TABLE_RIGHTS}"),
            false => String::new(),
        };
        CliError::Remote(format!("reading the table of stack {stack}: {why}{rights}"))
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
