//! The record of what was done and why: written before an act and after it, never changed.
//!
//! Entries of one SIM form a chain, and so do those of no SIM: each holds the hash of the one before
//! it ([`Link`]), so that a change, a removal or an insertion is seen ([`Verifier`]). What names
//! people (`actor`, `reason`) goes into the chain as a salted commitment only: it can be erased, and
//! the chain still holds.

mod hash;
mod heads;
mod link;
mod tally;
mod verify;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::{FleetSid, IdError, SimSid};

pub use hash::{Digest, Salt};
pub use heads::{ChainHead, DayHeads, HeadsRun, heads_of};
pub use link::{AuditRecord, Before, Head, KnownHead, Link};
pub use tally::{Counts, DayTally};
pub use verify::{Break, BreakKind, Verified, Verifier};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The SIM it is about; absent for what is about none: stop switch, policy, fleets.
    pub sim: Option<SimSid>,
    /// The fleet that the SIM belongs to, or that it is about; absent where that is not known, and
    /// in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetSid>,
    /// When it was written.
    pub at: Timestamp,
    /// What tells it from others of the same moment; the same after a repetition.
    pub id: String,
    /// Who acts: `simfuse`, or the human who asked. It may name a person.
    pub actor: String,
    /// What is or was done: `deactivate`, `restore`, `stop`, `policy_apply` …
    pub action: String,
    /// Before the act, or after it.
    pub phase: Phase,
    /// Why, or what came of it. It may name people.
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

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
        })
    }
}

/// Who acts when no human does.
pub const SIMFUSE: &str = "simfuse";

/// What stands for a text that was erased.
pub const ERASED: &str = "(erased)";

/// Which entries follow one another: those of a SIM, or those of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainName {
    /// Entries about no SIM.
    Account,
    /// Entries about this SIM.
    Sim(SimSid),
}

impl ChainName {
    /// The chain that an entry belongs to.
    #[must_use]
    pub fn of(entry: &AuditEntry) -> Self {
        entry.sim.map_or(Self::Account, Self::Sim)
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str("ACCOUNT"),
            Self::Sim(sim) => sim.fmt(f),
        }
    }
}

impl FromStr for ChainName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == "ACCOUNT" { Ok(Self::Account) } else { text.parse().map(Self::Sim) }
    }
}

impl Serialize for ChainName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
