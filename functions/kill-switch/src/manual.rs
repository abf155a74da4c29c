//! A human's request, SIM by SIM.

use std::time::Duration;

use simfuse_domain::id::SimSid;
use simfuse_domain::port::{
    Alerts, AuditLog, AuditTrail, Campaigns, Cases, Clock, Fleets, Heartbeat, Policies,
    PolicyVersions, ProviderError, Sim, SimStatus, States, Stop, SuperSim, UsageRanks,
};
use simfuse_domain::state::SimState;

use crate::bulk::Course;
use crate::choice::{self, refusal};
use crate::engine::{KillSwitch, Step, pause};
use crate::error::{Chain, KillSwitchError};
use crate::find::NotFound;
use crate::request::{Action, Answer, Found, Outcome, Request, SimAnswer};

/// How often a request about one SIM is tried anew because its case changed meanwhile.
pub(crate) const TRIES_MAX: u32 = 10;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns
        + Cases
        + Policies
        + PolicyVersions
        + AuditLog
        + AuditTrail
        + Heartbeat
        + States
        + UsageRanks,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Answers a manual request, in the time that there is.
    ///
    /// # Errors
    /// [`KillSwitchError`] when the table fails before anything was done about a SIM.
    pub async fn answer(
        &self,
        request: &Request,
        time: Duration,
    ) -> Result<Answer, KillSwitchError> {
        let mut answer = Answer::to(request);
        if let Some(why) = refusal(request) {
            answer.error = Some(why);
            return Ok(answer);
        }
        match request.action {
            Action::Stop | Action::Resume => {
                answer.already = self.switch(request).await?;
                answer.status = Some(self.status().await?);
            }
            Action::PolicyShow => match self.show_policy(request.version).await? {
                Ok(policy) => answer.policy = Some(policy),
                Err(reason) => answer.error = Some(reason),
            },
            Action::PolicyApply => match self.apply_policy(request).await? {
                Ok(policy) => answer.policy = Some(policy),
                Err(reason) => answer.error = Some(reason),
            },
            Action::FleetLimit => match self.fleet_limit(request).await? {
                Ok(fleet) => answer.fleet = Some(fleet),
                Err(reason) => answer.error = Some(reason),
            },
            Action::Audit => {
                match Box::pin(self.audit(request)).await? {
                    Ok(audit) => answer.audit = Some(audit),
                    Err(reason) => answer.error = Some(reason),
                }
                return Ok(answer);
            }
            Action::Status if request.sims.is_empty() && request.select.is_none() => {
                answer.status = Some(self.status().await?);
            }
            Action::Approve if request.sims.is_empty() => {
                let begun = self.clock.uptime();
                let held = self.held_by_cap().await?;
                answer.cleared = held.cleared;
                let time = time.saturating_sub(self.clock.uptime().saturating_sub(begun));
                Box::pin(self.answer_all(request, held.asked, time, &mut answer)).await?;
            }
            _ => match &request.select {
                None => {
                    let sims = request.sims.clone();
                    Box::pin(self.answer_all(request, sims, time, &mut answer)).await?;
                }
                Some(select) => {
                    Box::pin(self.answer_selected(request, select, time, &mut answer)).await?;
                }
            },
        }
        // What a switch, the policy or a fleet's limit is asked for may name SIMs as well.
        if !choice::is_about_sims(request.action) && !request.sims.is_empty() {
            let status = Request { sims: request.sims.clone(), ..Request::of(Action::Status) };
            Box::pin(self.answer_all(&status, status.sims.clone(), time, &mut answer)).await?;
        }
        Ok(answer)
    }

    /// Answers about one SIM; `None` where there was no time to begin with it.
    pub(crate) async fn answer_one(&self, course: &Course<'_>, name: &str) -> Option<SimAnswer> {
        let mut answer = SimAnswer {
            requested: name.to_owned(),
            sim: None,
            name: None,
            used_bytes: None,
            found: None,
            outcome: Outcome::Unreachable,
            reason: String::new(),
            incident: None,
            details: None,
        };
        for attempt in 0..TRIES_MAX {
            let sim = match self.find_in_time(course, name).await {
                Ok(sim) => sim,
                // Nothing was done about it, so the request goes on with it later.
                Err(NotFound::NoTime) if course.is_bulk => return None,
                Err(why) => {
                    (answer.outcome, answer.reason) = why.said();
                    if answer.outcome == Outcome::Unreachable {
                        self.say_without_provider(course, name, &mut answer).await;
                    }
                    if answer.outcome == Outcome::NotFound
                        && let Err(error) = Box::pin(self.let_go(course, name, &mut answer)).await
                    {
                        tracing::error!(error = %Chain(&error), "an incident was not closed");
                        (answer.outcome, answer.reason) =
                            (Outcome::Unreachable, Chain(&error).to_string());
                    }
                    return Some(answer);
                }
            };
            answer.sim = Some(sim.sid);
            answer.name = sim.unique_name.clone().filter(|own| own != name);
            answer.found = Some(Found { status: sim.status, fleet: sim.fleet });
            if let Some(other) = course.named_before(sim.sid, name) {
                answer.outcome = Outcome::Already;
                answer.reason = format!("it is the same SIM as {other}: see there");
                return Some(answer);
            }
            match self.try_one(course, &sim, &mut answer).await {
                // The request was refused because of others, so it is made again with them. Should
                // nobody do so, the sweep takes it up.
                Ok(Step::Done)
                    if answer.outcome == Outcome::Unreachable && self.provider.wait().is_some() =>
                {
                    if !self.provider.ready(course.stop_at).await {
                        return (!course.is_bulk).then_some(answer);
                    }
                }
                Ok(Step::Done) => return Some(answer),
                Ok(Step::Again) => pause(&self.clock, (sim.sid, attempt)).await,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "a request about a SIM failed");
                    (answer.outcome, answer.reason) =
                        (Outcome::Unreachable, Chain(&error).to_string());
                    return Some(answer);
                }
            }
        }
        if answer.outcome != Outcome::Unreachable || answer.reason.is_empty() {
            answer.outcome = Outcome::Unreachable;
            answer.reason = "its case kept changing: ask for its status, then again".to_owned();
        }
        Some(answer)
    }

    /// The provider does not answer. What is known of a SIM that is named by its SID is said all the
    /// same; of an act it is said that there was none.
    async fn say_without_provider(&self, course: &Course<'_>, name: &str, answer: &mut SimAnswer) {
        if course.request.action != Action::Status {
            answer.reason.push_str(": nothing was done, and it is not tried again; ask again");
            return;
        }
        let Ok(sid) = name.parse::<SimSid>() else { return };
        match self.read_case(sid).await {
            Ok(case) => {
                let state = case.state.as_ref();
                let sim = Sim {
                    sid,
                    iccid: state.and_then(SimState::iccid),
                    unique_name: state.and_then(|state| state.unique_name().map(str::to_owned)),
                    status: SimStatus::Unknown,
                    fleet: state.and_then(SimState::fleet),
                };
                let known = state.is_some() || case.incident.is_some();
                (answer.sim, answer.name) = (Some(sid), sim.unique_name.clone());
                answer.incident = case.incident.as_ref().map(|(incident, _)| incident.id.clone());
                if known {
                    answer.details = Some(self.details(&case, &sim, course.policy).await);
                }
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                tracing::error!(sim.sid = %sid, error, "its case is not read");
                answer.reason.push_str(&format!("; nor is it known what is open: {error}"));
            }
        }
    }

    async fn try_one(
        &self,
        course: &Course<'_>,
        sim: &Sim,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let Course { request, policy, .. } = course;
        if let Some(fleet) = course.fleet.filter(|fleet| Some(*fleet) != sim.fleet) {
            answer.outcome = Outcome::Refused;
            answer.reason = format!("it does not belong to the selected fleet {fleet} any more");
            return Ok(Step::Done);
        }
        let case = self.read_case(sim.sid).await?;
        answer.incident = case.incident.as_ref().map(|(incident, _)| incident.id.clone());
        // Who looks at a link's page is shown what it rests on, too.
        if request.dry_run && request.only_incident.is_some() {
            answer.details = Some(self.details(&case, sim, policy).await);
        }
        if let Some(why) = self.is_about_another(request, &case).await? {
            (answer.outcome, answer.reason) = (Outcome::Refused, why);
            return Ok(Step::Done);
        }
        match request.action {
            Action::Deactivate | Action::Quarantine => self.kill(course, sim, &case, answer).await,
            Action::Approve => self.approve(course, sim, &case, answer).await,
            Action::Restore => self.undo(request, sim, policy, &case, answer).await,
            Action::FalseAlarm => self.judge_false(request, sim, policy, &case, answer).await,
            Action::Protect | Action::Unprotect => self.protect(request, &case, answer).await,
            Action::Status
            | Action::Stop
            | Action::Resume
            | Action::PolicyShow
            | Action::PolicyApply
            | Action::FleetLimit
            | Action::Audit => {
                answer.details = Some(self.details(&case, sim, policy).await);
                answer.outcome = Outcome::Done;
                answer.reason = format!("the provider says {}", sim.status);
                Ok(Step::Done)
            }
        }
    }

    /// Sets or lifts the stop switch; says so where there is nothing to do, and nobody is told.
    async fn switch(&self, request: &Request) -> Result<Option<String>, KillSwitchError> {
        let stop = (request.action == Action::Stop).then(|| Stop {
            by: by(request),
            reason: request.reason.clone(),
            at: self.clock.now(),
        });
        // A switch that cannot be read is set all the same.
        let known = self.table.read_stop().await.inspect_err(|error| {
            tracing::warn!(error = %Chain(error), "whether it is stopped already is not known");
        });
        match (&stop, known) {
            (Some(_), Ok(Some(Stop { by, reason, at }))) => {
                return Ok(Some(format!("stopped already, by {by} at {at}: {reason}")));
            }
            (None, Ok(None)) => return Ok(Some("not stopped: there is nothing to resume".into())),
            (Some(_), Ok(None)) | (None, Ok(Some(_))) | (_, Err(_)) => {}
        }
        if request.dry_run {
            return Ok(None);
        }
        let entry = self.entry(request, None, None);
        let written = self.table.write_stop(stop.as_ref(), &entry).await;
        written.map_err(KillSwitchError::table("writing the stop switch"))?;
        self.tell_act(&entry, &[]).await;
        Ok(None)
    }
}

pub(crate) fn by(request: &Request) -> String {
    let by = request.requested_by.trim();
    if by.is_empty() { "someone who gave no name" } else { by }.to_owned()
}

pub(crate) fn reason(request: &Request) -> String {
    let reason = request.reason.trim();
    if reason.is_empty() { "no reason given" } else { reason }.to_owned()
}

pub(crate) const fn outcome_of(error: &ProviderError) -> Outcome {
    match error {
        ProviderError::NotFound => Outcome::NotFound,
        ProviderError::TransitionNotAllowed
        | ProviderError::Unauthorized { .. }
        | ProviderError::Refused { .. } => Outcome::Refused,
        ProviderError::Throttled { .. } | ProviderError::Unavailable { .. } => Outcome::Unreachable,
    }
}
