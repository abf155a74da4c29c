//! A kill-switch on a table and a topic in memory, and the simulated service over real HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simfuse_domain::alert::Alert;
use simfuse_domain::audit::{AuditEntry, ChainName, Phase};
use simfuse_domain::detector::{self, Control, Snapshot, asks_fleet};
use simfuse_domain::device::Imei14;
use simfuse_domain::event::{Event, EventKind, SessionReport, Usage};
use simfuse_domain::finding::Finding;
use simfuse_domain::id::{EventSid, FleetSid, SessionSid, SimSid};
use simfuse_domain::incident::Incident;
use simfuse_domain::policy::{Mode, Policy};
use simfuse_domain::port::{
    Case, Cases as _, Clock as _, Fleet, Policies as _, Sim, SimStatus, StateWrite, States as _,
    Usages as _, Written,
};
use simfuse_domain::state::SimState;
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_kill_switch::error::KillSwitchError;
use simfuse_supersim::Provider;
use simfuse_supersim::client::{ClientConfig, SuperSimClient};
use simfuse_supersim::secret::ApiCredentials;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::faulty::Faulty;
use simfuse_testkit::fleets::MemoryFleets;
use simfuse_testkit::memory::{MemoryAlerts, MemoryTable};
use simfuse_testkit::service::{ServiceConfig, SuperSimService};

use crate::gate::{Client, Gate, Gated};

const START: &str = "2026-03-01T14:00:00Z";
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
/// The model of the sensors; anything else is a thief's.
pub(crate) const TABLET: &str = "35880123000000";
pub(crate) const PHONE: &str = "35990000000000";

/// A strange device is switched off; so is a SIM that uses too much.
pub(crate) const STRICT: &str = r#"version = 1
mode = "enforce"
[binding]
mode = "strict"
allowed_tacs = ["35378572"]
[limits]
hour_mb = 5
act = "deactivate"
[guards]
max_kills = { count = 5, window_mins = 60 }
"#;

/// The fleet that [`QUARANTINE`] moves SIMs to.
pub(crate) const QUARANTINE_FLEET: &str = "HF07070707070707070707070707070707";

/// A SIM that uses too much goes to quarantine; a strange device is switched off.
pub(crate) const QUARANTINE: &str = r#"version = 1
mode = "enforce"
quarantine = { fleet = "HF07070707070707070707070707070707" }
[binding]
mode = "strict"
allowed_tacs = ["35378572"]
[limits]
hour_mb = 5
act = "quarantine"
"#;

pub(crate) type TestSwitch = KillSwitch<
    Gated<Faulty<MemoryTable>>,
    Gated<Faulty<Client>>,
    Gated<Faulty<MemoryAlerts>>,
    ManualClock,
>;

/// The kill-switch, and all that it works on.
pub(crate) struct Bench {
    pub(crate) memory: MemoryTable,
    pub(crate) table: Faulty<MemoryTable>,
    pub(crate) provider: Faulty<Client>,
    pub(crate) alerts: MemoryAlerts,
    pub(crate) topic: Faulty<MemoryAlerts>,
    pub(crate) clock: ManualClock,
    pub(crate) service: SuperSimService,
    pub(crate) fleets: MemoryFleets,
    pub(crate) switch: Arc<TestSwitch>,
}

impl Bench {
    /// A bench with so many active SIMs of one fleet.
    pub(crate) async fn new(sims: u8) -> Self {
        Self::with(sims, STRICT, Mode::Enforce).await
    }

    pub(crate) async fn with(sims: u8, policy: &str, armed: Mode) -> Self {
        let bench = Self::on(sims, armed).await;
        bench.apply(policy).await;
        bench
    }

    /// A bench whose operator applied no policy yet.
    pub(crate) async fn bare(armed: Mode) -> Self {
        Self::on(0, armed).await
    }

