//! Bytes over the policy's limit for a session, an hour, a day or a period.
//!
//! Catches whatever uses too much, in whichever device. Counts only what is *proven* to belong to
//! the window, so lost updates and long-open sessions never cut a SIM. Fooled by a thief who stays
//! under the limit; and a firmware update may break a limit in a healthy fleet, which is why a limit
//! alerts unless the operator says that it should cut, and why a maintenance window raises it.
//!
//! Events tell at once and may be lost; usage records come later and are what is billed. What either
//! proves counts. The period is the SIM's billing period where it is known, else the calendar month
//! of UTC; without usage records, as far as the events within the horizon show it.

use std::ops::Range;

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::time::{Hour, Window};
use crate::usage::SimUsage;

pub(super) const SESSION: Detector =
    Detector { id: DetectorId::SessionLimit, assess: assess_sessions };
pub(super) const HOUR: Detector = Detector {
    id: DetectorId::HourLimit,
    assess: |snapshot| {
        let limit = may_be_broken(snapshot, snapshot.rules.limits.hour, snapshot.at_most.hour);
        assess_windows(snapshot, DetectorId::HourLimit, limit, Window::of_hour)
    },
};
pub(super) const DAY: Detector = Detector {
    id: DetectorId::DayLimit,
    assess: |snapshot| {
        let limit = may_be_broken(snapshot, snapshot.rules.limits.day, snapshot.at_most.hours);
        assess_windows(snapshot, DetectorId::DayLimit, limit, Window::of_day)
    },
};
pub(super) const PERIOD: Detector = Detector {
    id: DetectorId::PeriodLimit,
    assess: |snapshot| {
        let counted = snapshot.usage.map(SimUsage::counted_at_most).unwrap_or_default();
        let records = snapshot.at_most.hours.plus(counted);
        let limit = may_be_broken(snapshot, snapshot.rules.limits.period, records);
        let period_of = |hour| match snapshot.usage {
            Some(usage) => usage.period_of(hour),
            None => Window::of_month(hour),
        };
        assess_windows(snapshot, DetectorId::PeriodLimit, limit, period_of)
    },
};

/// The limit, if any window could hold more than all that events show and the most that records say of
/// any one window.
fn may_be_broken(snapshot: &Snapshot<'_>, limit: Option<Bytes>, records: Bytes) -> Option<Bytes> {
    limit.filter(|limit| snapshot.at_most.events.plus(records) > *limit)
}

fn assess_windows(
    snapshot: &Snapshot<'_>,
    detector: DetectorId,
    limit: Option<Bytes>,
    window_of: impl Fn(Hour) -> Window,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(limit) = limit else { return findings };
    let hours = hours_at_most(snapshot);
    let mut assessed_until = None;
    for (hour, _) in &hours {
        if assessed_until.is_some_and(|until| *hour < until) {
            continue;
        }
        let window = window_of(*hour);
        assessed_until = Some(window.hours.end);
        if at_most_in(snapshot, &hours, &window) <= limit {
            continue;
        }
        let seen = seen_in(snapshot, &window);
        let (from, to) = (window.start(), window.end());
        let limit = snapshot.rules.limit_during(limit, from, to);
        if seen > limit {
            let evidence = Evidence::Bytes { seen, limit, from, to, session: None };
            let at = to.min(snapshot.now());
            findings.push(Finding { detector, about: window.name(), at, evidence });
        }
    }
    findings
}

/// The hours of which events or records tell, in order, each with what both say of it at most.
fn hours_at_most(snapshot: &Snapshot<'_>) -> Vec<(Hour, Bytes)> {
    let shown = snapshot.state.hours_at_most();
    let Some(usage) = snapshot.usage else { return shown };
    let mut shown = shown.into_iter().peekable();
    let mut hours = Vec::with_capacity(shown.len());
    for (hour, records) in usage.hours() {
        while let Some(earlier) = shown.next_if(|(shown, _)| *shown < hour) {
            hours.push(earlier);
        }
        let events = shown.next_if(|(shown, _)| *shown == hour);
        hours.push((hour, events.map_or(records, |(_, events)| events.plus(records))));
    }
    hours.extend(shown);
    hours
}

