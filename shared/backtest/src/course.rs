//! One SIM's course under a policy.
//!
//! Events are folded and judged by the webhook's `fold` and `look`; usage records are seen when they
//! come and closed three hours after their hour, each hour for all SIMs before the next, as the
//! aggregator does; the guards that hang on one SIM are asked as the kill-switch asks them. Time is that
//! of the history: when an event or a record was known. What is stored of a SIM, whose events are gone,
//! is judged as of the time of what it shows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::detector::{self, shown_by_records, unusual_usage};
use simfuse_domain::event::Event;
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::{
    self, Desired, Hold, Incident, QUIET_MAX, is_cooling, quarantine_for, told_as,
};
use simfuse_domain::policy::{Mode, Policy, Rules};
use simfuse_domain::port::{Case, Sim, SimStatus, StoredState, UsageRecord};
use simfuse_domain::state::SimState;
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{Beside, SimUsage, Source};
use simfuse_domain::verdict::Verdict;
use simfuse_webhook::sim::{Assessed, Look, fold};

use crate::peers::{Peers, closed_at};

/// Findings of one SIM that are kept to be told: the first ones, which explain what was done.
const FINDINGS_MAX: usize = 100;

/// No key of a finding is known but those that the state bears.
static NONE_KNOWN: BTreeSet<String> = BTreeSet::new();

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Whether its mode counts.
    pub mode: ModeFrom,
}

/// Which mode a policy is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeFrom {
    /// As if all of it enforced: what it would do once it may.
    Enforce,
    /// Its own.
    Policy,
}

/// What would have been done about a SIM, or told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The SIM.
    pub sim: SimSid,
    /// Its fleet at that time.
    pub fleet: Option<FleetSid>,
    /// Alert, quarantine or deactivate.
    pub what: Verdict,
    /// The guard that would have held it.
    pub hold: Option<Hold>,
    /// When.
    pub at: Timestamp,
    /// The detector whose finding asked for it; of several the first.
    pub detector: DetectorId,
    /// What was found, in one sentence.
    pub sentence: String,
    /// When the behaviour began that the findings show.
    pub since: Timestamp,
    /// Bytes since then up to the act, at least: the most of what events, usage records and the
    /// findings themselves show.
    pub bytes: Bytes,
    /// Whether a human judged since that what asked for it says nothing against the SIM.
    pub is_judged: bool,
}

/// One SIM on its way through history.
#[derive(Debug)]
pub struct Course {
    sim: SimSid,
    stored: Option<StoredState>,
    usage: Option<SimUsage>,
    /// Hours with records that are not closed.
    seen: BTreeMap<Hour, (Bytes, Option<FleetSid>)>,
    /// The fleet that the latest record names.
    recorded_in: Option<FleetSid>,
    /// Of a SIM that is stored: who it is, and what humans said of it.
    named: Option<Sim>,
    desired: Desired,
    incident: Option<Incident>,
    quiet_at: Timestamp,
    keys: BTreeSet<String>,
    findings: Vec<Finding>,
    verdict: Verdict,
    acts: Vec<Act>,
    is_off: bool,
    times: Option<(Timestamp, Timestamp)>,
    faults: u32,
}

impl Course {
    /// A SIM of which nothing is known.
    #[must_use]
    pub fn new(sim: SimSid) -> Self {
        Self {
            sim,
            stored: None,
            usage: None,
            seen: BTreeMap::new(),
            recorded_in: None,
            named: None,
            desired: Desired::default(),
            incident: None,
            quiet_at: Timestamp::MIN,
            keys: BTreeSet::new(),
            findings: Vec::new(),
            verdict: Verdict::Clear,
            acts: Vec::new(),
            is_off: false,
            times: None,
            faults: 0,
        }
    }

