//! What events say about SIMs: the webhook's own items.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use jiff::{SignedDuration, Timestamp};

use crate::finding::Finding;
use crate::id::SimSid;
use crate::port::TableError;
use crate::state::SimState;

/// States of SIMs, and the findings that they show.
pub trait States: Send + Sync {
    /// Reads the states of these SIMs; a SIM without one is absent from the answer.
    ///
    /// # Errors
    /// [`TableError`]; a state of a newer schema fails the whole read.
    fn read_states(
        &self,
        sims: &[SimSid],
    ) -> impl Future<Output = Result<BTreeMap<SimSid, StoredState>, TableError>> + Send;

    /// Writes one SIM's state, and its new findings, all or nothing. Nothing is written unless the
    /// stored version is still the one that was read.
    ///
    /// # Errors
    /// [`TableError`]; after `Unavailable` it may or may not be written, and may be repeated.
    fn write_state(
        &self,
        write: &StateWrite,
    ) -> impl Future<Output = Result<Written, TableError>> + Send;

    /// Inserts one finding without a state: that SimFuse itself failed on a SIM. One that is there
    /// already stays as it is.
    ///
    /// # Errors
    /// [`TableError`].
    fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> impl Future<Output = Result<(), TableError>> + Send;
}

/// A state with what is stored beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredState {
    /// The fold of the SIM's events; boxed, as it is large and handed on several times.
    pub state: Box<SimState>,
    /// How often it was written, from 1.
    pub version: u64,
    /// Keys of the findings that were inserted for it, so that each is inserted once.
    pub found: BTreeSet<String>,
}

/// One conditional write.
#[derive(Debug, Clone)]
pub struct StateWrite {
    /// The new state.
    pub state: Box<SimState>,
    /// The version that was read; `None` when there was none.
    pub read_version: Option<u64>,
    /// Keys of all findings inserted so far, these ones included.
    pub found: BTreeSet<String>,
    /// Findings to insert.
    pub findings: Vec<Finding>,
    /// When the events were received.
    pub received_at: Timestamp,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Done,
    /// Another writer came first: read, fold and write again.
    Conflict,
    /// Findings with these keys exist already; nothing was written. Write again without them.
    AlreadyFound(BTreeSet<String>),
}

/// The sign that events arrive, and of which kinds.
pub trait Heartbeat: Send + Sync {
    /// Records that events were received; of each time the latest call that has it stands.
    ///
    /// # Errors
    /// [`TableError`].
    fn beat(&self, beat: Beat) -> impl Future<Output = Result<(), TableError>> + Send;

    /// What was last received, and when.
    ///
    /// # Errors
    /// [`TableError`].
    fn last_beat(&self) -> impl Future<Output = Result<Option<Beat>, TableError>> + Send;
}

/// When what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Any event.
    pub received_at: Timestamp,
    /// A test of the sink.
    pub tested_at: Option<Timestamp>,
    /// An update of a data session.
    pub updated_at: Option<Timestamp>,
    /// The end of a data session that was open for longer than [`Beat::LONG_SESSION`].
    pub long_ended_at: Option<Timestamp>,
}

impl Beat {
    /// Sessions are updated every six minutes, so one of this length was.
    pub const LONG_SESSION: SignedDuration = SignedDuration::from_mins(15);

    /// Events were received, and nothing is said of their kinds.
    #[must_use]
    pub const fn at(received_at: Timestamp) -> Self {
        Self { received_at, tested_at: None, updated_at: None, long_ended_at: None }
    }
}
