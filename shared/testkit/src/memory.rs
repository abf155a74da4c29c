//! The table and the topic in memory, held to the same contract as the real ones.

mod audit;
mod campaigns;
mod link_claims;
mod usages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use simfuse_domain::alert::{Alert, Campaign, CampaignScope, HourTexts};
use simfuse_domain::audit::AuditEntry;
use simfuse_domain::finding::Finding;
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::{Desired, Incident};
use simfuse_domain::news::{News, Scope, Told};
use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::port::{
    AlertError, Alerts, Beat, Case, Cases, Commit, Committed, DeadLetter, DeadLetters, Heartbeat,
    LinkUse, NewsFeed, NewsLimits, OpenIncident, Policies, PolicyChange, PolicyVersion,
    PolicyVersions, StateWrite, States, Stop, StoredState, TableError, Written,
};
use simfuse_domain::state::{SCHEMA, SimState};
use simfuse_domain::time::Hour;

pub use usages::UsageContent;

/// The table in memory. Clones share their content.
#[derive(Debug, Clone, Default)]
pub struct MemoryTable {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    states: BTreeMap<SimSid, StateItem>,
    findings: BTreeMap<(SimSid, String), FindingItem>,
    /// SIMs of findings that were inserted and not yet drained.
    stream: Vec<SimSid>,
    last_beat: Option<Beat>,
    desired: BTreeMap<SimSid, (Desired, u64)>,
    incidents: BTreeMap<SimSid, (Incident, u64)>,
    past_incidents: Vec<Incident>,
    kill_windows: BTreeMap<CapScope, (KillWindow, u64)>,
    audit: audit::AuditContent,
    stop: Option<Stop>,
    paged: BTreeMap<String, Timestamp>,
    /// All versions of the policy from number 1; the last is the current one.
    policies: Vec<PolicyVersion>,
    /// The current one as it was read, with its number: it is asked for far more often than replaced.
    policy: Option<(u64, Policy)>,
    policy_number_is_lost: bool,
    dead_letters: BTreeMap<(String, String), DeadLetter>,
    usage: UsageContent,
    news: BTreeSet<(SimSid, String)>,
    /// News that were inserted and not yet drained.
    news_stream: Vec<News>,
    told: BTreeMap<Scope, (Told, u64)>,
    /// Links that were taken: by their id, the call and how far it is.
    links: BTreeMap<String, (String, LinkUse)>,
    campaigns: BTreeMap<CampaignScope, (Campaign, u64)>,
    texts: BTreeMap<Hour, (HourTexts, u64)>,
}

#[derive(Debug)]
struct StateItem {
    state: Vec<u8>,
    schema: u32,
    version: u64,
    found: BTreeSet<String>,
}

#[derive(Debug)]
struct FindingItem {
    finding: Finding,
    received_at: Timestamp,
    is_open: bool,
}

