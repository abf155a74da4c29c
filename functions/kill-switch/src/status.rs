//! How things are: of the whole, and of one SIM.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{self, Hold, Incident, Look, Stage};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, Campaigns, Case, Cases, Clock, Fleets, Heartbeat, OpenIncident, Policies, Sim,
    SimStatus, States, StoredState, SuperSim, TargetStatus,
};
use simfuse_domain::verdict::Verdict;

use crate::engine::KillSwitch;
use crate::error::{Chain, KillSwitchError};
use crate::publish::LAST_ALERT;
use crate::request::{Attention, Details, Status};
use crate::sweep::SIMS_AT_ONCE;

/// Open incidents counted.
const OPEN_MAX: usize = 5_000;

/// What is said of a held SIM that no approval takes any more.
const CLEARED: &str =
    "policy asks for it no more: kill it if it should be off, or restore it to let go of it";

/// SIMs listed in the status of the whole: a screen.
const ATTENTION_MAX: usize = 20;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat + States,
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
        let (attention, attention_more) = self.attention(&open, &policy).await?;
        let count =
            |of: fn(Stage) -> bool| open.iter().filter(|open| of(open.incident.stage)).count();
        Ok(Status {
            policy_mode: policy.base().mode,
            enforces_anywhere: policy.enforces_anywhere(),
            armed: self.armed,
            stopped,
            open: open.len(),
            restored: count(|stage| stage == Stage::Restored),
            held: count(|stage| matches!(stage, Stage::Held(_))),
            unproven: count(is_unproven),
            last_event_age_secs: last_beat
                .map(|beat| self.clock.now().duration_since(beat.received_at).as_secs()),
            last_alert,
            attention,
            attention_more,
        })
    }

    /// The SIMs that somebody should look at: those that a human was paged about first, then those
    /// that wait for one, then those that are not proven dead, then those of which a human was told or
    /// that are on their way; in each the oldest first. And how many more there are.
    async fn attention(
        &self,
        open: &[OpenIncident],
        policy: &Policy,
    ) -> Result<(Vec<Attention>, usize), KillSwitchError> {
        let open = open.iter().map(|open| &open.incident);
        let mut waiting: Vec<&Incident> = open.filter(|incident| needs_look(incident)).collect();
        waiting.sort_by_key(|incident| {
            let is_held = matches!(incident.stage, Stage::Held(_));
            let is_paged = incident.paged || incident.stage == Stage::Leaking;
            let is_unproven = is_unproven(incident.stage);
            (!is_paged, !is_held, !is_unproven, since(incident), incident.sim)
        });
        let more = waiting.len().saturating_sub(ATTENTION_MAX);
        waiting.truncate(ATTENTION_MAX);
        let sims: Vec<SimSid> = waiting.iter().map(|incident| incident.sim).collect();
        // What events say is shown where it is there; it keeps nobody from the list.
        let states = self.table.read_states(&sims).await.unwrap_or_else(|error| {
            tracing::error!(error = %Chain(&error), "states not read; the status is without them");
            BTreeMap::new()
        });
        let cleared = self.cleared(&waiting, policy).await;
        let seen = |incident: &Incident| {
            let is_cleared = cleared.contains(&incident.sim);
            attention_of(incident, states.get(&incident.sim), is_cleared)
        };
        Ok((waiting.into_iter().map(seen).collect(), more))
    }

    /// Those held of which an approval would be refused: hours may have passed since they were, and
    /// what was found then may not stand any more.
    async fn cleared(&self, waiting: &[&Incident], policy: &Policy) -> BTreeSet<SimSid> {
        let held = waiting.iter().filter(|incident| matches!(incident.stage, Stage::Held(_)));
        let ruled = held.map(|incident| self.is_cleared((*incident).clone(), policy));
        let ruled = stream::iter(ruled.collect::<Vec<_>>()).buffer_unordered(SIMS_AT_ONCE);
        ruled.filter_map(async |(sim, is_cleared)| is_cleared.then_some(sim)).collect().await
    }

    /// What is known of one SIM.
    pub(crate) async fn details(&self, case: &Case, sim: &Sim, policy: &Policy) -> Details {
        let answer = Ok(sim.clone());
        let look =
            Look { now: self.clock.now(), case, policy, armed: self.armed, sim: Some(&answer) };
        let (verdict, findings) = incident::assess(&look, sim.fleet);
        let incident = case.incident.as_ref().map(|(incident, _)| incident);
        let stage = incident.map(|incident| incident.stage);
        let held_by = match stage {
            Some(Stage::Held(hold)) => Some(hold.to_string()),
            _ => None,
        };
        // Of a SIM whose incident is over it is asked first who switched it off.
        let past = match incident {
            Some(_) => None,
            None => self.latest_filed(case.sim).await,
        };
        let used_since = incident::began(findings.values());
        let used = |since| Some(incident::used_since(case.state.as_ref()?, since));
        Details {
            verdict,
            used_bytes: used_since.and_then(used),
            used_since,
            acted: incident.or(past.as_ref()).and_then(acted),
            last_incident: past.as_ref().map(|past| format!("{}, filed", past.stage)),
            quarantine: quarantine_of(case, sim),
            findings: findings.into_values().collect(),
            stage: stage.map(|stage| stage.to_string()),
            trouble: match &case.unread[..] {
                [] => incident.and_then(|incident| incident.trouble.clone()),
                unread => Some(format!("not all can be read: {}", unread.join(", "))),
            },
            held_by,
            protected_by: case.desired.0.protected_by.clone(),
            frozen_until: incident.and_then(|incident| incident.frozen_until),
            allowed_devices: case.desired.0.allowed_devices.clone(),
            false_alarm_at: incident.and_then(|incident| incident.false_alarm_at),
            last_event: case.state.as_ref().map(simfuse_domain::state::SimState::now),
            next_step: match stage {
                // What was found of it stays true of a SIM that is off.
                None if is_off(case, sim) => "it was switched off, and is; restore it to undo that",
                Some(Stage::Inactive | Stage::Quiet)
                    if incident.is_some_and(|incident| incident.quarantine.is_some()) =>
                {
                    "it goes on to quarantine by itself; restore it if it was a mistake"
                }
                Some(Stage::Held(_)) if verdict < Verdict::Quarantine && case.unread.is_empty() => {
                    CLEARED
                }
                Some(Stage::Held(_)) if case.desired.0.protected_by.is_some() => {
                    "approve it with --override-protection, or let it be: it is not deactivated by \
                     itself"
                }
                stage => next_step(stage, verdict),
            }
            .to_owned(),
        }
    }

    /// The latest incident that is over. All else is said without it.
    async fn latest_filed(&self, sim: SimSid) -> Option<Incident> {
        let filed = self.table.filed_incidents(sim, 1).await.unwrap_or_else(|error| {
            tracing::error!(error = %Chain(&error), "the latest incident is not read");
            Vec::new()
        });
        filed.into_iter().next()
    }
}

