//! What comes next for a SIM: a pure function of its case, the policy and the provider's answer.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::cooldown::is_cooling;
use super::judged::told_as;
use super::outcome::{
    CHECK_EVERY, page_once, page_when_late, retry_after, until_late, went_inactive,
};
use super::restore::watch_restore;
use super::{Desired, Hold, Incident, Quarantine, Stage, freeze, positive_sign, quarantine};
use crate::alert::AlertKind;
use crate::detector::{self, Control, Snapshot};
use crate::device::Imei14;
use crate::finding::{DetectorId, Finding};
use crate::id::FleetSid;
use crate::policy::{Mode, Policy, Rules};
use crate::port::{Case, Change, ProviderError, Sim, SimStatus, TargetStatus};
use crate::state::SimState;
use crate::verdict::Verdict;

/// An incident in which nothing more happens for this long is over.
pub const QUIET_MAX: SignedDuration = SignedDuration::from_hours(72);

/// How often a SIM is looked at that is quiet: proof may come when the device next tries to attach.
pub(super) const QUIET_CHECK_EVERY: SignedDuration = SignedDuration::from_mins(15);

/// All that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The time.
    pub now: Timestamp,
    /// What is known of the SIM.
    pub case: &'a Case,
    /// The policy.
    pub policy: &'a Policy,
    /// What the function's own environment allows: automatic acts need this *and* policy to enforce.
    pub armed: Mode,
    /// The provider's answer; `None` while it was not asked.
    pub sim: Option<&'a Result<Sim, ProviderError>>,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing.
    Rest,
    /// Ask the provider about the SIM, then decide again.
    AskProvider,
    /// Record the incident as it is now.
    Record(Box<Incident>),
    /// Record the incident as over.
    Close(Box<Incident>),
    /// Record the intent, then ask the provider to deactivate the SIM.
    Deactivate(Box<Incident>, Authority),
    /// Record the intent, then ask the provider to make the SIM active.
    Restore(Box<Incident>),
    /// A freeze is over: as `Restore`, and what was found so far is judged.
    Thaw(Box<Incident>),
    /// Record the intent, then ask the provider for a step to quarantine or back.
    Relocate(Box<Incident>, Change),
}

/// On whose authority a SIM is deactivated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Policy's: caps and the stop switch bind it.
    Policy,
    /// Policy's, admitted before: the stop switch binds it, the caps have counted it.
    PolicyAgain,
    /// A human's.
    Human,
}

/// What the detectors find of a SIM now, by key, judged by the rules of this fleet. Findings that a
/// human judged do not come again, nor do those about devices that a human allowed.
#[must_use]
pub fn assess(look: &Look<'_>, fleet: Option<FleetSid>) -> (Verdict, BTreeMap<String, Finding>) {
    let case = look.case;
    let (desired, _) = &case.desired;
    let stored = case.findings.values().filter(|finding| finding.is_kept());
    let mut findings: Vec<Finding> = stored.cloned().collect();
    let unknown = SimState::new(case.sim);
    let state = case.state.as_ref().unwrap_or(&unknown);
    let rules = look.policy.rules_for(fleet, case.sim);
    let allowed: Vec<Imei14> = desired.allowed_devices.iter().copied().collect();
    let control = Control {
        inactive_at: case.incident.as_ref().and_then(|(incident, _)| incident.inactive_at),
        restored_at: desired.restored_at,
        allowed_devices: &allowed,
        judged: Some(&desired.judged),
        has_usage_of_its_own: desired.has_usage_of_its_own(),
    };
    let (usage, cohort) = (case.usage.as_ref(), case.cohort.as_ref());
    let snapshot = Snapshot::of(state, usage, cohort, &rules, control);
    // The webhook has recorded those that fail as degraded.
    let (found, _failed) = detector::assess_all(detector::ALL, &snapshot);
    findings.extend(found);
    findings.retain(|finding| !desired.is_settled(finding));
    (rules.rule(&findings), keyed(findings))
}

