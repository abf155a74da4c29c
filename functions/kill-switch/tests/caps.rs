//! The cap on kills under real concurrency: a thousand functions at once, on an embedded DynamoDB.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong should stop at once and say where")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simfuse_aws::client::local_config;
use simfuse_aws::{Table, create_table};
use simfuse_domain::audit::{AuditEntry, Phase};
use simfuse_domain::event::{Event, EventKind};
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::guard::CapScope;
use simfuse_domain::id::{EventSid, FleetSid, SimSid};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{
    Applied, Cases as _, Clock as _, Committed, Fleet, Fleets, Page, PageLink, PolicyChange,
    PolicyVersions as _, ProviderError, Sim, SimName, SimStatus, StateWrite, States as _, SuperSim,
    TargetStatus, Written,
};
use simfuse_domain::state::SimState;
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

/// All SIMs were seen abroad: a mass theft, or a wrong rule.
async fn abroad(table: &Table, provider: &MemorySuperSim, clock: &ManualClock) {
    for number in 0..SIMS {
        let (sid, fleet) = (sim(number), Some(fleet_of(number)));
        let status = SimStatus::Active;
        provider.add(Sim { sid, iccid: None, unique_name: None, status, fleet });
        let mut state = Box::new(SimState::new(sid));
        _ = state.fold(&Event {
            sid: EventSid::from_bytes([7; 16]),
            kind: EventKind::AttachmentAccepted,
            sim: sid,
            iccid: None,
            unique_name: None,
            fleet,
            at: clock.now(),
            device: None,
            plmn: None,
            country: "FR".parse().ok(),
            session: None,
            location: None,
            error_code: None,
        });
        let finding = abroad_finding(clock.now());
        let (found, received_at) = (BTreeSet::from([finding.key()]), clock.now());
        let findings = vec![finding];
        let write = StateWrite { state, read_version: None, found, findings, received_at };
        assert_eq!(table.write_state(&write).await.unwrap(), Written::Done);
    }
}

fn abroad_finding(at: Timestamp) -> Finding {
    let evidence =
        Evidence::Country { seen: "FR".parse().unwrap(), allowed: vec!["DE".parse().unwrap()] };
    Finding { detector: DetectorId::CountryNotAllowed, about: "FR".to_owned(), at, evidence }
}

async fn apply(table: &Table) {
    let (policy, at) = (POLICY.parse().unwrap(), "2026-03-01T13:00:00Z".parse().unwrap());
    let text = || "ops".to_owned();
    let audit = AuditEntry {
        sim: None,
        fleet: None,
        at,
        id: text(),
        actor: text(),
        action: text(),
        phase: Phase::Outcome,
        reason: text(),
        incident: None,
    };
    let applied = Applied { by: text(), at, reason: text() };
    let change = PolicyChange { policy, read_number: 0, applied, audit };
    assert_eq!(table.replace_policy(&change).await.unwrap(), Committed::Done);
}

fn record(sim: SimSid) -> Value {
    json!({ "Records": [{
        "eventName": "INSERT",
        "dynamodb": {
            "Keys": { "pk": { "S": format!("FIND#{sim}") }, "sk": { "S": "country_not_allowed#FR" } },
            "SequenceNumber": "1",
        },
    }] })
}

/// SIMs that are off, by fleet.
fn off(provider: &MemorySuperSim) -> BTreeMap<FleetSid, u32> {
    let mut off = BTreeMap::new();
    for number in 0..SIMS {
        if provider.sim(sim(number)).unwrap().status == SimStatus::Inactive {
            *off.entry(fleet_of(number)).or_default() += 1;
        }
    }
    off
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_functions_at_once_never_pass_a_cap_and_use_it_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_on(listener, dynoxide::Database::memory().unwrap()));
    let client = aws_sdk_dynamodb::Client::new(&local_config(&endpoint));
    create_table(&client, TABLE).await.unwrap();
    let table = Table::new(client, TABLE);
    apply(&table).await;
    let clock = ManualClock::new("2026-03-01T14:00:00Z".parse().unwrap());
    let sims = MemorySuperSim::new(Arc::new(clock.clone()));
    abroad(&table, &sims, &clock).await;
    let provider = Provider(sims.clone(), MemoryFleets::new());

    let switch = || {
        let (table, alerts) = (table.clone(), MemoryAlerts::new());
        KillSwitch::new(table, provider.clone(), alerts, clock.clone(), Mode::Enforce)
    };
    let check = |when: &str| {
        let off = off(&sims);
        assert!(off.values().sum::<u32>() <= ACCOUNT_MAX, "{when}: {off:?}");
        assert!(off.values().all(|kills| *kills <= FLEET_MAX), "{when}: {off:?}");
    };
    let mut functions = JoinSet::new();
    for number in 0..SIMS {
        let switch = switch();
        functions.spawn(async move { switch.handle(record(sim(number))).await });
    }
    while let Some(answer) = functions.join_next().await {
        answer.unwrap().unwrap();
        check("one has answered, the others are in the middle of it");
    }
    // What was in one another's way is left to the sweep.
    while !table.unacknowledged(Timestamp::MAX, 1).await.unwrap().is_empty() {
        clock.advance(SignedDuration::from_secs(61));
        switch().handle(json!({ "sweep": true })).await.unwrap();
        check("a sweep has ended");
    }
    let off = off(&sims);
    assert_eq!(off.values().sum::<u32>(), ACCOUNT_MAX, "{off:?}");
    for (scope, kills) in [(CapScope::Account, ACCOUNT_MAX)]
        .into_iter()
        .chain(off.into_iter().map(|(fleet, kills)| (CapScope::Fleet(fleet), kills)))
    {
        let (window, _) = table.read_kill_window(scope).await.unwrap();
        assert_eq!(window.kills(clock.now(), 60), kills, "{scope}");
    }
    let held = table.held_incidents(usize::from(SIMS)).await.unwrap();
    assert_eq!(held.len(), usize::from(SIMS) - 30, "all others wait for a human");
}
