//! What a human asks about one SIM: kill, quarantine, approve, restore, protect.

use jiff::SignedDuration;
use simfuse_domain::alert::AlertKind;
use simfuse_domain::audit::{AuditEntry, Phase};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::{
    self, Authority, Desired, Human, Incident, Look, Quarantine, Stage,
};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, Campaigns, Case, Cases, Change, Clock, Commit, Committed, Fleets, Heartbeat, Policies,
    Sim, SimStatus, SuperSim, TargetStatus,
};
use simfuse_domain::verdict::Verdict;

use crate::act::Acted;
use crate::bulk::Course;
use crate::engine::{KillSwitch, Step, incident_version};
use crate::error::KillSwitchError;
use crate::foretell::{disallowed, is_theft, would_be};
use crate::manual::{by, reason};
use crate::request::{Action, Outcome, Request, SimAnswer};

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Why the case is no more the one that the request is bound to. What is done rests on the case as
    /// it was read here, so it is not done once another incident has come.
    pub(crate) async fn is_about_another(
        &self,
        request: &Request,
        case: &Case,
    ) -> Result<Option<String>, KillSwitchError> {
        let Some(only) = &request.only_incident else { return Ok(None) };
        let open = case.incident.as_ref().map(|(incident, _)| incident);
        if let Some(open) = open.filter(|open| open.id == *only) {
            return Ok(told_since(request, open));
        }
        if let Some(other) = open {
            return Ok(Some(format!("its incident is another one now ({})", other.id)));
        }
        if !matches!(request.action, Action::Restore | Action::FalseAlarm) {
            return Ok(Some("the incident that this is about is over".to_owned()));
        }
        let latest = self.table.filed_incidents(case.sim, 1).await;
        let latest = latest.map_err(KillSwitchError::table("reading a SIM's latest incident"))?;
        Ok(match latest.first() {
            Some(latest) if latest.id == *only => told_since(request, latest),
            Some(other) => Some(format!("there was another incident since ({})", other.id)),
            None => Some("no such incident is known of it".to_owned()),
        })
    }

    /// Deactivates a SIM because a human wants it: neither mode, caps nor the stop switch bind it.
    pub(crate) async fn kill(
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
        let quarantine = match quarantine_of(request, sim, policy, case) {
            Ok(quarantine) => quarantine,
            Err((outcome, reason)) => {
                (answer.outcome, answer.reason) = (outcome, reason);
                return Ok(Step::Done);
            }
        };
        if request.dry_run
            && let Some(why) = self.kept_out(course, quarantine).await
        {
            (answer.outcome, answer.reason) = (Outcome::Pending, why);
            return Ok(Step::Done);
        }
        if is_theft(request, quarantine)
            && let Some(step) = self.disallow_devices(request, sim, case).await?
        {
            return Ok(step);
        }
        let stage = case.incident.as_ref().map(|(incident, _)| incident.stage);
        // A request of ours to switch it on may be under way, whatever the provider says now.
        let to_be_active = case.desired.0.status == Some(TargetStatus::Active)
            || matches!(stage, Some(Stage::Restoring | Stage::Restored | Stage::Quarantined));
        if sim.status == SimStatus::Inactive && !to_be_active {
            return self.already_inactive(course, sim, case, quarantine, answer).await;
        }
        if sim.status == SimStatus::Scheduled && stage == Some(Stage::Scheduled) {
            return self.already_scheduled(course, sim, case, quarantine, answer).await;
        }
        if request.dry_run {
            answer.outcome = Outcome::Pending;
            let disallowed = disallowed(request, case, quarantine);
            answer.reason = format!("{}{disallowed}", would_be(course, sim, case, quarantine));
            return Ok(Step::Done);
        }
        let mut incident = self.incident_for(request, sim, case);
        // Whoever kills it judges it anew: what was judged before is not why.
        incident.false_alarm_at = None;
        incident.findings.retain(|finding| !case.desired.0.is_settled(finding));
        incident.verdict = quarantine.map_or(Verdict::Deactivate, |_| Verdict::Quarantine);
        incident.quarantine = quarantine;
        incident.frozen_until = self.end_of_freeze(request);
        if to_be_active || incident.inactive_at.is_some() {
            // It was off before: what proved that proves nothing about this time.
            (incident.sent_at, incident.inactive_at, incident.proof) = (None, None, None);
            (incident.told, incident.paged) = (false, false);
        }
        // Of many kills there is one alert for all, sent before the first of them.
        incident.told |= course.is_told;
        let was = case.incident.as_ref().and_then(|(open, _)| open.frozen_until);
        self.tell_freeze(course, &mut incident, was);
        let acted = self.deactivate(case, policy, incident, Authority::Human).await?;
        Ok(self.report(acted, answer))
    }

    /// The provider took a request before and does it by itself: nothing more is asked of it. What
    /// this human wants of the SIM holds from now on.
    async fn already_scheduled(
        &self,
        course: &Course<'_>,
        sim: &Sim,
        case: &Case,
        quarantine: Option<Quarantine>,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let request = course.request;
        answer.outcome = Outcome::Pending;
        answer.reason = "the provider took the request before, and does it by itself".to_owned();
        let frozen_until = self.end_of_freeze(request);
        let was_frozen = case.incident.as_ref().and_then(|(open, _)| open.frozen_until);
        if let Some(change) = change_of_freeze(was_frozen, frozen_until, request.dry_run) {
            answer.reason.push_str(&format!("; {change}"));
        }
        let open = case.incident.as_ref().map(|(incident, _)| incident);
        let is_so = open.is_some_and(|incident| {
            incident.human.is_some()
                && incident.frozen_until == frozen_until
                && incident.quarantine == quarantine
        });
        if request.dry_run || is_so {
            return Ok(Step::Done);
        }
        let mut incident = self.incident_for(request, sim, case);
        (incident.frozen_until, incident.quarantine) = (frozen_until, quarantine);
        self.tell_freeze(course, &mut incident, was_frozen);
        let audit = vec![self.entry(request, Some(case.sim), sim.fleet)];
        self.record_with(case, incident, audit).await
    }

    /// Says that there is nothing to switch off. What a guard held is then held no more; a freeze
    /// begins, ends later, or is lifted; and quarantine goes on from here.
    async fn already_inactive(
        &self,
        course: &Course<'_>,
        sim: &Sim,
        case: &Case,
        quarantine: Option<Quarantine>,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let request = course.request;
        let open = case.incident.as_ref().map(|(incident, _)| incident);
        let was_held = matches!(open, Some(Incident { stage: Stage::Held(_), .. }));
        let frozen_until = self.end_of_freeze(request);
        let was_frozen = open.and_then(|incident| incident.frozen_until);
        (answer.outcome, answer.reason) = (Outcome::Already, "it is inactive".to_owned());
        // A freeze of many means those that run: what is off for good is not to come back by it.
        let is_meant = !course.is_bulk && request.select.is_none();
        if frozen_until.is_some() && was_frozen.is_none() && !is_meant {
            return Ok(Step::Done);
        }
        if quarantine.is_some() {
            (answer.outcome, answer.reason) =
                (Outcome::Pending, "it is inactive, and goes to quarantine".to_owned());
        } else if let Some(change) = change_of_freeze(was_frozen, frozen_until, request.dry_run) {
            answer.outcome = if request.dry_run { Outcome::Pending } else { Outcome::Done };
            answer.reason = format!("it is inactive; {change}");
        }
        answer.reason.push_str(&disallowed(request, case, quarantine));
        let was_going = open.and_then(|incident| incident.quarantine);
        let is_changed = was_held || frozen_until != was_frozen || quarantine != was_going;
        if request.dry_run || !is_changed {
            return Ok(Step::Done);
        }
        let is_off = matches!(
            open,
            Some(Incident {
                stage: Stage::Inactive | Stage::Quiet | Stage::Leaking | Stage::Proven,
                ..
            })
        );
        let mut incident = self.incident_for(request, sim, case);
        (incident.frozen_until, incident.quarantine) = (frozen_until, quarantine);
        self.tell_freeze(course, &mut incident, was_frozen);
        incident.told |= course.is_told;
        if is_off {
            incident.next_check = self.clock.now();
        } else {
            let inactive = Change::Status(TargetStatus::Inactive);
            let found = Ok(sim.clone());
            incident = incident::outcome_of(self.clock.now(), incident, inactive, &found);
        }
        answer.incident = Some(incident.id.clone());
        let audit = vec![self.entry(request, Some(case.sim), sim.fleet)];
        self.record_with(case, incident, audit).await
    }

    /// Who was told when the SIM comes back by itself, or that it does not, hears that it is otherwise
    /// now. Of many SIMs one alert told it.
    fn tell_freeze(
        &self,
        course: &Course<'_>,
        incident: &mut Incident,
        was: Option<jiff::Timestamp>,
    ) {
        if incident.told && !course.is_told && incident.frozen_until != was {
            incident.alert(AlertKind::FreezeChanged, self.clock.now());
        }
    }

    /// When the SIM is to come back by itself.
    fn end_of_freeze(&self, request: &Request) -> Option<jiff::Timestamp> {
        let hours = i64::from(request.freeze_hours?);
        self.clock.now().checked_add(SignedDuration::from_hours(hours)).ok()
    }

    /// Carries out what a guard holds.
    pub(crate) async fn approve(
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
        // What was held hours ago may be no more what policy rules today.
        let (now, found) = (self.clock.now(), Ok(sim.clone()));
        let policy = course.policy;
        let look = Look { now, case, policy, armed: self.armed, sim: Some(&found) };
        let (verdict, _) = incident::assess(&look, sim.fleet);
        if verdict < Verdict::Quarantine {
            answer.outcome = Outcome::Refused;
            let why = match &case.unread[..] {
                [] => format!("policy asks for it no more (it rules {verdict} now)"),
                unread => format!("policy cannot rule on it again: {}", unread.join(", ")),
            };
            answer.reason = format!("{why}: kill it if it should be off");
            return Ok(Step::Done);
        }
        self.kill(course, sim, case, answer).await
    }

    /// Makes a SIM active because a human wants it. What was found so far is judged by that.
    pub(crate) async fn undo(
        &self,
        request: &Request,
        sim: &Sim,
        policy: &Policy,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let open = case.incident.as_ref().map(|(incident, _)| incident.stage);
        let watched = matches!(open, Some(Stage::Restoring | Stage::Restored));
        let step_back = incident::next_step_back(&case.desired.0, sim);
        let running =
            matches!(sim.status, SimStatus::Active | SimStatus::Ready) && step_back.is_none();
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
        if !watched || step_back.is_some() {
            incident.begin_restore(self.clock.now());
        }
        let desired = self.judged(case, policy, &incident);
        self.bring_back(request, sim, case, (incident, desired), Vec::new(), answer).await
    }

    /// Takes the next step on the way back to active. `audit` is recorded with its intent.
    pub(crate) async fn bring_back(
        &self,
        request: &Request,
        sim: &Sim,
        case: &Case,
        (incident, desired): (Incident, Desired),
        mut audit: Vec<AuditEntry>,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let kept_in = case.desired.0.quarantine.map(|quarantine| quarantine.fleet);
        let acted = match incident::next_step_back(&case.desired.0, sim) {
            Some(change) => self.relocate(case, incident, desired, change, audit).await?,
            // On its way within the quarantine: the way home begins once it has settled.
            None if kept_in.is_some() && kept_in == sim.fleet => {
                answer.incident = Some(incident.id.clone());
                (answer.outcome, answer.reason) =
                    (Outcome::Pending, "it comes home once its status has settled".to_owned());
                if request.action == Action::Restore {
                    audit.push(self.entry(request, Some(case.sim), sim.fleet));
                }
                return self.begin_restore(case, incident, desired, audit).await;
            }
            None => self.restore(case, incident, desired, audit).await?,
        };
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
        let desired = self.judged(case, policy, &incident);
        let commit = Commit {
            incident: Some((incident, incident_version(case))),
            closes: true,
            desired: Some((desired, case.desired.1)),
            audit: vec![self.entry(request, Some(case.sim), sim.fleet)],
            ..Commit::of(case.sim)
        };
        Ok(match self.commit(&commit, "judging what was found of a SIM").await? {
            Committed::Done => Step::Done,
            Committed::Conflict => Step::Again,
        })
    }

    pub(crate) async fn protect(
        &self,
        request: &Request,
        case: &Case,
        answer: &mut SimAnswer,
    ) -> Result<Step, KillSwitchError> {
        let (desired, version) = &case.desired;
        let wanted = (request.action == Action::Protect).then(|| match request.reason.trim() {
            "" => by(request),
            reason => format!("{} ({reason})", by(request)),
        });
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
        let fleet = answer.found.as_ref().and_then(|found| found.fleet);
        let commit = Commit {
            desired: Some((Desired { protected_by: wanted, ..desired.clone() }, *version)),
            audit: vec![self.entry(request, Some(case.sim), fleet)],
            ..Commit::of(case.sim)
        };
        if self.commit(&commit, "protecting a SIM").await? == Committed::Conflict {
            return Ok(Step::Again);
        }
        (answer.outcome, answer.reason) = (Outcome::Done, "recorded".to_owned());
        Ok(Step::Done)
    }

    /// The open incident, or a new one, with the human who asks.
    pub(crate) fn incident_for(&self, request: &Request, sim: &Sim, case: &Case) -> Incident {
        let open = case.incident.as_ref().map(|(incident, _)| incident.clone());
        let mut incident = open.unwrap_or_else(|| {
            let name = sim.unique_name.clone().unwrap_or_else(|| sim.sid.to_string());
            Incident::open(sim.sid, name, sim.fleet, self.clock.now())
        });
        incident.human = Some(human(request, &incident));
        incident
    }

    fn report(&self, acted: Acted, answer: &mut SimAnswer) -> Step {
        let Acted::Recorded(incident) = acted else {
            return Step::Again;
        };
        answer.incident = Some(incident.id.clone());
        answer.outcome = match incident.stage {
            // On its way to quarantine.
            Stage::Inactive if incident.quarantine.is_some() => Outcome::Pending,
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

    pub(crate) fn entry(
        &self,
        request: &Request,
        sim: Option<SimSid>,
        fleet: Option<FleetSid>,
    ) -> AuditEntry {
        let at = self.clock.now();
        AuditEntry {
            sim,
            fleet,
            at,
            id: format!("{}-{}", request.action, at.as_millisecond()),
            actor: by(request),
            action: request.action.to_string(),
            phase: Phase::Outcome,
            reason: match request.freeze_hours {
                Some(hours) => format!("{} (for {hours} hours)", reason(request)),
                None => reason(request),
            },
            incident: None,
        }
    }
}

/// Where a SIM is to be kept; `None` for a request that does not ask for it.
fn quarantine_of(
    request: &Request,
    sim: &Sim,
    policy: &Policy,
    case: &Case,
) -> Result<Option<Quarantine>, (Outcome, String)> {
    match request.action {
        Action::Quarantine => {}
        // What is held is carried out as it was held, from the fleet in which the SIM is now.
        Action::Approve => {
            let open = case.incident.as_ref().map(|(incident, _)| incident);
            // One that was held while the provider did not answer names no fleet yet.
            let is_meant = open.is_some_and(|incident| {
                incident.quarantine.is_some() || incident.verdict == Verdict::Quarantine
            });
            let rules = policy.rules_for(sim.fleet, sim.sid);
            let now = incident::quarantine_for(&rules, sim, &case.desired.0);
            return Ok(now.filter(|_| is_meant));
        }
        _ => return Ok(None),
    }
    let rules = policy.rules_for(sim.fleet, sim.sid);
    let refused = |reason: &str| Err((Outcome::Refused, reason.to_owned()));
    match (rules.quarantine, sim.fleet) {
        (None, _) => refused("policy names no fleet for it: quarantine = { fleet = \"HF…\" }"),
        (_, None) => refused("it is in no fleet, so it could not come back to one"),
        (Some(quarantine), Some(fleet)) if quarantine == fleet => {
            Err((Outcome::Already, format!("it is in {fleet}, where policy keeps SIMs")))
        }
        (Some(_), Some(fleet)) => match incident::quarantine_for(&rules, sim, &case.desired.0) {
            Some(quarantine) => Ok(Some(quarantine)),
            None => Err((Outcome::Already, format!("it is in quarantine, in {fleet}"))),
        },
    }
}

/// What becomes of a freeze; `None` where nothing does.
fn change_of_freeze(
    was: Option<jiff::Timestamp>,
    now: Option<jiff::Timestamp>,
    dry_run: bool,
) -> Option<String> {
    let (comes, is) = if dry_run { ("would come", "would be") } else { ("comes", "is") };
    match (was, now) {
        (was, now) if was == now => None,
        (None, Some(until)) => Some(format!("it {comes} back by itself at {until}")),
        (Some(was), Some(until)) => {
            Some(format!("it {comes} back by itself at {until}, no longer at {was}"))
        }
        (_, None) => Some(format!("its freeze {is} lifted, and it stays off")),
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

/// A human's part in an incident, as it begins.
pub(crate) fn human(request: &Request, incident: &Incident) -> Human {
    Human { by: by(request), reason: reason(request), alerts_before: incident.alerts_made }
}

/// What happened to the incident that those do not know who know no more than an alert of it told.
fn told_since(request: &Request, incident: &Incident) -> Option<String> {
    let told = request.as_told?;
    let acted = incident.human.as_ref().filter(|human| human.alerts_before >= told.alert);
    // Who undid a kill may still say that it was a false alarm.
    let is_undone = matches!(incident.stage, Stage::Restoring | Stage::Restored);
    if let Some(human) = acted.filter(|_| !(is_undone && request.action == Action::FalseAlarm)) {
        return Some(format!(
            "since that alert {} did something about it ({})",
            human.by, incident.stage
        ));
    }
    let found = u32::try_from(incident.findings.len()).unwrap_or(u32::MAX);
    (request.action == Action::FalseAlarm && found > told.findings)
        .then(|| "more was found of it since that alert: look at it first".to_owned())
}