impl MemoryTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The SIMs of the findings that were inserted since the last call, one for each finding, in
    /// order: what the table's stream would deliver.
    #[must_use]
    pub fn findings_stream(&self) -> Vec<SimSid> {
        std::mem::take(&mut self.content().stream)
    }

    /// The news that were inserted since the last call, in order: what the table's stream would
    /// deliver.
    #[must_use]
    pub fn news_stream(&self) -> Vec<News> {
        std::mem::take(&mut self.content().news_stream)
    }

    /// All findings of a SIM, acknowledged or not.
    #[must_use]
    pub fn findings(&self, sim: SimSid) -> Vec<Finding> {
        let content = self.content();
        let of_sim = content.findings.iter().filter(|((of, _), _)| *of == sim);
        of_sim.map(|(_, item)| item.finding.clone()).collect()
    }

    /// A SIM's incidents that are over, in the order in which they were closed.
    #[must_use]
    pub fn past_incidents(&self, sim: SimSid) -> Vec<Incident> {
        let content = self.content();
        content.past_incidents.iter().filter(|incident| incident.sim == sim).cloned().collect()
    }

    /// All dead letters, by day and hash.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.content().dead_letters.values().cloned().collect()
    }

    /// When a test event last marked the sink as tested.
    #[must_use]
    pub fn tested_at(&self) -> Option<Timestamp> {
        self.content().last_beat?.tested_at
    }

    /// Changes the schema that a stored state says it has, as another version of SimFuse would.
    pub fn set_schema(&self, sim: SimSid, schema: u32) {
        if let Some(item) = self.content().states.get_mut(&sim) {
            item.schema = schema;
        }
    }

    /// Makes a policy the current one, as an operator might have done before the test; one that is
    /// the current one already stays.
    ///
    /// # Errors
    /// None; the signature is that of a table which may fail.
    pub async fn apply_policy(&self, policy: &Policy) -> Result<(), TableError> {
        let mut content = self.content();
        let (number, text) = (content.policy_number(), policy.text().to_owned());
        if content.policies.last().is_none_or(|current| current.text != text) {
            let number = number.saturating_add(1);
            content.policies.push(PolicyVersion { number, text, applied: None });
        }
        Ok(())
    }

    /// From now on the current policy says not which version it is.
    pub fn lose_policy_number(&self) {
        let mut content = self.content();
        (content.policy, content.policy_number_is_lost) = (None, true);
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl States for MemoryTable {
    async fn read_states(
        &self,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, StoredState>, TableError> {
        let content = self.content();
        let items = sims.iter().filter_map(|sim| Some((*sim, content.states.get(sim)?)));
        items.map(|(sim, item)| Ok((sim, item.read(sim)?))).collect()
    }

    async fn write_state(&self, write: &StateWrite) -> Result<Written, TableError> {
        let mut content = self.content();
        let sim = write.state.sim;
        let stored = content.states.get(&sim).map_or(0, |item| item.version);
        let read = write.read_version.unwrap_or(0);
        if stored != read {
            return Ok(Written::Conflict);
        }
        let keys: BTreeSet<String> = write.findings.iter().map(Finding::key).collect();
        let found: BTreeSet<String> = keys
            .into_iter()
            .filter(|key| content.findings.contains_key(&(sim, key.clone())))
            .collect();
        if !found.is_empty() {
            return Ok(Written::AlreadyFound(found));
        }
        let state = write.state.encode().map_err(|error| TableError::Fault {
            doing: format!("writing the state of {sim}"),
            reason: "it cannot be encoded".to_owned(),
            source: Some(Box::new(error)),
        })?;
        let version = read.saturating_add(1);
        let found = write.found.clone();
        content.states.insert(sim, StateItem { state, schema: SCHEMA, version, found });
        for finding in &write.findings {
            content.insert_finding(sim, finding, write.received_at);
        }
        Ok(Written::Done)
    }

    async fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> Result<(), TableError> {
        self.content().insert_finding(sim, finding, received_at);
        Ok(())
    }
}

impl StateItem {
    fn read(&self, sim: SimSid) -> Result<StoredState, TableError> {
        if self.schema > SCHEMA {
            let what = format!("the state of {sim}");
            return Err(TableError::NewerSchema { what, found: self.schema, known: SCHEMA });
        }
        let state =
            SimState::decode(self.schema, &self.state).map_err(|error| TableError::Fault {
                doing: format!("reading the state of {sim}"),
                reason: "it cannot be decoded".to_owned(),
                source: Some(Box::new(error)),
            })?;
        let state = Box::new(state);
        Ok(StoredState { state, version: self.version, found: self.found.clone() })
    }
}

impl Heartbeat for MemoryTable {
    async fn beat(&self, beat: Beat) -> Result<(), TableError> {
        let mut content = self.content();
        let was = content.last_beat.unwrap_or(beat);
        content.last_beat = Some(Beat {
            received_at: beat.received_at,
            tested_at: beat.tested_at.or(was.tested_at),
            updated_at: beat.updated_at.or(was.updated_at),
            long_ended_at: beat.long_ended_at.or(was.long_ended_at),
        });
        Ok(())
    }

    async fn last_beat(&self) -> Result<Option<Beat>, TableError> {
        Ok(self.content().last_beat)
    }
}

impl DeadLetters for MemoryTable {
    async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), TableError> {
        if letter.bytes.len() > DeadLetter::BYTES_MAX {
            return Err(fault("writing a dead letter", "too many bytes"));
        }
        let day = letter.received_at.strftime("%Y-%m-%d").to_string();
        let key = (day, letter.sha256.clone());
        self.content().dead_letters.entry(key).or_insert_with(|| letter.clone());
        Ok(())
    }
}

impl Policies for MemoryTable {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        let PolicyVersion { number, text, .. } = self.policy_version().await?;
        let mut content = self.content();
        if let Some((_, policy)) = content.policy.as_ref().filter(|(read, _)| *read == number) {
            return Ok(policy.clone());
        }
        let policy: Policy = text.parse().map_err(|error| TableError::Fault {
            doing: "reading the policy".to_owned(),
            reason: "it cannot be read".to_owned(),
            source: Some(Box::new(error)),
        })?;
        let number_read = (!content.policy_number_is_lost).then_some(number);
        let policy = policy.numbered(number_read);
        content.policy = Some((number, policy.clone()));
        Ok(policy)
    }
}

