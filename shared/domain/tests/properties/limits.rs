//! The limits' detectors look closely at few windows. They find what one finds who looks at all.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;
use proptest::prelude::*;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::detector::{Control, LIMITS, Snapshot};
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::policy::{Policy, Rules};
use simfuse_domain::port::BillingPeriod;
use simfuse_domain::state::SimState;
use simfuse_domain::time::{Hour, Window};
use simfuse_domain::usage::{SimUsage, Source};

use crate::history::{Resets, SPOILT, begin_ms, plans, sim, time};

/// One thing that is said of an hour in usage records.
#[derive(Debug, Clone)]
enum Said {
    Closed(u64),
    Seen(u64),
    Amended(u64),
    /// The billing period begins so many hours before it, and lasts so many.
    Period(i32, i32, u64),
}

/// What is said of which hour, counted from that in which the history begins.
fn records() -> impl Strategy<Value = Option<Vec<(i32, Said)>>> {
    let bytes = || prop_oneof![Just(0), 1..90_000_000_u64];
    let said = prop_oneof![
        6 => bytes().prop_map(Said::Closed),
        2 => bytes().prop_map(Said::Seen),
        1 => bytes().prop_map(Said::Amended),
        1 => (0..400, 0..800, bytes()).prop_map(|(from, hours, used)| Said::Period(from, hours, used)),
    ];
    let hours = proptest::collection::vec((-60..30, said), 0..60);
    prop::option::of(hours.prop_map(|mut hours| {
        hours.sort_by_key(|(hour, _)| *hour);
        hours
    }))
}

fn usage_of(records: &[(i32, Said)]) -> SimUsage {
    let mut usage = SimUsage::new(sim());
    let first = Hour::of(time(begin_ms()));
    for (hour, said) in records {
        let hour = first.plus(*hour);
        match *said {
            Said::Closed(bytes) => {
                usage.close(hour, Bytes(bytes), Source { fleet: None, page: 0 });
            }
            Said::Seen(bytes) => {
                usage.see(hour, Bytes(bytes));
            }
            Said::Amended(bytes) => usage.amend(hour, usage.bytes_in(hour), Bytes(bytes)),
            Said::Period(before, hours, used) => {
                let start = hour.plus(-before);
                let period = BillingPeriod { start: start.start(), end: start.plus(hours).end() };
                usage.set_period(period, Bytes(used));
            }
        }
    }
    usage
}

/// Every window in which an event or a record shows an hour, looked at closely.
fn all_that_is_over(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let limits = &snapshot.rules.limits;
    let period_of = |hour| snapshot.usage.map_or(Window::of_month(hour), |one| one.period_of(hour));
    let mut findings = over(snapshot, DetectorId::HourLimit, limits.hour, Window::of_hour);
    findings.extend(over(snapshot, DetectorId::DayLimit, limits.day, Window::of_day));
    findings.extend(over(snapshot, DetectorId::PeriodLimit, limits.period, period_of));
    findings
}

fn over(
    snapshot: &Snapshot<'_>,
    detector: DetectorId,
    limit: Option<Bytes>,
    window_of: impl Fn(Hour) -> Window,
) -> Vec<Finding> {
    let limit = limit.unwrap();
    let records = snapshot.usage.into_iter().flat_map(SimUsage::hours).map(|(hour, _)| hour);
    let hours: BTreeSet<Hour> = snapshot.state.hours().into_iter().chain(records).collect();
    let mut windows: Vec<Window> = Vec::new();
    for hour in hours {
        if windows.last().is_none_or(|window| window.hours.end <= hour) {
            windows.push(window_of(hour));
        }
    }
    let findings = windows.iter().map(|window| {
        let (from, to) = (window.start(), window.end());
        let (seen, session) = (seen_in(snapshot, window), None);
        let limit = snapshot.rules.limit_during(limit, from, to);
        let evidence = Evidence::Bytes { seen, limit, from, to, session };
        let at = to.min(snapshot.now());
        (seen > limit).then_some(Finding { detector, about: window.name(), at, evidence })
    });
    findings.flatten().collect()
}

fn seen_in(snapshot: &Snapshot<'_>, window: &Window) -> Bytes {
    let restored_at = snapshot.control.restored_at;
    let events = |hours: &Range<Hour>| match restored_at {
        Some(restored_at) => snapshot.state.bytes_after(restored_at, hours),
        None => snapshot.state.bytes_in(hours),
    };
    let shown = events(&window.hours);
    let Some(usage) = snapshot.usage else { return shown };
    let after = restored_at.map_or(window.hours.start, |time| Hour::ending_at(time).after());
    let begin = after.max(window.hours.start);
    let open_from = usage.open_from().map_or(begin, |open| open.max(begin));
    let closed = match begin == window.hours.start && window.is_period() {
        true => usage.closed_bytes_in(window),
        false => usage.bytes_within(&(begin..open_from.min(window.hours.end))),
    };
    let open = open_from..window.hours.end;
    shown.max(closed.plus(events(&open).max(usage.bytes_within(&open))))
}

fn rules(limits: (u64, u64, u64), planned: bool) -> Rules {
    let (hour, day, period) = limits;
    let work = "[[maintenance]]\nfrom = 2026-03-01T04:00:00Z\nto = 2026-03-01T06:00:00Z\n\
                bytes_max_mb = 60\n";
    let text = format!(
        "version = 1\n[limits]\nhour_mb = {hour}\nday_mb = {day}\nperiod_mb = {period}\n{}",
        if planned { work } else { "" }
    );
    text.parse::<Policy>().unwrap().base().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_windows_over_a_limit_are_those_of_a_look_at_all(
        plan in plans(SPOILT, Resets::Some, 0..6),
        records in records(),
        limits in (1..60_u64, 1..150_u64, 1..400_u64),
        planned in any::<bool>(),
        restored_ms in prop::option::weighted(0.3, 0..26 * 3_600_000_i64),
    ) {
        let mut state = SimState::new(sim());
        for event in &plan.play().events {
            state.fold(event);
        }
        let (usage, rules) = (records.as_deref().map(usage_of), rules(limits, planned));
        let restored_at: Option<Timestamp> = restored_ms.map(|ms| time(begin_ms() + ms));
        let control = Control { restored_at, ..Control::default() };
        let snapshot = Snapshot::of(&state, usage.as_ref(), None, &rules, control);
        let found = LIMITS.iter().flat_map(|limit| (limit.assess)(&snapshot));
        prop_assert_eq!(found.collect::<Vec<_>>(), all_that_is_over(&snapshot));
    }
}
