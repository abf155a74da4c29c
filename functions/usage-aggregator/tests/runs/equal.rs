//! One stream through the deployed functions and through the backtest: the same of each SIM.
//!
//! Events go through the webhook's intake, as the provider writes them; usage records lie in the
//! simulated service until the aggregator reads them over HTTP; what either finds goes to the
//! kill-switch, which asks that service about the SIM. All share one table.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simfuse_backtest::stream::{end_of, pass};
use simfuse_backtest::{ModeFrom, Trial};
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::{Incident, Stage};
use simfuse_domain::policy::{DEFAULT, Mode, Policy};
use simfuse_domain::port::{Case, Cases as _, Clock as _, Sim, SimStatus, UsageRecord};
use simfuse_domain::state::SimState;
use simfuse_domain::time::Hour;
use simfuse_domain::usage::SimUsage;
use simfuse_domain::verdict::Verdict;
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_supersim::Provider;
use simfuse_supersim::client::{ClientConfig, SuperSimClient};
use simfuse_supersim::secret::ApiCredentials;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::fleet::Envelope;
use simfuse_testkit::memory::{MemoryAlerts, MemoryTable};
use simfuse_testkit::population::config::{Delivery, PopulationConfig, Rogues};
use simfuse_testkit::population::encode::event_json;
use simfuse_testkit::population::rogue::Rogue;
use simfuse_testkit::population::{Emitted, EmittedKind, Partition, Population};
use simfuse_testkit::service::{ServiceConfig, SuperSimService, Usage};
use simfuse_usage_aggregator::handler::{Aggregator, Invocation};
use simfuse_webhook::intake::{Intake, Receipt};

const ACCOUNT: &str = "AC00000000000000000000000000000000";

/// After the hour. An hour is seen by the first run after its end: by this minute some of its records
/// are there, and others are not.
const RUN_AT: SignedDuration = SignedDuration::from_mins(40);

/// What became of a SIM.
#[derive(Debug, Clone, PartialEq)]
struct Fate {
    /// What policy asked for at most.
    verdict: Verdict,
    /// The guards that held an act back.
    holds: BTreeSet<String>,
    /// Keys of findings.
    found: BTreeSet<String>,
}

/// The deployed functions, on one table, one account and one clock.
struct Live {
    service: SuperSimService,
    table: MemoryTable,
    clock: ManualClock,
    alerts: MemoryAlerts,
    intake: Intake<MemoryTable>,
    aggregator: Aggregator<MemoryTable, SuperSimClient, MemoryAlerts, ManualClock>,
    switch: KillSwitch<MemoryTable, SuperSimClient, MemoryAlerts, ManualClock>,
    /// What the service was told of each hour: it adds up.
    recorded: BTreeMap<(SimSid, Hour), (u64, u64)>,
    holds: BTreeMap<SimSid, BTreeSet<String>>,
}

