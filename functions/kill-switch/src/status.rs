//! How things are: of the whole, and of one SIM.

use jiff::Timestamp;
use simfuse_domain::incident::{self, Look, Stage};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, Case, Cases, Clock, Fleets, Heartbeat, Policies, Sim, SuperSim,
};
use simfuse_domain::verdict::Verdict;

use crate::engine::{KillSwitch, LAST_ALERT};
use crate::error::KillSwitchError;
use crate::request::{Details, Status};

/// Open incidents counted.
const OPEN_MAX: usize = 5_000;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// How the whole is.
    pub(crate) async fn status(&self) -> Result<Status, KillSwitchError> {
        let policy = self.policy().await?;
        let stopped = self.table.read_stop().await;
        let stopped = stopped.map_err(KillSwitchError::table("reading the stop switch"))?;
        let open = self.table.open_incidents(Timestamp::MAX, OPEN_MAX).await;
        let open = open.map_err(KillSwitchError::table("listing open incidents"))?;
        let last_beat = self.table.last_beat().await;
        let last_beat = last_beat.map_err(KillSwitchError::table("reading the heartbeat"))?;
        let last_alert = self.table.last_paged(LAST_ALERT).await;
        let last_alert = last_alert.map_err(KillSwitchError::table("reading the last alert"))?;
        let count =
            |of: fn(Stage) -> bool| open.iter().filter(|open| of(open.incident.stage)).count();
        Ok(Status {
            policy_mode: policy.base().mode,
            enforces_anywhere: policy.enforces_anywhere(),
            armed: self.armed,
            stopped,
            open: open.len(),
            held: count(|stage| matches!(stage, Stage::Held(_))),
            unproven: count(is_unproven),
            last_event_age_secs: last_beat
                .map(|beat| self.clock.now().duration_since(beat.received_at).as_secs()),
            last_alert,
        })
    }

    /// What is known of one SIM.
    pub(crate) fn details(&self, case: &Case, sim: &Sim, policy: &Policy) -> Details {
        let answer = Ok(sim.clone());
        let look =
            Look { now: self.clock.now(), case, policy, armed: self.armed, sim: Some(&answer) };
        let (verdict, findings) = incident::assess(&look, sim.fleet);
        let stage = case.incident.as_ref().map(|(incident, _)| incident.stage);
        let held_by = match stage {
            Some(Stage::Held(hold)) => Some(hold.to_string()),
            _ => None,
        };
        Details {
            verdict,
            findings: findings.into_values().collect(),
            stage: stage.map(|stage| stage.to_string()),
            held_by,
            protected_by: case.desired.0.protected_by.clone(),
            last_event: case.state.as_ref().map(simfuse_domain::state::SimState::now),
            next_step: next_step(stage, verdict).to_owned(),
        }
    }
}

const fn is_unproven(stage: Stage) -> bool {
    matches!(
        stage,
        Stage::Admitted
            | Stage::Sent
            | Stage::Scheduled
            | Stage::Unreachable
            | Stage::Refused
            | Stage::Inactive
            | Stage::Quiet
            | Stage::Leaking
    )
}

const fn next_step(stage: Option<Stage>, verdict: Verdict) -> &'static str {
    match stage {
        None if matches!(verdict, Verdict::Deactivate) => {
            "policy asks for it to be deactivated: the next event or sweep takes it up, or kill it"
        }
        None => "nothing to do",
        Some(Stage::Alerted) => "look at the findings; kill it if it is stolen",
        Some(Stage::Requested) => "the provider is asked about it again by itself",
        Some(Stage::Held(_)) => "approve it, or let it be: it is not deactivated by itself",
        Some(Stage::Admitted | Stage::Sent | Stage::Scheduled | Stage::Unreachable) => {
            "it is pursued by itself, and a human is paged after 10 minutes"
        }
        Some(Stage::Refused) => "the provider refuses: check credentials and the SIM's account",
        Some(Stage::Inactive | Stage::Quiet) => {
            "proof is waited for; restore it if it was a mistake"
        }
        Some(Stage::Quarantined) => "it may connect and can do no harm: kill it, or restore it",
        Some(Stage::Leaking) => "call the provider: its network still carries the SIM",
        Some(Stage::Restoring | Stage::Restored) => "nothing to do: the restore is being watched",
        Some(Stage::Proven | Stage::RestoredElsewhere | Stage::Expired) => "nothing to do",
    }
}
