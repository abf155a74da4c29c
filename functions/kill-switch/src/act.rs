//! The two acts. Each records its intent, asks the provider once, and records what came of it.

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::audit::{AuditEntry, Phase, SIMFUSE};
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::incident::{self, Authority, Desired, Incident, Stage};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, Case, Cases, Clock, Commit, Committed, Heartbeat, Policies, ProviderError, Sim,
    SuperSim, TargetStatus,
};

use crate::engine::{KillSwitch, incident_version};
use crate::error::KillSwitchError;

/// If the function dies between intent and outcome, the sweep looks again after this long: longer
/// than a call to the provider may take.
const OUTCOME_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// What became of an act.
pub(crate) enum Acted {
    /// Intent and outcome are recorded.
    Recorded(Box<Incident>),
    /// The case changed before the intent could be recorded; nothing was done.
    Conflict,
    /// A cap has no room; nothing was done.
    CapReached,
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Cases + Policies + Heartbeat,
    P: SuperSim,
    A: Alerts,
    C: Clock,
{
    /// Asks the provider to deactivate the SIM.
    pub(crate) async fn deactivate(
        &self,
        case: &Case,
        policy: &Policy,
        mut incident: Incident,
        authority: Authority,
    ) -> Result<Acted, KillSwitchError> {
        let now = self.clock.now();
        let mut kill_windows = Vec::new();
        if authority == Authority::Policy {
            match self.room_in_caps(policy, &incident, now).await? {
                Some(windows) => kill_windows = windows,
                None => return Ok(Acted::CapReached),
            }
        }
        incident.stage = Stage::Admitted;
        let desired = Desired {
            status: Some(TargetStatus::Inactive),
            inactive_at: None,
            ..case.desired.0.clone()
        };
        let intent = Commit {
            kill_windows,
            unless_stopped: authority != Authority::Human,
            ..Commit::of(case.sim)
        };
        self.act(case, incident, desired, TargetStatus::Inactive, intent).await
    }

    /// Asks the provider to make the SIM active. `desired` says what a human judged by it.
    pub(crate) async fn restore(
        &self,
        case: &Case,
        mut incident: Incident,
        desired: Desired,
    ) -> Result<Acted, KillSwitchError> {
        if incident.stage != Stage::Restored {
            incident.stage = Stage::Restoring;
        }
        let desired = Desired { status: Some(TargetStatus::Active), inactive_at: None, ..desired };
        self.act(case, incident, desired, TargetStatus::Active, Commit::of(case.sim)).await
    }

    async fn act(
        &self,
        case: &Case,
        mut incident: Incident,
        desired: Desired,
        wanted: TargetStatus,
        intent: Commit,
    ) -> Result<Acted, KillSwitchError> {
        let now = self.clock.now();
        incident.attempts = incident.attempts.saturating_add(1);
        incident.next_check = now.saturating_add(OUTCOME_WITHIN).unwrap_or(Timestamp::MAX);
        if wanted == TargetStatus::Inactive {
            incident.sent_at.get_or_insert(now);
        }
        let version = incident_version(case);
        let (known, desired_version) = &case.desired;
        let changed = *known != desired;
        let intent = Commit {
            incident: Some((incident.clone(), version)),
            desired: changed.then_some((desired, *desired_version)),
            desired_unchanged: (!changed).then_some(*desired_version),
            audit: vec![entry(&incident, wanted, Phase::Intent, now, why(&incident))],
            ..intent
        };
        if self.commit(&intent, "recording an intent").await? == Committed::Conflict {
            return Ok(Acted::Conflict);
        }
        let answer = self.provider.set_status(case.sim, wanted).await;
        log_answer(&incident, wanted, &answer);
        let now = self.clock.now();
        let incident = incident::outcome_of(now, incident, wanted, &answer);
        let result = match &answer {
            Ok(sim) => format!("the provider says {}", sim.status),
            Err(error) => error.to_string(),
        };
        let audit = vec![entry(&incident, wanted, Phase::Outcome, now, result)];
        let version = version.saturating_add(1);
        let outcome = Commit {
            incident: Some((incident.clone(), version)),
            desired_unchanged: Some(desired_version.saturating_add(u64::from(changed))),
            audit: audit.clone(),
            ..Commit::of(case.sim)
        };
        if self.commit(&outcome, "recording an outcome").await? == Committed::Conflict {
            // A human or the sweep came in between; theirs stands, and the next look converges.
            let only = Commit { audit, ..Commit::of(case.sim) };
            self.commit(&only, "recording an outcome's audit entry").await?;
            return Ok(Acted::Recorded(Box::new(incident)));
        }
        let state = case.state.as_ref();
        let (incident, _) = self.tell(incident, version.saturating_add(1), state).await?;
        Ok(Acted::Recorded(Box::new(incident)))
    }

    /// The windows of the account's and the fleet's cap with one more kill, if both have room.
    async fn room_in_caps(
        &self,
        policy: &Policy,
        incident: &Incident,
        now: Timestamp,
    ) -> Result<Option<Vec<(CapScope, KillWindow, u64)>>, KillSwitchError> {
        let rules = policy.rules_for(incident.fleet, incident.sim);
        let account = (CapScope::Account, rules.guards.account_max_kills);
        let fleet = incident.fleet.map(|fleet| (CapScope::Fleet(fleet), rules.guards.max_kills));
        let mut windows = Vec::new();
        for (scope, cap) in [Some(account), fleet].into_iter().flatten() {
            let read = self.table.read_kill_window(scope).await;
            let (window, version) = read.map_err(KillSwitchError::table("reading a cap"))?;
            // Of a fleet whose size is unknown, only the cap's count is asked.
            let sims = match scope {
                CapScope::Fleet(fleet) => self.table.fleet_sims(fleet).await,
                CapScope::Account => Ok(None),
            };
            let sims = sims.map_err(KillSwitchError::table("reading the size of a fleet"))?;
            match window.admit(now, cap, sims) {
                Some(window) => windows.push((scope, window, version)),
                None => return Ok(None),
            }
        }
        Ok(Some(windows))
    }
}

fn why(incident: &Incident) -> String {
    match &incident.human {
        Some(human) => human.reason.clone(),
        None => incident.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    }
}

fn entry(
    incident: &Incident,
    wanted: TargetStatus,
    phase: Phase,
    at: Timestamp,
    reason: String,
) -> AuditEntry {
    let (action, name) = match (wanted, phase) {
        (TargetStatus::Active, Phase::Intent) => ("restore", "intent"),
        (TargetStatus::Active, Phase::Outcome) => ("restore", "outcome"),
        (TargetStatus::Inactive, Phase::Intent) => ("deactivate", "intent"),
        (TargetStatus::Inactive, Phase::Outcome) => ("deactivate", "outcome"),
    };
    AuditEntry {
        sim: Some(incident.sim),
        fleet: incident.fleet,
        at,
        id: format!("{}-{}-{name}", incident.id, incident.attempts),
        actor: incident.human.as_ref().map_or(SIMFUSE, |human| human.by.as_str()).to_owned(),
        action: action.to_owned(),
        phase,
        reason,
        incident: Some(incident.id.clone()),
    }
}

fn log_answer(incident: &Incident, wanted: TargetStatus, answer: &Result<Sim, ProviderError>) {
    match answer {
        Ok(sim) => tracing::info!(
            sim.sid = %sim.sid, sim.status = %sim.status, ?wanted, "the provider took the request"
        ),
        Err(error) => tracing::error!(
            sim.sid = %incident.sim, ?wanted, error = %crate::error::Chain(error),
            "the provider did not take the request"
        ),
    }
}