impl Live {
    async fn start(policy: &Policy, config: &PopulationConfig, stream: &[Emitted]) -> Self {
        // Only the first of the tests installs it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = ManualClock::new(config.start);
        let own = ServiceConfig {
            account_sid: ACCOUNT.to_owned(),
            auth_token: "token".to_owned(),
            client_id: "client".to_owned(),
            client_secret: "secret".to_owned(),
        };
        let service = SuperSimService::new(own, Arc::new(clock.clone()));
        for (sid, fleet) in fleets(stream) {
            service.add_fleet(fleet, "sensors");
            let (iccid, unique_name) = (None, None);
            let (status, fleet) = (SimStatus::Active, Some(fleet));
            service.add_sim(Sim { sid, iccid, unique_name, status, fleet });
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn({
            let service = service.clone();
            async move { service.serve(listener).await }
        });
        let (table, alerts) = (MemoryTable::new(), MemoryAlerts::new());
        table.apply_policy(policy).await.unwrap();
        let to = || (table.clone(), client(&origin), alerts.clone(), clock.clone());
        let (of, provider, topic, time) = to();
        let aggregator = Aggregator::new(of, provider, topic, time);
        let (of, provider, topic, time) = to();
        let switch = KillSwitch::new(of, provider, topic, time, Mode::Enforce);
        // Each by itself, to be counted.
        let switch = switch.telling_alone(usize::MAX);
        let intake = Intake::new(table.clone(), Receipt::Live);
        let (recorded, holds) = Default::default();
        Self { service, table, clock, alerts, intake, aggregator, switch, recorded, holds }
    }

    /// All of the stream, each at its time, and the schedule beside it, up to the end.
    async fn live(&mut self, stream: &[Emitted], config: &PopulationConfig) {
        let mut next = config.start + RUN_AT;
        for emitted in stream {
            while next <= emitted.at {
                self.run(next).await;
                next += SignedDuration::from_hours(1);
            }
            self.clock.set(emitted.at);
            self.expire().await;
            match &emitted.kind {
                EmittedKind::Event(event) => {
                    let body = event_json(Envelope::Twilio, ACCOUNT, event);
                    let body = format!("[{body}]");
                    let taken = self.intake.take(body.as_bytes(), emitted.at).await.unwrap();
                    assert_eq!((taken.applied + taken.late, taken.dead_lettered), (1, 0));
                    self.deliver().await;
                }
                EmittedKind::Usage(record) => self.record(record),
                EmittedKind::Label(_) => {}
            }
        }
        self.run(end_of(config)).await;
    }

    /// A usage record is there, or takes the place of the one that was.
    fn record(&mut self, record: &UsageRecord) {
        let (sim, hour) = (record.sim.unwrap(), record.hour().unwrap());
        let is = (record.up.unwrap().0, record.down.unwrap().0);
        let was = self.recorded.insert((sim, hour), is).unwrap_or_default();
        let usage = Usage {
            network: "HW00000000000000000000000000000001".parse().unwrap(),
            country: "DE".parse().unwrap(),
            up: is.0 - was.0,
            down: is.1 - was.1,
            billed_micros: None,
        };
        self.service.record_usage(sim, record.fleet.unwrap(), hour, usage);
    }

    async fn run(&mut self, at: Timestamp) {
        self.clock.set(at);
        let deadline = at + SignedDuration::from_mins(15);
        let invocation = Invocation { id: "run".to_owned(), deadline };
        let answer = self.aggregator.handle(json!({ "run": true }), &invocation).await.unwrap();
        assert!(answer.done && answer.records_unknown == 0, "{answer:?}");
        self.deliver().await;
        self.switch.handle(json!({ "sweep": true })).await.unwrap();
    }

    /// The sweep of the minute, where it has anything to do: an incident that was quiet is over.
    async fn expire(&self) {
        if !self.table.open_incidents(self.clock.now(), 1).await.unwrap().is_empty() {
            self.switch.handle(json!({ "sweep": true })).await.unwrap();
        }
    }

    /// The table's stream hands the new findings to the kill-switch.
    async fn deliver(&mut self) {
        let sims = self.table.findings_stream();
        if sims.is_empty() {
            return;
        }
        let answer = self.switch.handle(records(&sims)).await.unwrap();
        assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
        for sim in sims {
            let case = self.table.read_case(sim).await.unwrap();
            if let Some((Incident { stage: Stage::Held(hold), .. }, _)) = case.incident {
                self.holds.entry(sim).or_default().insert(hold.to_string());
            }
        }
    }

    /// How often a human was told, of something new or of an act that waits.
    fn told(&self, sim: SimSid) -> usize {
        let name = sim.to_string();
        let alerts = self.alerts.published().into_iter().filter(|alert| {
            matches!(alert.action.as_str(), "alerted" | "held") && alert.email.contains(&name)
        });
        alerts.count()
    }

    fn fate(&self, case: &Case, findings: &[Finding], policy: &Policy) -> Fate {
        let open = case.incident.clone().map(|(incident, _)| incident);
        let incidents = self.table.past_incidents(case.sim).into_iter().chain(open);
        let fleet = case.state.as_ref().and_then(SimState::fleet);
        // Nothing is opened for what is only watched.
        let watched = policy.rules_for(fleet, case.sim).rule(findings).min(Verdict::Watch);
        Fate {
            verdict: incidents.map(|incident| incident.verdict).max().unwrap_or(watched),
            holds: self.holds.get(&case.sim).cloned().unwrap_or_default(),
            found: findings.iter().map(Finding::key).collect(),
        }
    }
}

fn client(origin: &str) -> SuperSimClient {
    let secret = json!({ "account_sid": ACCOUNT, "auth_token": "token" }).to_string();
    let config = ClientConfig {
        origin: origin.parse().unwrap(),
        token_url: format!("{origin}/token").parse().unwrap(),
        credentials: ApiCredentials::from_json(Provider::Twilio, &secret).unwrap(),
    };
    SuperSimClient::new(config).unwrap()
}

fn records(sims: &[SimSid]) -> Value {
    let record = |(place, sim): (usize, &SimSid)| {
        json!({
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": { "pk": { "S": format!("FIND#{sim}") } },
                "SequenceNumber": format!("{place:021}"),
            },
        })
    };
    json!({ "Records": sims.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// All that arrives from a population of which nobody is switched off.
fn all_of(config: &PopulationConfig) -> Vec<Emitted> {
    let mut population = Population::new(config, Partition::WHOLE);
    std::iter::from_fn(|| population.next()).collect()
}

/// The SIMs with their fleets, as events name them.
fn fleets(stream: &[Emitted]) -> BTreeMap<SimSid, FleetSid> {
    let named = stream.iter().filter_map(|emitted| match &emitted.kind {
        EmittedKind::Event(event) => Some((emitted.sim, event.fleet?)),
        EmittedKind::Usage(_) | EmittedKind::Label(_) => None,
    });
    named.collect()
}

/// Whether only the aggregator's inventory finds it, which the backtest does not take.
fn is_of_inventory(finding: &Finding) -> bool {
    use DetectorId::{ActiveAfterKill, BytesUnseen, InactiveUsesData, Silent};
    matches!(finding.detector, ActiveAfterKill | BytesUnseen | InactiveUsesData | Silent)
}

/// Whether a human is told as often by both.
///
/// What the inventory finds is told besides. While an act waits, what comes with further findings that
/// ask for it is not told by itself. A device is found for as long as it is there: when its incident
/// has expired, it is told once more with whatever is found next.
fn is_told_alike(fate: &Fate, inventory: &[Finding], findings: &[Finding]) -> bool {
    inventory.is_empty()
        && fate.holds.is_empty()
        && findings.iter().all(|finding| finding.device().is_none())
}

/// Whether it rests on hours that were not closed: only the webhook sees such.
fn is_of_open_hours(finding: &Finding) -> bool {
    matches!(finding.evidence, Evidence::Unusual { is_open: true, .. })
}

/// Takes the population through both, and says what was found.
///
/// Nobody is switched off, as no SIM is judged further from then on: the policies' own mode, in which
/// they are tried, is to observe. What was found, ruled, and learnt is compared, and not when: the
/// backtest knows a record when it comes, the aggregator when it next asks, and what grew later when
/// it next compares days.
#[track_caller]
fn assert_same(config: &PopulationConfig, policy: &str) -> Vec<Finding> {
    let policy: Policy = policy.parse().unwrap();
    let trial = Trial { policy: &policy, mode: ModeFrom::Policy };
    let passed = pass(config, trial, NonZeroUsize::MIN, || {});
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let live = runtime.block_on(async {
        let stream = all_of(config);
        let mut live = Live::start(&policy, config, &stream).await;
        live.live(&stream, config).await;
        live
    });
    let mut found = Vec::new();
    for course in passed.iter().map(|passed| &passed.course) {
        let sim = course.sim();
        assert!(!course.is_off() && course.findings().len() < 100, "more are not kept: {sim}");
        let case = runtime.block_on(live.table.read_case(sim)).unwrap();
        let findings = live.table.findings(sim);
        let (inventory, findings): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(is_of_inventory);
        let fleet = case.state.as_ref().and_then(SimState::fleet);
        let of_inventory = policy.rules_for(fleet, sim).rule(&inventory);
        let tried = Fate {
            verdict: course.verdict().max(of_inventory),
            holds: course
                .acts()
                .iter()
                .filter_map(|act| act.hold)
                .map(|hold| hold.to_string())
                .collect(),
            found: course.findings().iter().map(Finding::key).collect(),
        };
        if is_told_alike(&tried, &inventory, &findings) {
            assert_eq!(live.told(sim), course.acts().len(), "{sim}");
        }
        assert_eq!(live.fate(&case, &findings, &policy), tried, "{sim}");
        assert_eq!(case.state.as_ref(), course.state(), "{sim}");
        let learnt = |usage: &SimUsage| (*usage.baseline(), usage.standing().clone());
        assert_eq!(case.usage.as_ref().map(learnt), course.usage().map(learnt), "{sim}");
        found.extend(findings);
    }
    assert_eq!(passed.len(), 60);
    found
}

fn detectors(found: &[Finding]) -> BTreeSet<DetectorId> {
    found.iter().map(|finding| finding.detector).collect()
}

/// Sensors that only wake, whatever befalls what they send, and rogues from that day on.
fn sensors(days: u32, scenarios: Vec<Rogue>, after_days: u32) -> PopulationConfig {
    let mut config = PopulationConfig::new(60, days, 11, "2026-03-01T00:00:00Z".parse().unwrap());
    config.switch_all_off();
    config.delivery = Delivery::default();
    let (sims_each, within_days) = (2, 1);
    config.rogues = Rogues { scenarios, sims_each, after_days, within_days, ..config.rogues };
    config
}

#[test]
fn thieves_are_found_and_held_live_as_in_the_backtest() {
    let scenarios = vec![Rogue::Tablet, Rogue::SpoofedImei, Rogue::HdVideo, Rogue::MovedAbroad];
    let found = detectors(&assert_same(&sensors(9, scenarios, 8), DEFAULT));
    use DetectorId::{CountryNew, DeviceNotAllowed, HourLimit, Strike};
    assert!(
        found.is_superset(&[CountryNew, DeviceNotAllowed, HourLimit, Strike].into()),
        "{found:?}"
    );
}

#[test]
fn sims_that_were_never_used_are_judged_by_their_fleet_live_as_in_the_backtest() {
    // Without what else finds a thief.
    let limits = ["hour_mb", "day_mb", "period_mb"];
    let strikes = DEFAULT.lines().filter(|line| !limits.iter().any(|key| line.starts_with(key)));
    let strikes = strikes.collect::<Vec<_>>().join("\n");
    let found = detectors(&assert_same(&sensors(9, vec![Rogue::FirstHour], 8), &strikes));
    assert!(found.contains(&DetectorId::Strike), "{found:?}");
}

#[test]
fn a_leak_is_found_live_as_in_the_backtest() {
    let soon = DEFAULT.replace("[usage_spike]", "[usage_spike]\nalert_hours = 1000");
    let found = assert_same(&sensors(9, vec![Rogue::LeakTenTimes], 4), &soon);
    assert_eq!(detectors(&found), [DetectorId::UsageSpike].into());
    assert!(found.iter().any(is_of_open_hours) && !found.iter().all(is_of_open_hours));
}

#[test]
fn limits_near_the_usual_are_broken_live_as_in_the_backtest() {
    // All that befalls healthy SIMs, some of it more often, over the turn of a month. It ends where no
    // limit hangs on what grew since days were last compared.
    let start = "2026-02-20T00:00:00Z".parse().unwrap();
    let mut config = PopulationConfig::new(60, 20, 11, start);
    (config.benign.modems_new_model, config.benign.modems_same_model) = (2.0, 2.0);
    (config.benign.steering_days, config.benign.technicians) = (10, 5.0);
    config.delivery.corrected = 0.1;
    let limits = [("hour_mb = 20", "hour_mb = 0.5"), ("day_mb = 50", "day_mb = 2")];
    let limits = [limits[0], limits[1], ("period_mb = 250", "period_mb = 15")];
    let near =
        limits.iter().fold(DEFAULT.to_owned(), |policy, (is, near)| policy.replace(is, near));
    let found = detectors(&assert_same(&config, &near));
    use DetectorId::{DayLimit, DeviceChanged, HourLimit, NetworkNew, PeriodLimit};
    let expected = [DayLimit, DeviceChanged, HourLimit, NetworkNew, PeriodLimit];
    assert!(found.is_superset(&expected.into()), "{found:?}");
}
