//! The cap on kills under real concurrency: a thousand functions at once, on an embedded DynamoDB.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong should stop at once and say where")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use simfuse_aws::client::local_config;
use simfuse_aws::{Table, create_table};
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::guard::CapScope;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::policy::{Mode, Policy};
use simfuse_domain::port::{
    Applied, Cases as _, Clock as _, Fleet, Fleets, PolicyChange, PolicyVersions as _,
    ProviderError, Sim, SimName, SimStatus, States as _, SuperSim, TargetStatus,
};
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::fleets::MemoryFleets;
use simfuse_testkit::memory::MemoryAlerts;
use simfuse_testkit::super_sim::MemorySuperSim;
use tokio::task::JoinSet;

const TABLE: &str = "simfuse";
const SIMS: u16 = 1_000;
const FLEETS: u8 = 4;

/// Less than the fleets may lose together, so that both caps bind.
const ACCOUNT_MAX: u32 = 30;
const FLEET_MAX: u32 = 9;

const POLICY: &str = r#"version = 1
mode = "enforce"
[places]
countries = ["DE"]
[guards]
max_kills = { count = 9, window_mins = 60 }
account_max_kills = { count = 30, window_mins = 60 }
"#;

/// One account for all functions.
#[derive(Debug, Clone)]
struct Provider(MemorySuperSim, MemoryFleets);

impl SuperSim for Provider {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        self.0.fetch(name).await
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        self.0.set_status(sim, status).await
    }

    async fn set_fleet(&self, sim: SimSid, fleet: FleetSid) -> Result<Sim, ProviderError> {
        self.0.set_fleet(sim, fleet).await
    }
}

impl Fleets for Provider {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        self.1.fetch_fleet(name).await
    }

    async fn set_data_limit(&self, fleet: FleetSid, mb: u32) -> Result<Fleet, ProviderError> {
        self.1.set_data_limit(fleet, mb).await
    }
}

fn sim(number: u16) -> SimSid {
    let [high, low] = number.to_be_bytes();
    SimSid::from_bytes([0xa5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, high, low])
}

fn fleet(number: u8) -> FleetSid {
    FleetSid::from_bytes([number; 16])
}

fn fleet_of(number: u16) -> FleetSid {
    fleet(number.to_be_bytes()[1] % FLEETS)
}
