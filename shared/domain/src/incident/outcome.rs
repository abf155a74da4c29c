//! What an incident becomes by the provider's answer to a request.

use jiff::{SignedDuration, Timestamp};

use super::decide::later;
use super::{Incident, PAGE_AFTER, Stage, quarantine};
use crate::alert::AlertKind;
use crate::port::{Change, ProviderError, Sim, SimStatus, TargetStatus};

/// How often a SIM is looked at while it should go off, or should be proven dead.
pub(super) const CHECK_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// The first pause after a failed request; it doubles up to [`RETRY_MAX`].
const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(15);

/// The longest pause between requests.
const RETRY_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The incident after the provider answered a request: its stage, its next check and its alerts.
#[must_use]
pub fn outcome_of(
    now: Timestamp,
    incident: Incident,
    change: Change,
    answer: &Result<Sim, ProviderError>,
) -> Incident {
    match (change, is_on_the_way_back(&incident)) {
        (Change::Status(TargetStatus::Inactive), false) => {
            settled(now, incident, TargetStatus::Inactive, answer)
        }
        (Change::Status(TargetStatus::Active), true) => {
            settled(now, incident, TargetStatus::Active, answer)
        }
        (Change::Status(_) | Change::Fleet(_), _) => {
            quarantine::relocated(now, incident, change, answer)
        }
    }
}

const fn is_on_the_way_back(incident: &Incident) -> bool {
    matches!(incident.stage, Stage::Restoring | Stage::Restored)
}

/// The incident after an answer to a request to deactivate the SIM, or to restore it.
fn settled(
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
            page_when_late(now, &mut incident);
            incident.next_check = next_try(now, &incident);
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
            incident.next_check = next_try(now, &incident);
        }
    }
    incident
}

pub(super) fn went_inactive(now: Timestamp, incident: &mut Incident) {
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

pub(super) fn page_when_late(now: Timestamp, incident: &mut Incident) {
    let since = incident.sent_at.unwrap_or(incident.opened_at);
    if later(since, PAGE_AFTER) <= now {
        page_once(now, incident);
    }
}

fn next_try(now: Timestamp, incident: &Incident) -> Timestamp {
    later(now, retry_after(incident).min(until_late(now, incident)))
}

/// How long until a human has to be paged: the incident is looked at by then.
pub(super) fn until_late(now: Timestamp, incident: &Incident) -> SignedDuration {
    let since = incident.sent_at.unwrap_or(incident.opened_at);
    let late = later(since, PAGE_AFTER);
    if incident.paged || late <= now { SignedDuration::MAX } else { late.duration_since(now) }
}

pub(super) fn page_once(now: Timestamp, incident: &mut Incident) {
    if !incident.paged {
        incident.paged = true;
        incident.alert(AlertKind::Unreachable, now);
    }
}

/// Doubles with each attempt, spread by the SIM so that many do not come at once.
pub(super) fn retry_after(incident: &Incident) -> SignedDuration {
    let doubled =
        RETRY_FIRST.saturating_mul(1_i32.checked_shl(incident.attempts.min(6)).unwrap_or(64));
    let [.., spread] = *incident.sim.as_bytes();
    doubled
        .min(RETRY_MAX)
        .saturating_add(SignedDuration::from_millis(i64::from(spread).saturating_mul(20)))
}
