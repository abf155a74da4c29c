//! The drill's world: a fleet in virtual time, thieves, and SimFuse in real time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use simfuse_domain::alert::Alert;
use simfuse_domain::event::Event;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::policy::{Mode, Policy};
use simfuse_domain::port::{SimStatus, StateWrite, States as _};
use simfuse_domain::state::SimState;
use simfuse_supersim::Provider;
use simfuse_supersim::envelope::{self, Decoded};
use simfuse_supersim::secret::WebhookSecrets;
use simfuse_supersim::signature::sign_twilio;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::fleet::{EmittedEvent, Envelope, Fleet, FleetConfig, Theft, batch_body};
use simfuse_testkit::service::{Behaviour, SuperSimService};
use simfuse_webhook::intake::{Receipt, Tally};
use tokio::sync::Notify;

use crate::error::CliError;
use crate::local::http::{Served, router};
use crate::local::mailbox::Mailbox;
use crate::local::stream::Stream;
use crate::local::{self, LocalKillSwitch, LocalService, LocalTable, SharedClock, random_secret};
use crate::output::note;

/// It enforces, knows its sensors' model, and lets a limit cut.
const POLICY: &str = include_str!("policy.toml");

/// Sensors in the fleet.
pub(super) const SIMS: u32 = 240;

/// What all that is random follows from.
pub(super) const SEED: u64 = 42;

/// Days of history, folded without HTTP.
pub(super) const HISTORY_DAYS: i64 = 3;

/// Hours before the thefts that go over HTTP.
pub(super) const LAST_HOURS: i64 = 3;

/// From an event to its arrival: Event Streams' own latency, rounded up (1.5 to 2 s were observed).
const DELIVERY: SignedDuration = SignedDuration::from_secs(2);

/// Events in one body.
const BATCH: usize = 50;

/// Virtual time between two looks at the fleet while SIMs are stolen.
const STEP: SignedDuration = SignedDuration::from_secs(1);

/// As the deployed schedule.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// If a theft is not proven dead by then, it will not be.
const THEFTS_MAX: SignedDuration = SignedDuration::from_hours(2);

/// How long the fleet is watched after the restores.
const AFTERWARDS: SignedDuration = SignedDuration::from_mins(20);

const POST_TIMEOUT: Duration = Duration::from_secs(20);

/// One theft that is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// How long after the first.
    pub(super) after: SignedDuration,
    pub(super) theft: Theft,
    /// How the provider deactivates the SIM, in words.
    pub(super) provider: &'static str,
    pub(super) how: Behaviour,
}

/// One theft that came.
#[derive(Debug, Clone)]
pub(super) struct Rogue {
    pub(super) sim: SimSid,
    pub(super) name: String,
    pub(super) theft: Theft,
    pub(super) provider: &'static str,
    /// Real time from the receipt of the deciding event to the request at the simulated service.
    pub(super) receipt_to_request: Option<Duration>,
    /// Virtual time of the theft, of the request and of the proof.
    pub(super) stolen_at: Timestamp,
    pub(super) requested_at: Option<Timestamp>,
    pub(super) proven_at: Option<Timestamp>,
    pub(super) status_at_proof: Option<SimStatus>,
    pub(super) bytes_leaked: u64,
    pub(super) restored: bool,
}

/// Everything of the drill.
pub(super) struct World {
    clock: Arc<ManualClock>,
    fleet: Fleet,
    service: SuperSimService,
    local: LocalTable,
    stream: Stream,
    kill_switch: Arc<LocalKillSwitch>,
    pub(super) mailbox: Mailbox,
    http: reqwest::Client,
    url: String,
    secret: SecretString,
    start: Timestamp,
    pub(super) rogues: Vec<Rogue>,
    /// Alerts already seen.
    told: usize,
    pub(super) events_folded: usize,
    pub(super) events_posted: usize,
}

