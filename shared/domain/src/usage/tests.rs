use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MB: u64 = 1_000_000;

fn hour(text: &str) -> Hour {
    format!("2026-03-{text}Z").parse().unwrap()
}

/// A page of the first fleet's records.
fn page(page: u32) -> Source {
    Source { fleet: Some(FleetSid::from_bytes([1; 16])), page }
}

fn usage() -> SimUsage {
    SimUsage::new(SimSid::from_bytes([1; 16]))
}

fn period(start: &str, end: &str) -> BillingPeriod {
    BillingPeriod { start: start.parse().unwrap(), end: end.parse().unwrap() }
}

#[test]
fn an_hour_is_closed_once_and_in_order() {
    let mut usage = usage();
    assert_eq!(usage.close(hour("01T14"), Bytes(5), page(1)), Closed::Now);
    let closed = usage.clone();
    assert_eq!(usage.close(hour("01T14"), Bytes(5), page(1)), Closed::Before);
    assert_eq!(usage.close(hour("01T14"), Bytes(5), page(2)), Closed::Elsewhere);
    assert_eq!(usage.close(hour("01T13"), Bytes(9), page(1)), Closed::Elsewhere);
    assert_eq!(usage, closed, "nothing of it is counted or learnt twice");
}

#[test]
fn a_sim_that_changed_its_fleet_has_the_bytes_of_both() {
    let other = Source { fleet: Some(FleetSid::from_bytes([2; 16])), page: 1 };
    let mut usage = usage();
    assert_eq!(usage.close(hour("01T14"), Bytes(5), page(1)), Closed::Now);
    assert_eq!(usage.close(hour("01T14"), Bytes(7), other), Closed::Added);
    assert_eq!(usage.close(hour("01T14"), Bytes(7), other), Closed::Before);
    assert_eq!(
        usage.close(hour("01T14"), Bytes(7), Source { page: 2, ..other }),
        Closed::Elsewhere
    );
    assert_eq!(usage.bytes_in(hour("01T14")), Bytes(12));
    assert_eq!(usage.closed_bytes_in(&usage.period_of(hour("01T14"))), Bytes(12));
}

#[test]
fn what_is_only_seen_is_neither_counted_nor_learnt() {
    let mut usage = usage();
    assert!(usage.see(hour("01T14"), Bytes(MB)));
    assert!(!usage.see(hour("01T14"), Bytes(MB)), "nothing new");
    assert!(usage.see(hour("01T14"), Bytes(2 * MB)), "it grew");
    assert_eq!(usage.bytes_in(hour("01T14")), Bytes(2 * MB));
    assert_eq!(usage.baseline().active_hours, 0);
    assert_eq!(usage.closed_bytes_in(&usage.period_of(hour("01T14"))), Bytes(0));
    assert_eq!(usage.close(hour("01T14"), Bytes(3 * MB), page(1)), Closed::Now);
    assert!(!usage.see(hour("01T14"), Bytes(MB)), "closed hours are amended, not seen");
    assert_eq!(usage.closed_bytes_in(&usage.period_of(hour("01T14"))), Bytes(3 * MB));
}

#[test]
fn an_hour_that_was_seen_and_never_closed_does_not_count() {
    let mut usage = usage();
    usage.close(hour("01T13"), Bytes(MB), page(1));
    usage.see(hour("01T14"), Bytes(MB));
    usage.see(hour("01T16"), Bytes(MB));
    usage.close(hour("01T15"), Bytes(MB), page(1));
    let kept: Vec<_> = usage.hours().map(|(hour, _)| hour).collect();
    assert_eq!(kept, [hour("01T13"), hour("01T15"), hour("01T16")]);
    assert!(usage.keeps(hour("01T14")) && !usage.keeps(hour("01T14").plus(-50)));
}

