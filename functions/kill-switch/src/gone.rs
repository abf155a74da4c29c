//! A SIM that the provider does not know any more: nothing can be done about it, but a human can let
//! its incident be over.

use std::collections::BTreeSet;

use simfuse_domain::device::Imei14;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{Incident, Stage};
use simfuse_domain::port::{
    Alerts, Campaigns, Case, Cases, Clock, Commit, Committed, Fleets, Heartbeat, Policies, SuperSim,
};

use crate::bulk::Course;
use crate::engine::{KillSwitch, Step, pause};
use crate::error::KillSwitchError;
use crate::human::human;
use crate::manual::TRIES_MAX;
use crate::request::{Action, Outcome, SimAnswer};

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Closes the incident of a SIM that the provider does not know, where a human names it by its
    /// SID and the act ends incidents. Of many at once none is closed: then it is rather the account
    /// that is another one.
    pub(crate) async fn let_go(
        &self,
        course: &Course<'_>,
        name: &str,
        answer: &mut SimAnswer,
    ) -> Result<(), KillSwitchError> {
        let request = course.request;
        let ends = match request.action {
            Action::Restore | Action::FalseAlarm | Action::Approve => true,
            Action::Deactivate
            | Action::Quarantine
            | Action::Status
            | Action::Protect
            | Action::Unprotect
            | Action::Stop
            | Action::Resume
            | Action::PolicyShow
            | Action::PolicyApply
            | Action::FleetLimit
            | Action::Audit => false,
        };
        let is_meant = ends && !course.is_bulk && !request.sims.is_empty();
        let Ok(sid) = name.parse::<SimSid>() else { return Ok(()) };
        if !is_meant {
            return Ok(());
        }
        for attempt in 0..TRIES_MAX {
            let case = self.read_case(sid).await?;
            let Some((open, version)) = case.incident.clone() else { return Ok(()) };
            (answer.sim, answer.incident) = (Some(sid), Some(open.id.clone()));
            if let Some(why) = self.is_about_another(request, &case).await? {
                (answer.outcome, answer.reason) = (Outcome::Refused, why);
                return Ok(());
            }
            let stage = open.stage;
            if request.dry_run {
                answer.outcome = Outcome::Pending;
                answer.reason = format!(
                    "the provider knows no such SIM: its incident ({stage}) would be closed"
                );
                return Ok(());
            }
            if self.close_gone(course, &case, open, version).await? == Step::Done {
                answer.outcome = Outcome::Done;
                answer.reason = format!(
                    "the provider knows no such SIM, so nothing was asked of it: its incident \
                     ({stage}) is closed"
                );
                return Ok(());
            }
            pause(&self.clock, (sid, attempt)).await;
        }
        Err(KillSwitchError::Contention { sim: sid.to_string(), passes: TRIES_MAX })
    }

    async fn close_gone(
        &self,
        course: &Course<'_>,
        case: &Case,
        open: Incident,
        version: u64,
    ) -> Result<Step, KillSwitchError> {
        let request = course.request;
        let devices: BTreeSet<Imei14> = open.devices();
        let mut incident = open.clone();
        incident.stage = Stage::Expired;
        incident.human = Some(human(request, &incident));
        // Who closes it knows of it.
        incident.alerts.clear();
        let (mut desired, mut audit) = (None, Vec::new());
        if request.action != Action::Approve {
            desired = Some(self.judged(case, course.policy, &incident));
        }
        if request.action == Action::FalseAlarm {
            incident.false_alarm_at.get_or_insert(self.clock.now());
            // Where they would be too many none is allowed, and the audit says none.
            let allowed = case.desired.0.allowed_with(&devices);
            let devices = if allowed.is_some() { devices } else { BTreeSet::new() };
            audit = self.judgement(request, open.fleet, &open, &devices);
            desired = desired.map(|desired| match allowed {
                Some(allowed) => desired.allowing(allowed),
                None => desired,
            });
        } else {
            audit.push(self.entry(request, Some(case.sim), open.fleet));
        }
        let commit = Commit {
            incident: Some((incident, version)),
            closes: true,
            desired: desired.map(|desired| (desired, case.desired.1)),
            audit,
            ..Commit::of(case.sim)
        };
        Ok(match self.commit(&commit, "closing the incident of a SIM that is gone").await? {
            Committed::Done => Step::Done,
            Committed::Conflict => Step::Again,
        })
    }
}
