//! What comes next for a SIM: a pure function of its case, the policy and the provider's answer.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::{SignedDuration, Timestamp};

use super::{Hold, Incident, PAGE_AFTER, Stage, positive_sign};
use crate::alert::AlertKind;
use crate::detector::{self, Control, Snapshot};
use crate::finding::{DetectorId, Finding};
use crate::id::FleetSid;
use crate::policy::{Mode, Policy, Rules};
use crate::port::{Case, ProviderError, Sim, SimStatus, TargetStatus};
use crate::state::SimState;
use crate::verdict::Verdict;

/// An incident in which nothing more happens for this long is over.
pub const QUIET_MAX: SignedDuration = SignedDuration::from_hours(72);

/// How long a SIM is looked at after a restore: a request whose outcome was unknown may land late.
pub const RESTORE_WATCH: SignedDuration = SignedDuration::from_mins(15);

/// How often a SIM is looked at while it should go off, or should be proven dead.
const CHECK_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// How often a SIM is looked at that is quiet: proof may come when the device next tries to attach.
const QUIET_CHECK_EVERY: SignedDuration = SignedDuration::from_mins(15);

/// The first pause after a failed request; it doubles up to [`RETRY_MAX`].
const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(15);

/// The longest pause between requests.
const RETRY_MAX: SignedDuration = SignedDuration::from_mins(5);

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
/// human judged do not come again.
#[must_use]
pub fn assess(look: &Look<'_>, fleet: Option<FleetSid>) -> (Verdict, BTreeMap<String, Finding>) {
    let case = look.case;
    let (desired, _) = &case.desired;
    let judged = |finding: &Finding| desired.judged.contains(&finding.key());
    let stored = case.findings.values().filter(|finding| finding.detector.is_kept());
    let mut findings: Vec<Finding> = stored.filter(|finding| !judged(finding)).cloned().collect();
    let unknown = SimState::new(case.sim);
    let state = case.state.as_ref().unwrap_or(&unknown);
    let rules = look.policy.rules_for(fleet, case.sim);
    let incident = case.incident.as_ref().map(|(incident, _)| incident);
    let control = Control {
        inactive_at: incident.and_then(|incident| incident.inactive_at),
        restored_at: desired.restored_at,
    };
    let snapshot = Snapshot { state, usage: case.usage.as_ref(), rules: &rules, control };
    for detector in detector::ALL {
        // One failing detector stops no other; the webhook has recorded it as degraded.
        let assessed = catch_unwind(AssertUnwindSafe(|| (detector.assess)(&snapshot)));
        findings.extend(assessed.unwrap_or_default());
    }
    findings.retain(|finding| !judged(finding));
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
    match incident.stage {
        Stage::Alerted | Stage::Held(_) | Stage::Requested => consider(look, Some(incident)),
        Stage::Admitted | Stage::Sent | Stage::Scheduled | Stage::Unreachable | Stage::Refused => {
            pursue(look, incident)
        }
        Stage::Inactive | Stage::Quiet | Stage::Leaking => prove(look, incident),
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
    let is_new = |finding: &Finding| {
        let known = known.into_iter().flat_map(|incident| &incident.findings);
        !known.map(Finding::key).any(|key| key == finding.key())
    };
    let waits = known.is_some_and(|incident| incident.stage != Stage::Requested);
    let news: Vec<&Finding> = findings.values().filter(|finding| is_new(finding)).collect();
    if let (Some(incident), true, true) = (known, waits, news.is_empty()) {
        return rest_or_expire(look, incident);
    }
    let sim_sid = look.case.sim;
    let rules = look.policy.rules_for(fleet, sim_sid);
    let news_verdict = rules.rule(news.iter().copied());
    if verdict < Verdict::Alert || (waits && news_verdict < Verdict::Alert) {
        return match known {
            Some(incident) if !waits => lapse(look, incident),
            Some(_) | None => Decision::Rest,
        };
    }
    let mut incident =
        known.cloned().unwrap_or_else(|| Incident::open(sim_sid, name_of(look), fleet, look.now));
    let told: Vec<DetectorId> = incident.findings.iter().map(|known| known.detector).collect();
    incident.fleet = fleet;
    incident.verdict = incident.verdict.max(verdict);
    incident.add_findings(findings.values());
    let acts = if waits { news_verdict } else { verdict };
    if acts >= Verdict::Deactivate {
        // What waited for the provider's answer is as new as on the day it came.
        let fresh = if waits { news } else { findings.values().collect() };
        return request(look, incident, &rules, &fresh);
    }
    // Of what waited for the provider's answer nobody was told.
    if !waits || news.iter().any(|finding| !told.contains(&finding.detector)) {
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
        Some(Err(error)) => return trouble(look, incident, error, Stage::Requested),
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
            match hold_for(look, rules, sim, news) {
                Some(hold) => Decision::Record(Box::new(held(look.now, incident, hold))),
                None => Decision::Deactivate(Box::new(incident), Authority::Policy),
            }
        }
    }
}