impl PolicyVersions for MemoryTable {
    async fn policy_version(&self) -> Result<PolicyVersion, TableError> {
        let default = || PolicyVersion { number: 0, text: DEFAULT.to_owned(), applied: None };
        Ok(self.content().policies.last().cloned().unwrap_or_else(default))
    }

    async fn past_policy(&self, number: u64) -> Result<Option<PolicyVersion>, TableError> {
        let content = self.content();
        Ok(content.policies.iter().find(|version| version.number == number).cloned())
    }

    async fn replace_policy(&self, change: &PolicyChange) -> Result<Committed, TableError> {
        let mut content = self.content();
        if content.policy_number() != change.read_number {
            return Ok(Committed::Conflict);
        }
        content.audit.add(std::slice::from_ref(&change.audit))?;
        content.policies.push(PolicyVersion {
            number: change.read_number.saturating_add(1),
            text: change.policy.text().to_owned(),
            applied: Some(change.applied.clone()),
        });
        Ok(Committed::Done)
    }
}

impl NewsFeed for MemoryTable {
    async fn insert_news(&self, news: &News, _received_at: Timestamp) -> Result<(), TableError> {
        let mut content = self.content();
        if content.news.insert((news.sim, news.key())) {
            content.news_stream.push(news.clone());
        }
        Ok(())
    }
}

impl NewsLimits for MemoryTable {
    async fn read_told(&self, scope: Scope) -> Result<(Told, u64), TableError> {
        Ok(self.content().told.get(&scope).cloned().unwrap_or_default())
    }

    async fn write_told(
        &self,
        scope: Scope,
        told: &Told,
        read: u64,
        _now: Timestamp,
    ) -> Result<Committed, TableError> {
        let mut content = self.content();
        let stored = content.told.get(&scope).map_or(0, |(_, version)| *version);
        if stored != read {
            return Ok(Committed::Conflict);
        }
        content.told.insert(scope, (told.clone(), read.saturating_add(1)));
        Ok(Committed::Done)
    }
}

impl Cases for MemoryTable {
    async fn read_case(&self, sim: SimSid) -> Result<Case, TableError> {
        let content = self.content();
        let state = content.states.get(&sim).map(|item| item.read(sim)).transpose();
        let (state, unread) = match state {
            Ok(state) => (state, Vec::new()),
            Err(error) => (None, vec![error.to_string()]),
        };
        let of_sim = content.findings.iter().filter(|((of, _), _)| *of == sim);
        let mut findings: Vec<&FindingItem> = of_sim.map(|(_, item)| item).collect();
        findings.sort_by_key(|item| std::cmp::Reverse(item.finding.at));
        findings.truncate(Case::FINDINGS_MAX);
        let findings = findings.into_iter().map(|item| (item.finding.key(), item.finding.clone()));
        let mut case = Case {
            sim,
            state: state.map(|stored| *stored.state),
            usage: content.usage.bases.get(&sim).cloned(),
            cohort: None,
            findings: findings.collect(),
            desired: content.desired.get(&sim).cloned().unwrap_or_default(),
            incident: content.incidents.get(&sim).cloned(),
            stop: content.stop.clone(),
            unread,
        };
        let cohort = case.asks_fleet().and_then(|fleet| content.usage.cohorts.get(&fleet));
        case.cohort = cohort.cloned();
        Ok(case)
    }

