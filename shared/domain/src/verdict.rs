//! Policy's ruling over a SIM, from nothing to the strongest act.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What policy says should be done about a SIM. The most severe of several wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing.
    Clear,
    /// It is recorded and shown.
    Watch,
    /// A human is told.
    Alert,
    /// It is moved to a fleet that can do no harm.
    Quarantine,
    /// It is switched off.
    Deactivate,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear => "clear",
            Self::Watch => "watch",
            Self::Alert => "alert",
            Self::Quarantine => "quarantine",
            Self::Deactivate => "deactivate",
        })
    }
}
