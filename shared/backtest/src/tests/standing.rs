//! What is stored of a SIM, whose events are gone; and records alone know their fleet.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::FleetSid;
use simfuse_domain::incident::{Desired, Quarantine};
use simfuse_domain::port::{Case, Sim, SimStatus, UsageRecord};
use simfuse_domain::state::SimState;
use simfuse_domain::time::Hour;

use super::*;

/// The sensors' models are declared, the tablet's is not.
fn declared() -> Policy {
    let tacs = simfuse_testkit::population::SENSOR_TACS.map(|tac| format!("\"{tac}\""));
    let tacs = tacs.join(", ");
    let text = format!("version = 1\n[binding]\nmode = \"strict\"\nallowed_tacs = [{tacs}]\n");
    text.parse().unwrap()
}

/// What is stored of a SIM that a tablet uses, and when the latest of it was.
fn stolen() -> (SimState, Timestamp) {
    let config = with(population(12, 8), vec![Rogue::Tablet]);
    let mut population = Population::new(&config, Partition::WHOLE);
    let mut states: BTreeMap<SimSid, SimState> = BTreeMap::new();
    while let Some(emitted) = population.next() {
        if let EmittedKind::Event(event) = &emitted.kind {
            states.entry(event.sim).or_insert_with(|| SimState::new(event.sim)).fold(event);
        }
    }
    let mut truth = population.truth();
    let stolen = truth.next().and_then(|truth| states.remove(&truth.sim)).unwrap();
    let now = stolen.now();
    (stolen, now)
}

fn case(state: SimState, desired: Desired) -> Case {
    Case {
        sim: state.sim,
        state: Some(state),
        usage: None,
        cohort: None,
        findings: BTreeMap::new(),
        desired: (desired, 1),
        incident: None,
        stop: None,
        unread: Vec::new(),
    }
}

/// A SIM of which nothing but this is known, in the end.
fn over(policy: &Policy, case: &Case, now: Timestamp) -> Course {
    let mut course = Course::new(case.sim);
    course.know(case, None);
    for finding in shown(policy, case, now) {
        course.find(Trial { policy, mode: ModeFrom::Enforce }, finding);
    }
    course
}

/// What is done about a SIM: the most of it, and what holds it.
fn done(
    policy: &Policy,
    case: &Case,
    at: Timestamp,
) -> Option<(Verdict, Option<Hold>, DetectorId)> {
    let course = over(policy, case, at);
    let is_off = course.is_off();
    let strongest = course.acts().iter().max_by_key(|act| act.what);
    assert_eq!(
        is_off,
        strongest.is_some_and(|act| act.what > Verdict::Alert && act.hold.is_none())
    );
    strongest.map(|act| (act.what, act.hold, act.detector))
}

#[test]
fn a_tablet_that_is_stored_is_cut_as_of_its_first_event() {
    let (state, now) = stolen();
    let case = case(state, Desired::default());
    let cut = (Verdict::Deactivate, None, DetectorId::DeviceNotAllowed);
    assert_eq!(done(&declared(), &case, now), Some(cut));
    let first = over(&declared(), &case, now).acts().last().map(|act| (act.at, act.bytes));
    assert!(first.is_some_and(|(at, bytes)| at < now && bytes == Bytes(0)), "{first:?} {now}");
    // Without a model in policy nothing about a device cuts.
    let told = done(&"version = 1\n".parse().unwrap(), &case, now);
    assert!(told.is_some_and(|(what, _, _)| what == Verdict::Alert), "{told:?}");
}