/// A bound of [`seen_in`] that is quick to compute.
fn at_most_in(snapshot: &Snapshot<'_>, hours: &[(Hour, Bytes)], window: &Window) -> Bytes {
    let place = |end: Hour| hours.partition_point(|(hour, _)| *hour < end);
    let within = hours.get(place(window.hours.start)..place(window.hours.end));
    let told: Bytes = within.unwrap_or_default().iter().map(|(_, bytes)| *bytes).sum();
    match snapshot.usage {
        Some(usage) if window.is_period() => told.plus(usage.counted_at_most()),
        _ => told,
    }
}

/// The least number of bytes used in the window: the more of what events prove of it, and of what
/// usage records say of its closed hours together with what either says of the hours after them.
fn seen_in(snapshot: &Snapshot<'_>, window: &Window) -> Bytes {
    let state = snapshot.state;
    let events = |hours: &Range<Hour>| match snapshot.control.restored_at {
        Some(restored_at) => state.bytes_after(restored_at, hours),
        None => state.bytes_in(hours),
    };
    let shown = events(&window.hours);
    let Some(usage) = snapshot.usage else { return shown };
    // After a restore only hours count that lie wholly behind it.
    let restored = snapshot.control.restored_at.map(|time| Hour::ending_at(time).after());
    let begin = restored.map_or(window.hours.start, |hour| hour.max(window.hours.start));
    let open_from = usage.open_from().unwrap_or(begin).max(begin);
    let closed = if begin == window.hours.start && window.is_period() {
        usage.closed_bytes_in(window)
    } else {
        usage.bytes_within(&(begin..open_from.min(window.hours.end)))
    };
    let open = open_from..window.hours.end;
    let later = events(&open).max(usage.bytes_within(&open));
    shown.max(closed.plus(later))
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

#[cfg(test)]
mod tests {
    use crate::bytes::Bytes;
    use crate::detector::fixture::{
        MB, Opened, claims, claims_beside, hour_of, records, rules, time, used,
    };
    use crate::detector::{Control, Detector};
    use crate::event::Event;
    use crate::port::BillingPeriod;
    use crate::usage::SimUsage;

    const HOUR_20: &str = "[limits]\nhour_mb = 20";
    const DAY_50: &str = "[limits]\nday_mb = 50";

    #[track_caller]
    fn check(detector: Detector, events: &[Event], policy: &str, expected: &[&str]) {
        assert_eq!(claims(detector, events, &rules(policy), Control::default()), expected);
    }

    #[test]
    fn a_limit_is_broken_by_more_than_it_and_not_by_reaching_it() {
        let hour = |bytes| [used("01T14:00", "01T14:36", bytes)];
        check(super::HOUR, &hour(20 * MB), HOUR_20, &[]);
        check(
            super::HOUR,
            &hour(20 * MB + 1),
            HOUR_20,
            &[
                "hour_limit#2026-03-01T14Z 2026-03-01T14:36:00Z: used 20.0 MB in 2026-03-01T14Z, limit \
             20.0 MB",
            ],
        );
        check(super::DAY, &hour(50 * MB), DAY_50, &[]);
        check(
            super::DAY,
            &hour(50 * MB + 1),
            DAY_50,
            &[
                "day_limit#2026-03-01 2026-03-01T14:36:00Z: used 50.0 MB in 2026-03-01, limit 50.0 MB",
            ],
        );
        let period = "[limits]\nperiod_mb = 250";
        check(super::PERIOD, &hour(250 * MB), period, &[]);
        check(
            super::PERIOD,
            &hour(250 * MB + 1),
            period,
            &[
                "period_limit#2026-03 2026-03-01T14:36:00Z: used 250.0 MB in 2026-03, limit 250.0 MB",
            ],
        );
        let session = "[limits]\nsession_mb = 100";
        check(super::SESSION, &hour(100 * MB), session, &[]);
        let sid = Opened("01T14:00").sid();
        check(
            super::SESSION,
            &hour(100 * MB + 1),
            session,
            &[&format!(
                "session_limit#{sid} 2026-03-01T14:36:00Z: used 100.0 MB in {sid}, limit 100.0 MB"
            )],
        );
    }

    #[test]
    fn without_a_limit_or_an_event_nothing_is_broken() {
        for detector in [super::HOUR, super::DAY, super::PERIOD, super::SESSION] {
            check(detector, &[used("01T14:00", "01T14:36", 900 * MB)], "", &[]);
            let all = "[limits]\nhour_mb = 1\nday_mb = 1\nperiod_mb = 1\nsession_mb = 1";
            check(detector, &[], all, &[]);
        }
    }

    #[test]
    fn every_hour_within_the_horizon_is_judged() {
        let events = [
            used("01T14:00", "01T14:36", 21 * MB),
            used("01T15:00", "01T15:36", 19 * MB),
            used("02T15:00", "02T15:36", 22 * MB),
        ];
        check(
            super::HOUR,
            &events,
            HOUR_20,
            &[
                "hour_limit#2026-03-01T14Z 2026-03-01T15:00:00Z: used 21.0 MB in 2026-03-01T14Z, limit \
             20.0 MB",
                "hour_limit#2026-03-02T15Z 2026-03-02T15:36:00Z: used 22.0 MB in 2026-03-02T15Z, limit \
             20.0 MB",
            ],
        );
    }

    #[test]
    fn a_session_that_was_open_for_days_breaks_its_own_limit_and_no_other() {
        let events = [Opened("01T09:00").updated("04T14:00", "04T14:06", 20_000, 500 * MB)];
        check(super::HOUR, &events, HOUR_20, &[]);
        check(super::DAY, &events, DAY_50, &[]);
        let limit = "[limits]\nsession_mb = 100";
        let found = claims(super::SESSION, &events, &rules(limit), Control::default());
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn lost_updates_break_the_day_that_they_lie_in_and_no_hour() {
        let open = Opened("01T10:00");
        let events = [open.started(), open.updated("01T15:00", "01T15:06", 10_000, 60 * MB)];
        check(super::HOUR, &events, HOUR_20, &[]);
        check(
            super::DAY,
            &events,
            DAY_50,
            &[
                "day_limit#2026-03-01 2026-03-01T15:06:00Z: used 60.0 MB in 2026-03-01, limit 50.0 MB",
            ],
        );
    }

    #[test]
    fn a_counter_that_starts_again_neither_breaks_a_limit_nor_blinds() {
        let open = Opened("01T05:00");
        let fall = [
            open.updated("01T14:00", "01T14:06", MB, 40 * MB),
            open.updated("01T14:06", "01T14:12", MB, MB),
        ];
        check(super::HOUR, &fall, HOUR_20, &[]);
        check(super::DAY, &fall, DAY_50, &[]);
        let [before, after] = fall;
        let burst = open.updated("01T14:12", "01T14:18", 19 * MB, 20 * MB);
        check(
            super::HOUR,
            &[before, after, burst],
            HOUR_20,
            &[
                "hour_limit#2026-03-01T14Z 2026-03-01T14:18:00Z: used 21.0 MB in 2026-03-01T14Z, limit \
             20.0 MB",
            ],
        );
    }

    #[test]
    fn lost_updates_on_both_sides_of_a_fall_break_a_limit_together() {
        let open = Opened("01T05:00");
        let events = [
            open.started(),
            open.updated("01T09:00", "01T09:06", MB, 30 * MB),
            open.updated("01T10:00", "01T10:06", MB, MB),
            open.updated("01T14:00", "01T14:06", MB, 30 * MB),
        ];
        check(
            super::DAY,
            &events,
            DAY_50,
            &[
                "day_limit#2026-03-01 2026-03-01T14:06:00Z: used 60.0 MB in 2026-03-01, limit 50.0 MB",
            ],
        );
    }

    #[test]
    fn after_a_restore_only_later_bytes_count() {
        let restored = |at| Control { restored_at: Some(time(at)), ..Control::default() };
        let events = [used("01T14:00", "01T14:18", 60 * MB), used("01T14:30", "01T14:48", 21 * MB)];
        let limits = rules("[limits]\nhour_mb = 20\nday_mb = 50\nsession_mb = 20");
        let count = |detector, at| claims(detector, &events, &limits, restored(at)).len();
        assert_eq!(count(super::HOUR, "01T14:20"), 1, "21 MB in the hour");
        assert_eq!(count(super::HOUR, "01T14:31"), 0, "what was under way counts no more");
        assert_eq!(count(super::DAY, "01T13:59"), 1);
        assert_eq!(count(super::DAY, "01T14:20"), 0);
        assert_eq!(count(super::SESSION, "01T14:20"), 1, "the later session");
        assert_eq!(count(super::SESSION, "01T14:31"), 0);
    }

    #[test]
    fn planned_work_raises_the_limits_of_the_windows_that_it_touches() {
        let work = "[[maintenance]]\nfrom = 2026-03-01T14:30:00Z\nto = 2026-03-01T15:30:00Z\n\
                    bytes_max_mb = 60";
        let policy = format!("{HOUR_20}\nday_mb = 50\n{work}");
        check(super::HOUR, &[used("01T14:00", "01T14:36", 60 * MB)], &policy, &[]);
        check(super::DAY, &[used("01T14:00", "01T14:36", 60 * MB)], &policy, &[]);
        check(
            super::HOUR,
            &[used("01T15:00", "01T15:36", 61 * MB)],
            &policy,
            &[
                "hour_limit#2026-03-01T15Z 2026-03-01T15:36:00Z: used 61.0 MB in 2026-03-01T15Z, limit \
             60.0 MB",
            ],
        );
        check(
            super::HOUR,
            &[used("01T16:00", "01T16:36", 21 * MB)],
            &policy,
            &[
                "hour_limit#2026-03-01T16Z 2026-03-01T16:36:00Z: used 21.0 MB in 2026-03-01T16Z, limit \
             20.0 MB",
            ],
        );
    }

    #[test]
    fn planned_work_that_is_smaller_than_a_limit_does_not_lower_it() {
        let policy = format!(
            "{HOUR_20}\n[[maintenance]]\nfrom = 2026-03-01T14:00:00Z\nto = \
             2026-03-01T15:00:00Z\nbytes_max_mb = 5"
        );
        check(super::HOUR, &[used("01T14:00", "01T14:36", 20 * MB)], &policy, &[]);
    }

    #[track_caller]
    fn check_beside(
        detector: Detector,
        (events, records): (&[Event], &SimUsage),
        policy: &str,
        expected: &[&str],
    ) {
        let (rules, control) = (rules(policy), Control::default());
        assert_eq!(claims_beside(detector, events, Some(records), &rules, control), expected);
    }

    #[test]
    fn usage_records_break_a_limit_of_which_no_event_told() {
        let closed = records(&[("01T14", 20 * MB + 1)]);
        let broken = "hour_limit#2026-03-01T14Z 2026-03-01T15:00:00Z: used 20.0 MB in \
                      2026-03-01T14Z, limit 20.0 MB";
        check_beside(super::HOUR, (&[], &closed), HOUR_20, &[broken]);
        let mut seen = records(&[("01T10", MB)]);
        seen.see(hour_of("01T14"), Bytes(20 * MB + 1));
        check_beside(super::HOUR, (&[], &seen), HOUR_20, &[broken]);
        check_beside(super::HOUR, (&[], &records(&[("01T14", 20 * MB)])), HOUR_20, &[]);
    }

    #[test]
    fn what_events_and_records_both_tell_counts_once() {
        let events = [used("01T14:00", "01T14:36", 18 * MB)];
        let records = records(&[("01T14", 19 * MB)]);
        check_beside(super::HOUR, (&events, &records), HOUR_20, &[]);
        check_beside(super::DAY, (&events, &records), "[limits]\nday_mb = 19", &[]);
    }

    #[test]
    fn events_add_to_closed_hours_what_came_later() {
        let records = records(&[("01T10", 30 * MB), ("01T11", 5 * MB)]);
        let broken = "day_limit#2026-03-01 2026-03-01T14:36:00Z: used 50.0 MB in 2026-03-01, limit \
                      50.0 MB";
        let later = [used("01T14:00", "01T14:36", 15 * MB + 1)];
        check_beside(super::DAY, (&later, &records), DAY_50, &[broken]);
        let later = [used("01T14:00", "01T14:36", 15 * MB)];
        check_beside(super::DAY, (&later, &records), DAY_50, &[]);
    }

    #[test]
    fn a_period_holds_what_was_closed_long_before_the_horizon() {
        let mut records = records(&[("01T10", 200 * MB), ("20T10", MB)]);
        let policy = "[limits]\nperiod_mb = 250";
        let later = [used("21T14:00", "21T14:36", 50 * MB)];
        let broken = "period_limit#2026-03 2026-03-21T14:36:00Z: used 251.0 MB in 2026-03, limit \
                      250.0 MB";
        check_beside(super::PERIOD, (&later, &records), policy, &[broken]);
        let days = |start: &str, end: &str| BillingPeriod { start: time(start), end: time(end) };
        records.set_period(days("10T00:00", "31T00:00"), Bytes(MB));
        check_beside(super::PERIOD, (&later, &records), policy, &[]);
        records.set_period(days("10T00:00", "31T00:00"), Bytes(200 * MB + 1));
        let broken = "period_limit#2026-03-10/2026-03-31 2026-03-21T14:36:00Z: used 250.0 MB in \
                      2026-03-10/2026-03-31, limit 250.0 MB";
        check_beside(super::PERIOD, (&later, &records), policy, &[broken]);
    }

    #[test]
    fn a_periods_begin_is_not_charged_with_what_was_used_before_it() {
        let mut records = records(&[("09T20", 200 * MB), ("10T10", 60 * MB)]);
        let days = |start: &str, end: &str| BillingPeriod { start: time(start), end: time(end) };
        records.set_period(days("10T00:00", "31T00:00"), Bytes(60 * MB));
        let policy = "[limits]\nperiod_mb = 250";
        check_beside(super::PERIOD, (&[], &records), policy, &[]);
        records.set_period(days("10T00:00", "31T00:00"), Bytes(251 * MB));
        let broken = "period_limit#2026-03-10/2026-03-31 2026-03-10T11:00:00Z: used 251.0 MB in \
                      2026-03-10/2026-03-31, limit 250.0 MB";
        check_beside(super::PERIOD, (&[], &records), policy, &[broken]);
    }

    #[test]
    fn after_a_restore_only_hours_that_lie_wholly_behind_it_count() {
        let records = records(&[("01T14", 60 * MB), ("01T15", 10 * MB), ("01T16", 10 * MB)]);
        let count = |detector: Detector, policy: &str, restored_at| {
            let control = Control { restored_at: Some(time(restored_at)), ..Control::default() };
            claims_beside(detector, &[], Some(&records), &rules(policy), control).len()
        };
        assert_eq!(count(super::DAY, DAY_50, "01T14:00"), 1);
        assert_eq!(count(super::DAY, DAY_50, "01T14:00:00.001"), 0);
        let period = "[limits]\nperiod_mb = 15";
        assert_eq!(count(super::PERIOD, period, "01T15:00"), 1);
        assert_eq!(count(super::PERIOD, period, "01T15:30"), 0);
    }
}
