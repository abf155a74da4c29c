//! Traffic that began after the provider said inactive: a session opened, or an update window with
//! bytes that started.
//!
//! Catches a deactivation that does not bite. What was already under way when the SIM was switched
//! off proves nothing, so a grace is given. Only the kill-switch knows when that was; in the webhook
//! the detector is silent.

use jiff::SignedDuration;

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};

/// Time that the network may take to close an open session, and that two clocks may differ.
const GRACE: SignedDuration = SignedDuration::from_mins(2);

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::AliveAfterKill, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let Some(inactive_at) = snapshot.control.inactive_at else {
        return Vec::new();
    };
    let after = inactive_at.saturating_add(GRACE).unwrap_or(inactive_at);
    let sessions = snapshot.state.sessions().iter();
    let began = |session: &crate::session::Session| {
        let opened = Some(session.start()).filter(|start| *start > after);
        opened.or(session.moved().filter(|moved| *moved > after))
    };
    sessions
        .filter_map(|session| Some((session, began(session)?)))
        .map(|(session, began)| Finding {
            detector: DetectorId::AliveAfterKill,
            about: session.sid.to_string(),
            at: began,
            evidence: Evidence::Alive { inactive_at, began, session: session.sid },
        })
        .collect()
}