fn keyed(findings: Vec<Finding>) -> BTreeMap<String, Finding> {
    findings.into_iter().map(|finding| (finding.key(), finding)).collect()
}

/// Says what comes next.
#[must_use]
pub fn decide(look: &Look<'_>) -> Decision {
    let Some((incident, _)) = &look.case.incident else {
        return consider(look, None);
    };
    if let Some(decision) = freeze::over(look, incident) {
        return decision;
    }
    match incident.stage {
        Stage::Alerted | Stage::Held(_) | Stage::Requested => consider(look, Some(incident)),
        Stage::Admitted | Stage::Sent | Stage::Scheduled | Stage::Unreachable | Stage::Refused => {
            pursue(look, incident)
        }
        Stage::Inactive | Stage::Quiet | Stage::Leaking => prove(look, incident),
        Stage::Proven if incident.frozen_until.is_some() => prove(look, incident),
        Stage::Quarantined => quarantine::watch(look, incident),
        Stage::Restoring | Stage::Restored => watch_restore(look, incident),
        Stage::Proven | Stage::RestoredElsewhere | Stage::Expired => {
            Decision::Close(Box::new(incident.clone()))
        }
    }
}

/// Nothing was done yet: rules, and decides whether something should be.
fn consider(look: &Look<'_>, known: Option<&Incident>) -> Decision {
    let fleet = known_fleet(look);
    let (verdict, findings) = assess(look, fleet);
    let is_new = |finding: &Finding| !known.is_some_and(|incident| incident.knows(finding));
    let waits = known.is_some_and(|incident| incident.stage != Stage::Requested);
    let news: Vec<&Finding> = findings.values().filter(|finding| is_new(finding)).collect();
    if let (Some(incident), true, true) = (known, waits, news.is_empty()) {
        return rest_or_expire(look, incident);
    }
    let sim_sid = look.case.sim;
    let rules = look.policy.rules_for(fleet, sim_sid);
    let news_verdict = rules.rule(news.iter().copied());
    if let (Some(incident), false, true) = (known, waits, verdict < Verdict::Quarantine)
        && !look.case.unread.is_empty()
    {
        return undecided(look, incident.clone());
    }
    if verdict < Verdict::Alert || (waits && news_verdict < Verdict::Alert) {
        return match known {
            Some(incident) if !waits => lapse(look, incident),
            Some(_) | None => Decision::Rest,
        };
    }
    let mut incident =
        known.cloned().unwrap_or_else(|| Incident::open(sim_sid, name_of(look), fleet, look.now));
    let told: Vec<_> = incident.findings.iter().map(told_as).collect();
    incident.fleet = fleet;
    incident.verdict = incident.verdict.max(verdict);
    incident.add_findings(findings.values());
    let acts = if waits { news_verdict } else { verdict };
    if acts >= Verdict::Quarantine {
        incident.verdict = incident.verdict.max(acts);
        // What waited for the provider's answer is as new as on the day it came.
        let fresh = if waits { news } else { findings.values().collect() };
        return request(look, incident, &rules, &fresh);
    }
    // What is only watched is told to nobody, whatever it comes with.
    let is_told = |finding: &&Finding| rules.verdict_of(finding) >= Verdict::Alert;
    let mut news = news.into_iter().filter(is_told);
    // Of what waited for the provider's answer nobody was told.
    if !waits || news.any(|finding| !told.contains(&told_as(finding))) {
        incident.alert(AlertKind::Opened, look.now);
    }
    if !matches!(incident.stage, Stage::Held(_)) {
        incident.stage = Stage::Alerted;
    }
    incident.next_check = later(look.now, QUIET_MAX);
    Decision::Record(Box::new(incident))
}