    /// An event becomes known. Says whether the SIM is switched off for it.
    pub fn event(&mut self, trial: Trial<'_>, event: &Event, at: Timestamp, peers: &Peers) -> bool {
        if self.is_off {
            return true;
        }
        self.note_time(at);
        // Live, what was stored stays, and the event is set aside.
        let Ok(folded) = fold(self.sim, self.stored.take(), &[event], trial.policy, at) else {
            self.faults = self.faults.saturating_add(1);
            return self.is_off;
        };
        let usage = self.usage.as_ref();
        let look = Look {
            policy: trial.policy,
            detectors: detector::ALL,
            usage,
            cohort: folded.asks_fleet(usage).and_then(|fleet| peers.known(fleet)),
            known: &NONE_KNOWN,
        };
        match folded.look(look) {
            Assessed { write: Some(write), .. } => {
                let version = write.read_version.map_or(1, |version| version.saturating_add(1));
                self.stored = Some(StoredState { state: write.state, version, found: write.found });
                self.judge(trial, write.findings, at);
            }
            Assessed { kept, .. } => self.stored = kept,
        }
        self.is_off
    }

    /// A usage record becomes known; one that is not of a whole hour, or does not say how much, says
    /// nothing. Says whether the SIM is switched off for it.
    pub fn record(&mut self, trial: Trial<'_>, record: &UsageRecord, at: Timestamp) -> bool {
        let (Some(hour), Some(total)) = (record.hour(), record.total) else { return false };
        if self.is_off {
            return true;
        }
        self.note_time(at);
        if let Some(usage) = &mut self.usage
            && usage.closed_through() >= Some(hour)
        {
            // It grew after it was closed: counted, not learnt.
            let was = usage.bytes_in(hour);
            if usage.keeps(hour) && was != total {
                usage.amend(hour, was, total);
            }
            return false;
        }
        // The aggregator asks for the records of a fleet; what is in files need not name it.
        let fleet = record.fleet.or(self.fleet());
        self.recorded_in = record.fleet.or(self.recorded_in);
        self.seen.insert(hour, (total, fleet));
        let mut usage = self.usage.clone().unwrap_or_else(|| SimUsage::new(self.sim));
        usage.see(hour, total);
        let rules = trial.policy.rules_for(fleet, self.sim);
        let broken = shown_by_records(&usage, None, &rules, hour);
        // Nearly every SIM keeps within its limits, and is stored when its hour is closed.
        if !broken.is_empty() {
            self.usage = Some(usage);
            self.judge(trial, broken, at);
        }
        self.is_off
    }

    /// History ends, after the hours that are due by then were closed.
    pub fn finish(&mut self, end: Timestamp) {
        if !self.is_off && self.times.is_some() {
            self.note_time(end);
        }
    }

    fn note_time(&mut self, now: Timestamp) {
        let (first, last) = self.times.unwrap_or((now, now));
        self.times = Some((first.min(now), last.max(now)));
    }

    /// An hour is closed whose time has come, and with it what came too late for an earlier one. Says
    /// whether that switched the SIM off.
    pub fn close(&mut self, trial: Trial<'_>, hour: Hour, peers: &mut Peers) -> bool {
        while let Some((seen, (total, fleet))) = self.seen.first_key_value()
            && *seen <= hour
        {
            let (seen, total, fleet) = (*seen, *total, *fleet);
            self.seen.remove(&seen);
            let rules = trial.policy.rules_for(fleet, self.sim);
            let is_suspended = rules.is_planned(seen.start(), seen.end());
            // What comes late is found by the day's comparison, which judges nothing.
            let fleet_now = fleet.filter(|_| seen == hour);
            let cohort = fleet_now.map(|fleet| peers.cohort(fleet));
            let usage = self.usage.get_or_insert_with(|| SimUsage::new(self.sim));
            let source = Source { fleet, page: 0 };
            usage.close_beside(seen, total, source, Beside { cohort, is_suspended });
            if let Some(fleet) = fleet_now {
                peers.count(fleet, usage, seen);
            }
            let cohort = fleet_now.and_then(|fleet| peers.known(fleet));
            let mut found = shown_by_records(usage, cohort, &rules, seen);
            found.extend(unusual_usage(usage, &rules));
            self.judge(trial, found, closed_at(hour));
            if self.is_off {
                return true;
            }
        }
        false
    }

    /// Who the SIM is, and what humans said of it by now.
    pub fn know(&mut self, case: &Case, inventory: Option<&Sim>) {
        self.desired = case.desired.0.clone();
        let state = case.state.as_ref();
        self.recorded_in = state.and_then(SimState::fleet).or(self.recorded_in);
        let of_events = || state.map(|state| sim_of(self.sim, Some(state), state.fleet()));
        self.named = inventory.cloned().or_else(of_events);
    }