/// Whether a SIM that was proven dead carries traffic that began after its end.
fn is_alive_after_proof(look: &Look<'_>) -> bool {
    let (desired, _) = &look.case.desired;
    let (Some(inactive_at), Some(state)) = (desired.inactive_at, &look.case.state) else {
        return false;
    };
    let rules = look.policy.rules_for(known_fleet(look), look.case.sim);
    let control = Control { inactive_at: Some(inactive_at), restored_at: desired.restored_at };
    let snapshot = Snapshot { state, usage: None, rules: &rules, control };
    look.case.incident.is_none() && detector::is_alive_after_kill(&snapshot)
}

/// The guard that an automatic act waits for, other than the caps.
fn hold_for(look: &Look<'_>, rules: &Rules, sim: &Sim, news: &[&Finding]) -> Option<Hold> {
    let (desired, _) = &look.case.desired;
    let cooling = desired.restored_at.is_some_and(|restored_at| {
        later(restored_at, rules.guards.cooldown) > look.now
            && !news.iter().any(|finding| is_new_kind(finding, &desired.judged))
    });
    hold_on(look, rules, sim).or(cooling.then_some(Hold::Cooldown))
}

/// The guard that holds back each automatic request, repeated ones too.
fn hold_on(look: &Look<'_>, rules: &Rules, sim: &Sim) -> Option<Hold> {
    if look.case.desired.0.protected_by.is_some() || rules.guards.protects(sim) {
        Some(Hold::Protected)
    } else if look.case.stop.is_some() {
        Some(Hold::Stopped)
    } else if look.armed == Mode::Observe || rules.mode == Mode::Observe {
        Some(Hold::Observe)
    } else {
        None
    }
}

/// Whether a human who restored the SIM has not yet seen such a finding: a device or country that
/// was not judged, or a limit of which none was.
fn is_new_kind(finding: &Finding, judged: &std::collections::BTreeSet<String>) -> bool {
    match finding.detector {
        DetectorId::SessionLimit
        | DetectorId::HourLimit
        | DetectorId::DayLimit
        | DetectorId::PeriodLimit => {
            let detector = format!("{}#", finding.detector);
            !judged.iter().any(|key| key.starts_with(&detector))
        }
        DetectorId::DeviceNotAllowed
        | DetectorId::DeviceChanged
        | DetectorId::CountryNotAllowed
        | DetectorId::AliveAfterKill
        | DetectorId::Degraded
        | DetectorId::BytesUnseen
        | DetectorId::ActiveAfterKill
        | DetectorId::InactiveUsesData
        | DetectorId::Silent
        | DetectorId::LimitDrift
        | DetectorId::UpdatesMissing
        | DetectorId::NoEvents => !judged.contains(&finding.key()),
    }
}