/// Policy asks for the SIM to be deactivated: asks the provider, then the guards.
fn request(look: &Look<'_>, mut incident: Incident, rules: &Rules, news: &[&Finding]) -> Decision {
    let sim = match look.sim {
        None => return Decision::AskProvider,
        Some(Err(error)) => {
            // What would not be done anyway is no trouble; whether the SIM is off, where it should
            // be, only the provider knows.
            let is_off = look.case.desired.0.status == Some(TargetStatus::Inactive);
            return match hold_for_all(look).filter(|_| !is_off) {
                Some(hold) => Decision::Record(Box::new(held(look.now, incident, hold))),
                None => trouble(look, incident, error, Stage::Requested),
            };
        }
        Some(Ok(sim)) => sim,
    };
    if let Some(name) = &sim.unique_name {
        incident.name.clone_from(name);
    }
    match sim.status {
        // What we switched off before needs no second incident: this is an event that came late.
        SimStatus::Inactive if is_alive_after_proof(look) => {
            incident.inactive_at = look.case.desired.0.inactive_at;
            incident.stage = Stage::Leaking;
            incident.alert(AlertKind::Leaking, look.now);
            check_again(look.now, incident, CHECK_EVERY)
        }
        SimStatus::Inactive if look.case.desired.0.status == Some(TargetStatus::Inactive) => {
            if look.case.incident.is_none() { Decision::Rest } else { lapse(look, &incident) }
        }
        SimStatus::Inactive => already_inactive(look, incident),
        SimStatus::Scheduled => wait(look, incident, Stage::Requested),
        SimStatus::New | SimStatus::Ready | SimStatus::Active | SimStatus::Unknown => {
            incident.quarantine = None;
            if incident.verdict == Verdict::Quarantine {
                let desired = &look.case.desired.0;
                let Some(quarantine) = quarantine_for(rules, sim, desired) else {
                    return alerted(look, incident);
                };
                incident.quarantine = Some(quarantine);
            }
            match hold_for(look, rules, sim, news) {
                Some(hold) => Decision::Record(Box::new(held(look.now, incident, hold))),
                None => Decision::Deactivate(Box::new(incident), Authority::Policy),
            }
        }
    }
}

/// Where the SIM would be kept; `None` when policy names no fleet for it, when it is there already, or
/// when it has no fleet to come back to.
#[must_use]
pub fn quarantine_for(rules: &Rules, sim: &Sim, desired: &Desired) -> Option<Quarantine> {
    let (fleet, home) = (rules.quarantine?, sim.fleet?);
    // In a quarantine that policy named before it has a home already.
    if desired.quarantine.is_some_and(|kept| kept.fleet == home) {
        return None;
    }
    (fleet != home).then_some(Quarantine { fleet, home, since: None })
}

/// A human is told; nothing else can be done.
fn alerted(look: &Look<'_>, mut incident: Incident) -> Decision {
    incident.alert(AlertKind::Opened, look.now);
    incident.stage = Stage::Alerted;
    check_again(look.now, incident, QUIET_MAX)
}

/// Whether a SIM that was proven dead carries traffic that began after its end.
fn is_alive_after_proof(look: &Look<'_>) -> bool {
    let (desired, _) = &look.case.desired;
    let (Some(inactive_at), Some(state)) = (desired.inactive_at, &look.case.state) else {
        return false;
    };
    let rules = look.policy.rules_for(known_fleet(look), look.case.sim);
    let restored_at = desired.restored_at;
    let control = Control { inactive_at: Some(inactive_at), restored_at, ..Control::default() };
    let snapshot = Snapshot::of(state, None, None, &rules, control);
    // One that is opened, and in which nothing was done, does not switch it off.
    let is_ours = |(incident, _): &(Incident, u64)| incident.sent_at.is_some();
    !look.case.incident.as_ref().is_some_and(is_ours) && detector::is_alive_after_kill(&snapshot)
}

