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
        let opened = session.opened().filter(|opened| *opened > after);
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

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{MB, Opened, claims, rules, time};
    use crate::event::Event;

    /// The SIM was inactive at 14:00.
    #[track_caller]
    fn check(events: &[Event], expected: &[&str]) {
        let control = Control { inactive_at: Some(time("01T14:00")), ..Control::default() };
        let found = claims(super::DETECTOR, events, &rules(""), control);
        let sentences = found.iter().map(|claim| claim.rsplit_once(": ").unwrap().1);
        assert_eq!(sentences.collect::<Vec<_>>(), expected);
        assert_eq!(claims(super::DETECTOR, events, &rules(""), Control::default()), [""; 0]);
    }

    const OPEN: Opened = Opened("01T13:00");

    #[test]
    fn an_update_that_was_under_way_proves_nothing() {
        check(&[OPEN.updated("01T13:58", "01T14:04", MB, MB)], &[]);
        check(&[OPEN.updated("01T14:02", "01T14:08", MB, MB)], &[]);
        check(&[OPEN.updated("01T14:03", "01T14:09", 0, MB)], &[]);
    }

    #[test]
    fn bytes_of_a_window_that_began_after_the_grace_are_found() {
        check(
            &[OPEN.updated("01T14:02:01", "01T14:08", 1, MB)],
            &[
                "traffic that began at 2026-03-01T14:02:01Z although inactive since 2026-03-01T14:00:00Z",
            ],
        );
    }

    #[test]
    fn a_session_that_was_opened_after_the_grace_is_found() {
        check(&[Opened("01T14:02").started()], &[]);
        check(
            &[Opened("01T14:02:01").started()],
            &[
                "traffic that began at 2026-03-01T14:02:01Z although inactive since 2026-03-01T14:00:00Z",
            ],
        );
    }

    #[test]
    fn an_end_is_no_traffic_even_where_the_start_was_never_seen() {
        check(&[OPEN.ended("01T14:30")], &[]);
        check(&[OPEN.ended("01T14:30").with(|report| report.start = None)], &[]);
    }
}
