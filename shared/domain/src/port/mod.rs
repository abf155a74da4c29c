//! The ports: what the functions ask of the world, one narrow trait each.
//!
//! Each has one adapter (`simfuse-aws`, `simfuse-supersim`) and one fake (`simfuse-testkit`), and
//! both are held to the same contract.

mod alerts;
mod audit_log;
mod campaigns;
mod cases;
mod clock;
mod dead_letters;
mod fleets;
mod link_claims;
mod news;
mod policies;
mod states;
mod super_sim;
mod usage_ranks;
mod usage_records;
mod usage_store;

use std::error::Error;

pub use alerts::{AlertError, Alerts};
pub use audit_log::{AuditCursor, AuditLog, AuditPage, AuditQuery, AuditTrail, HeadsLog};
pub use campaigns::Campaigns;
pub use cases::{Case, Cases, Commit, Committed, OpenIncident, Stop};
pub use clock::{Clock, Sleep};
pub use dead_letters::{DeadLetter, DeadLetters};
pub use fleets::{BillingPeriod, Fleet, Fleets, Inventory, Network, Page, PageLink};
pub use link_claims::{Claim, LINK_ASKED_MAX, LinkClaims, LinkUse};
pub use news::{NewsFeed, NewsLimits};
pub use policies::{Applied, Policies, PolicyChange, PolicyVersion, PolicyVersions};
pub use states::{Beat, Heartbeat, StateWrite, States, StoredState, Written};
pub use super_sim::{Change, ProviderError, Sim, SimName, SimStatus, SuperSim, TargetStatus};
pub use usage_ranks::{RankPage, UsageRanks};
pub use usage_records::{Granularity, UsageGroup, UsageQuery, UsageRecord, UsageRecords};
pub use usage_store::{
    FleetItem, FleetSims, FleetUsed, Part, Pass, Recorded, UsageItem, UsageStore, UsageWindow,
    Usages, Used,
};

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Throttled, timed out, unreachable, or failing on its own: the same call may succeed later.
    #[error("the table did not answer while {doing}")]
    Unavailable {
        /// What was being done, to what.
        doing: String,
        /// The underlying error.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// An item was written by a newer version of SimFuse: it must not be read wrongly or overwritten.
    #[error("{what} has schema {found}, this version knows {known}")]
    NewerSchema {
        /// Which item.
        what: String,
        /// The item's schema.
        found: u32,
        /// The newest schema that this version knows.
        known: u32,
    },
    /// The request is wrong or an item cannot be read: the same call will fail again.
    #[error("a fault of SimFuse or of the table's content while {doing}: {reason}")]
    Fault {
        /// What was being done, to what.
        doing: String,
        /// What is wrong.
        reason: String,
        /// The underlying error, where there is one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}