    async fn read_kill_window(&self, scope: CapScope) -> Result<(KillWindow, u64), TableError> {
        Ok(self.content().kill_windows.get(&scope).cloned().unwrap_or_default())
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, TableError> {
        check_request(commit)?;
        let mut content = self.content();
        if !content.is_as_read(commit) {
            return Ok(Committed::Conflict);
        }
        content.audit.add(&commit.audit)?;
        let sim = commit.sim;
        if let Some((incident, read)) = &commit.incident {
            if commit.closes {
                content.incidents.remove(&sim);
                // One that was opened again is filed in its old place.
                let is_same = |past: &Incident| {
                    past.sim == sim
                        && past.opened_at.as_millisecond() == incident.opened_at.as_millisecond()
                };
                content.past_incidents.retain(|past| !is_same(past));
                content.past_incidents.push(incident.clone());
            } else {
                content.incidents.insert(sim, (incident.clone(), read.saturating_add(1)));
            }
        }
        if let Some((desired, read)) = &commit.desired {
            content.desired.insert(sim, (desired.clone(), read.saturating_add(1)));
        }
        for (scope, window, read) in &commit.kill_windows {
            content.kill_windows.insert(*scope, (window.clone(), read.saturating_add(1)));
        }
        Ok(Committed::Done)
    }

    async fn acknowledge(&self, sim: SimSid, keys: &[String]) -> Result<(), TableError> {
        let mut content = self.content();
        for key in keys {
            if let Some(item) = content.findings.get_mut(&(sim, key.clone())) {
                item.is_open = false;
            }
        }
        Ok(())
    }

    async fn unacknowledged(
        &self,
        before: Timestamp,
        sims_max: usize,
    ) -> Result<Vec<SimSid>, TableError> {
        let content = self.content();
        let before = before.as_millisecond();
        let mut open: Vec<(i64, SimSid)> = content
            .findings
            .iter()
            .filter(|(_, item)| item.is_open)
            .map(|((sim, _), item)| (item.received_at.as_millisecond(), *sim))
            .filter(|(received, _)| *received < before)
            .collect();
        open.sort_unstable();
        let mut seen = BTreeSet::new();
        let sims = open.into_iter().map(|(_, sim)| sim).filter(|sim| seen.insert(*sim));
        Ok(sims.take(sims_max).collect())
    }

    async fn open_incidents(
        &self,
        due_before: Timestamp,
        incidents_max: usize,
    ) -> Result<Vec<OpenIncident>, TableError> {
        let content = self.content();
        let due = content.incidents.values().map(|(incident, _)| OpenIncident {
            incident: incident.clone(),
            next_check: incident.due_at(),
        });
        let due_before = due_before.as_millisecond();
        let mut due: Vec<OpenIncident> =
            due.filter(|open| open.next_check.as_millisecond() <= due_before).collect();
        due.sort_by_key(|open| (open.next_check, open.incident.sim));
        let (mut waiting, mut acting) = (0, 0);
        due.retain(|open| {
            let waits = open.incident.only_tells() || open.incident.is_held_by_cap();
            let count = if waits { &mut waiting } else { &mut acting };
            *count += 1;
            *count <= incidents_max
        });
        Ok(due)
    }

    async fn held_incidents(&self, incidents_max: usize) -> Result<Vec<Incident>, TableError> {
        let content = self.content();
        let held = content.incidents.values().map(|(incident, _)| incident);
        let held = held.filter(|incident| incident.is_held_by_cap());
        Ok(held.take(incidents_max).cloned().collect())
    }

    async fn filed_incidents(
        &self,
        sim: SimSid,
        incidents_max: usize,
    ) -> Result<Vec<Incident>, TableError> {
        let mut past = Self::past_incidents(self, sim);
        past.sort_by_key(|incident| std::cmp::Reverse(incident.opened_at));
        past.truncate(incidents_max);
        Ok(past)
    }

    async fn fleet_sims(&self, fleet: FleetSid) -> Result<Option<u32>, TableError> {
        let content = self.content();
        let sims = content.usage.fleets.get(&fleet).and_then(|item| item.sims);
        Ok(sims.map(|sims| sims.all()))
    }

    async fn read_stop(&self) -> Result<Option<Stop>, TableError> {
        Ok(self.content().stop.clone())
    }

    async fn write_stop(&self, stop: Option<&Stop>, audit: &AuditEntry) -> Result<(), TableError> {
        let mut content = self.content();
        content.audit.add(std::slice::from_ref(audit))?;
        content.stop = stop.cloned();
        Ok(())
    }

    async fn last_paged(&self, name: &str) -> Result<Option<Timestamp>, TableError> {
        Ok(self.content().paged.get(name).copied())
    }

    async fn record_paged(&self, name: &str, at: Timestamp) -> Result<(), TableError> {
        let mut content = self.content();
        let latest = content.paged.entry(name.to_owned()).or_insert(at);
        *latest = at.max(*latest);
        Ok(())
    }
}

/// What no table could do.
fn check_request(commit: &Commit) -> Result<(), TableError> {
    let doing = "recording a decision";
    match (&commit.incident, commit.closes) {
        (Some((incident, _)), _) if incident.sim != commit.sim => {
            return Err(fault(doing, "an incident of another SIM"));
        }
        (None, true) => return Err(fault(doing, "no incident to close")),
        _ => {}
    }
    match (&commit.desired, commit.desired_unchanged) {
        (Some((_, read)), Some(unchanged)) if *read != unchanged => {
            Err(fault(doing, "two versions of what should be"))
        }
        _ => Ok(()),
    }
}

impl Content {
    fn policy_number(&self) -> u64 {
        self.policies.last().map_or(0, |version| version.number)
    }

