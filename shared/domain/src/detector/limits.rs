//! Bytes over the policy's limit for a session, an hour, a day or a period.
//!
//! Catches whatever uses too much, in whichever device. Counts only what is *proven* to belong to
//! the window, so lost updates and long-open sessions never cut a SIM. Fooled by a thief who stays
//! under the limit; and a firmware update may break a limit in a healthy fleet, which is why a limit
//! alerts unless the operator says that it should cut, and why a maintenance window raises it.
//!
//! The period is the UTC calendar month, as far as the events within the horizon show it.

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::time::{Hour, Window};

pub(super) const SESSION: Detector =
    Detector { id: DetectorId::SessionLimit, assess: assess_sessions };
pub(super) const HOUR: Detector = Detector {
    id: DetectorId::HourLimit,
    assess: |snapshot| {
        let limit = snapshot.rules.limits.hour;
        assess_windows(snapshot, DetectorId::HourLimit, limit, Window::of_hour)
    },
};
pub(super) const DAY: Detector = Detector {
    id: DetectorId::DayLimit,
    assess: |snapshot| {
        let limit = snapshot.rules.limits.day;
        assess_windows(snapshot, DetectorId::DayLimit, limit, Window::of_day)
    },
};
pub(super) const PERIOD: Detector = Detector {
    id: DetectorId::PeriodLimit,
    assess: |snapshot| {
        let limit = snapshot.rules.limits.period;
        assess_windows(snapshot, DetectorId::PeriodLimit, limit, Window::of_month)
    },
};

fn assess_windows(
    snapshot: &Snapshot<'_>,
    detector: DetectorId,
    limit: Option<Bytes>,
    window_of: fn(Hour) -> Window,
) -> Vec<Finding> {
    let Some(limit) = limit else {
        return Vec::new();
    };
    let state = snapshot.state;
    let mut findings = Vec::new();
    let mut assessed_until = None;
    for hour in state.hours() {
        if assessed_until.is_some_and(|until| hour < until) {
            continue;
        }
        let window = window_of(hour);
        assessed_until = Some(window.hours.end);
        let seen = match snapshot.control.restored_at {
            Some(restored_at) => state.bytes_after(restored_at, &window.hours),
            None => state.bytes_in(&window.hours),
        };
        let (from, to) = (window.start(), window.end());
        let limit = snapshot.rules.limit_during(limit, from, to);
        if seen > limit {
            let evidence = Evidence::Bytes { seen, limit, from, to, session: None };
            let at = to.min(state.now());
            findings.push(Finding { detector, about: window.name, at, evidence });
        }
    }
    findings
}

fn assess_sessions(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let Some(limit) = snapshot.rules.limits.session else {
        return Vec::new();
    };
    let restored_at = snapshot.control.restored_at.unwrap_or(Timestamp::MIN);
    let sessions = snapshot.state.sessions().iter();
    sessions
        .filter(|session| session.start() >= restored_at)
        .filter_map(|session| {
            let (from, to) = (session.start(), session.last());
            let limit = snapshot.rules.limit_during(limit, from, to);
            let seen = session.bytes();
            let session = session.sid;
            let evidence = Evidence::Bytes { seen, limit, from, to, session: Some(session) };
            let about = session.to_string();
            (seen > limit).then_some(Finding {
                detector: DetectorId::SessionLimit,
                about,
                at: to,
                evidence,
            })
        })
        .collect()
}
