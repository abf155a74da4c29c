//! The aggregator's items: usage by hour and day, of SIMs and fleets; and how far it has come.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::evidence::{Cohort, Sketch};
use crate::id::{FleetSid, SimSid};
use crate::incident::Desired;
use crate::money::{Bill, Money};
use crate::port::{Fleet, Sim, TableError};
use crate::time::{Hour, Window};
use crate::usage::SimUsage;

/// What usage records say of SIMs and their fleets: the webhook and the kill-switch add to it what
/// events say.
pub trait Usages: Send + Sync {
    /// Reads the usage of these SIMs; one without records, or whose usage this version cannot read,
    /// is absent from the answer.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_usages(
        &self,
        sims: &[SimSid],
    ) -> impl Future<Output = Result<BTreeMap<SimSid, SimUsage>, TableError>> + Send;

    /// Reads what a fleet's SIMs do; `None` before an hour of it was closed.
    ///
    /// # Errors
    /// [`TableError`]; one of a newer schema too, since it must not be overwritten.
    fn read_cohort(
        &self,
        fleet: FleetSid,
    ) -> impl Future<Output = Result<Option<Cohort>, TableError>> + Send;
}

/// What the aggregator reads and writes. It alone writes these items, and one run at a time.
pub trait UsageStore: Send + Sync {
    /// Reads what is recorded of these SIMs in one hour or day.
    ///
    /// # Errors
    /// [`TableError`]; usage of a newer schema fails the whole read, since it must not be overwritten.
    fn read_recorded(
        &self,
        window: &UsageWindow,
        sims: &[SimSid],
    ) -> impl Future<Output = Result<BTreeMap<SimSid, Recorded>, TableError>> + Send;

    /// Writes items over whatever is there. Returns when all are written.
    ///
    /// # Errors
    /// [`TableError`]; then some may be written and the call may be repeated.
    fn put_usage(
        &self,
        items: &[UsageItem],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), TableError>> + Send;

    /// Writes items over whatever is there, all of them or none; at most 100.
    ///
    /// # Errors
    /// [`TableError`]; after `Unavailable` all may be written, and the call may be repeated.
    fn put_together(
        &self,
        items: &[UsageItem],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), TableError>> + Send;

    /// Reads parts of a fleet's window from this page on, in order; as many as fit in one answer,
    /// and none when there are no more.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_parts(
        &self,
        fleet: FleetSid,
        window: &UsageWindow,
        pass: Pass,
        from_page: u32,
    ) -> impl Future<Output = Result<Vec<Part>, TableError>> + Send;

    /// Reads what the kill-switch wants of these SIMs; one it never touched is absent.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_desired(
        &self,
        sims: &[SimSid],
    ) -> impl Future<Output = Result<BTreeMap<SimSid, Desired>, TableError>> + Send;

    /// Reads SIMs as the inventory has them; one it does not have is absent.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_inventory(
        &self,
        sims: &[SimSid],
    ) -> impl Future<Output = Result<BTreeMap<SimSid, Sim>, TableError>> + Send;

    /// Reads a fleet as the inventory has it.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_fleet(
        &self,
        fleet: FleetSid,
    ) -> impl Future<Output = Result<Option<FleetItem>, TableError>> + Send;

    /// Reads a checkpoint, with its version.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_checkpoint(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<(String, u64)>, TableError>> + Send;

    /// Writes a checkpoint if it still has the version that was read (0: there was none). Says
    /// whether it did.
    ///
    /// # Errors
    /// [`TableError`]; after `Unavailable` it may or may not be written: read it again.
    fn write_checkpoint(
        &self,
        name: &str,
        text: &str,
        read_version: u64,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, TableError>> + Send;
}

/// An hour or a day of UTC in which usage is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageWindow {
    /// This hour.
    Hour(Hour),
    /// The day that begins with this hour.
    Day(Hour),
}

impl UsageWindow {
    /// The day that the hour is part of.
    #[must_use]
    pub fn day_of(hour: Hour) -> Self {
        Self::Day(Window::of_day(hour).hours.start)
    }

    /// Its hours and its name.
    #[must_use]
    pub fn window(self) -> Window {
        match self {
            Self::Hour(hour) => Window::of_hour(hour),
            Self::Day(hour) => Window::of_day(hour),
        }
    }
}

/// Whether a window is read for the first time, or for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Right after its end: records may still be missing.
    Fresh,
    /// To be closed.
    Close,
}

/// What was used in a window. A number that the provider did not give is unknown, not zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Used {
    /// From the device.
    pub up: Option<Bytes>,
    /// To the device.
    pub down: Option<Bytes>,
    /// Both.
    pub total: Bytes,
    /// What it costs; `None` while billing lags behind.
    pub billed: Option<Money>,
}

/// What is recorded of one SIM.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recorded {
    /// All that is known of the SIM's usage.
    pub usage: Option<SimUsage>,
    /// What was used in the window that was asked for.
    pub used: Option<Used>,
}

/// What one page of usage records held, kept until the whole window is read: so a run that stops in
/// the middle goes on without having to remember what came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which page, from 0.
    pub page: u32,
    /// Its SIMs and their bytes.
    pub sims: Vec<(SimSid, Bytes)>,
    /// What is billed of them together.
    pub bill: Bill,
    /// What they are to their cohort, where the window is an hour that is closed.
    pub sketch: Sketch,
}

/// What all SIMs of a fleet used in a window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetUsed {
    /// SIMs with usage.
    pub sims: u64,
    /// Bytes of all of them.
    pub total: Bytes,
    /// What is billed of them so far.
    pub bill: Bill,
    /// Whether every SIM's window was closed.
    pub closed: bool,
    /// Pages of the rank that belong to it; older ones may lie behind them.
    pub rank_pages: u32,
}

/// A fleet in the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetItem {
    /// The fleet.
    pub fleet: Fleet,
    /// Its SIMs by status; `None` until they were counted.
    pub sims: Option<FleetSims>,
}

/// How many SIMs of a fleet have which status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct FleetSims {
    /// May connect: `active` or `ready`.
    pub active: u32,
    /// May not.
    pub inactive: u32,
    /// Anything else: `new`, `scheduled`, unknown.
    pub other: u32,
}

impl FleetSims {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u32 {
        self.active.saturating_add(self.inactive).saturating_add(self.other)
    }
}

/// One item to write.
#[derive(Debug, Clone, PartialEq)]
pub enum UsageItem {
    /// All that is known of a SIM's usage.
    Base(SimUsage),
    /// What a SIM used in an hour or day, in which fleet.
    Sim(SimSid, Option<FleetSid>, UsageWindow, Used),
    /// What a fleet used in an hour or day.
    Fleet(FleetSid, UsageWindow, FleetUsed),
    /// A page of a fleet's SIMs in an hour or day, largest first.
    Rank(FleetSid, UsageWindow, u32, Vec<(SimSid, Bytes)>),
    /// What one page of records held.
    Part(FleetSid, UsageWindow, Pass, Part),
    /// What a fleet's SIMs do.
    Cohort(FleetSid, Box<Cohort>),
    /// A SIM in the inventory.
    Inventory(Sim),
    /// A fleet in the inventory.
    FleetInventory(FleetItem),
}
