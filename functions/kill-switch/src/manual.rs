//! A human's request, SIM by SIM.

use std::time::Duration;

use simfuse_domain::audit::{AuditEntry, Phase};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{self, Authority, Desired, Hold, Human, Incident, Stage};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, AuditLog, Case, Cases, Clock, Commit, Committed, Fleets, Heartbeat, Policies,
    PolicyVersions, ProviderError, Sim, SimName, SimStatus, States, Stop, SuperSim, TargetStatus,
    UsageRanks,
};
use simfuse_domain::verdict::Verdict;

use crate::act::Acted;
use crate::bulk::Course;
use crate::choice::{self, refusal};
use crate::engine::{KillSwitch, Step, incident_version, pause};
use crate::error::{Chain, KillSwitchError};
use crate::request::{Action, Answer, Found, Outcome, Request, SimAnswer};

/// How often a request about one SIM is tried anew because its case changed meanwhile.
const TRIES_MAX: u32 = 10;

/// Open incidents read to find those that a cap holds, which are the last to be due.
const OPEN_MAX: usize = 5_000;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Cases + Policies + PolicyVersions + AuditLog + Heartbeat + States + UsageRanks,
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
                self.switch(request).await?;
                answer.status = Some(self.status().await?);
            }
            Action::PolicyShow => answer.policy = Some(self.show_policy().await?),
            Action::PolicyApply => match self.apply_policy(request).await? {
                Ok(policy) => answer.policy = Some(policy),
                Err(reason) => answer.error = Some(reason),
            },
            Action::FleetLimit => match self.fleet_limit(request).await? {
                Ok(fleet) => answer.fleet = Some(fleet),
                Err(reason) => answer.error = Some(reason),
            },
            Action::Status if request.sims.is_empty() && request.select.is_none() => {
                answer.status = Some(self.status().await?);
            }
            Action::Approve if request.sims.is_empty() => {
                let held = self.held_by_cap().await?;
                Box::pin(self.answer_all(request, held, time, &mut answer)).await?;
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
        for _try in 0..TRIES_MAX {
            let sim = match self.find_in_time(course, name).await {
                Ok(sim) => sim,
                // Nothing was done about it, so the request goes on with it later.
                Err(NotFound::NoTime) if course.is_bulk => return None,
                Err(why) => {
                    (answer.outcome, answer.reason) = why.said();
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
                Ok(Step::Again) => pause().await,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "a request about a SIM failed");
                    (answer.outcome, answer.reason) =
                        (Outcome::Unreachable, Chain(&error).to_string());
                    return Some(answer);
                }
            }
        }
        if answer.reason.is_empty() {
            answer.reason = "its case kept changing: ask for its status, then again".to_owned();
        }
        Some(answer)
    }

    /// Finds a SIM, as soon as the provider may be asked.
    async fn find_in_time(&self, course: &Course<'_>, name: &str) -> Result<Sim, NotFound> {
        while self.provider.ready(course.stop_at).await {
            match self.find(name).await {
                Err(NotFound::Throttled) => {}
                answer => return answer,
            }
        }
        Err(NotFound::NoTime)
    }

    /// Finds a SIM by what a human calls it. What looks like an ICCID may be another SIM's unique
    /// name: then nobody can know which of the two is meant.
    async fn find(&self, name: &str) -> Result<Sim, NotFound> {
        let parsed = SimName::parse(name);
        let by_name = SimName::UniqueName(name.to_owned());
        let sim = match self.provider.fetch(&parsed).await {
            Ok(sim) => sim,
            Err(ProviderError::NotFound) if matches!(parsed, SimName::Iccid(_)) => {
                return Ok(self.provider.fetch(&by_name).await?);
            }
            Err(error) => return Err(error.into()),
        };
        if !matches!(parsed, SimName::Iccid(_)) {
            return Ok(sim);
        }
        match self.provider.fetch(&by_name).await {
            Ok(other) if sim.sid != other.sid => {
                Err(NotFound::Ambiguous { iccid: sim.sid, unique_name: other.sid })
            }
            Ok(_) | Err(ProviderError::NotFound) => Ok(sim),
            Err(error) => Err(error.into()),
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
        match request.action {
            Action::Deactivate => self.kill(course, sim, &case, answer).await,
            Action::Approve => self.approve(course, sim, &case, answer).await,
            Action::Restore => self.undo(request, sim, policy, &case, answer).await,
            Action::Protect | Action::Unprotect => self.protect(request, &case, answer).await,
            Action::Status
            | Action::Stop
            | Action::Resume
            | Action::PolicyShow
            | Action::PolicyApply
            | Action::FleetLimit => {
                answer.details = Some(self.details(&case, sim, policy));
                answer.outcome = Outcome::Done;
                answer.reason = format!("the provider says {}", sim.status);
                Ok(Step::Done)
            }
        }
    }

    /// Deactivates a SIM because a human wants it: neither mode, caps nor the stop switch bind it.
    async fn kill(
        &self,
        course: &Course<'_>,
        sim: &Sim,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let Course { request, policy, .. } = course;
        if let Some(by) = protection(sim, policy, case).filter(|_| !request.override_protection) {
            answer.outcome = Outcome::Refused;
            answer.reason =
                format!("protected by {by}: say override_protection (--override-protection)");
            return Ok(Step::Done);
        }
        let stage = case.incident.as_ref().map(|(incident, _)| incident.stage);
        let to_be_active = matches!(stage, Some(Stage::Restoring | Stage::Restored));
        if sim.status == SimStatus::Inactive && !to_be_active {
            return self.already_inactive(request, sim, case, answer).await;
        }
        if sim.status == SimStatus::Scheduled && stage == Some(Stage::Scheduled) {
            answer.outcome = Outcome::Pending;
            answer.reason =
                "the provider took the request before, and does it by itself".to_owned();
            return Ok(Step::Done);
        }
        if request.dry_run {
            answer.outcome = Outcome::Pending;
            let open = case.incident.as_ref().map(|(incident, _)| incident);
            let why = open.and_then(|incident| incident.findings.first());
            let why = why.map(|finding| format!(": {finding}")).unwrap_or_default();
            answer.reason = format!("would be deactivated, it is {}{why}", sim.status);
            return Ok(Step::Done);
        }
        let mut incident = self.incident_for(request, sim, case);
        incident.verdict = Verdict::Deactivate;
        if to_be_active || incident.inactive_at.is_some() {
            // It was off before: what proved that proves nothing about this time.
            (incident.sent_at, incident.inactive_at, incident.proof) = (None, None, None);
            (incident.told, incident.paged) = (false, false);
        }
        // Of many kills there is one alert for all, sent before the first of them.
        incident.told |= course.is_bulk;
        let acted = self.deactivate(case, policy, incident, Authority::Human).await?;
        Ok(self.report(acted, answer))
    }

    /// Says that there is nothing to do; what a guard held is then held no more.
    async fn already_inactive(
        &self,
        request: &Request,
        sim: &Sim,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        (answer.outcome, answer.reason) = (Outcome::Already, "it is inactive".to_owned());
        let stage = case.incident.as_ref().map(|(incident, _)| incident.stage);
        if request.dry_run || !matches!(stage, Some(Stage::Held(_))) {
            return Ok(Step::Done);
        }
        let incident = self.incident_for(request, sim, case);
        let (now, found) = (self.clock.now(), Ok(sim.clone()));
        let incident = incident::outcome_of(now, incident, TargetStatus::Inactive, &found);
        self.record(case, incident).await
    }

    /// Carries out what a guard holds.
    async fn approve(
        &self,
        course: &Course<'_>,
        sim: &Sim,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let stage = case.incident.as_ref().map(|(incident, _)| incident.stage);
        if !matches!(stage, Some(Stage::Held(_))) {
            answer.outcome = Outcome::Refused;
            let stage = stage.map_or("no open incident".to_owned(), |stage| stage.to_string());
            answer.reason = format!("nothing is held for it ({stage})");
            return Ok(Step::Done);
        }
        self.kill(course, sim, case, answer).await
    }

    /// Makes a SIM active because a human wants it. What was found so far is judged by that.
    async fn undo(
        &self,
        request: &Request,
        sim: &Sim,
        policy: &Policy,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let open = case.incident.as_ref().map(|(incident, _)| incident.stage);
        let watched = matches!(open, Some(Stage::Restoring | Stage::Restored));
        let running = matches!(sim.status, SimStatus::Active | SimStatus::Ready);
        if running && (open.is_none() || watched) {
            answer.outcome = Outcome::Already;
            answer.reason = format!("it is {}", sim.status);
            return Ok(Step::Done);
        }
        let untouched = matches!(open, Some(Stage::Alerted | Stage::Held(_) | Stage::Requested));
        if running && untouched {
            return self.judge(request, sim, policy, case, answer).await;
        }
        if request.dry_run {
            answer.outcome = Outcome::Pending;
            answer.reason = format!(
                "would be made active, it is {}; an active SIM is billed by the month",
                sim.status
            );
            return Ok(Step::Done);
        }
        let mut incident = self.incident_for(request, sim, case);
        if !watched {
            // A kill that took long may have been paged; a restore that does is another matter.
            incident.paged = false;
            incident.sent_at = Some(self.clock.now());
            incident.inactive_at = None;
        }
        let desired = Desired {
            restored_at: Some(self.clock.now()),
            judged: self.judged_keys(case, policy, &incident),
            ..case.desired.0.clone()
        };
        let acted = self.restore(case, incident, desired).await?;
        Ok(self.report(acted, answer))
    }

    /// Closes the incident of a SIM that nothing was done about: what was found of it is judged, and
    /// does not come again.
    async fn judge(
        &self,
        request: &Request,
        sim: &Sim,
        policy: &Policy,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        (answer.outcome, answer.reason) =
            (Outcome::Done, format!("it is {}; what was found of it is judged", sim.status));
        if request.dry_run {
            answer.outcome = Outcome::Pending;
            answer.reason =
                format!("what was found of it would be judged, it is {} already", sim.status);
            return Ok(Step::Done);
        }
        let mut incident = self.incident_for(request, sim, case);
        incident.stage = Stage::Restored;
        incident.alerts.clear();
        let (desired, version) = &case.desired;
        let desired = Desired {
            restored_at: Some(self.clock.now()),
            judged: self.judged_keys(case, policy, &incident),
            ..desired.clone()
        };
        let commit = Commit {
            incident: Some((incident, incident_version(case))),
            closes: true,
            desired: Some((desired, *version)),
            audit: vec![self.entry(request, Some(case.sim))],
            ..Commit::of(case.sim)
        };
        Ok(match self.commit(&commit, "judging what was found of a SIM").await? {
            Committed::Done => Step::Done,
            Committed::Conflict => Step::Again,
        })
    }

    async fn protect(
        &self,
        request: &Request,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let (desired, version) = &case.desired;
        let wanted = (request.action == Action::Protect).then(|| by(request));
        if desired.protected_by.is_some() == wanted.is_some() {
            answer.outcome = Outcome::Already;
            answer.reason = desired.protected_by.as_ref().map_or_else(
                || "it is not protected at run time; policy may still protect it".to_owned(),
                |by| format!("protected by {by}"),
            );
            return Ok(Step::Done);
        }
        if request.dry_run {
            answer.outcome = Outcome::Pending;
            answer.reason = format!("would be changed: {}", request.action);
            return Ok(Step::Done);
        }
        let commit = Commit {
            desired: Some((Desired { protected_by: wanted, ..desired.clone() }, *version)),
            audit: vec![self.entry(request, Some(case.sim))],
            ..Commit::of(case.sim)
        };
        if self.commit(&commit, "protecting a SIM").await? == Committed::Conflict {
            return Ok(Step::Again);
        }
        (answer.outcome, answer.reason) = (Outcome::Done, "recorded".to_owned());
        Ok(Step::Done)
    }

    /// Sets or lifts the stop switch.
    async fn switch(&self, request: &Request) -> Result<(), KillSwitchError> {
        if request.dry_run {
            return Ok(());
        }
        let stop = (request.action == Action::Stop).then(|| Stop {
            by: by(request),
            reason: request.reason.clone(),
            at: self.clock.now(),
        });
        let written = self.table.write_stop(stop.as_ref(), &self.entry(request, None)).await;
        written.map_err(KillSwitchError::table("writing the stop switch"))
    }

    async fn held_by_cap(&self) -> Result<Vec<String>, KillSwitchError> {
        let open = self.table.open_incidents(jiff::Timestamp::MAX, OPEN_MAX).await;
        let open = open.map_err(KillSwitchError::table("listing open incidents"))?;
        let held = open.into_iter().map(|open| open.incident);
        let held = held.filter(|incident| incident.stage == Stage::Held(Hold::Cap));
        Ok(held.map(|incident| incident.sim.to_string()).collect())
    }

    /// The open incident, or a new one, with the human who asks.
    fn incident_for(&self, request: &Request, sim: &Sim, case: &Case) -> Incident {
        let open = case.incident.as_ref().map(|(incident, _)| incident.clone());
        let mut incident = open.unwrap_or_else(|| {
            let name = sim.unique_name.clone().unwrap_or_else(|| sim.sid.to_string());
            Incident::open(sim.sid, name, sim.fleet, self.clock.now())
        });
        incident.human = Some(Human { by: by(request), reason: reason(request) });
        incident
    }

    fn report(&self, acted: Acted, answer: &mut SimAnswer) -> Step {
        let Acted::Recorded(incident) = acted else {
            return Step::Again;
        };
        answer.incident = Some(incident.id.clone());
        answer.outcome = match incident.stage {
            Stage::Inactive | Stage::Restored => Outcome::Done,
            Stage::Refused => Outcome::Refused,
            Stage::Unreachable => Outcome::Unreachable,
            _ => Outcome::Pending,
        };
        answer.reason = match &incident.trouble {
            Some(trouble) => format!("{trouble}; it is tried again by itself"),
            None => incident.stage.to_string(),
        };
        Step::Done
    }

    fn entry(&self, request: &Request, sim: Option<SimSid>) -> AuditEntry {
        let at = self.clock.now();
        AuditEntry {
            sim,
            at,
            id: format!("{}-{}", request.action, at.as_millisecond()),
            actor: by(request),
            action: request.action.to_string(),
            phase: Phase::Outcome,
            reason: reason(request),
            incident: None,
        }
    }
}

