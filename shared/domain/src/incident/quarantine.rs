//! Quarantine: a SIM that is inactive goes on to a fleet where it can do no harm, and is active there.
//!
//! The order is off, move, on: a SIM that may connect cannot leave its fleet (83008), none can while
//! its status changes (83009), and the thief is cut off first. Whatever refuses leaves the SIM
//! inactive, which is a kill like any other.

use jiff::Timestamp;

use super::decide::{Authority, Decision, Look, QUIET_CHECK_EVERY, QUIET_MAX};
use super::decide::{assess, check_again, hold_on, known_fleet, later};
use super::outcome::{CHECK_EVERY, page_once, page_when_late, retry_after};
use super::{Desired, Incident, Stage};
use crate::alert::AlertKind;
use crate::finding::Finding;
use crate::port::{Change, Fleet, ProviderError, Sim, SimStatus, TargetStatus};
use crate::verdict::Verdict;

/// A change of fleet is refused while a change of status is under way: it may be tried again.
const FLEET_FIXED_WHILE_SCHEDULED: u32 = 83_009;

/// The next step of a SIM that is inactive and goes to quarantine; `None` where it does not, or where
/// a guard holds up what nobody asked for. What policy asks for by now may be more.
pub(super) fn next_step(look: &Look<'_>, incident: &Incident, sim: &Sim) -> Option<Decision> {
    let quarantine = incident.quarantine?;
    if incident.human.is_none() {
        let home = Some(quarantine.home);
        let rules = look.policy.rules_for(home, look.case.sim);
        if hold_on(look, &rules, sim).is_some() {
            return None;
        }
        let (verdict, findings) = assess(look, home);
        if verdict > Verdict::Quarantine {
            let mut incident = incident.clone();
            (incident.quarantine, incident.verdict) = (None, verdict);
            incident.add_findings(findings.values());
            return Some(check_again(look.now, incident, CHECK_EVERY));
        }
    }
    let change = if sim.fleet == Some(quarantine.fleet) {
        Change::Status(TargetStatus::Active)
    } else {
        Change::Fleet(quarantine.fleet)
    };
    Some(Decision::Relocate(Box::new(incident.clone()), change))
}

/// The next step on the way back of a SIM that is to be restored; `None` once it is where it belongs.
#[must_use]
pub fn next_step_back(desired: &Desired, sim: &Sim) -> Option<Change> {
    let quarantine = desired.quarantine?;
    if sim.fleet != Some(quarantine.fleet) {
        return None;
    }
    match sim.status {
        SimStatus::Active | SimStatus::Ready => Some(Change::Status(TargetStatus::Inactive)),
        SimStatus::Inactive | SimStatus::New => Some(Change::Fleet(quarantine.home)),
        SimStatus::Scheduled | SimStatus::Unknown => None,
    }
}

/// Whether a SIM that should be inactive is active because it reached its quarantine.
pub(super) fn is_reached(incident: &Incident, sim: &Sim) -> bool {
    let fleet = incident.quarantine.map(|quarantine| quarantine.fleet);
    fleet.is_some() && sim.fleet == fleet
}

/// The incident of a SIM that is active in its quarantine.
pub(super) fn reached(now: Timestamp, mut incident: Incident) -> Incident {
    incident.stage = Stage::Quarantined;
    if let Some(quarantine) = &mut incident.quarantine {
        quarantine.since = Some(now);
    }
    // What it does from now on it does with leave: no traffic is a leak.
    incident.inactive_at = None;
    incident.trouble = None;
    incident.alert(AlertKind::Quarantined, now);
    incident.next_check = later(now, QUIET_CHECK_EVERY);
    incident
}

