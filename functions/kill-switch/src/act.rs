//! The acts. Each records its intent, asks the provider once, and records what came of it.

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::audit::{AuditEntry, Phase, SIMFUSE};
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::incident::{self, Authority, Desired, Incident, Stage};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, Campaigns, Case, Cases, Change, Clock, Commit, Committed, Fleets, Heartbeat, Policies,
    ProviderError, Sim, SuperSim, TargetStatus,
};

use crate::engine::{KillSwitch, Step, incident_version, pause};
use crate::error::{Chain, KillSwitchError};

/// If the function dies between intent and outcome, the sweep looks again after this long: longer
/// than a call to the provider may take.
const OUTCOME_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// How often an outcome's audit entry is tried to be recorded when others are in the way.
const OUTCOME_TRIES_MAX: u32 = 10;

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
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
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
        let is_automatic = authority != Authority::Human;
        // What policy protects by now is not killed by what it said before. Without a number nobody
        // could tell the one from the other.
        let policy_unchanged = match (is_automatic, policy.number()) {
            (true, None) => return Err(KillSwitchError::PolicyWithoutNumber),
            (true, number) => number,
            (false, _) => None,
        };
        let intent = Commit {
            kill_windows,
            unless_stopped: is_automatic,
            policy_unchanged,
            ..Commit::of(case.sim)
        };
        self.act(case, incident, desired, Change::Status(TargetStatus::Inactive), intent).await
    }

    /// Asks the provider to make the SIM active. `desired` says what a human judged by it, `audit`
    /// what else is recorded with the intent.
    pub(crate) async fn restore(
        &self,
        case: &Case,
        mut incident: Incident,
        desired: Desired,
        audit: Vec<AuditEntry>,
    ) -> Result<Acted, KillSwitchError> {
        if incident.stage != Stage::Restored {
            incident.stage = Stage::Restoring;
        }
        let desired = Desired { status: Some(TargetStatus::Active), inactive_at: None, ..desired };
        incident.quarantine = None;
        let change = Change::Status(TargetStatus::Active);
        let intent = Commit { audit, ..Commit::of(case.sim) };
        self.act(case, incident, desired, change, intent).await
    }

    /// Asks the provider for one step to quarantine or back. `desired` says what a human judged by
    /// it, `audit` what else is recorded with the intent of a step back.
    pub(crate) async fn relocate(
        &self,
        case: &Case,
        incident: Incident,
        desired: Desired,
        change: Change,
        audit: Vec<AuditEntry>,
    ) -> Result<Acted, KillSwitchError> {
        let is_back = incident.stage == Stage::Restoring;
        if !is_back && change == Change::Status(TargetStatus::Active) {
            let fleet = self.provider.fetch_fleet(&quarantine_name(&incident)).await;
            let now = self.clock.now();
            if let Some(incident) = incident::kept_out(now, &incident, &fleet) {
                return Ok(match self.record(case, incident.clone()).await? {
                    Step::Done => Acted::Recorded(Box::new(incident)),
                    Step::Again => Acted::Conflict,
                });
            }
        }
        let desired = match change {
            _ if is_back => Desired { status: Some(TargetStatus::Active), ..desired },
            Change::Fleet(_) => Desired { quarantine: incident.quarantine, ..desired },
            Change::Status(status) => {
                let quarantine = incident.quarantine;
                Desired { status: Some(status), inactive_at: None, quarantine, ..desired }
            }
        };
        let unless_stopped = !is_back && incident.human.is_none();
        let intent = Commit { unless_stopped, audit, ..Commit::of(case.sim) };
        self.act(case, incident, desired, change, intent).await
    }

    async fn act(
        &self,
        case: &Case,
        mut incident: Incident,
        desired: Desired,
        change: Change,
        intent: Commit,
    ) -> Result<Acted, KillSwitchError> {
        let now = self.clock.now();
        incident.attempts = incident.attempts.saturating_add(1);
        incident.next_check = now.saturating_add(OUTCOME_WITHIN).unwrap_or(Timestamp::MAX);
        if change == Change::Status(TargetStatus::Inactive) {
            incident.sent_at.get_or_insert(now);
        }
        let version = incident_version(case);
        let (known, desired_version) = &case.desired;
        let changed = *known != desired;
        let wanted = desired.clone();
        let mut audit = vec![entry(&incident, change, Phase::Intent, now, why(&incident))];
        audit.extend(intent.audit);
        let intent = Commit {
            incident: Some((incident.clone(), version)),
            desired: changed.then_some((desired, *desired_version)),
            desired_unchanged: (!changed).then_some(*desired_version),
            audit,
            ..intent
        };
        if self.commit(&intent, "recording an intent").await? == Committed::Conflict {
            return Ok(Acted::Conflict);
        }
        let answer = match change {
            Change::Status(status) => self.provider.set_status(case.sim, status).await,
            Change::Fleet(fleet) => self.provider.set_fleet(case.sim, fleet).await,
        };
        log_answer(&incident, change, &answer);
        let now = self.clock.now();
        let asked = incident.clone();
        let incident = incident::outcome_of(now, incident, change, &answer);
        let audit = vec![entry(&asked, change, Phase::Outcome, now, said(change, &answer))];
        let version = version.saturating_add(1);
        let desired_version = desired_version.saturating_add(u64::from(changed));
        // Given up on the way to quarantine: it should be inactive again.
        let gave_up = asked.quarantine.is_some() && incident.quarantine.is_none();
        let status = Some(TargetStatus::Inactive);
        let desired = gave_up.then_some((Desired { status, ..wanted }, desired_version));
        let outcome = Commit {
            incident: Some((incident.clone(), version)),
            desired_unchanged: desired.is_none().then_some(desired_version),
            desired,
            audit: audit.clone(),
            ..Commit::of(case.sim)
        };
        if self.commit(&outcome, "recording an outcome").await? == Committed::Conflict {
            // A human or the sweep came in between; theirs stands, and the next look converges.
            let only = Commit { audit, ..Commit::of(case.sim) };
            self.record_outcome_alone(&only).await?;
            return Ok(Acted::Recorded(Box::new(incident)));
        }
        let (incident, _) = self.tell(incident, version.saturating_add(1), case.into()).await?;
        Ok(Acted::Recorded(Box::new(incident)))
    }

    /// An outcome's audit entry rests on nothing that others change, but they may be at it, too.
    async fn record_outcome_alone(&self, commit: &Commit) -> Result<(), KillSwitchError> {
        for attempt in 0..OUTCOME_TRIES_MAX {
            let committed = self.commit(commit, "recording an outcome's audit entry").await?;
            if committed == Committed::Done {
                return Ok(());
            }
            pause(&self.clock, (commit.sim, attempt)).await;
        }
        let (sim, passes) = (commit.sim.to_string(), OUTCOME_TRIES_MAX);
        Err(KillSwitchError::Contention { sim, passes })
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
        Some(human) => match incident.frozen_until {
            Some(until) => format!("{} (until {until})", human.reason),
            None => human.reason.clone(),
        },
        None => incident.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    }
}