/// The incident as it waits for a human.
#[must_use]
pub fn held(now: Timestamp, mut incident: Incident, hold: Hold) -> Incident {
    let was = incident.stage;
    incident.stage = Stage::Held(hold);
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
    let (verdict, _) = assess(look, fleet);
    if verdict < Verdict::Deactivate {
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
    page_when_late(look.now, &mut incident);
    Decision::Deactivate(Box::new(incident), Authority::PolicyAgain)
}

/// The SIM is inactive: looks for proof, and for traffic that should not be.
fn prove(look: &Look<'_>, incident: &Incident) -> Decision {
    let sim = match look.sim {
        None => return Decision::AskProvider,
        Some(Err(_)) => return check_again(look.now, incident.clone(), CHECK_EVERY),
        Some(Ok(sim)) => sim,
    };
    let mut incident = incident.clone();
    match sim.status {
        SimStatus::Inactive => {}
        SimStatus::Active | SimStatus::Ready | SimStatus::New => {
            incident.stage = Stage::RestoredElsewhere;
            incident.alert(AlertKind::RestoredElsewhere, look.now);
            return Decision::Close(Box::new(incident));
        }
        SimStatus::Scheduled | SimStatus::Unknown => {
            return check_again(look.now, incident, CHECK_EVERY);
        }
    }
    let inactive_at = *incident.inactive_at.get_or_insert(look.now);
    let sent_at = incident.sent_at.unwrap_or(inactive_at);
    let state = look.case.state.as_ref();
    if let Some(proof) = state.and_then(|state| positive_sign(state, sent_at)) {
        incident.proof = Some(proof);
        incident.stage = Stage::Proven;
        incident.alert(AlertKind::Proven, look.now);
        return Decision::Close(Box::new(incident));
    }
    let (_, findings) = assess(look, known_fleet(look));
    let leaks = findings.values().filter(|found| found.detector == DetectorId::AliveAfterKill);
    let leaks: Vec<&Finding> = leaks.collect();
    if !leaks.is_empty() {
        incident.add_findings(leaks);
        if incident.stage != Stage::Leaking {
            incident.stage = Stage::Leaking;
            incident.alert(AlertKind::Leaking, look.now);
        }
        return check_again(look.now, incident, CHECK_EVERY);
    }
    let sessions = state.map_or(&[][..], |state| state.sessions());
    let moved = sessions.iter().filter_map(|session| session.moved());
    let silent_since = moved.fold(inactive_at, Timestamp::max);
    let window = look.policy.rules_for(incident.fleet, incident.sim).proof_window;
    if later(silent_since, window) > look.now {
        return check_again(look.now, incident, CHECK_EVERY);
    }
    if later(inactive_at, QUIET_MAX) <= look.now {
        incident.stage = Stage::Expired;
        return Decision::Close(Box::new(incident));
    }
    incident.stage = Stage::Quiet;
    check_again(look.now, incident, QUIET_CHECK_EVERY)
}

/// A human restored the SIM: their wish is defended against requests that land late.
fn watch_restore(look: &Look<'_>, incident: &Incident) -> Decision {
    let sim = match look.sim {
        None => return Decision::AskProvider,
        // It was seen to be active: one answer that is missing is no reason to page.
        Some(Err(ProviderError::Throttled { .. } | ProviderError::Unavailable { .. }))
            if incident.stage == Stage::Restored =>
        {
            return check_again(look.now, incident.clone(), CHECK_EVERY);
        }
        Some(Err(error)) => return trouble(look, incident.clone(), error, incident.stage),
        Some(Ok(sim)) => sim,
    };
    let mut incident = incident.clone();
    match sim.status {
        SimStatus::Active | SimStatus::Ready | SimStatus::New => {
            if incident.stage == Stage::Restoring {
                incident.stage = Stage::Restored;
                incident.alert(AlertKind::Restored, look.now);
            }
            let (desired, _) = &look.case.desired;
            let restored_at = desired.restored_at.unwrap_or(incident.opened_at);
            if later(restored_at, RESTORE_WATCH) <= look.now || is_rogue_again(look, sim) {
                return Decision::Close(Box::new(incident));
            }
            check_again(look.now, incident, CHECK_EVERY)
        }
        SimStatus::Inactive => Decision::Restore(Box::new(incident)),
        SimStatus::Scheduled | SimStatus::Unknown => {
            let stage = incident.stage;
            wait(look, incident, stage)
        }
    }
}

/// Whether a restored SIM shows what the human who restored it has not judged, and policy may act on
/// it: that must not wait until the watch is over.
fn is_rogue_again(look: &Look<'_>, sim: &Sim) -> bool {
    let (verdict, findings) = assess(look, known_fleet(look));
    let findings: Vec<&Finding> = findings.values().collect();
    let rules = look.policy.rules_for(known_fleet(look), look.case.sim);
    verdict >= Verdict::Deactivate && hold_for(look, &rules, sim, &findings).is_none()
}

/// The incident after the provider answered a request: its stage, its next check and its alerts.
#[must_use]
pub fn outcome_of(
    now: Timestamp,
    mut incident: Incident,
    wanted: TargetStatus,
    answer: &Result<Sim, ProviderError>,
) -> Incident {
    incident.trouble = answer.as_ref().err().map(ToString::to_string);
    let restoring = wanted == TargetStatus::Active;
    match answer {
        Ok(sim) if restoring && sim.status == SimStatus::Active => {
            if incident.stage != Stage::Restored {
                incident.stage = Stage::Restored;
                incident.alert(AlertKind::Restored, now);
            }
            incident.next_check = later(now, CHECK_EVERY);
        }
        Ok(sim) if !restoring && sim.status == SimStatus::Inactive => {
            went_inactive(now, &mut incident);
        }
        Ok(sim) => {
            if !restoring {
                let scheduled = sim.status == SimStatus::Scheduled;
                incident.stage = if scheduled { Stage::Scheduled } else { Stage::Sent };
                tell_once(now, &mut incident);
            }
            incident.next_check = later(now, CHECK_EVERY);
        }
        // It may be where we want it already: the next look will tell.
        Err(ProviderError::TransitionNotAllowed) => {
            if !restoring {
                incident.stage = Stage::Sent;
            }
            incident.next_check = later(now, retry_after(&incident));
            page_when_late(now, &mut incident);
        }
        Err(
            ProviderError::NotFound
            | ProviderError::Refused { .. }
            | ProviderError::Unauthorized { .. },
        ) => {
            if !restoring {
                incident.stage = Stage::Refused;
            }
            page_once(now, &mut incident);
            incident.next_check = later(now, retry_after(&incident));
        }
        Err(ProviderError::Throttled { .. } | ProviderError::Unavailable { .. }) => {
            if !restoring {
                incident.stage = Stage::Unreachable;
            }
            page_when_late(now, &mut incident);
            incident.next_check = later(now, retry_after(&incident));
        }
    }
    incident
}

fn went_inactive(now: Timestamp, incident: &mut Incident) {
    incident.stage = Stage::Inactive;
    incident.inactive_at.get_or_insert(now);
    incident.trouble = None;
    // The page is answered; a restore that does not succeed deserves its own.
    incident.paged = false;
    tell_once(now, incident);
    incident.next_check = later(now, CHECK_EVERY);
}

/// Tells that the SIM was deactivated, once for the incident.
fn tell_once(now: Timestamp, incident: &mut Incident) {
    if !incident.told {
        incident.told = true;
        incident.alert(AlertKind::Killed, now);
    }
}

fn already_inactive(look: &Look<'_>, mut incident: Incident) -> Decision {
    went_inactive(look.now, &mut incident);
    Decision::Record(Box::new(incident))
}

/// The provider completes a change by itself: looks again soon, and pages when it takes too long.
fn wait(look: &Look<'_>, mut incident: Incident, stage: Stage) -> Decision {
    incident.stage = stage;
    page_when_late(look.now, &mut incident);
    check_again(look.now, incident, CHECK_EVERY)
}

fn trouble(
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
    let pause = retry_after(&incident);
    check_again(look.now, incident, pause)
}

/// The verdict was lifted before anything was done, as by the provider's word on the fleet.
fn lapse(look: &Look<'_>, incident: &Incident) -> Decision {
    let mut incident = incident.clone();
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

fn check_again(now: Timestamp, mut incident: Incident, pause: SignedDuration) -> Decision {
    incident.next_check = later(now, pause);
    Decision::Record(Box::new(incident))
}

fn page_when_late(now: Timestamp, incident: &mut Incident) {
    let since = incident.sent_at.unwrap_or(incident.opened_at);
    if later(since, PAGE_AFTER) <= now {
        page_once(now, incident);
    }
}

fn page_once(now: Timestamp, incident: &mut Incident) {
    if !incident.paged {
        incident.paged = true;
        incident.alert(AlertKind::Unreachable, now);
    }
}

/// Doubles with each attempt, spread by the SIM so that many do not come at once.
fn retry_after(incident: &Incident) -> SignedDuration {
    let doubled =
        RETRY_FIRST.saturating_mul(1_i32.checked_shl(incident.attempts.min(6)).unwrap_or(64));
    let [.., spread] = *incident.sim.as_bytes();
    doubled
        .min(RETRY_MAX)
        .saturating_add(SignedDuration::from_millis(i64::from(spread).saturating_mul(20)))
}

fn known_fleet(look: &Look<'_>) -> Option<FleetSid> {
    let told = look.sim.and_then(|sim| sim.as_ref().ok()).and_then(|sim| sim.fleet);
    told.or_else(|| look.case.state.as_ref()?.fleet())
}

fn name_of(look: &Look<'_>) -> String {
    let state = look.case.state.as_ref();
    let name = state.and_then(|state| state.unique_name().map(str::to_owned));
    name.unwrap_or_else(|| look.case.sim.to_string())
}

fn later(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}