impl World {
    /// The fleet before it is switched on, and SimFuse beside it.
    pub(super) async fn new(sims: u32) -> Result<Self, CliError> {
        let fault = CliError::local("preparing the drill");
        let start: Timestamp =
            "2026-03-01T00:00:00Z".parse().map_err(|error: jiff::Error| fault(error.into()))?;
        let clock = Arc::new(ManualClock::new(start));
        let shared: SharedClock = clock.clone();
        let policy: Policy = POLICY
            .parse()
            .map_err(|source| CliError::Policy { path: "the drill's policy".to_owned(), source })?;
        let service = LocalService::start(Arc::clone(&shared)).await?;
        let fleet = Fleet::new(&fleet_config(sims, start)?, service.service.clone());
        let local = LocalTable::start(&policy, start).await?;
        let mailbox = Mailbox::new().map_err(|error| fault(error.into()))?;
        let (listener, origin) = local::listen("127.0.0.1:0").await?;
        let url = format!("{origin}/events");
        let secret = random_secret();
        let json = serde_json::json!({ "auth_token": secret }).to_string();
        let secrets = WebhookSecrets::from_json(Provider::Twilio, &json);
        let secrets = secrets.map_err(|error| fault(error.into()))?;
        let table = local.table.clone();
        let (live, twilio) = (Receipt::Live, Provider::Twilio);
        let webhook =
            local::webhook(table.clone(), live, Arc::clone(&shared), twilio, secrets, &url);
        let kill_switch =
            local::kill_switch(table, service.client()?, mailbox.clone(), shared, Mode::Enforce);
        let kill_switch = Arc::new(kill_switch);
        let served = Served {
            webhook: Arc::new(webhook),
            kill_switch: Arc::clone(&kill_switch),
            // Nobody reads its alerts while it runs.
            console: None,
            received: Arc::new(Notify::new()),
            accepted: None,
        };
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router(served)).await {
                tracing::error!(%error, "the webhook stopped");
            }
        });
        let http = reqwest::Client::builder().no_proxy().timeout(POST_TIMEOUT).build();
        Ok(Self {
            clock,
            fleet,
            service: service.service,
            stream: local.stream(),
            local,
            kill_switch,
            mailbox,
            http: http.map_err(|error| fault(error.into()))?,
            url,
            secret: SecretString::from(secret),
            start,
            rogues: Vec::new(),
            told: 0,
            events_folded: 0,
            events_posted: 0,
        })
    }

    /// Days of history: the same decoder and the same fold as the webhook's, one write a SIM.
    pub(super) async fn live_through_history(&mut self) -> Result<(), CliError> {
        note(&format!(
            "{HISTORY_DAYS} days of {SIMS} river sensors, folded straight into the table"
        ));
        let progress = progress(HISTORY_DAYS.unsigned_abs() * 24);
        let mut states: BTreeMap<SimSid, SimState> = BTreeMap::new();
        let mut to = self.start;
        for _hour in 0..HISTORY_DAYS * 24 {
            to = later(to, SignedDuration::from_hours(1));
            self.clock.set(to);
            for emitted in self.fleet.advance(to) {
                if let Some(event) = event_of(&emitted) {
                    states
                        .entry(event.sim)
                        .or_insert_with(|| SimState::new(event.sim))
                        .fold(&event);
                    self.events_folded += 1;
                }
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        for state in states.into_values() {
            let write = StateWrite {
                state: Box::new(state),
                read_version: None,
                found: std::collections::BTreeSet::new(),
                findings: Vec::new(),
                received_at: to,
            };
            let written = self.local.table.write_state(&write).await;
            written.map_err(|error| CliError::local("storing the history")(error.into()))?;
        }
        Ok(())
    }

    /// The last hours, signed and posted as the provider would, in bodies of 50.
    pub(super) async fn live_through_last_hours(&mut self) -> Result<(), CliError> {
        note(&format!("{LAST_HOURS} more hours, posted to the webhook over HTTP"));
        let minutes = LAST_HOURS * 60;
        let progress = progress(minutes.unsigned_abs());
        let mut waiting = Vec::new();
        for _minute in 0..minutes {
            let to = later(self.fleet.now(), SignedDuration::from_mins(1));
            self.clock.set(later(to, DELIVERY));
            waiting.extend(self.fleet.advance(to));
            while waiting.len() >= BATCH {
                let rest = waiting.split_off(BATCH);
                self.post(&waiting).await?;
                waiting = rest;
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        self.post(&waiting).await?;
        self.drain().await
    }

    /// The thefts: each event is posted on its own arrival, and the sweep comes every minute.
    pub(super) async fn live_through_thefts(&mut self, plans: &[Plan]) -> Result<(), CliError> {
        let began = self.fleet.now();
        self.steal(plans)?;
        let end = later(began, THEFTS_MAX);
        let mut next_sweep = later(began, SWEEP_EVERY);
        while self.fleet.now() < end && self.rogues.iter().any(|rogue| rogue.proven_at.is_none()) {
            self.live(STEP, &mut next_sweep).await?;
        }
        Ok(())
    }

    /// A human restores every stolen SIM, now back in its sensor; then the fleet is watched.
    pub(super) async fn restore_all(&mut self) -> Result<(), CliError> {
        let sims: Vec<String> = self.rogues.iter().map(|rogue| rogue.sim.to_string()).collect();
        for rogue in &self.rogues {
            let returned = self.fleet.return_sim(rogue.sim);
            returned.map_err(|error| CliError::local("returning a SIM")(error.into()))?;
        }
        let request = serde_json::json!({
            "action": "restore", "sims": sims,
            "reason": "the drill's thieves are caught", "requested_by": "drill",
        });
        let answer = self.kill_switch.handle(request).await;
        answer.map_err(|error| CliError::local("restoring")(error.into()))?;
        let end = later(self.fleet.now(), AFTERWARDS);
        let mut next_sweep = self.fleet.now();
        while self.fleet.now() < end {
            self.live(STEP, &mut next_sweep).await?;
        }
        for rogue in &mut self.rogues {
            let sim = self.service.sim(rogue.sim);
            rogue.restored = sim.is_some_and(|sim| sim.status == SimStatus::Active);
        }
        Ok(())
    }

    /// SIMs that are not active although nobody stole them.
    pub(super) fn benign_deactivated(&self) -> usize {
        let rogue = |sim: SimSid| self.rogues.iter().any(|rogue| rogue.sim == sim);
        let sims = self.service.sims();
        let touched = |sim: SimSid| !self.service.status_requests(sim).is_empty();
        sims.iter().filter(|sim| !rogue(sim.sid) && touched(sim.sid)).count()
    }

    /// Lets these thefts come, each of another SIM.
    fn steal(&mut self, plans: &[Plan]) -> Result<(), CliError> {
        let began = self.fleet.now();
        let sims: Vec<(SimSid, String)> =
            self.fleet.sims().map(|sim| (sim.sid, sim.unique_name.to_owned())).collect();
        let spread = sims.len() / (plans.len() + 1);
        for (number, plan) in plans.iter().enumerate() {
            let Some((sim, name)) = sims.get((number + 1) * spread).cloned() else { continue };
            let stolen_at = later(began, plan.after);
            self.service.set_behaviour(sim, plan.how);
            let stolen = self.fleet.steal(sim, stolen_at, plan.theft);
            stolen.map_err(|error| CliError::local("stealing a SIM")(error.into()))?;
            self.rogues.push(Rogue {
                sim,
                name,
                theft: plan.theft,
                provider: plan.provider,
                receipt_to_request: None,
                stolen_at,
                requested_at: None,
                proven_at: None,
                status_at_proof: None,
                bytes_leaked: 0,
                restored: false,
            });
        }
        note(&format!("{} SIMs are stolen, one after the other", self.rogues.len()));
        Ok(())
    }

    /// Lets virtual time pass: events arrive, the stream is read, the sweep comes round.
    async fn live(
        &mut self,
        step: SignedDuration,
        next_sweep: &mut Timestamp,
    ) -> Result<(), CliError> {
        let to = later(self.fleet.now(), step);
        let events = self.fleet.advance(to);
        self.clock.set(later(to, DELIVERY));
        if !events.is_empty() {
            let received = Instant::now();
            self.post(&events).await?;
            self.drain().await?;
            self.time_requests(Some(received));
        }
        if to >= *next_sweep {
            *next_sweep = later(*next_sweep, SWEEP_EVERY);
            if let Err(error) = self.kill_switch.sweep().await {
                tracing::error!(%error, "the sweep failed");
            }
            self.time_requests(None);
        }
        self.watch();
        Ok(())
    }

    /// Posts one signed body, and insists that it is taken in.
    async fn post(&mut self, events: &[EmittedEvent]) -> Result<(), CliError> {
        if events.is_empty() {
            return Ok(());
        }
        let fault = CliError::local("posting events to the webhook");
        let body = batch_body(events);
        let (url, signature) = sign_twilio(&self.secret, &self.url, body.as_bytes());
        let request = self.http.post(url).header("x-twilio-signature", signature);
        let request = request.header("content-type", "application/json").body(body);
        let answer = request.send().await.map_err(|error| fault(error.into()))?;
        let status = answer.status();
        let tally: Tally = answer.json().await.map_err(|error| fault(error.into()))?;
        if !status.is_success() || tally.applied != events.len() {
            return Err(fault(format!("answered {status}, {tally:?}").into()));
        }
        self.events_posted += events.len();
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), CliError> {
        self.stream.drain(&self.kill_switch).await
    }

    /// Notes when the service received the first request about each stolen SIM. One that came with
    /// the sweep was not caused by the receipt of an event, so it has no time.
    fn time_requests(&mut self, received: Option<Instant>) {
        for rogue in self.rogues.iter_mut().filter(|rogue| rogue.requested_at.is_none()) {
            if let Some(request) = self.service.status_requests(rogue.sim).first() {
                rogue.receipt_to_request =
                    received.map(|received| request.arrived.duration_since(received));
                rogue.requested_at = Some(request.at);
            }
        }
    }

    /// Shows alerts as they arrive, and notes proofs.
    fn watch(&mut self) {
        let alerts = self.mailbox.alerts();
        for alert in alerts.iter().skip(self.told) {
            note(&format!("  {}  {}", self.fleet.now().strftime("%H:%M:%S"), alert.subject));
            self.note_proof(alert);
        }
        self.told = alerts.len();
    }

    fn note_proof(&mut self, alert: &Alert) {
        let now = self.fleet.now();
        let proven = |rogue: &&mut Rogue| alert.id.starts_with(&rogue.sim.to_string());
        if alert.action == "proven"
            && let Some(rogue) = self.rogues.iter_mut().find(proven)
        {
            rogue.proven_at = Some(now);
            rogue.status_at_proof = self.service.sim(rogue.sim).map(|sim| sim.status);
            rogue.bytes_leaked = self.fleet.bytes_used_by_thief(rogue.sim);
        }
    }
}

fn fleet_config(sims: u32, start: Timestamp) -> Result<FleetConfig, CliError> {
    let fault = CliError::local("making a fleet");
    let wrong = |error: simfuse_domain::id::IdError| fault(error.into());
    let fleet_sid: FleetSid = "HF0000000000000000000000000000000a".parse().map_err(wrong)?;
    Ok(FleetConfig {
        sims,
        seed: SEED,
        start,
        fleet_sid,
        tac: "35378572".parse().map_err(wrong)?,
        tablet_tac: "35925406".parse().map_err(wrong)?,
        envelope: Envelope::Twilio,
    })
}

fn event_of(emitted: &EmittedEvent) -> Option<Event> {
    let mut found = None;
    envelope::decode(emitted.json.as_bytes(), |decoded| {
        if let Decoded::Event(event) = decoded {
            found = Some(event);
        }
    });
    found
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left");
    ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
