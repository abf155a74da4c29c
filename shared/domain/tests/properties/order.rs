//! The same events give the same state and the same findings, in any order, any number of times.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::detector::{self, Control, Snapshot, usage_spike};
use simfuse_domain::event::{Event, EventKind, SessionReport, Usage};
use simfuse_domain::evidence::{Cohort, Sketch};
use simfuse_domain::finding::{Evidence, Finding};
use simfuse_domain::id::{SessionSid, SimSid};
use simfuse_domain::policy::Policy;
use simfuse_domain::state::{Folded, SCHEMA, SimState};
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{Beside, SimUsage, Source};

use crate::history::{Resets, SPOILT, begin_ms, failure, plans, sim, time};

const POLICIES: &[&str] = &[
    "version = 1\n[limits]\nhour_mb = 20\nday_mb = 50\nperiod_mb = 250\nsession_mb = 100",
    "version = 1\n[binding]\nmode = 'strict'\nallowed_tacs = ['35378570']\n[places]\ncountries = ['US']",
    "version = 1\n[binding]\nhandset_tacs = ['35378571']\n\
     [places]\ngeofence = { lat = 40.0, lon = 11.0, radius_km = 50 }",
    "version = 1\n[attach_storm]\nminutes_max = 60\n[usage_spike]\n\
     alert_hours = 30000000000\nquarantine_hours = 30000000000\ndeactivate_hours = 30000000000",
    "version = 1\n[binding]\nenrol = 'first'\n[limits]\nhour_mb = 0.001\nday_mb = 0.001\n\
     [[maintenance]]\nfrom = 2026-03-01T02:00:00Z\nto = 2026-03-01T04:30:00Z\nbytes_max_mb = 60",
];

/// A SIM that was at home on the four days before a history, so that what is new can be, and sent
/// before that, so that what loads can be strange.
fn settled() -> SimState {
    let mut state = SimState::new(sim());
    for number in 0..30 {
        let at = begin_ms() - 10 * 86_400_000 + i64::from(number) * 3_600_000;
        let up = Usage { up: Some(40_000), down: Some(10_000), total: Some(50_000) };
        let report = SessionReport {
            sid: SessionSid::from_bytes([100 + number; 16]),
            start: Some(time(at)),
            end: None,
            update_start: Some(time(at)),
            update_end: Some(time(at + 360_000)),
            delta: up,
            cumulative: up,
        };
        let sent = Event { plmn: None, error_code: None, ..failure(0, at + 360_000) };
        let kind = EventKind::SessionUpdated;
        state.fold(&Event { kind, session: Some(report), ..sent });
    }
    for day in 2..=5 {
        let home = Event {
            plmn: "310-260".parse().ok(),
            country: "US".parse().ok(),
            ..failure(0, begin_ms() - (7 - day) * 86_400_000)
        };
        state.fold(&Event { kind: EventKind::AttachmentAccepted, error_code: None, ..home });
    }
    state
}

/// Some 50 kB in each of the 30 hours before a history, so that more is a strike.
fn quiet() -> SimUsage {
    let (mut usage, begin) = (SimUsage::new(sim()), Hour::of(time(begin_ms())));
    for hours in -31..-1 {
        usage.close(begin.plus(hours), Bytes(50_000), Source { fleet: None, page: 0 });
    }
    usage
}

/// Beside 60 peers that did what is usual, 300 MB in each of ten hours up to the twentieth of a history:
/// so much evidence that signs are counted in, and too little without them.
static ACCUSED: LazyLock<(SimUsage, Cohort)> = LazyLock::new(|| {
    let begin = Hour::of(time(begin_ms())).plus(20);
    let others = (1..=60).map(|number| SimUsage::new(SimSid::from_bytes([200 - number; 16])));
    let (mut all, mut cohort): (Vec<SimUsage>, _) = (others.collect(), Cohort::default());
    all.push(SimUsage::new(sim()));
    for hours in -60..0 {
        let mut sketch = Sketch::default();
        for usage in &mut all {
            let is_strange = usage.sim == sim() && hours >= -10;
            let bytes = Bytes(if is_strange { 300_000_000 } else { 50_000 });
            let beside = Beside { cohort: Some(&cohort), is_suspended: false };
            let source = Source { fleet: None, page: 0 };
            usage.close_beside(begin.plus(hours), bytes, source, beside);
            sketch.add(usage, begin.plus(hours));
        }
        cohort.merge(begin.plus(hours), &sketch);
    }
    (all.pop().unwrap(), cohort)
});

#[test]
fn signs_and_open_hours_are_counted_into_the_usage_that_is_accused() {
    assert!(usage_spike::is_accused(&ACCUSED.0));
    let strange = plans(SPOILT, Resets::Some, 4..9);
    let mut runner = TestRunner::deterministic();
    let (mut by_signs, mut by_open_hours) = (0, 0);
    for _number in 0..100 {
        let plan = strange.new_tree(&mut runner).unwrap().current();
        for finding in findings(&fold(&plan.play().events)) {
            let Evidence::Unusual { signs, is_open, .. } = finding.evidence else { continue };
            by_signs += usize::from(!signs.is_empty());
            by_open_hours += usize::from(is_open);
        }
    }
    assert!(by_signs > 0 && by_open_hours > 0, "{by_signs} {by_open_hours}");
}

fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> SimState {
    let mut state = settled();
    for event in events {
        assert_ne!(state.fold(event), Folded::Late, "all lie within the horizon");
    }
    state
}

fn findings(state: &SimState) -> Vec<Finding> {
    let control = Control {
        inactive_at: Some(time(begin_ms() + 20 * 3_600_000)),
        restored_at: Some(time(begin_ms() + 5 * 3_600_000)),
        allowed_devices: &["35378571000001".parse().unwrap()],
        judged: None,
        has_usage_of_its_own: false,
    };
    let (quiet, (accused, cohort)) = (quiet(), &*ACCUSED);
    let (usages, mut findings) = ([(&quiet, None), (accused, Some(cohort))], Vec::new());
    for text in POLICIES {
        let policy: Policy = text.parse().unwrap();
        let rules = policy.rules_for(state.fleet(), state.sim);
        let controls = [Control::default(), control];
        let looks = usages.iter().flat_map(|usage| controls.map(|control| (*usage, control)));
        for ((usage, cohort), control) in looks {
            let snapshot = Snapshot::of(state, Some(usage), cohort, &rules, control);
            findings.extend(detector::ALL.iter().flat_map(|found| (found.assess)(&snapshot)));
        }
    }
    findings
}

/// Pairs of devices that are found; those at once for themselves, too.
fn two_devices(state: &SimState) -> BTreeSet<(bool, String)> {
    let found = findings(state).into_iter().filter_map(|finding| {
        let Evidence::Devices { at_once, .. } = finding.evidence else { return None };
        Some((at_once, finding.about))
    });
    found.flat_map(|(at_once, about)| [(false, about.clone()), (at_once, about)]).collect()
}

/// A shuffle that a seed repeats.
fn shuffled(events: &[Event], mut seed: u64) -> Vec<&Event> {
    let mut order: Vec<(u64, &Event)> = Vec::new();
    for event in events {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.push((seed >> 33, event));
    }
    order.sort_by_key(|(key, _)| *key);
    order.into_iter().map(|(_, event)| event).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_of_the_same_events_gives_the_same_state_and_findings(
        plan in plans(SPOILT, Resets::Some, 1..9),
        seeds: [u64; 4],
    ) {
        let history = plan.play();
        let state = fold(&history.events);
        prop_assert_eq!(&fold(history.events.iter().rev()), &state);
        for seed in seeds {
            let other = fold(shuffled(&history.events, seed));
            prop_assert_eq!(&other, &state);
            prop_assert_eq!(findings(&other), findings(&state));
        }
    }

    #[test]
    fn repetitions_and_batches_change_nothing(
        plan in plans(SPOILT, Resets::Some, 1..9),
        seed: u64,
        batch_size in 1_usize..20,
    ) {
        let history = plan.play();
        let state = fold(&history.events);
        let twice: Vec<Event> = history.events.iter().chain(&history.events).cloned().collect();
        let mut stored = settled();
        for batch in shuffled(&twice, seed).chunks(batch_size) {
            stored = SimState::decode(SCHEMA, &stored.encode().unwrap()).unwrap();
            for event in batch {
                let before = stored.clone();
                let changed = stored.fold(event) == Folded::Applied;
                prop_assert_eq!(changed, stored != before, "{:?}", event);
            }
        }
        prop_assert_eq!(&stored, &state);
        for event in &history.events {
            prop_assert_eq!(stored.fold(event), Folded::Known);
            prop_assert_eq!(&stored, &state, "again: {:?}", event);
        }
    }

    #[test]
    fn two_devices_are_found_whenever_one_looks(
        plan in plans(SPOILT, Resets::Some, 2..12),
        seed: u64,
        batch_size in 1_usize..20,
    ) {
        let history = plan.play();
        let expected = two_devices(&fold(&history.events));
        let (mut state, mut found) = (settled(), BTreeSet::new());
        for batch in shuffled(&history.events, seed).chunks(batch_size) {
            for event in batch {
                state.fold(event);
            }
            found.extend(two_devices(&state));
            prop_assert!(found.is_subset(&expected), "{:?} is lost of {:?}", found, expected);
        }
        prop_assert_eq!(found.last(), expected.last());
        prop_assert_eq!(two_devices(&state), expected);
    }

    #[test]
    fn a_stored_state_reads_back_as_it_was(plan in plans(SPOILT, Resets::Some, 0..9)) {
        let state = fold(&plan.play().events);
        prop_assert_eq!(SimState::decode(SCHEMA, &state.encode().unwrap()).unwrap(), state);
    }

    #[test]
    fn stored_bytes_of_any_kind_are_refused_or_read(bytes: Vec<u8>) {
        if let Ok(state) = SimState::decode(SCHEMA, &bytes) {
            let _now = (state.now(), state.hours());
        }
    }
}
