//! The record of what was done and why: written before an act and after it, never changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::SimSid;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The SIM it is about; absent for what is about none: stop switch, policy, fleets.
    pub sim: Option<SimSid>,
    /// When it was written.
    pub at: Timestamp,
    /// What tells it from others of the same moment; the same after a repetition.
    pub id: String,
    /// Who acts: `simfuse`, or the human who asked.
    pub actor: String,
    /// What is or was done: `deactivate`, `restore`, `stop`, `policy_apply` …
    pub action: String,
    /// Before the act, or after it.
    pub phase: Phase,
    /// Why, or what came of it.
    pub reason: String,
    /// The incident that it belongs to.
    pub incident: Option<String>,
}

/// Before the act, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is about to be done.
    Intent,
    /// What came of it.
    Outcome,
}

/// Who acts when no human does.
pub const SIMFUSE: &str = "simfuse";