    fn insert_finding(&mut self, sim: SimSid, finding: &Finding, received_at: Timestamp) {
        let key = (sim, finding.key());
        if self.findings.contains_key(&key) {
            return;
        }
        let finding = finding.clone();
        self.findings.insert(key, FindingItem { finding, received_at, is_open: true });
        self.stream.push(sim);
    }

    fn is_as_read(&self, commit: &Commit) -> bool {
        let incident = self.incidents.get(&commit.sim).map_or(0, |(_, version)| *version);
        let desired = self.desired.get(&commit.sim).map_or(0, |(_, version)| *version);
        let window = |scope| self.kill_windows.get(scope).map_or(0, |(_, version)| *version);
        commit.incident.as_ref().is_none_or(|(_, read)| *read == incident)
            && commit.desired.as_ref().is_none_or(|(_, read)| *read == desired)
            && commit.desired_unchanged.is_none_or(|read| read == desired)
            && commit.kill_windows.iter().all(|(scope, _, read)| *read == window(scope))
            && !(commit.unless_stopped && self.stop.is_some())
            && commit.policy_unchanged.is_none_or(|number| number == self.policy_number())
    }
}

fn fault(doing: &str, reason: &str) -> TableError {
    TableError::Fault { doing: doing.to_owned(), reason: reason.to_owned(), source: None }
}

/// Keeps the alerts that are published. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryAlerts {
    published: Arc<Mutex<Published>>,
}

#[derive(Debug, Default)]
struct Published {
    alerts: Vec<Alert>,
    failures_left: usize,
}

impl MemoryAlerts {
    /// Nothing is published yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All alerts so far, in order.
    #[must_use]
    pub fn published(&self) -> Vec<Alert> {
        self.lock().alerts.clone()
    }

    /// Lets the next so many attempts fail.
    pub fn fail_next(&self, times: usize) {
        self.lock().failures_left = times;
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alerts for MemoryAlerts {
    async fn publish(&self, alert: &Alert) -> Result<(), AlertError> {
        let mut published = self.lock();
        if let Some(left) = published.failures_left.checked_sub(1) {
            published.failures_left = left;
            let source = "told to fail".into();
            return Err(AlertError { alert_id: alert.id.clone(), is_refused: false, source });
        }
        published.alerts.push(alert.clone());
        Ok(())
    }
}