#[test]
fn what_humans_said_of_a_sim_counts() {
    let (state, now) = stolen();
    let of = |policy: &Policy, desired| over(policy, &case(state.clone(), desired), now);
    let act = |course: &Course| {
        let act = course.acts().iter().max_by_key(|act| act.what).unwrap();
        (act.what, act.hold, act.detector, act.is_judged)
    };
    let (cut, by_device) = (Verdict::Deactivate, DetectorId::DeviceNotAllowed);
    let course = of(&declared(), Desired::default());
    assert_eq!(act(&course), (cut, None, by_device, false));
    // A human allowed its device since: it would have been cut, and that would have been false.
    let allowed_devices = course.findings().iter().filter_map(Finding::device).collect();
    let allowed = Desired { allowed_devices, ..Desired::default() };
    assert_eq!(act(&of(&declared(), allowed)), (cut, None, by_device, true));
    let protected = Desired { protected_by: Some("ops".to_owned()), ..Desired::default() };
    let held = act(&of(&declared(), protected));
    assert_eq!(held, (cut, Some(Hold::Protected), by_device, false));
    // Restored since, and judged: what was before that is no matter of the cool-down.
    let judged = course.findings().iter().map(Finding::key).collect();
    let restored = Desired { restored_at: Some(now), judged, ..Desired::default() };
    assert_eq!(act(&of(&declared(), restored)), (cut, None, by_device, true));
    let text = "version = 1\n[limits]\nday_mb = 0.1\nact = \"deactivate\"\n";
    let limit: Policy = text.parse().unwrap();
    let first =
        |course: &Course| course.acts().iter().find(|act| act.what == cut).cloned().unwrap();
    let at_once = first(&of(&limit, Desired::default()));
    assert_eq!(at_once.hold, None);
    // An hour before that a human restored it, of as much on another day.
    let judged = BTreeSet::from(["day_limit#2026-02-01".to_owned()]);
    let restored_at = at_once.at.saturating_sub(SignedDuration::from_hours(1)).ok();
    let cooling = first(&of(&limit, Desired { restored_at, judged, ..Desired::default() }));
    assert_eq!((cooling.at, cooling.hold), (at_once.at, Some(Hold::Cooldown)));
}

/// In quarantine now, it was in its own fleet then, as its records say.
#[test]
fn where_a_sim_is_kept_now_says_nothing_of_then() {
    let (sim, [own, kept]) =
        (SimSid::from_bytes([1; 16]), [2, 7].map(|n| FleetSid::from_bytes([n; 16])));
    let text = format!(
        "version = 1\n[limits]\nhour_mb = 5\nact = \"quarantine\"\n[quarantine]\nfleet = \"{kept}\"\n"
    );
    let policy: Policy = text.parse().unwrap();
    let quarantine = Some(Quarantine { fleet: kept, home: own, since: None });
    let desired = Desired { quarantine, ..Desired::default() };
    let status = SimStatus::Active;
    let named = Sim { sid: sim, iccid: None, unique_name: None, status, fleet: Some(kept) };
    let mut course = Course::new(sim);
    course.know(&case(SimState::new(sim), desired), Some(&named));
    let trial = Trial { policy: &policy, mode: ModeFrom::Enforce };
    course.record(trial, &record(sim, Some(own)), hour().end());
    let acts = course.acts().iter().map(|act| (act.what, act.hold, act.fleet));
    assert_eq!(acts.collect::<Vec<_>>(), [(Verdict::Quarantine, None, Some(own))]);
}

fn hour() -> Hour {
    Hour::of("2026-03-01T14:00:00Z".parse().unwrap())
}

/// 9 MB in an hour.
fn record(sim: SimSid, fleet: Option<FleetSid>) -> UsageRecord {
    UsageRecord {
        sim: Some(sim),
        fleet,
        network: None,
        country: None,
        from: hour().start(),
        to: hour().end(),
        up: None,
        down: None,
        total: Some(Bytes(9_000_000)),
        billed: None,
    }
}

#[test]
fn records_alone_are_judged_by_their_fleets_rules() {
    let (sim, fleet) = (SimSid::from_bytes([1; 16]), FleetSid::from_bytes([2; 16]));
    let text = format!("version = 1\n[fleet.{fleet}.limits]\nhour_mb = 5\nact = \"deactivate\"\n");
    let policy: Policy = text.parse().unwrap();
    let acts = |fleet| {
        let mut course = Course::new(sim);
        let trial = Trial { policy: &policy, mode: ModeFrom::Enforce };
        course.record(trial, &record(sim, fleet), hour().end());
        course.acts().iter().map(|act| (act.what, act.fleet)).collect::<Vec<_>>()
    };
    assert_eq!(acts(Some(fleet)), [(Verdict::Deactivate, Some(fleet))]);
    assert_eq!(acts(None), []);
}