#[test]
fn growth_of_a_closed_hour_is_counted_and_not_learnt() {
    let mut usage = usage();
    usage.close(hour("01T14"), Bytes(MB), page(1));
    let learnt = *usage.baseline();
    usage.amend(hour("01T14"), Bytes(MB), Bytes(7 * MB));
    assert_eq!(usage.bytes_in(hour("01T14")), Bytes(7 * MB));
    assert_eq!(usage.closed_bytes_in(&usage.period_of(hour("01T14"))), Bytes(7 * MB));
    assert_eq!(*usage.baseline(), learnt);
}

#[test]
fn an_hour_without_usage_teaches_nothing() {
    let mut usage = usage();
    usage.close(hour("01T14"), Bytes(MB), page(1));
    let before = (*usage.baseline(), usage.pause_max());
    usage.close(hour("01T20"), Bytes(0), page(1));
    assert_eq!((*usage.baseline(), usage.pause_max()), before);
    assert_eq!(usage.last_active(), Some(hour("01T14")));
    usage.close(hour("01T22"), Bytes(MB), page(1));
    assert_eq!(usage.pause_max(), SignedDuration::from_hours(8));
}

#[test]
fn a_billing_period_counts_across_the_turn_of_a_month() {
    let mut usage = usage();
    usage.close("2026-02-27T10Z".parse().unwrap(), Bytes(90 * MB), page(1));
    let from_20th = period("2026-02-20T09:30:00Z", "2026-03-20T09:30:00Z");
    usage.set_period(from_20th, Bytes(150 * MB));
    usage.close(hour("02T10"), Bytes(70 * MB), page(1));
    let window = usage.period_of(hour("02T10"));
    assert_eq!(window.name(), "2026-02-20/2026-03-20");
    assert_eq!(window.start().to_string(), "2026-02-20T10:00:00Z", "whole hours only");
    assert_eq!(window.end().to_string(), "2026-03-20T09:00:00Z");
    assert_eq!(usage.closed_bytes_in(&window), Bytes(220 * MB));
    let after = usage.period_of(hour("20T09"));
    assert_eq!(
        after.name(),
        "2026-03-20/2026-04-01",
        "the calendar's again, without what was before"
    );
    assert_eq!(usage.closed_bytes_in(&after), Bytes(0));
}

#[test]
fn what_lies_before_a_known_period_is_not_counted_with_it() {
    let mut usage = usage();
    usage.close(hour("09T10"), Bytes(200 * MB), page(1));
    usage.close(hour("10T10"), Bytes(60 * MB), page(1));
    usage.set_period(period("2026-03-10T00:00:00Z", "2026-04-10T00:00:00Z"), Bytes(60 * MB));
    let (before, known) = (usage.period_of(hour("09T10")), usage.period_of(hour("10T10")));
    assert_eq!(before.hours.end, known.hours.start);
    assert_eq!(usage.closed_bytes_in(&before), Bytes(200 * MB), "as far as hours are kept");
    assert_eq!(usage.closed_bytes_in(&known), Bytes(60 * MB));
}

#[test]
fn a_period_that_was_asked_for_before_an_hour_changed_is_asked_for_again() {
    let limit = Bytes(100 * MB);
    let mut usage = usage();
    usage.close(hour("10T10"), Bytes(10 * MB), page(1));
    usage.close(hour("10T11"), Bytes(50 * MB), page(1));
    // The provider knows already that the first hour grew to 60 MB.
    let billed = period("2026-03-10T00:00:00Z", "2026-04-10T00:00:00Z");
    usage.set_period(billed, Bytes(110 * MB));
    assert!(!usage.needs_period(limit));
    usage.amend(hour("10T10"), Bytes(10 * MB), Bytes(60 * MB));
    assert!(usage.needs_period(limit));
    let window = usage.period_of(hour("10T10"));
    assert_eq!(usage.closed_bytes_in(&window), Bytes(110 * MB), "what is certain: the hours kept");
    usage.set_period(billed, Bytes(110 * MB));
    usage.close(hour("11T11"), Bytes(MB), page(1));
    usage.amend(hour("11T11"), Bytes(MB), Bytes(2 * MB));
    assert_eq!(usage.closed_bytes_in(&window), Bytes(112 * MB), "later hours are simply counted");
}

