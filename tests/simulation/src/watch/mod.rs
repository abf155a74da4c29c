//! The watch: sees every effect in the moment of its happening, keeps its own book of it, and says
//! which promise was broken. It asks none of the code that it watches.

mod acts;
mod alerts;
mod cases;
pub(crate) mod ends;
mod guards;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use simfuse_domain::alert::AlertKind;
use simfuse_domain::audit::{AuditEntry, Phase, SIMFUSE};
use simfuse_domain::device::Imei14;
use simfuse_domain::guard::CapScope;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::{Desired, Incident};
use simfuse_domain::policy::{Mode, Policy};
use simfuse_domain::port::{Commit, Sim, TargetStatus};
use simfuse_testkit::faulty::Method;
use simfuse_testkit::gated::Call;

use crate::shared::TaskId;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub invariant: &'static str,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Whose call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) task: TaskId,
    pub(crate) kind: Kind,
    /// What the instance's environment allows.
    pub(crate) armed: Mode,
}

/// What invoked the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Webhook,
    Stream,
    Sweep,
    Human,
    Hint,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {:?}", self.task, self.kind)
    }
}

/// What the watch knows.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) violation: Option<Violation>,
    pub(crate) sims: BTreeMap<SimSid, Seen>,
    /// All policies, by number.
    pub(crate) policies: Vec<Policy>,
    pub(crate) stopped: bool,
    /// How many SIMs the inventory counted in each fleet.
    pub(crate) fleet_sims: BTreeMap<FleetSid, u32>,
    /// The policy that an invocation read first.
    policy_read: BTreeMap<TaskId, usize>,
    /// Automatic kills that were admitted, by the time.
    admissions: BTreeMap<CapScope, Vec<i64>>,
    /// Intents of an invocation that no request has followed yet.
    intents: BTreeMap<(TaskId, SimSid), Vec<String>>,
    /// Every alert that went out: what it says was done, how often, and when first.
    pub(crate) published: BTreeMap<String, Published>,
    /// How many effects there were.
    effects: u64,
    /// The latest case of a SIM that an invocation read.
    read_at: BTreeMap<(TaskId, SimSid), u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// In which message: its own, or one that tells many.
    pub(crate) by: String,
    pub(crate) action: String,
    pub(crate) times: u32,
    pub(crate) last_ms: i64,
    /// When the table no longer held it as pending, by the number of effects.
    recorded_at: Option<u64>,
}

/// What was seen of one SIM.
#[derive(Debug)]
pub(crate) struct Seen {
    /// By which names policy may protect it.
    pub(crate) names: Sim,
    /// Its fleets, and since when.
    pub(crate) fleets: Vec<(i64, FleetSid)>,
    pub(crate) desired: (Desired, u64),
    pub(crate) incident: Option<(Incident, u64)>,
    pub(crate) past: Vec<Incident>,
    /// Alerts of each incident, by number, and of which kind they are.
    pub(crate) alerts: BTreeMap<String, BTreeMap<u32, AlertKind>>,
    /// Incidents whose alerts a human made pointless by saying that all is well.
    pub(crate) judged: BTreeSet<String>,
    /// Devices of incidents that a human judged false alarms, since a human last killed the SIM.
    pub(crate) allowed: BTreeSet<Imei14>,
    /// Incidents with an intent that no outcome has followed.
    pub(crate) without_outcome: BTreeSet<String>,
    /// Incidents that the caps have counted.
    admitted: BTreeSet<String>,
    /// The latest act.
    pub(crate) last_act: LastAct,
    /// Someone or something other than SimFuse's newest wish may have made it active.
    pub(crate) activated_elsewhere: bool,
    /// Incidents that a cap held once.
    pub(crate) capped: BTreeSet<String>,
    /// Since when it waits for a human because a cap is reached.
    pub(crate) capped_ms: Option<i64>,
    pub(crate) posts: u32,
    pub(crate) fetches: u32,
}

/// What was last wanted of a SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastAct {
    Nothing,
    Killed,
    /// It was off, and goes on to quarantine.
    Quarantined,
    Restored,
}

impl Seen {
    pub(crate) fn new(now_ms: i64, names: Sim) -> Self {
        Self {
            fleets: names.fleet.iter().map(|fleet| (now_ms, *fleet)).collect(),
            names,
            desired: (Desired::default(), 0),
            incident: None,
            past: Vec::new(),
            alerts: BTreeMap::new(),
            judged: BTreeSet::new(),
            allowed: BTreeSet::new(),
            without_outcome: BTreeSet::new(),
            admitted: BTreeSet::new(),
            last_act: LastAct::Nothing,
            activated_elsewhere: false,
            capped: BTreeSet::new(),
            capped_ms: None,
            posts: 0,
            fetches: 0,
        }
    }
}