    async fn on(sims: u8, armed: Mode) -> Self {
        // Only the first of the tests installs it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = ManualClock::new(at(0));
        let config = ServiceConfig {
            account_sid: ACCOUNT.to_owned(),
            auth_token: "hush".to_owned(),
            client_id: "apiclient_1".to_owned(),
            client_secret: "hush too".to_owned(),
        };
        let service = SuperSimService::new(config, Arc::new(clock.clone()));
        service.add_fleet(fleet(), "river");
        service.add_fleet(QUARANTINE_FLEET.parse().unwrap(), "quarantine");
        for number in 1..=sims {
            service.add_sim(Sim {
                sid: sim(number),
                iccid: iccid(number).parse().ok(),
                unique_name: Some(name(number)),
                status: SimStatus::Active,
                fleet: Some(fleet()),
            });
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let serving = service.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        let json = json!({ "account_sid": ACCOUNT, "auth_token": "hush" }).to_string();
        let client = SuperSimClient::new(ClientConfig {
            origin: origin.parse().unwrap(),
            token_url: format!("{origin}/token").parse().unwrap(),
            credentials: ApiCredentials::from_json(Provider::Twilio, &json).unwrap(),
        });
        let memory = MemoryTable::new();
        let fleets = MemoryFleets::new();
        let quarantine = QUARANTINE_FLEET.parse().unwrap();
        for (sid, name, mb) in [(fleet(), "river", 250), (quarantine, "quarantine", 1)] {
            let (unique_name, data_limit_mb) = (Some(name.to_owned()), Some(mb));
            fleets.add(Fleet { sid, unique_name, data_enabled: None, data_limit_mb });
        }
        let client = Client(Arc::new(client.unwrap()), fleets.clone());
        let (table, provider) = (Faulty::new(memory.clone()), Faulty::new(client));
        let alerts = MemoryAlerts::new();
        let topic = Faulty::new(alerts.clone());
        let switch = switch(&table, &provider, &topic, &clock, armed, Gate::new(None));
        let switch = Arc::new(switch);
        Self { memory, table, provider, alerts, topic, clock, service, fleets, switch }
    }

    /// Another function on the same ports, behind this gate.
    pub(crate) fn another(&self, armed: Mode, gate: Gate) -> Arc<TestSwitch> {
        let switch = switch(&self.table, &self.provider, &self.topic, &self.clock, armed, gate);
        Arc::new(switch)
    }

    /// Another, which tells only two alerts of a campaign one by one.
    pub(crate) fn gathering(&self, gate: Gate) -> TestSwitch {
        let (clock, armed) = (&self.clock, Mode::Enforce);
        switch(&self.table, &self.provider, &self.topic, clock, armed, gate).telling_alone(2)
    }

    pub(crate) async fn apply(&self, policy: &str) {
        self.memory.apply_policy(&policy.parse::<Policy>().unwrap()).await.unwrap();
    }

    pub(crate) fn pass(&self, secs: i64) -> Timestamp {
        self.clock.advance(SignedDuration::from_secs(secs))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the webhook would do: folds the events, and stores state and findings.
    pub(crate) async fn happen(&self, sim: SimSid, events: &[Event]) {
        let stored = self.memory.read_states(&[sim]).await.unwrap().remove(&sim);
        let read_version = stored.as_ref().map(|stored| stored.version);
        let known = stored.as_ref().map(|stored| stored.found.clone()).unwrap_or_default();
        let mut state = stored.map_or_else(|| Box::new(SimState::new(sim)), |stored| stored.state);
        for event in events {
            _ = state.fold(event);
        }
        let policy = self.memory.current_policy().await.unwrap();
        let rules = policy.rules_for(state.fleet(), sim);
        let cohort = match asks_fleet(Some(&state), None) {
            Some(fleet) => self.memory.read_cohort(fleet).await.unwrap(),
            None => None,
        };
        let control = Control::default();
        let snapshot = Snapshot::of(&state, None, cohort.as_ref(), &rules, control);
        let all: Vec<Finding> =
            detector::ALL.iter().flat_map(|detector| (detector.assess)(&snapshot)).collect();
        let found: BTreeSet<String> = all.iter().map(Finding::key).collect();
        let findings = all.into_iter().filter(|finding| !known.contains(&finding.key())).collect();
        let received_at = self.now();
        let write = StateWrite { state, read_version, found, findings, received_at };
        assert_eq!(self.memory.write_state(&write).await.unwrap(), Written::Done);
    }

    /// The SIM is in this device now, in a session that has used so many bytes.
    pub(crate) async fn appears(&self, number: u8, device: &str, bytes: u64) {
        let now = self.now();
        self.happen(sim(number), &[session(number, device, now, bytes)]).await;
    }

    /// Steals the SIM: its next session is a tablet's.
    pub(crate) async fn steal(&self, number: u8) {
        self.appears(number, TABLET, 1_000_000).await;
    }

    /// The network refuses the SIM, and the next sweep files its incident as proven.
    pub(crate) async fn happen_proof(&self, number: u8) {
        self.pass(5);
        self.happen(sim(number), &[rejection(number, self.now())]).await;
        self.minutes(2).await;
    }

    /// What the table's stream would hand over now.
    pub(crate) fn stream(&self) -> Value {
        records(&self.memory.findings_stream())
    }

    /// Hands over what the stream holds; says whether all was taken.
    pub(crate) async fn deliver(&self) -> bool {
        let stream = self.stream();
        if stream["Records"].as_array().unwrap().is_empty() {
            return true;
        }
        let answer = self.switch.handle(stream).await.unwrap();
        answer["batchItemFailures"].as_array().unwrap().is_empty()
    }

    /// The SIMs are stolen, and the stream tells.
    pub(crate) async fn steal_and_tell(&self, numbers: impl IntoIterator<Item = u8>) {
        for number in numbers {
            self.steal(number).await;
        }
        assert!(self.deliver().await);
    }

    pub(crate) async fn sweep(&self) -> Result<Value, KillSwitchError> {
        self.switch.handle(json!({ "sweep": true })).await
    }

    /// A minute passes, and the schedule sweeps; so many times.
    pub(crate) async fn minutes(&self, count: usize) {
        for _minute in 0..count {
            self.pass(60);
            self.sweep().await.unwrap();
        }
    }

    pub(crate) async fn ask(&self, request: Value) -> Value {
        self.switch.handle(request).await.unwrap()
    }

    /// Asks for something about one SIM: outcome and reason.
    pub(crate) async fn act(&self, action: &str, name: &str) -> (String, String) {
        let answer = self.ask(request(action, &[name])).await;
        let answer = &answer["sims"][0];
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        (text("outcome"), text("reason"))
    }

    pub(crate) async fn case(&self, number: u8) -> Case {
        self.memory.read_case(sim(number)).await.unwrap()
    }

    pub(crate) async fn incident(&self, number: u8) -> Option<Incident> {
        self.case(number).await.incident.map(|(incident, _)| incident)
    }

    pub(crate) async fn stage(&self, number: u8) -> String {
        self.incident(number).await.map_or("none".to_owned(), |incident| incident.stage.to_string())
    }

    pub(crate) fn status(&self, number: u8) -> SimStatus {
        self.service.sim(sim(number)).unwrap().status
    }

    /// The statuses that were asked for, in order.
    pub(crate) fn asked(&self, number: u8) -> Vec<String> {
        let requests = self.service.status_requests(sim(number));
        requests.iter().map(|request| request.status_wanted().unwrap().to_owned()).collect()
    }

    /// All requests for another status, of all SIMs.
    pub(crate) fn posts(&self) -> usize {
        let requests = self.service.requests();
        requests.iter().filter(|request| request.status_wanted().is_some()).count()
    }

    /// What was done, by the alerts about one SIM.
    pub(crate) fn told(&self, number: u8) -> Vec<String> {
        let about = format!("{}-", sim(number));
        let alerts = self.alerts.published();
        let of_sim = alerts.into_iter().filter(|alert| alert.id.starts_with(&about));
        of_sim.map(|alert| alert.action).collect()
    }

    pub(crate) fn held_pages(&self) -> Vec<Alert> {
        let alerts = self.alerts.published();
        alerts.into_iter().filter(|alert| alert.id.starts_with("held-")).collect()
    }

    pub(crate) fn audit(&self, number: u8) -> Vec<AuditEntry> {
        let entries = self.memory.audit();
        entries.into_iter().filter(|entry| entry.sim == Some(sim(number))).collect()
    }

    /// Each request for another status that reached the provider has its intent, recorded before;
    /// and the SIM's entries form one chain.
    pub(crate) fn check_audit(&self, number: u8) {
        let chain = self.memory.verified(ChainName::Sim(sim(number)));
        assert_eq!(chain.broken, None, "{chain:?}");
        let mut intents: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        for entry in self.audit(number) {
            if entry.phase == Phase::Intent {
                intents.entry(entry.action).or_default().push(entry.at);
            }
        }
        for (wanted, action) in [("inactive", "deactivate"), ("active", "restore")] {
            let requests = self.service.status_requests(sim(number));
            let requests = requests.iter().filter(|asked| asked.status_wanted() == Some(wanted));
            let intents = intents.remove(action).unwrap_or_default();
            for (place, request) in requests.enumerate() {
                let before = intents.iter().filter(|at| **at <= request.at).count();
                assert!(before > place, "an act without an intent: {request:?}");
            }
        }
    }
}

fn switch(
    table: &Faulty<MemoryTable>,
    provider: &Faulty<Client>,
    topic: &Faulty<MemoryAlerts>,
    clock: &ManualClock,
    armed: Mode,
    gate: Gate,
) -> TestSwitch {
    let table = Gated { inner: table.clone(), gate: gate.clone() };
    let provider = Gated { inner: provider.clone(), gate: gate.clone() };
    let topic = Gated { inner: topic.clone(), gate };
    KillSwitch::new(table, provider, topic, clock.clone(), armed)
}

pub(crate) fn at(secs: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(secs)
}

pub(crate) fn sim(number: u8) -> SimSid {
    SimSid::from_bytes([number; 16])
}

pub(crate) fn fleet() -> FleetSid {
    FleetSid::from_bytes([9; 16])
}

pub(crate) fn iccid(number: u8) -> String {
    format!("8988307{number:012}")
}

pub(crate) fn name(number: u8) -> String {
    format!("pump-{number}")
}

pub(crate) fn request(action: &str, sims: &[&str]) -> Value {
    json!({ "action": action, "sims": sims, "reason": "a test", "requested_by": "ops" })
}

/// A report of a session that was opened a minute before.
pub(crate) fn session(number: u8, device: &str, at: Timestamp, bytes: u64) -> Event {
    let start = at - SignedDuration::from_mins(1);
    let mut sid = [number; 16];
    sid[..8].copy_from_slice(&start.as_second().to_be_bytes());
    let usage = Usage { up: None, down: None, total: Some(bytes) };
    Event {
        sid: EventSid::from_bytes(sid),
        kind: EventKind::SessionUpdated,
        sim: sim(number),
        iccid: iccid(number).parse().ok(),
        unique_name: Some(name(number)),
        fleet: Some(fleet()),
        at,
        device: Some(device.parse::<Imei14>().unwrap()),
        plmn: None,
        country: None,
        session: Some(SessionReport {
            sid: SessionSid::from_bytes(sid),
            start: Some(start),
            end: None,
            update_start: Some(start),
            update_end: Some(at),
            delta: usage,
            cumulative: usage,
        }),
        location: None,
        error_code: None,
    }
}

/// The network refuses the SIM because it is inactive.
pub(crate) fn rejection(number: u8, at: Timestamp) -> Event {
    let mut event = session(number, TABLET, at, 0);
    event.kind = EventKind::AttachmentRejected;
    event.session = None;
    event.error_code = Some(83_705);
    event
}

/// Insertions of findings about these SIMs, with the least that they must say.
pub(crate) fn records(sims: &[SimSid]) -> Value {
    let record = |(place, sim): (usize, &SimSid)| {
        json!({
            "eventID": place.to_string(), "eventName": "INSERT", "awsRegion": "us-east-1",
            "dynamodb": {
                "Keys": { "pk": { "S": format!("FIND#{sim}") }, "sk": { "S": "hour_limit#x" } },
                "SequenceNumber": format!("{place:021}"),
            },
        })
    };
    json!({ "Records": sims.iter().enumerate().map(record).collect::<Vec<_>>() })
}