#[test]
fn closing_may_lag_behind_what_is_seen_by_days() {
    let mut usage = usage();
    usage.close(hour("01T10"), Bytes(MB), page(1));
    usage.see(hour("09T10"), Bytes(30 * MB));
    assert_eq!(usage.close(hour("01T11"), Bytes(2 * MB), page(1)), Closed::Now);
    assert_eq!(usage.bytes_in(hour("01T11")), Bytes(2 * MB));
    assert_eq!(usage.bytes_in(hour("09T10")), Bytes(30 * MB));
}

#[test]
fn records_of_all_fleets_leave_nothing_to_be_added_by_one() {
    let mut usage = usage();
    usage.close(hour("01T10"), Bytes(MB), Source { fleet: None, page: 0 });
    assert_eq!(usage.close(hour("01T10"), Bytes(MB), page(1)), Closed::Before);
    assert_eq!(usage.bytes_in(hour("01T10")), Bytes(MB));
}

#[test]
fn a_period_is_asked_for_when_it_might_matter() {
    let limit = Bytes(200 * MB);
    let mut usage = usage();
    usage.close(hour("01T10"), Bytes(50 * MB), page(1));
    assert!(!usage.needs_period(limit), "two months of this are no more than half of the limit");
    usage.close(hour("01T11"), Bytes(1), page(1));
    assert!(usage.needs_period(limit));
    usage.set_period(period("2026-02-20T00:00:00Z", "2026-03-20T00:00:00Z"), Bytes(60 * MB));
    assert!(!usage.needs_period(limit));
    usage.close(hour("20T00"), Bytes(MB), page(1));
    assert!(usage.needs_period(limit), "the one that is known is over");
}

#[test]
fn the_baseline_is_that_of_its_formula() {
    let mut baseline = Baseline::default();
    for bytes in [1_000, 3_000, 1_000, 3_000] {
        baseline.learn(Bytes(bytes), 0.0);
    }
    // Levels ln 2 and ln 4: the middle is their mean, and the spread 1.2533 times what each was off
    // from the middle so far: 0, ln 2, ln 2 / 2, 2/3 ln 2.
    let (middle, distance) = (1.5 * 2f64.ln(), 2f64.ln() * (1.0 + 0.5 + 2.0 / 3.0) / 4.0);
    assert!((baseline.middle - middle).abs() < 1e-12, "{baseline:?}");
    assert!((baseline.spread - 1.2533 * distance).abs() < 1e-12, "{baseline:?}");
}

#[test]
fn an_upload_at_its_hour_is_no_spread() {
    let spread = |upload: u64| {
        let mut usage = usage();
        for number in 0..60 * 24_i32 {
            let bytes = if number % 24 == 3 {
                upload
            } else {
                40_000 + u64::from(number.unsigned_abs() % 7) * 3_000
            };
            usage.close(hour("01T00").plus(number), Bytes(bytes), page(1));
        }
        usage.baseline().spread
    };
    let (with, without) = (spread(MB), spread(50_000));
    assert!(with < without * 1.2, "{with} beside {without}");
}

#[test]
fn three_times_the_usual_is_learnt_slowly_and_not_by_the_hour_of_the_day() {
    let mut usage = usage();
    let mut at = hour("01T00");
    let mut close = |usage: &mut SimUsage, bytes: u64| {
        let beside = Beside { cohort: None, is_suspended: false };
        usage.close_beside(at, Bytes(bytes), page(1), beside);
        at = at.after();
    };
    (0..24 * 14).for_each(|number| close(&mut usage, 45_000 + number % 5 * 2_000));
    let before = usage.diurnal;
    usage.standing = Standing::accused();
    let middle = usage.baseline().middle;
    (0..48).for_each(|_| close(&mut usage, 130_000));
    assert_eq!(usage.diurnal, before, "there is evidence");
    let taught = usage.baseline().middle - middle;
    assert!((0.01..0.5).contains(&taught), "it does no harm: {taught}");
    (0..48).for_each(|_| close(&mut usage, 1_000_000));
    assert!((usage.baseline().middle - middle - taught).abs() < 1e-9, "it does");
}

