//! What comes next for a SIM that was or is to be made active again.

use jiff::SignedDuration;

use super::decide::{
    Decision, Look, assess, check_again, hold_for, known_fleet, later, trouble, wait,
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
    let (verdict, findings) = assess(look, known_fleet(look));
    let findings: Vec<&Finding> = findings.values().collect();
    let rules = look.policy.rules_for(known_fleet(look), look.case.sim);
    verdict >= Verdict::Quarantine && hold_for(look, &rules, sim, &findings).is_none()
}