/// The guard that an automatic act waits for, other than the caps.
pub(super) fn hold_for(
    look: &Look<'_>,
    rules: &Rules,
    sim: &Sim,
    news: &[&Finding],
) -> Option<Hold> {
    let (desired, _) = &look.case.desired;
    let cooling = is_cooling(desired, rules, look.now, news);
    let withheld = news.iter().map(|finding| {
        let mut withheld = desired.withheld.iter();
        withheld.find(|(key, _)| finding.is_about(key)).map(|(_, hold)| *hold)
    });
    // Of nothing but what was withheld, the first says why.
    let withheld = withheld.collect::<Option<Vec<Hold>>>().and_then(|holds| holds.first().copied());
    hold_on(look, rules, sim).or(cooling.then_some(Hold::Cooldown)).or(withheld)
}

/// The guard that holds back each automatic request, repeated ones too.
pub(super) fn hold_on(look: &Look<'_>, rules: &Rules, sim: &Sim) -> Option<Hold> {
    if rules.guards.protects(sim) {
        return Some(Hold::Protected);
    }
    hold_for_all(look).or((rules.mode == Mode::Observe).then_some(Hold::Observe))
}

/// As [`hold_on`], whichever fleet the provider says that the SIM is in.
fn hold_for_all(look: &Look<'_>) -> Option<Hold> {
    if look.case.desired.0.protected_by.is_some() {
        Some(Hold::Protected)
    } else if look.case.stop.is_some() {
        Some(Hold::Stopped)
    } else if look.armed == Mode::Observe || !look.policy.enforces_anywhere() {
        Some(Hold::Observe)
    } else {
        None
    }
}

/// The incident as it waits for a human.
#[must_use]
pub fn held(now: Timestamp, mut incident: Incident, hold: Hold) -> Incident {
    let was = incident.stage;
    incident.stage = Stage::Held(hold);
    if !matches!(was, Stage::Held(_)) {
        incident.held_at = Some(now);
    }
    incident.next_check = later(now, QUIET_MAX);
    // Many SIMs may be held by a cap at once: one page lists them all.
    if hold != Hold::Cap && was != incident.stage {
        incident.alert(AlertKind::Held, now);
    }
    incident
}

/// A request was made and the SIM should go off: goes on until it does.
fn pursue(look: &Look<'_>, incident: &Incident) -> Decision {
    let sim = match look.sim {
        None => return Decision::AskProvider,
        // A SIM that the account does not have, for days, is gone: nobody can switch it off.
        Some(Err(ProviderError::NotFound)) if later(incident.opened_at, QUIET_MAX) <= look.now => {
            let stage = Stage::Expired;
            return Decision::Close(Box::new(Incident { stage, ..incident.clone() }));
        }
        Some(Err(error)) => {
            return trouble(look, incident.clone(), error, Stage::Unreachable);
        }
        Some(Ok(sim)) => sim,
    };
    match sim.status {
        SimStatus::Inactive => {
            let mut incident = incident.clone();
            went_inactive(look.now, &mut incident);
            Decision::Record(Box::new(incident))
        }
        SimStatus::Scheduled => wait(look, incident.clone(), Stage::Scheduled),
        SimStatus::New | SimStatus::Ready | SimStatus::Active | SimStatus::Unknown => {
            let mut incident = incident.clone();
            if incident.human.is_none() {
                return pursue_by_policy(look, incident, sim);
            }
            page_when_late(look.now, &mut incident);
            Decision::Deactivate(Box::new(incident), Authority::Human)
        }
    }
}