#[test]
fn one_wild_hour_teaches_little() {
    let mut baseline = Baseline::default();
    for hour in 0..200_u64 {
        baseline.learn(Bytes(10_000 + (hour % 10) * 1_000), 0.0);
    }
    let usual = baseline;
    baseline.learn(Bytes(5_000 * MB), 0.0);
    assert!(baseline.middle - usual.middle < 2.5 * usual.spread / 168.0 + 1e-9, "{baseline:?}");
}

#[test]
fn what_was_stored_is_read_back() {
    let mut usage = usage();
    for at in 0..60 {
        usage.close(hour("01T00").plus(at), Bytes(40_000), page(1));
    }
    usage.set_period(period("2026-02-20T00:00:00Z", "2026-03-20T00:00:00Z"), Bytes(MB));
    // Usage of the fourth schema ended before the hours of the day, that of the third before the days,
    // that of the second before the evidence, that of the first before the price.
    (*usage.days, usage.diurnal) = Default::default();
    let stored = usage.encode().unwrap();
    let no_diurnal = postcard::to_stdvec(&Diurnal::default()).unwrap();
    let fourth = stored.strip_suffix(no_diurnal.as_slice()).unwrap();
    assert_eq!(SimUsage::decode(4, fourth).unwrap(), usage);
    assert!(SimUsage::decode(USAGE_SCHEMA, fourth).is_err());
    let no_days = postcard::to_stdvec(&Days::default()).unwrap();
    let third = fourth.strip_suffix(no_days.as_slice()).unwrap();
    assert_eq!(SimUsage::decode(3, third).unwrap(), usage);
    assert!(SimUsage::decode(4, third).is_err());
    let no_standing = postcard::to_stdvec(&Standing::default()).unwrap();
    let second = third.strip_suffix(no_standing.as_slice()).unwrap();
    assert_eq!(SimUsage::decode(2, second).unwrap(), usage);
    assert!(SimUsage::decode(3, second).is_err());
    let no_price = postcard::to_stdvec(&Bill::default()).unwrap();
    let first = second.strip_suffix(no_price.as_slice()).unwrap();
    assert_eq!(SimUsage::decode(1, first).unwrap(), usage);
    assert!(SimUsage::decode(2, first).is_err());
    usage.learn_price(Bytes(MB), Some(usd(i64::MAX)));
    let stored = usage.encode().unwrap();
    assert!(stored.len() <= 600, "{} bytes: an item of 1 kB costs one write unit", stored.len());
    assert_eq!(SimUsage::decode(USAGE_SCHEMA, &stored).unwrap(), usage);
}

fn usd(micros: i64) -> Money {
    Money { micros, currency: "USD".parse().unwrap() }
}

#[test]
fn a_price_follows_what_is_billed_and_rests_on_more_than_an_hour() {
    let mut usage = usage();
    assert_eq!(usage.price(), Bill::default());
    usage.learn_price(Bytes(MB), None);
    assert_eq!(usage.price().price_of(Bytes(MB)), None, "billing lags behind");
    for _ in 0..100 {
        usage.learn_price(Bytes(MB), Some(usd(100_000)));
    }
    assert_eq!(usage.price().price_of(Bytes(31 * MB)).unwrap().to_string(), "3.10 USD");
    let (_, of) = usage.price().known().unwrap();
    assert!((5 * MB..=12 * MB).contains(&of.0), "{of}: what is older weighs less");
    // It went abroad: ten hours later the price there has most of the weight.
    for _ in 0..10 {
        usage.learn_price(Bytes(MB), Some(usd(1_000_000)));
    }
    let price = usage.price().price_of(Bytes(MB)).unwrap().micros;
    assert!((500_000..1_000_000).contains(&price), "{price}");
    let euros = Money { micros: 7, currency: "EUR".parse().unwrap() };
    usage.learn_price(Bytes(1), Some(euros));
    assert_eq!(usage.price(), Bill::of(Bytes(1), Some(euros)), "no sum of two currencies");
}

