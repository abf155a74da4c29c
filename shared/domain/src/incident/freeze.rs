//! A timed freeze: a SIM that was switched off for a while comes back by itself.

use super::decide::{Decision, Look, QUIET_MAX, check_again, later, trouble, undecided};
use super::outcome::CHECK_EVERY;
use super::restore::is_rogue_again;
use super::{Incident, Stage};
use crate::alert::AlertKind;
use crate::port::ProviderError;

/// What comes next when a freeze is over; `None` while it is not, or where there is none.
///
/// The SIM is made active unless policy would switch it off at once: then it stays off, and a human
/// is told so. The stop switch does not bind this: it restores.
pub(super) fn over(look: &Look<'_>, incident: &Incident) -> Option<Decision> {
    let until = incident.frozen_until?;
    if until > look.now {
        return None;
    }
    let is_off = match incident.stage {
        Stage::Admitted
        | Stage::Sent
        | Stage::Scheduled
        | Stage::Unreachable
        | Stage::Refused
        | Stage::Inactive
        | Stage::Quiet
        | Stage::Leaking
        | Stage::Proven => true,
        Stage::Alerted
        | Stage::Requested
        | Stage::Held(_)
        | Stage::Quarantined
        | Stage::Restoring
        | Stage::Restored
        | Stage::RestoredElsewhere
        | Stage::Expired => false,
    };
    if !is_off {
        return None;
    }
    let sim = match look.sim {
        None => return Some(Decision::AskProvider),
        // It left the account, and for days: nobody can switch it on.
        Some(Err(ProviderError::NotFound)) if later(until, QUIET_MAX) <= look.now => {
            let gone = Incident { frozen_until: None, ..incident.clone() };
            return Some(check_again(look.now, gone, CHECK_EVERY));
        }
        Some(Err(error)) => return Some(trouble(look, incident.clone(), error, incident.stage)),
        Some(Ok(sim)) => sim,
    };
    if !look.case.unread.is_empty() {
        return Some(undecided(look, incident.clone()));
    }
    let mut incident = incident.clone();
    if is_rogue_again(look, sim) {
        incident.frozen_until = None;
        incident.alert(AlertKind::KeptOff, look.now);
        return Some(Decision::Record(Box::new(incident)));
    }
    Some(Decision::Thaw(Box::new(incident)))
}
