//! A timed freeze: a SIM that was switched off for a while comes back by itself.

use super::decide::{Decision, Look, check_again};
use super::outcome::CHECK_EVERY;
use super::restore::is_rogue_again;
use super::{Incident, Stage};
use crate::alert::AlertKind;
use crate::port::{ProviderError, SimStatus};

/// What comes next when a freeze is over; `None` while it is not, or where there is none.
///
/// The SIM is made active unless policy would switch it off at once: then it stays off, and a human
/// is told so. The stop switch does not bind this: it restores.
pub(super) fn over(look: &Look<'_>, incident: &Incident) -> Option<Decision> {
    if incident.frozen_until? > look.now {
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
        // It left the account: nobody can switch it on.
        Some(Err(ProviderError::NotFound)) => {
            let gone = Incident { frozen_until: None, ..incident.clone() };
            return Some(check_again(look.now, gone, CHECK_EVERY));
        }
        Some(Err(_)) => return Some(check_again(look.now, incident.clone(), CHECK_EVERY)),
        Some(Ok(sim)) => sim,
    };
    let mut incident = incident.clone();
    if is_rogue_again(look, sim) {
        incident.frozen_until = None;
        incident.alert(AlertKind::KeptOff, look.now);
        return Some(Decision::Record(Box::new(incident)));
    }
    if matches!(sim.status, SimStatus::Active | SimStatus::Ready) {
        // Someone else was faster; what is left is to watch that it stays so.
        incident.frozen_until = None;
        incident.stage = Stage::Restored;
        incident.alert(AlertKind::Restored, look.now);
        return Some(check_again(look.now, incident, CHECK_EVERY));
    }
    Some(Decision::Thaw(Box::new(incident)))
}