    /// What is stored of the SIM [shows](shown) this: it is judged as of its own time.
    pub fn find(&mut self, trial: Trial<'_>, finding: Finding) {
        if !self.is_off {
            let at = finding.at;
            self.judge(trial, vec![finding], at);
        }
    }

    /// Something was found: policy rules, and what follows is noted.
    fn judge(&mut self, trial: Trial<'_>, mut found: Vec<Finding>, at: Timestamp) {
        found.retain(|finding| self.keys.insert(finding.key()));
        let Some(first) = found.first() else { return };
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        self.findings.extend(found.iter().take(room).cloned());
        let fleet = self.fleet();
        let rules = trial.policy.rules_for(fleet, self.sim);
        let verdict = rules.rule(&found);
        self.verdict = self.verdict.max(verdict);
        if verdict < Verdict::Alert {
            return;
        }
        let deciding = found.iter().find(|finding| rules.verdict_of(finding) == verdict);
        let deciding = deciding.unwrap_or(first).clone();
        if at > self.quiet_at {
            self.incident = None;
        }
        self.quiet_at = at.saturating_add(QUIET_MAX).unwrap_or(Timestamp::MAX);
        let name = self.sim.to_string();
        let open = || Incident::open(self.sim, name, fleet, at);
        let mut incident = self.incident.take().unwrap_or_else(open);
        let told: Vec<_> = incident.findings.iter().map(told_as).collect();
        let tells = |finding: &&Finding| rules.verdict_of(finding) >= Verdict::Alert;
        let is_news = found.iter().filter(tells).any(|finding| !told.contains(&told_as(finding)));
        incident.add_findings(&found);
        let (what, hold) = self.ruled(trial, &rules, verdict);
        let cools = || {
            self.desired.restored_at <= Some(at)
                && is_cooling(&self.desired, &rules, at, &found.iter().collect::<Vec<_>>())
        };
        let hold = hold.or_else(|| (what > Verdict::Alert && cools()).then_some(Hold::Cooldown));
        let is_told = match what {
            Verdict::Clear | Verdict::Watch | Verdict::Alert => !is_news,
            Verdict::Quarantine | Verdict::Deactivate => {
                let mut since = self.acts.iter().filter(|act| act.at >= incident.opened_at);
                since.any(|act| (act.what, act.hold) == (what, hold))
            }
        };
        if !is_told {
            self.acts.push(Act {
                sim: self.sim,
                fleet,
                what,
                hold,
                at,
                detector: deciding.detector,
                sentence: deciding.to_string(),
                since: incident.rogue_since(),
                bytes: self.bytes_since(&incident),
                is_judged: self.desired.is_settled(&deciding),
            });
        }
        self.incident = Some(incident);
        if what == Verdict::Deactivate && hold.is_none() {
            self.switch_off();
        }
    }

    /// What the SIM used since what was found began, at least. Of a SIM without events only records and
    /// findings say it, and of records the latest hours are kept.
    fn bytes_since(&self, incident: &Incident) -> Bytes {
        let since = incident.rogue_since();
        let by_events = self.stored.as_ref().map(|stored| incident.bytes_since(&stored.state));
        let mut hours: BTreeMap<Hour, Bytes> =
            self.usage.iter().flat_map(SimUsage::hours).collect();
        hours.extend(self.seen.iter().map(|(hour, (total, _))| (*hour, *total)));
        let of_it = hours.into_iter().filter(|(hour, _)| hour.start() >= since);
        let by_records = of_it.map(|(_, bytes)| bytes).sum();
        let by_findings = incident.findings.iter().map(shown_by).max();
        by_events.unwrap_or(Bytes(0)).max(by_records).max(by_findings.unwrap_or(Bytes(0)))
    }