/// What may happen to a SIM's usage.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// The hour after the latest closed one ends, and so many bytes are seen.
    Seen(u64),
    /// The next hour is closed with this many bytes.
    Closed(u64),
    /// The hour so many hours back grows.
    Grown(i32, u64),
    /// The latest close is done again: by the page, by another, for an hour before.
    Repeated,
}

fn happens() -> impl Strategy<Value = Happens> {
    let bytes = || prop_oneof![Just(0), 1..40 * MB];
    prop_oneof![
        1 => bytes().prop_map(Happens::Seen),
        4 => bytes().prop_map(Happens::Closed),
        1 => (0..60, 1..MB).prop_map(|(back, bytes)| Happens::Grown(back, bytes)),
        1 => Just(Happens::Repeated),
    ]
}

proptest! {
    /// The model keeps every hour for ever and adds up when asked.
    #[test]
    fn usage_is_what_a_naive_model_says(story in prop::collection::vec(happens(), 0..200)) {
        let first: Hour = "2026-02-27T22Z".parse().unwrap();
        let billed = period("2026-02-27T23:00:00Z", "2026-03-03T12:00:00Z");
        let mut usage = usage();
        usage.set_period(billed, Bytes(0));
        let mut model: BTreeMap<Hour, u64> = BTreeMap::new();
        let (mut next, mut seen, mut learnt) = (first, None, 0);
        for event in story {
            match event {
                Happens::Seen(bytes) => {
                    usage.see(next, Bytes(bytes));
                    // An hour of which nothing was seen is not kept for a record of nothing.
                    seen = if bytes == 0 { seen.map(|_| 0) } else { Some(bytes) };
                }
                Happens::Closed(bytes) => {
                    prop_assert_eq!(usage.close(next, Bytes(bytes), page(3)), Closed::Now);
                    model.insert(next, bytes);
                    learnt = u32::from(bytes > 0).saturating_add(learnt);
                    (next, seen) = (next.after(), None);
                }
                Happens::Grown(back, more) => {
                    let hour = next.before().plus(0_i32.saturating_sub(back));
                    if let Some(bytes) = model.get_mut(&hour) {
                        usage.amend(hour, Bytes(*bytes), Bytes(bytes.saturating_add(more)));
                        *bytes = bytes.saturating_add(more);
                    }
                }
                Happens::Repeated => {
                    if let Some((hour, bytes)) = model.last_key_value() {
                        prop_assert_ne!(usage.close(*hour, Bytes(*bytes), page(3)), Closed::Now);
                        prop_assert_ne!(usage.close(*hour, Bytes(*bytes), page(4)), Closed::Now);
                        let before = hour.before();
                        prop_assert_eq!(usage.close(before, Bytes(1), page(3)), Closed::Elsewhere);
                    }
                }
            }
            let kept = next.before().plus(-HOURS_KEPT)..next;
            let kept: Vec<_> = model.range(kept).map(|(hour, sum)| (*hour, Bytes(*sum))).collect();
            let of_model = kept.into_iter().chain(seen.map(|bytes| (next, Bytes(bytes))));
            prop_assert!(usage.hours().filter(|(_, sum)| sum.0 > 0)
                .eq(of_model.filter(|(_, sum)| sum.0 > 0)));
            prop_assert_eq!(usage.baseline().active_hours, learnt);
            for window in [usage.period_of(first), usage.period_of(next.before())] {
                let sum: u64 = model.range(window.hours.clone()).map(|(_, sum)| sum).sum();
                let latest = model.last_key_value().map(|(hour, _)| Window::of_month(*hour).hours);
                // Of a calendar month that is over nothing is kept.
                if latest.is_some_and(|month| month == window.hours) || window.hours == billed.hours()
                {
                    prop_assert_eq!(usage.closed_bytes_in(&window), Bytes(sum));
                }
            }
        }
    }
}