/// A request by policy has not taken effect. Each further one is an act of its own, so the ruling
/// and the guards are asked again.
fn pursue_by_policy(look: &Look<'_>, mut incident: Incident, sim: &Sim) -> Decision {
    let fleet = known_fleet(look);
    let (verdict, findings) = assess(look, fleet);
    // The act is recorded with what it rests on now.
    incident.add_findings(findings.values());
    if verdict < Verdict::Quarantine {
        if !look.case.unread.is_empty() {
            return undecided(look, incident);
        }
        // Who was told that the SIM goes off has to hear that it does not.
        if incident.told || incident.paged {
            incident.alert(AlertKind::Opened, look.now);
        }
        return lapse(look, &incident);
    }
    let rules = look.policy.rules_for(fleet, look.case.sim);
    if let Some(hold) = hold_on(look, &rules, sim) {
        return Decision::Record(Box::new(held(look.now, incident, hold)));
    }
    if verdict > Verdict::Quarantine {
        incident.quarantine = None;
    }
    page_when_late(look.now, &mut incident);
    Decision::Deactivate(Box::new(incident), Authority::PolicyAgain)
}

/// The SIM is inactive: looks for proof, and for traffic that should not be.
fn prove(look: &Look<'_>, incident: &Incident) -> Decision {
    let sim = match look.sim {
        None => return Decision::AskProvider,
        // It was inactive when it was taken out of the account: nothing more will be heard of it.
        Some(Err(ProviderError::NotFound)) => return fade(look, incident.clone()),
        Some(Err(_)) => return check_again(look.now, incident.clone(), CHECK_EVERY),
        Some(Ok(sim)) => sim,
    };
    let mut incident = incident.clone();
    match sim.status {
        SimStatus::Inactive => {}
        SimStatus::Active | SimStatus::Ready if quarantine::is_reached(&incident, sim) => {
            return Decision::Record(Box::new(quarantine::reached(look.now, incident)));
        }
        SimStatus::Active | SimStatus::Ready | SimStatus::New => {
            incident.stage = Stage::RestoredElsewhere;
            incident.alert(AlertKind::RestoredElsewhere, look.now);
            return Decision::Close(Box::new(incident));
        }
        SimStatus::Scheduled | SimStatus::Unknown => {
            return check_again(look.now, incident, CHECK_EVERY);
        }
    }
    if incident.stage != Stage::Leaking
        && let Some(step) = quarantine::next_step(look, &incident, sim)
    {
        return step;
    }
    let inactive_at = *incident.inactive_at.get_or_insert(look.now);
    let sent_at = incident.sent_at.unwrap_or(inactive_at);
    let state = look.case.state.as_ref();
    let is_frozen = incident.frozen_until.is_some();
    if incident.stage != Stage::Proven
        && let Some(proof) = state.and_then(|state| positive_sign(state, sent_at))
    {
        incident.proof = Some(proof);
        incident.stage = Stage::Proven;
        incident.alert(AlertKind::Proven, look.now);
        // One that is to come back is looked at until then.
        return if is_frozen {
            check_again(look.now, incident, QUIET_CHECK_EVERY)
        } else {
            Decision::Close(Box::new(incident))
        };
    }
    let (_, findings) = assess(look, known_fleet(look));
    let is_leak = |found: &&Finding| found.detector == DetectorId::AliveAfterKill;
    let leaks: Vec<&Finding> = findings.values().filter(is_leak).collect();
    if !leaks.is_empty() {
        incident.add_findings(leaks);
        if incident.stage != Stage::Leaking {
            incident.stage = Stage::Leaking;
            incident.alert(AlertKind::Leaking, look.now);
        }
        return check_again(look.now, incident, CHECK_EVERY);
    }
    if incident.stage == Stage::Proven {
        return check_again(look.now, incident, QUIET_CHECK_EVERY);
    }
    let sessions = state.map_or(&[][..], |state| state.sessions());
    let moved = sessions.iter().filter_map(|session| session.moved());
    let silent_since = moved.fold(inactive_at, Timestamp::max);
    let window = look.policy.rules_for(incident.fleet, incident.sim).proof_window;
    if later(silent_since, window) > look.now {
        return check_again(look.now, incident, CHECK_EVERY);
    }
    incident.stage = Stage::Quiet;
    fade(look, incident)
}

