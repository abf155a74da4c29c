//! Whatever is given to the kill-switch: answered or refused, and never more SIMs in the answer than
//! there are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{
    Fleet, Fleets, Page, PageLink, ProviderError, Sim, SimName, SimStatus, SuperSim, TargetStatus,
};
use simfuse_fuzz::{clock, run};
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_testkit::fleets::MemoryFleets;
use simfuse_testkit::memory::{MemoryAlerts, MemoryTable};
use simfuse_testkit::super_sim::MemorySuperSim;

/// The account.
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

    async fn list_fleets(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        self.1.list_fleets(page).await
    }

    async fn list_sims(
        &self,
        fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        self.1.list_sims(fleet, page).await
    }
}

fuzz_target!(|payload: &[u8]| {
    let Ok(payload) = serde_json::from_slice::<Value>(payload) else { return };
    let clock = clock();
    let sims = MemorySuperSim::new(clock.clone());
    sims.add(Sim {
        sid: "HS00000000000000000000000000000001".parse().expect("a SID"),
        iccid: "8988307000000000001".parse().ok(),
        unique_name: Some("pump-1".to_owned()),
        status: SimStatus::Active,
        fleet: "HF00000000000000000000000000000001".parse().ok(),
    });
    let fleets = MemoryFleets::new();
    fleets.add(Fleet {
        sid: "HF00000000000000000000000000000001".parse().expect("a SID"),
        unique_name: Some("river".to_owned()),
        data_enabled: None,
        data_limit_mb: Some(250),
    });
    let (table, alerts) = (MemoryTable::new(), MemoryAlerts::new());
    let switch = KillSwitch::new(table, Provider(sims, fleets), alerts, clock, Mode::Observe);
    if let Ok(answer) = run(switch.handle(payload)) {
        let sims = answer.get("sims").and_then(Value::as_array).map_or(0, Vec::len);
        assert!(sims <= 10_000, "{sims} SIMs in one answer");
    }
});
