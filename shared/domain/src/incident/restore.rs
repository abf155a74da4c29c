//! What comes next for a SIM that was or is to be made active again.

use jiff::SignedDuration;

use super::decide::{
    Decision, Look, assess, check_again, hold_for, hold_on, known_fleet, later, trouble, wait,
};
use super::outcome::CHECK_EVERY;
use super::{Incident, Stage, quarantine};
use crate::alert::AlertKind;
use crate::finding::Finding;
use crate::port::{ProviderError, Sim, SimStatus};
use crate::verdict::Verdict;

/// How long a SIM is looked at after a restore: a request whose outcome was unknown may land late.
pub const RESTORE_WATCH: SignedDuration = SignedDuration::from_mins(15);

/// A human restored the SIM: their wish is defended against requests that land late.
pub(super) fn watch_restore(look: &Look<'_>, incident: &Incident) -> Decision {
    let sim = match look.sim {
        None => return Decision::AskProvider,
        // It was seen to be active: one answer that is missing is no reason to page.
        Some(Err(ProviderError::Throttled { .. } | ProviderError::Unavailable { .. }))
            if incident.stage == Stage::Restored =>
        {
            return check_again(look.now, incident.clone(), CHECK_EVERY);
        }
        // It was seen to be active, and left the account: nothing is left to be defended.
        Some(Err(ProviderError::NotFound))
            if incident.stage == Stage::Restored && is_watched_enough(look, incident) =>
        {
            return Decision::Close(Box::new(incident.clone()));
        }
        Some(Err(error)) => return trouble(look, incident.clone(), error, incident.stage),
        Some(Ok(sim)) => sim,
    };
    let mut incident = incident.clone();
    if let Some(change) = quarantine::next_step_back(&look.case.desired.0, sim) {
        // A move that was under way may land after the SIM was made active.
        incident.stage = Stage::Restoring;
        return Decision::Relocate(Box::new(incident), change);
    }
    match sim.status {
        SimStatus::Active | SimStatus::Ready | SimStatus::New => {
            if incident.stage == Stage::Restoring {
                incident.stage = Stage::Restored;
                incident.alert(AlertKind::Restored, look.now);
            }
            withhold(look, sim, &mut incident);
            if is_watched_enough(look, &incident) || is_rogue_again(look, sim) {
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

fn is_watched_enough(look: &Look<'_>, incident: &Incident) -> bool {
    let restored_at = look.case.desired.0.restored_at.unwrap_or(incident.opened_at);
    later(restored_at, RESTORE_WATCH) <= look.now
}

/// Whether a restored SIM shows what the human who restored it has not judged, and policy may act on
/// it: that must not wait until the watch is over.
pub(super) fn is_rogue_again(look: &Look<'_>, sim: &Sim) -> bool {
    let (_, findings) = assess(look, known_fleet(look));
    let incident = look.case.incident.as_ref().map(|(incident, _)| incident);
    let is_withheld = |finding: &Finding, known: &Incident| {
        known.withheld.keys().any(|key| finding.is_about(key))
    };
    let is_free = |finding: &&Finding| incident.is_none_or(|known| !is_withheld(finding, known));
    let findings: Vec<&Finding> = findings.values().filter(is_free).collect();
    let rules = look.policy.rules_for(known_fleet(look), look.case.sim);
    let verdict = rules.rule(findings.iter().copied());
    verdict >= Verdict::Quarantine && hold_for(look, &rules, sim, &findings).is_none()
}

/// Notes what a guard holds back now. When the watch is over it is considered like anything else, and
/// the guard may be gone by then: arming and a resume release nothing.
fn withhold(look: &Look<'_>, sim: &Sim, incident: &mut Incident) {
    let rules = look.policy.rules_for(known_fleet(look), look.case.sim);
    let Some(hold) = hold_on(look, &rules, sim) else { return };
    let (verdict, findings) = assess(look, known_fleet(look));
    if verdict >= Verdict::Quarantine {
        incident.withhold(findings.keys(), hold);
    }
}