/// No proof may come any more: looks now and then, and at last no longer.
fn fade(look: &Look<'_>, mut incident: Incident) -> Decision {
    let inactive_at = incident.inactive_at.unwrap_or(incident.opened_at);
    let is_known = look.case.unread.is_empty();
    if is_known && later(inactive_at, QUIET_MAX) <= look.now && incident.frozen_until.is_none() {
        incident.stage = Stage::Expired;
        return Decision::Close(Box::new(incident));
    }
    check_again(look.now, incident, QUIET_CHECK_EVERY)
}

fn already_inactive(look: &Look<'_>, mut incident: Incident) -> Decision {
    // Someone else switched it off: what was held is not carried on from there.
    incident.quarantine = None;
    went_inactive(look.now, &mut incident);
    Decision::Record(Box::new(incident))
}

/// The provider completes a change by itself: looks again soon, and pages when it takes too long.
pub(super) fn wait(look: &Look<'_>, mut incident: Incident, stage: Stage) -> Decision {
    incident.stage = stage;
    page_when_late(look.now, &mut incident);
    check_again(look.now, incident, CHECK_EVERY)
}

pub(super) fn trouble(
    look: &Look<'_>,
    mut incident: Incident,
    error: &ProviderError,
    stage: Stage,
) -> Decision {
    incident.stage = stage;
    incident.trouble = Some(error.to_string());
    incident.attempts = incident.attempts.saturating_add(1);
    match error {
        ProviderError::NotFound
        | ProviderError::Refused { .. }
        | ProviderError::Unauthorized { .. } => page_once(look.now, &mut incident),
        ProviderError::TransitionNotAllowed
        | ProviderError::Throttled { .. }
        | ProviderError::Unavailable { .. } => page_when_late(look.now, &mut incident),
    }
    let pause = retry_after(&incident).min(until_late(look.now, &incident));
    check_again(look.now, incident, pause)
}

/// What is known of the SIM gives no reason to go on, but not all of it can be read: neither goes on
/// nor gives up, and a human hears of it when that takes long.
pub(super) fn undecided(look: &Look<'_>, mut incident: Incident) -> Decision {
    incident.trouble = Some(format!("not ruled again: {}", look.case.unread.join(", ")));
    page_when_late(look.now, &mut incident);
    check_again(look.now, incident, CHECK_EVERY)
}

/// The verdict was lifted before anything was done, as by the provider's word on the fleet.
fn lapse(look: &Look<'_>, incident: &Incident) -> Decision {
    let mut incident = incident.clone();
    let (_, current) = assess(look, known_fleet(look));
    incident.lift(&current);
    incident.stage = Stage::Alerted;
    check_again(look.now, incident, QUIET_MAX)
}

fn rest_or_expire(look: &Look<'_>, incident: &Incident) -> Decision {
    if incident.next_check > look.now {
        return Decision::Rest;
    }
    let mut incident = incident.clone();
    incident.stage = Stage::Expired;
    Decision::Close(Box::new(incident))
}

pub(super) fn check_again(
    now: Timestamp,
    mut incident: Incident,
    pause: SignedDuration,
) -> Decision {
    let end_of_freeze = incident.frozen_until.unwrap_or(Timestamp::MAX);
    incident.next_check = later(now, pause).min(end_of_freeze.max(now));
    Decision::Record(Box::new(incident))
}

pub(super) fn known_fleet(look: &Look<'_>) -> Option<FleetSid> {
    let told = look.sim.and_then(|sim| sim.as_ref().ok()).and_then(|sim| sim.fleet);
    let by_events = || look.case.state.as_ref()?.fleet();
    // Of a SIM without events usage records say it.
    told.or_else(by_events).or_else(|| look.case.usage.as_ref()?.fleet())
}

fn name_of(look: &Look<'_>) -> String {
    let name = look.case.state.as_ref().and_then(|state| state.unique_name().map(str::to_owned));
    name.unwrap_or_else(|| look.case.sim.to_string())
}

pub(super) fn later(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}