impl Watch {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            violation: None,
            sims: BTreeMap::new(),
            policies: vec![policy],
            stopped: false,
            fleet_sims: BTreeMap::new(),
            policy_read: BTreeMap::new(),
            admissions: BTreeMap::new(),
            intents: BTreeMap::new(),
            published: BTreeMap::new(),
            effects: 0,
            read_at: BTreeMap::new(),
        }
    }

    /// The first broken promise counts; what follows may follow from it.
    fn broken(&mut self, invariant: &'static str, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what: what() });
        }
    }

    pub(crate) fn activated_elsewhere(&mut self, sim: SimSid) {
        if let Some(seen) = self.sims.get_mut(&sim) {
            seen.activated_elsewhere = true;
        }
    }

    /// An invocation is over, or dead.
    pub(crate) fn ended(&mut self, task: TaskId) {
        self.policy_read.remove(&task);
        self.intents.retain(|(of, _), _| *of != task);
        self.read_at.retain(|(of, _), _| *of != task);
    }

    /// A request for another status reached the provider.
    pub(crate) fn posted(&mut self, _now_ms: i64, caller: &Caller, sim: SimSid, to: TargetStatus) {
        if let Some(seen) = self.sims.get_mut(&sim) {
            seen.posts += 1;
        }
        self.check_hint(caller, sim);
        // The way out of quarantine is off, moved and on.
        let actions = match to {
            TargetStatus::Inactive => ["deactivate", "restore"],
            TargetStatus::Active => ["quarantine", "restore"],
        };
        self.check_intent_before_act(caller, sim, &actions);
    }

    /// A call took effect; `is_done` is false where it found that it could not.
    pub(crate) fn took_effect(
        &mut self,
        now_ms: i64,
        caller: &Caller,
        call: &Call<'_>,
        is_done: bool,
    ) {
        self.effects += 1;
        self.check_writer(caller, call);
        match call {
            Call::ReadCase(_) if !is_done => {}
            Call::ReadCase(sim) => {
                self.read_at.insert((caller.task, *sim), self.effects);
            }
            Call::Plain(Method::CurrentPolicy) => {
                let number = self.policies.len() - 1;
                self.policy_read.entry(caller.task).or_insert(number);
            }
            Call::Fetch(simfuse_domain::port::SimName::Sid(sim)) => {
                if let Some(seen) = self.sims.get_mut(sim) {
                    seen.fetches += 1;
                }
            }
            Call::SetFleet(sim, fleet) => {
                self.check_hint(caller, *sim);
                self.check_intent_before_act(caller, *sim, &["quarantine", "restore"]);
                if let Some(seen) = self.sims.get_mut(sim).filter(|_| is_done) {
                    seen.fleets.push((now_ms, *fleet));
                }
            }
            Call::Publish(alert) if is_done => self.note_published(now_ms, caller, alert),
            Call::WriteStop(stop) if is_done => self.stopped = stop.is_some(),
            Call::ReplacePolicy(change) if is_done => self.policies.push(change.policy.clone()),
            Call::Commit(commit) if is_done => self.committed(now_ms, caller, commit),
            _ => {}
        }
    }

    fn committed(&mut self, now_ms: i64, caller: &Caller, commit: &Commit) {
        self.check_versions(commit);
        self.check_one_incident(commit);
        self.check_guards(now_ms, caller, commit);
        self.check_alerts(commit);
        self.note_acts(caller, commit);
        self.note_alerts(commit);
        self.note_case(now_ms, commit);
    }

    /// Takes what was recorded into the book.
    fn note_case(&mut self, now_ms: i64, commit: &Commit) {
        for (scope, ..) in &commit.kill_windows {
            self.admissions.entry(*scope).or_default().push(now_ms);
        }
        let Some(seen) = self.sims.get_mut(&commit.sim) else { return };
        if let Some((desired, read)) = &commit.desired {
            seen.desired = (desired.clone(), read + 1);
        }
        let Some((incident, read)) = &commit.incident else { return };
        if !commit.kill_windows.is_empty() {
            seen.admitted.insert(incident.id.clone());
        }
        if commit.closes {
            seen.incident = None;
            seen.past.push(incident.clone());
        } else {
            seen.incident = Some((incident.clone(), read + 1));
        }
        let capped = matches!(
            incident.stage,
            simfuse_domain::incident::Stage::Held(simfuse_domain::incident::Hold::Cap)
        );
        if capped {
            seen.capped.insert(incident.id.clone());
        }
        seen.capped_ms = (capped && !commit.closes).then(|| seen.capped_ms.unwrap_or(now_ms));
    }
}

/// The audit's word for a human's judgement.
const FALSE_ALARM: &str = "false_alarm";

/// The act that a decision is the intent of, and whether no human asked for it.
fn intent_of(commit: &Commit) -> Option<(&str, bool)> {
    // A judgement asks for no act by itself.
    let is_act = |entry: &&AuditEntry| entry.phase == Phase::Intent && entry.action != FALSE_ALARM;
    let intent = commit.audit.iter().find(is_act)?;
    Some((intent.action.as_str(), intent.actor == SIMFUSE))
}
