//! What a human calls a false alarm: undone as far as SimFuse did anything, filed as judged, and its
//! devices allowed for the SIM.

use std::collections::BTreeSet;

use simfuse_domain::audit::{AuditEntry, Phase};
use simfuse_domain::device::Imei14;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::FleetSid;
use simfuse_domain::incident::{
    self, ALLOWED_DEVICES_MAX, Desired, FalseAlarm, Incident, PAST_LOOKED_AT_MAX, Stage,
};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, Campaigns, Case, Cases, Clock, Commit, Committed, Fleets, Heartbeat, Policies, Sim,
    SuperSim,
};

use crate::engine::{KillSwitch, Step, incident_version};
use crate::error::KillSwitchError;
use crate::human::human;
use crate::manual::reason;
use crate::request::{Outcome, Request, SimAnswer};

/// Keys of judged findings kept beside those of an incident that was over when it was judged: what a
/// restore leaves, and room for what was judged after it.
const JUDGED_MAX: usize = 400;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Judges the SIM's latest incident a false alarm.
    pub(crate) async fn judge_false(
        &self,
        request: &Request,
        sim: &Sim,
        policy: &Policy,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let past = self.table.filed_incidents(case.sim, PAST_LOOKED_AT_MAX).await;
        let past = past.map_err(KillSwitchError::table("reading a SIM's past incidents"))?;
        let meaning = incident::false_alarm(case, &past, sim);
        let judged = match meaning {
            FalseAlarm::NoIncident => {
                let why = "SimFuse has no incident of it: nothing was found that could be false";
                (answer.outcome, answer.reason) = (Outcome::Refused, why.to_owned());
                return Ok(Step::Done);
            }
            FalseAlarm::Already(at) => {
                let why = format!("it is {}, and was judged a false alarm at {at}", sim.status);
                (answer.outcome, answer.reason) = (Outcome::Already, why);
                return Ok(Step::Done);
            }
            FalseAlarm::File(judged) | FalseAlarm::Mark(judged) | FalseAlarm::Restore(judged) => {
                judged
            }
        };
        let devices = judged.devices();
        let Some(allowed) = case.desired.0.allowed_with(&devices) else {
            let why = format!(
                "more than {ALLOWED_DEVICES_MAX} devices would be allowed for it: restore it, and \
                 declare its devices in policy (allowed_tacs)"
            );
            (answer.outcome, answer.reason) = (Outcome::Refused, why);
            return Ok(Step::Done);
        };
        answer.incident = Some(judged.id.clone());
        if request.dry_run {
            answer.outcome = Outcome::Pending;
            let undone = match meaning {
                FalseAlarm::Restore(_) => "made active, which bills a month, and ",
                _ => "",
            };
            let it_is = sim.status;
            answer.reason =
                format!("it is {it_is}, and would be {undone}judged a false alarm{}", of(&devices));
            return Ok(Step::Done);
        }
        let audit = self.judgement(request, sim.fleet, judged, &devices);
        let incident = self.as_judged(request, case, judged);
        let step = match meaning {
            FalseAlarm::Restore(_) => {
                let parts = (incident, allowed, audit);
                self.undo_false(request, sim, policy, case, parts, answer).await?
            }
            _ => {
                answer.outcome = Outcome::Done;
                answer.reason = format!("it is {}", sim.status);
                self.settle_false(case, policy, (incident, allowed, audit)).await?
            }
        };
        if step == Step::Done {
            answer.reason.push_str(&format!("; judged a false alarm{}", of(&devices)));
        }
        Ok(step)
    }

    /// Makes the SIM active, as a restore does.
    async fn undo_false(
        &self,
        request: &Request,
        sim: &Sim,
        policy: &Policy,
        case: &Case,
        (mut incident, allowed, audit): (Incident, BTreeSet<Imei14>, Vec<AuditEntry>),
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        // One that is filed is over, whatever its stage: its restore begins anew, and is told.
        let is_open = case.incident.as_ref().is_some_and(|(open, _)| open.id == incident.id);
        let is_watched = is_open && matches!(incident.stage, Stage::Restoring | Stage::Restored);
        if !is_watched || incident::next_step_back(&case.desired.0, sim).is_some() {
            incident.begin_restore(self.clock.now());
        }
        let desired = self.judged_false(case, policy, &incident).allowing(allowed);
        self.bring_back(request, sim, case, (incident, desired), audit, answer).await
    }

    /// What should be once an incident was judged: as after a restore, but that a device which was
    /// found since, and which nobody judged, is still to be told.
    fn judged_false(&self, case: &Case, policy: &Policy, incident: &Incident) -> Desired {
        let mut desired = self.judged(case, policy, incident);
        let known: BTreeSet<String> = incident.findings.iter().map(Finding::key).collect();
        let before = &case.desired.0.judged;
        desired.judged.retain(|key| {
            !key.starts_with("device_") || known.contains(key) || before.contains(key)
        });
        desired
    }

    /// Records the judgement of a SIM that stays as it is. What is open and not a restore that is
    /// being watched is over by it.
    async fn settle_false(
        &self,
        case: &Case,
        policy: &Policy,
        (mut incident, allowed, audit): (Incident, BTreeSet<Imei14>, Vec<AuditEntry>),
    ) -> Result<Step, KillSwitchError> {
        let is_open = case.incident.is_some();
        let is_watched = is_open && matches!(incident.stage, Stage::Restoring | Stage::Restored);
        let desired = if is_open && !is_watched {
            incident.stage = Stage::Restored;
            // Nobody has to hear of what is false.
            incident.alerts.clear();
            self.judged_false(case, policy, &incident)
        } else {
            // What was found since the incident was over, or the SIM restored, is not judged by this.
            let desired = case.desired.0.clone();
            let before = desired.judged.into_iter().take(JUDGED_MAX);
            let judged = before.chain(incident.findings.iter().map(Finding::key)).collect();
            Desired { judged, ..desired }
        };
        let desired = desired.allowing(allowed);
        let commit = Commit {
            incident: Some((incident, incident_version(case))),
            closes: !is_watched,
            desired: Some((desired, case.desired.1)),
            audit,
            ..Commit::of(case.sim)
        };
        Ok(match self.commit(&commit, "judging an incident a false alarm").await? {
            Committed::Done => Step::Done,
            Committed::Conflict => Step::Again,
        })
    }

    /// The open incident, or the one that is judged once more, with the judgement in it.
    fn as_judged(&self, request: &Request, case: &Case, judged: &Incident) -> Incident {
        let open = case.incident.as_ref().map(|(incident, _)| incident);
        let mut incident = open.unwrap_or(judged).clone();
        // A restore of a SIM whose incident was over is about what that one found.
        incident.add_findings(&judged.findings);
        incident.human = Some(human(request, &incident));
        incident.false_alarm_at.get_or_insert(self.clock.now());
        incident
    }

    /// What the audit holds of a judgement: once for an incident, with the transaction in which it
    /// is judged. What is asked of the provider has entries of its own.
    pub(crate) fn judgement(
        &self,
        request: &Request,
        fleet: Option<FleetSid>,
        judged: &Incident,
        devices: &BTreeSet<Imei14>,
    ) -> Vec<AuditEntry> {
        if judged.false_alarm_at.is_some() {
            return Vec::new();
        }
        let outcome = format!("{} is judged a false alarm{}", judged.id, of(devices));
        let said = [(Phase::Intent, reason(request)), (Phase::Outcome, outcome)];
        let entries = said.into_iter().map(|(phase, reason)| AuditEntry {
            id: format!("{}-{}-{phase}", judged.id, request.action),
            phase,
            reason,
            incident: Some(judged.id.clone()),
            ..self.entry(request, Some(judged.sim), fleet)
        });
        entries.collect()
    }

    /// A human says that the SIM is stolen: no device that was allowed for it stays so. Says whether
    /// there was one, and the case is another now.
    pub(crate) async fn disallow_devices(
        &self,
        request: &Request,
        sim: &Sim,
        case: &Case,
    ) -> Result<Option<Step>, KillSwitchError> {
        let (desired, read) = &case.desired;
        if desired.allowed_devices.is_empty() || request.dry_run {
            return Ok(None);
        }
        let devices = named(&desired.allowed_devices);
        let none = Desired { allowed_devices: BTreeSet::new(), ..desired.clone() };
        let entry = self.entry(request, Some(sim.sid), sim.fleet);
        let entry = AuditEntry {
            id: format!("disallow-{}", entry.at.as_millisecond()),
            action: "disallow".to_owned(),
            reason: format!("{devices} allowed no more: {}", entry.reason),
            ..entry
        };
        let commit =
            Commit { desired: Some((none, *read)), audit: vec![entry], ..Commit::of(case.sim) };
        self.commit(&commit, "disallowing a SIM's devices").await?;
        Ok(Some(Step::Again))
    }
}

/// Which devices a judgement allows.
fn of(devices: &BTreeSet<Imei14>) -> String {
    if devices.is_empty() { String::new() } else { format!(", {} allowed", named(devices)) }
}

fn named(devices: &BTreeSet<Imei14>) -> String {
    let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
    devices.join(", ")
}