fn quarantine_name(incident: &Incident) -> String {
    incident.quarantine.map(|quarantine| quarantine.fleet.to_string()).unwrap_or_default()
}

fn said(change: Change, answer: &Result<Sim, ProviderError>) -> String {
    match (answer, change) {
        (Ok(sim), Change::Status(_)) => format!("the provider says {}", sim.status),
        (Ok(sim), Change::Fleet(_)) => {
            let fleet = sim.fleet.map_or("no fleet".to_owned(), |fleet| fleet.to_string());
            format!("the provider says {}, {fleet}", sim.status)
        }
        (Err(error), _) => error.to_string(),
    }
}

fn entry(
    incident: &Incident,
    change: Change,
    phase: Phase,
    at: Timestamp,
    reason: String,
) -> AuditEntry {
    let action = match (incident.stage, change) {
        (Stage::Restoring | Stage::Restored, _) => "restore",
        (_, Change::Status(TargetStatus::Inactive)) => "deactivate",
        (_, Change::Status(TargetStatus::Active) | Change::Fleet(_)) => "quarantine",
    };
    let name = match phase {
        Phase::Intent => "intent",
        Phase::Outcome => "outcome",
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

fn log_answer(incident: &Incident, change: Change, answer: &Result<Sim, ProviderError>) {
    match answer {
        Ok(sim) => tracing::info!(
            sim.sid = %sim.sid, sim.status = %sim.status, %change, "the provider took the request"
        ),
        Err(error) => tracing::error!(
            sim.sid = %incident.sim, %change, error = %Chain(error),
            "the provider did not take the request"
        ),
    }
}
