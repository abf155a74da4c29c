//! All that the kill-switch decides on for one SIM, and the one transaction that records a decision.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::AuditEntry;
use crate::detector::asks_fleet;
use crate::evidence::Cohort;
use crate::finding::Finding;
use crate::guard::{CapScope, KillWindow};
use crate::id::{FleetSid, SimSid};
use crate::incident::{Desired, Incident};
use crate::port::TableError;
use crate::state::SimState;
use crate::usage::SimUsage;

/// The kill-switch's own items, and its view of what the deciders wrote.
pub trait Cases: Send + Sync {
    /// Reads one SIM's case, strongly consistent. What events or usage say of it and cannot be read is
    /// left out and [named](Case::unread).
    ///
    /// # Errors
    /// [`TableError`].
    fn read_case(&self, sim: SimSid) -> impl Future<Output = Result<Case, TableError>> + Send;

    /// Reads the sliding window of a cap, with its version; empty and 0 while it was never written.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_kill_window(
        &self,
        scope: CapScope,
    ) -> impl Future<Output = Result<(KillWindow, u64), TableError>> + Send;

    /// Records a decision: one transaction, all or nothing, each item only if it is still as read.
    ///
    /// # Errors
    /// [`TableError`]; after `Unavailable` it may or may not be recorded: read the case again.
    fn commit(&self, commit: &Commit)
    -> impl Future<Output = Result<Committed, TableError>> + Send;

    /// Marks findings as seen, so that the sweep does not look for them again.
    ///
    /// # Errors
    /// [`TableError`].
    fn acknowledge(
        &self,
        sim: SimSid,
        keys: &[String],
    ) -> impl Future<Output = Result<(), TableError>> + Send;

    /// SIMs with findings inserted before the time that nothing has acknowledged.
    ///
    /// # Errors
    /// [`TableError`].
    fn unacknowledged(
        &self,
        before: Timestamp,
        sims_max: usize,
    ) -> impl Future<Output = Result<Vec<SimSid>, TableError>> + Send;

    /// Open incidents that are due, the longest due first: so many at most of those that
    /// [only tell](Incident::only_tells) or that a cap holds, and as many of the others. However many
    /// of one sort there are, they take no place from the other.
    ///
    /// # Errors
    /// [`TableError`].
    fn open_incidents(
        &self,
        due_before: Timestamp,
        incidents_max: usize,
    ) -> impl Future<Output = Result<Vec<OpenIncident>, TableError>> + Send;

    /// Open incidents that a cap holds, in no order.
    ///
    /// # Errors
    /// [`TableError`].
    fn held_incidents(
        &self,
        incidents_max: usize,
    ) -> impl Future<Output = Result<Vec<Incident>, TableError>> + Send;

    /// One SIM's incidents that are over, the one that was opened last first; strongly consistent.
    /// One that was opened again and is over again is there once, as it is now.
    ///
    /// # Errors
    /// [`TableError`].
    fn filed_incidents(
        &self,
        sim: SimSid,
        incidents_max: usize,
    ) -> impl Future<Output = Result<Vec<Incident>, TableError>> + Send;

    /// How many SIMs the inventory counted in a fleet; `None` while it did not.
    ///
    /// # Errors
    /// [`TableError`].
    fn fleet_sims(
        &self,
        fleet: FleetSid,
    ) -> impl Future<Output = Result<Option<u32>, TableError>> + Send;

    /// The stop switch.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_stop(&self) -> impl Future<Output = Result<Option<Stop>, TableError>> + Send;

    /// Sets or lifts the stop switch, with its audit entry in the same transaction.
    ///
    /// # Errors
    /// [`TableError`].
    fn write_stop(
        &self,
        stop: Option<&Stop>,
        audit: &AuditEntry,
    ) -> impl Future<Output = Result<(), TableError>> + Send;

    /// When an alert of this name was last published; the name is `held` for the page about held
    /// kills and `any` for whatever alert.
    ///
    /// # Errors
    /// [`TableError`].
    fn last_paged(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Timestamp>, TableError>> + Send;

    /// Records that an alert of this name was published.
    ///
    /// # Errors
    /// [`TableError`].
    fn record_paged(
        &self,
        name: &str,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), TableError>> + Send;
}

/// What is known of one SIM.
#[derive(Debug, Clone)]
pub struct Case {
    /// The SIM.
    pub sim: SimSid,
    /// What events say, if there were any.
    pub state: Option<SimState>,
    /// What usage records say, if there were any.
    pub usage: Option<SimUsage>,
    /// Its fleet, where the SIM [asks](crate::detector::asks_fleet) for it.
    pub cohort: Option<Cohort>,
    /// The deciders' findings, by key, at most [`Case::FINDINGS_MAX`], the latest.
    pub findings: BTreeMap<String, Finding>,
    /// What should be, with its version; 0 while it was never written.
    pub desired: (Desired, u64),
    /// What is being done, with its version.
    pub incident: Option<(Incident, u64)>,
    /// The stop switch.
    pub stop: Option<Stop>,
    /// What there is and cannot be read, as what a newer version wrote, each with the reason: it is
    /// missing above. A human may act all the same, and nothing that was begun is given up for what
    /// is not known.
    pub unread: Vec<String>,
}

impl Case {
    /// Findings read for one SIM: one for each hour of two days.
    pub const FINDINGS_MAX: usize = 50;

    /// The fleet that has to be asked. What is known of the SIM and could not be read may say that it is
    /// another than its peers: then none is.
    #[must_use]
    pub fn asks_fleet(&self) -> Option<FleetSid> {
        let is_read = self.unread.is_empty();
        asks_fleet(self.state.as_ref(), self.usage.as_ref()).filter(|_| is_read)
    }
}

/// The stop switch is set: nothing is deactivated automatically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// One transaction. What is `None` is left alone.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The SIM.
    pub sim: SimSid,
    /// The incident, and the version that was read (0: there was none).
    pub incident: Option<(Incident, u64)>,
    /// The incident that this one replaces or that is over now: it is filed under the time at which
    /// it was opened.
    pub closes: bool,
    /// What should be, and the version that was read (0: there was none).
    pub desired: Option<(Desired, u64)>,
    /// Require that what should be still has this version, without writing it.
    pub desired_unchanged: Option<u64>,
    /// Windows of caps with one more kill, and the versions that were read.
    pub kill_windows: Vec<(CapScope, KillWindow, u64)>,
    /// Require that the stop switch is not set.
    pub unless_stopped: bool,
    /// Require that the version of the policy with this number is the current one (0: the default,
    /// which nobody applied).
    pub policy_unchanged: Option<u64>,
    /// Audit entries.
    pub audit: Vec<AuditEntry>,
}

impl Commit {
    /// A transaction about this SIM that does nothing yet.
    #[must_use]
    pub const fn of(sim: SimSid) -> Self {
        Self {
            sim,
            incident: None,
            closes: false,
            desired: None,
            desired_unchanged: None,
            kill_windows: Vec::new(),
            unless_stopped: false,
            policy_unchanged: None,
            audit: Vec::new(),
        }
    }
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is recorded.
    Done,
    /// Something had changed, nothing is recorded: read the case again.
    Conflict,
}

/// An open incident in the list of those that need a look.
#[derive(Debug, Clone)]
pub struct OpenIncident {
    /// The incident.
    pub incident: Incident,
    /// When it is to be looked at.
    pub next_check: Timestamp,
}