    /// What becomes of a verdict: an act, or what a guard makes of it.
    fn ruled(&self, trial: Trial<'_>, rules: &Rules, verdict: Verdict) -> (Verdict, Option<Hold>) {
        let sim = self.as_named();
        let what = match verdict {
            Verdict::Quarantine if quarantine_for(rules, &sim, &self.desired).is_none() => {
                Verdict::Alert
            }
            verdict => verdict,
        };
        let hold = if what <= Verdict::Alert {
            None
        } else if rules.guards.protects(&sim) || self.desired.protected_by.is_some() {
            Some(Hold::Protected)
        } else if trial.mode == ModeFrom::Policy && rules.mode == Mode::Observe {
            Some(Hold::Observe)
        } else {
            None
        };
        (what, hold)
    }

    /// The SIM as the provider would show it.
    fn as_named(&self) -> Sim {
        let of_events = sim_of(self.sim, self.state(), self.fleet());
        match &self.named {
            Some(named) => Sim { fleet: of_events.fleet.or(named.fleet), ..named.clone() },
            None => of_events,
        }
    }

    /// Nothing more is judged, and what was known is let go but the SIM's name.
    fn switch_off(&mut self) {
        self.is_off = true;
        self.named = Some(self.as_named());
        (self.stored, self.usage, self.incident) = (None, None, None);
        self.seen.clear();
        self.keys.clear();
    }

    /// The SIM's fleet as far as it is known: by its events, or else by its records.
    #[must_use]
    pub fn fleet(&self) -> Option<FleetSid> {
        self.state().and_then(SimState::fleet).or(self.recorded_in)
    }

    /// The SIM.
    #[must_use]
    pub const fn sim(&self) -> SimSid {
        self.sim
    }

    /// The SIM's own name, where it is known.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.as_named().unique_name
    }

    /// What would have been done and told, in the order of time.
    #[must_use]
    pub fn acts(&self) -> &[Act] {
        &self.acts
    }

    /// What was found, in the order in which it became known; the first [hundred](FINDINGS_MAX).
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What policy asked for at most, whatever the guards.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether it was switched off.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.is_off
    }

    /// Events whose fold panicked.
    #[must_use]
    pub const fn faults(&self) -> u32 {
        self.faults
    }

    /// How long it was judged: from the first of its history to the last, or until it was off.
    #[must_use]
    pub fn judged(&self) -> SignedDuration {
        self.times.map_or(SignedDuration::ZERO, |(first, last)| last.duration_since(first))
    }

    /// When the first of its history was known.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.times.map(|(first, _)| first)
    }

    /// The SIM's state, while it is on and has any.
    #[must_use]
    pub fn state(&self) -> Option<&SimState> {
        self.stored.as_ref().map(|stored| &*stored.state)
    }

    /// What usage records say of it, likewise.
    #[must_use]
    pub const fn usage(&self) -> Option<&SimUsage> {
        self.usage.as_ref()
    }
}

/// What is stored of a SIM's events shows under a policy, by the code of the kill-switch, in the order of
/// time. What a human judged since is shown, too: it would have been found. What another policy found of
/// usage over time is not: hours are judged anew.
#[must_use]
pub fn shown(policy: &Policy, case: &Case, now: Timestamp) -> Vec<Finding> {
    let (desired, findings) = ((Desired::default(), 0), BTreeMap::new());
    let case = Case { desired, findings, incident: None, ..case.clone() };
    let look = incident::Look { now, case: &case, policy, armed: Mode::Enforce, sim: None };
    let fleet = case.state.as_ref().and_then(SimState::fleet);
    let (_, found) = incident::assess(&look, fleet);
    let found = found.into_values().filter(|found| found.detector != DetectorId::UsageSpike);
    let mut found: Vec<Finding> = found.collect();
    found.sort_by_key(|finding| finding.at);
    found
}

/// What a finding says was used since it began.
fn shown_by(finding: &Finding) -> Bytes {
    match &finding.evidence {
        Evidence::Bytes { seen, .. } | Evidence::Strike { seen, .. } => *seen,
        Evidence::Unusual { excess, .. } => *excess,
        _ => Bytes(0),
    }
}

/// The SIM as the provider would show it: what the guards that look at one ask for.
fn sim_of(sid: SimSid, state: Option<&SimState>, fleet: Option<FleetSid>) -> Sim {
    Sim {
        sid,
        iccid: state.and_then(SimState::iccid),
        unique_name: state.and_then(SimState::unique_name).map(str::to_owned),
        status: SimStatus::Active,
        fleet,
    }
}