/// The SIM is in quarantine: looks whether it stays there, and whether policy asks for more.
pub(super) fn watch(look: &Look<'_>, incident: &Incident) -> Decision {
    let sim = match look.sim {
        None => return Decision::AskProvider,
        // It left the account: nothing is left to be watched.
        Some(Err(ProviderError::NotFound)) => return settle(look, incident.clone()),
        Some(Err(_)) => return check_again(look.now, incident.clone(), QUIET_CHECK_EVERY),
        Some(Ok(sim)) => sim,
    };
    let mut incident = incident.clone();
    match sim.status {
        SimStatus::Active | SimStatus::Ready => {}
        SimStatus::New | SimStatus::Inactive | SimStatus::Scheduled | SimStatus::Unknown => {
            return settle(look, incident);
        }
    }
    if !is_reached(&incident, sim) {
        incident.stage = Stage::RestoredElsewhere;
        incident.alert(AlertKind::RestoredElsewhere, look.now);
        return Decision::Close(Box::new(incident));
    }
    let fleet = known_fleet(look);
    let (_, findings) = assess(look, fleet);
    let is_new = |finding: &&Finding| !incident.knows(finding);
    let news: Vec<&Finding> = findings.values().filter(is_new).collect();
    let rules = look.policy.rules_for(fleet, look.case.sim);
    let verdict = rules.rule(news.iter().copied());
    if verdict >= Verdict::Alert {
        let is_told = |finding: &&Finding| {
            incident.findings.iter().any(|known| known.detector == finding.detector)
        };
        let is_all_told = news.iter().all(is_told);
        let known = incident.findings.len();
        incident.add_findings(news);
        // What finds no room in the incident would be news for ever.
        let is_full = incident.findings.len() == known;
        if verdict >= Verdict::Deactivate && hold_on(look, &rules, sim).is_none() {
            return Decision::Deactivate(Box::new(again(incident)), Authority::Policy);
        }
        if !is_all_told && !is_full {
            incident.alert(AlertKind::Opened, look.now);
        }
    }
    settle(look, incident)
}

/// The incident as it begins once more: what proved that the SIM was off proves nothing now.
fn again(mut incident: Incident) -> Incident {
    (incident.quarantine, incident.human) = (None, None);
    (incident.sent_at, incident.inactive_at, incident.proof) = (None, None, None);
    (incident.told, incident.paged) = (false, false);
    incident.verdict = Verdict::Deactivate;
    incident
}

/// Looks again later, and files the incident when nothing happened for long.
fn settle(look: &Look<'_>, incident: Incident) -> Decision {
    let since = incident.quarantine.and_then(|quarantine| quarantine.since);
    if later(since.unwrap_or(incident.opened_at), QUIET_MAX) <= look.now {
        return Decision::Close(Box::new(incident));
    }
    check_again(look.now, incident, QUIET_CHECK_EVERY)
}

/// The incident after the provider answered a step to quarantine or back.
pub(super) fn relocated(
    now: Timestamp,
    mut incident: Incident,
    change: Change,
    answer: &Result<Sim, ProviderError>,
) -> Incident {
    let is_back = incident.stage == Stage::Restoring;
    incident.trouble = answer.as_ref().err().map(ToString::to_string);
    incident.next_check = later(now, retry_after(&incident));
    match answer {
        Ok(sim) if !is_back && change == Change::Status(TargetStatus::Active) => {
            if change.is_done(sim) {
                return reached(now, incident);
            }
            incident.next_check = later(now, CHECK_EVERY);
        }
        Ok(sim) => {
            let pause = if change.is_done(sim) { jiff::SignedDuration::ZERO } else { CHECK_EVERY };
            incident.next_check = later(now, pause);
        }
        Err(
            ProviderError::TransitionNotAllowed
            | ProviderError::Throttled { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::Refused { code: Some(FLEET_FIXED_WHILE_SCHEDULED), .. },
        ) => {
            if is_back {
                page_when_late(now, &mut incident);
            }
        }
        Err(
            ProviderError::NotFound
            | ProviderError::Refused { .. }
            | ProviderError::Unauthorized { .. },
        ) => {
            if is_back {
                page_once(now, &mut incident);
            } else {
                incident = given_up(now, incident);
            }
        }
    }
    incident
}

/// The incident of a SIM that must not become active in the fleet to which it was moved, by what the
/// provider says of that fleet; `None` where it may.
#[must_use]
pub fn kept_out(
    now: Timestamp,
    incident: &Incident,
    fleet: &Result<Fleet, ProviderError>,
) -> Option<Incident> {
    let mut incident = incident.clone();
    let trouble = match fleet {
        Ok(fleet) if fleet.is_quarantine() => return None,
        Ok(fleet) => format!("{} is no quarantine: it has more than 1 MB of data", fleet.sid),
        Err(error) => format!("the quarantine fleet was not read: {error}"),
    };
    incident.trouble = Some(trouble);
    if matches!(fleet, Err(ProviderError::Throttled { .. } | ProviderError::Unavailable { .. })) {
        incident.next_check = later(now, CHECK_EVERY);
        return Some(incident);
    }
    Some(given_up(now, incident))
}

/// It stays inactive, and a human is told.
fn given_up(now: Timestamp, mut incident: Incident) -> Incident {
    incident.quarantine = None;
    incident.alert(AlertKind::QuarantineFailed, now);
    incident.next_check = later(now, CHECK_EVERY);
    incident
}