/// Who acted on the SIM last, and why.
fn acted(incident: &Incident) -> Option<String> {
    match (&incident.human, incident.sent_at) {
        (Some(human), _) => Some(format!("{}: {}", human.by, human.reason)),
        (None, Some(at)) => Some(format!("SimFuse, as policy asked, at {at}")),
        (None, None) => None,
    }
}

/// How far the SIM is on its way to quarantine, or that it did not get there.
fn quarantine_of(case: &Case, sim: &Sim) -> Option<String> {
    let incident = case.incident.as_ref().map(|(incident, _)| incident);
    let kept = case.desired.0.quarantine.filter(|kept| sim.fleet == Some(kept.fleet));
    let stage = incident.map(|incident| incident.stage);
    match (incident.and_then(|incident| incident.quarantine), kept) {
        _ if stage == Some(Stage::Restoring) => {
            kept.map(|kept| format!("on its way home from {} to {}", kept.fleet, kept.home))
        }
        (Some(to), _) if matches!(stage, Some(Stage::Held(_))) => {
            Some(format!("waits for an approval, to go to {} from {}", to.fleet, to.home))
        }
        (Some(to), _) if stage != Some(Stage::Quarantined) => {
            Some(format!("under way to {}, from {}", to.fleet, to.home))
        }
        (_, kept) => {
            let place = kept.map(|kept| format!("in {}, at home in {}", kept.fleet, kept.home));
            if incident.is_some_and(is_given_up) {
                let place = place.unwrap_or("where it was".to_owned());
                return Some(format!("FAILED: it stays inactive {place}"));
            }
            place
        }
    }
}

/// Whether a SIM has no way to quarantine any more: what refused it is the incident's trouble.
fn is_given_up(incident: &Incident) -> bool {
    incident.verdict == Verdict::Quarantine
        && incident.quarantine.is_none()
        && incident.trouble.is_some()
        && matches!(incident.stage, Stage::Inactive | Stage::Quiet | Stage::Leaking)
}

/// Whether the SIM is off, as it should be.
fn is_off(case: &Case, sim: &Sim) -> bool {
    sim.status == SimStatus::Inactive && case.desired.0.status == Some(TargetStatus::Inactive)
}

/// Whether it is open and not only watched for a while after a restore.
fn needs_look(incident: &Incident) -> bool {
    incident.paged || !(incident.is_over() || incident.stage == Stage::Restored)
}

/// Since when the SIM should be off, or its incident is open.
fn since(incident: &Incident) -> Timestamp {
    incident.sent_at.unwrap_or(incident.opened_at)
}

fn attention_of(incident: &Incident, stored: Option<&StoredState>, is_cleared: bool) -> Attention {
    let state = stored.map(|stored| &stored.state);
    let device = state.and_then(|state| state.devices().iter().max_by_key(|device| device.last()));
    let imei = device.map(|device| device.imei);
    let sim = incident.sim;
    let command = match incident.stage {
        Stage::Held(_) if is_cleared => format!("simfuse kill {sim} --reason \"...\""),
        Stage::Held(Hold::Protected) => {
            format!("simfuse approve {sim} --override-protection --reason \"...\"")
        }
        Stage::Held(_) => format!("simfuse approve {sim} --reason \"...\""),
        _ => format!("simfuse status {sim}"),
    };
    let next = if is_cleared { CLEARED } else { next_step(Some(incident.stage), incident.verdict) };
    Attention {
        sim,
        name: incident.name.clone(),
        stage: incident.stage.to_string(),
        paged: incident.paged,
        since: since(incident),
        imei,
        tac: imei.map(|imei| imei.tac()),
        used_bytes: state.map(|state| incident.bytes_since(state)),
        next_step: next.to_owned(),
        command,
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
        None if matches!(verdict, Verdict::Quarantine | Verdict::Deactivate) => {
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
        Some(Stage::Restoring) => {
            "it is tried again by itself until the SIM is active, and a human is paged after 10 minutes"
        }
        Some(Stage::Restored) => "nothing to do: the restore is being watched",
        Some(Stage::Proven | Stage::RestoredElsewhere | Stage::Expired) => "nothing to do",
    }
}