/// Who protects the SIM, if anyone does.
fn protection(sim: &Sim, policy: &Policy, case: &Case) -> Option<String> {
    let rules = policy.rules_for(sim.fleet, sim.sid);
    if rules.guards.protects(sim) {
        return Some("policy".to_owned());
    }
    case.desired.0.protected_by.clone()
}

/// Why a SIM was not found.
#[derive(Debug)]
enum NotFound {
    /// The provider refused to be asked now (429).
    Throttled,
    /// The provider does not want to be asked for longer than there is time, or there is none left.
    NoTime,
    /// Two SIMs are called so.
    Ambiguous { iccid: SimSid, unique_name: SimSid },
    /// Anything else.
    Provider(ProviderError),
}

impl From<ProviderError> for NotFound {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Throttled { .. } => Self::Throttled,
            error => Self::Provider(error),
        }
    }
}

impl NotFound {
    fn said(&self) -> (Outcome, String) {
        match self {
            Self::Throttled | Self::NoTime => {
                let why = "there was no time left, or the provider is throttling requests (429); \
                           nothing was done: ask again";
                (Outcome::Unreachable, why.to_owned())
            }
            Self::Ambiguous { iccid, unique_name } => {
                let why = format!(
                    "it is the ICCID of {iccid} and the unique name of {unique_name}: name the SID"
                );
                (Outcome::Ambiguous, why)
            }
            Self::Provider(error) => (outcome_of(error), Chain(error).to_string()),
        }
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
