//! How far the aggregator has come: what one run leaves for the next.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{FleetSims, Pass, UsageStore, UsageWindow};
use simfuse_domain::time::Hour;

use crate::error::AggregatorError;
use crate::run::DAYS_COMPARED;

/// The account's checkpoint.
const RUN: &str = "RUN";

/// A checkpoint with the version that it was read with, or written with last.
#[derive(Debug)]
pub(crate) struct Checkpoint<C> {
    name: String,
    version: u64,
    /// What is kept.
    pub(crate) content: C,
}

impl<C: Serialize + DeserializeOwned + Default> Checkpoint<C> {
    /// Reads it; one that was never written is empty.
    pub(crate) async fn read<T: UsageStore>(
        table: &T,
        name: String,
    ) -> Result<Self, AggregatorError> {
        let doing = format!("reading the checkpoint {name}");
        let read = table.read_checkpoint(&name).await.map_err(AggregatorError::table(doing))?;
        let Some((text, version)) = read else {
            return Ok(Self { name, version: 0, content: C::default() });
        };
        match serde_json::from_str(&text) {
            Ok(content) => Ok(Self { name, version, content }),
            Err(source) => Err(AggregatorError::Checkpoint { name, source }),
        }
    }

    /// Writes it, unless another run has.
    pub(crate) async fn write<T: UsageStore>(
        &mut self,
        table: &T,
        now: Timestamp,
    ) -> Result<(), AggregatorError> {
        let text = serde_json::to_string(&self.content);
        let text =
            text.map_err(|source| AggregatorError::Checkpoint { name: self.name.clone(), source })?;
        let doing = format!("writing the checkpoint {}", self.name);
        let written = table.write_checkpoint(&self.name, &text, self.version, now).await;
        if !written.map_err(AggregatorError::table(doing))? {
            return Err(AggregatorError::Overtaken { name: self.name.clone() });
        }
        self.version = self.version.saturating_add(1);
        Ok(())
    }
}

/// The account's progress.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The run under way: no other may begin before it is over.
    pub(crate) lease: Option<Lease>,
    /// The latest hour that is closed for all fleets but those that are behind.
    pub(crate) closed_through: Option<Hour>,
    /// Fleets that could not be read when others were closed, and the latest hour that is closed for
    /// them.
    #[serde(default)]
    pub(crate) behind: BTreeMap<FleetSid, Hour>,
    /// The latest hour that was seen for all fleets.
    pub(crate) seen_through: Option<Hour>,
    /// The latest day whose totals were compared.
    pub(crate) compared_through: Option<Hour>,
    /// The day of which the inventory was last taken.
    pub(crate) inventory_of: Option<Hour>,
    /// When that was.
    pub(crate) inventory_at: Option<Timestamp>,
    /// The inventory that is being taken.
    pub(crate) inventory: Option<Inventory>,
    /// How the account's history is read at first.
    pub(crate) history: History,
    /// Since when sessions end without updates.
    pub(crate) updates_missed_since: Option<Timestamp>,
    /// Hours of the last two weeks in which any SIM used data.
    pub(crate) active_hours: BTreeSet<Hour>,
}

/// The right to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// Whose: the invocation's id.
    pub(crate) owner: String,
    /// A run that is not over by then has died.
    pub(crate) until: Timestamp,
}

/// The inventory that is being taken.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Inventory {
    /// Where the list of SIMs goes on; `None` at its begin.
    pub(crate) next: Option<String>,
    /// Pages read so far.
    pub(crate) pages: u32,
    /// Whether all pages are read.
    pub(crate) is_read: bool,
    /// SIMs so far, by fleet and status.
    pub(crate) sims: BTreeMap<FleetSid, FleetSims>,
    /// SIMs so far, with those that have no fleet.
    pub(crate) sims_read: u64,
    /// SIMs so far whose bytes no event showed, the first ones by name.
    pub(crate) unseen: Suspects,
    /// SIMs so far that fell silent.
    pub(crate) silent: Suspects,
}

/// SIMs of which something is told together.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Suspects {
    /// How many there are.
    pub(crate) count: u64,
    /// What was found of the first ones.
    pub(crate) named: Vec<String>,
}

/// How far the history is read.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum History {
    /// Not begun.
    #[default]
    Unread,
    /// Under way.
    Reading {
        /// Where the list of SIMs goes on.
        next: Option<String>,
        /// SIMs of that page that are done.
        sims_done_of_page: usize,
        /// SIMs done in all.
        sims_done: u64,
    },
    /// Every SIM's history is taught.
    Read,
}

/// How far an account is to be taken to have come, whatever was read before: its history is known, and
/// no run is under way. For setting up a table without a first run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The latest hour that is closed for all fleets; the next run goes on with the one after it.
    pub closed_through: Hour,
    /// The latest hour that was seen for all fleets.
    pub seen_through: Hour,
    /// The latest hour whose day was compared; a day is, when its last hour is closed.
    pub compared_through: Hour,
    /// The first hour of the day of which the inventory was last taken.
    pub inventory_of: Hour,
}

impl Reached {
    /// Writes it as the account's checkpoint.
    ///
    /// # Errors
    /// [`AggregatorError`] when the table fails, holds what cannot be read, or another run writes
    /// at the same time.
    pub async fn write<T: UsageStore>(
        self,
        table: &T,
        now: Timestamp,
    ) -> Result<(), AggregatorError> {
        let mut run = Checkpoint::of_run(table).await?;
        run.content = Run {
            closed_through: Some(self.closed_through),
            seen_through: Some(self.seen_through),
            compared_through: Some(self.compared_through),
            inventory_of: Some(self.inventory_of),
            history: History::Read,
            ..Run::default()
        };
        run.write(table, now).await
    }
}

/// The progress of one fleet in one window.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Which window and pass; another one's task is begun anew.
    pub(crate) of: String,
    /// Pages read.
    pub(crate) pages: u32,
    /// Where the records go on; `None` at their begin and their end.
    pub(crate) next: Option<String>,
    /// Whether all pages are read.
    pub(crate) is_read: bool,
    /// Whether totals and ranks are written.
    pub(crate) is_done: bool,
}

impl Checkpoint<Run> {
    /// The account's.
    pub(crate) async fn of_run<T: UsageStore>(table: &T) -> Result<Self, AggregatorError> {
        Self::read(table, RUN.to_owned()).await
    }
}

impl Checkpoint<Task> {
    /// One fleet's in this window. What is seen, what is closed and each of the days that are
    /// compared one after the other have progress of their own: none wipes another's. A day is
    /// compared again with each of the days after it, of which `due` is the last hour.
    pub(crate) async fn of_fleet<T: UsageStore>(
        table: &T,
        fleet: FleetSid,
        window: UsageWindow,
        pass: Pass,
        due: Hour,
    ) -> Result<Self, AggregatorError> {
        let of = format!("{pass:?} {} with {due}", window.window().name());
        let kind = match (window, pass) {
            (UsageWindow::Hour(_), Pass::Fresh) => "SEE".to_owned(),
            (UsageWindow::Hour(_), Pass::Close) => "CLOSE".to_owned(),
            (UsageWindow::Day(day), _) => format!("DAY{}", day.days() % DAYS_COMPARED),
        };
        let mut task = Self::read(table, format!("TASK#{fleet}#{kind}")).await?;
        if task.content.of != of {
            task.content = Task { of, ..Task::default() };
        }
        Ok(task)
    }
}
