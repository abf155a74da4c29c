//! What is stored of a SIM is judged as it stands; and records alone know their fleet.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::FleetSid;
use simfuse_domain::incident::Desired;
use simfuse_domain::port::{Case, UsageRecord};
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
        fleet_usual: None,
        findings: BTreeMap::new(),
        desired: (desired, 1),
        incident: None,
        stop: None,
        unread: Vec::new(),
    }
}

/// What is done about a SIM as it stands: the most of it, and what holds it.
fn done(
    policy: &Policy,
    case: &Case,
    at: Timestamp,
) -> Option<(Verdict, Option<Hold>, DetectorId)> {
    let mut course = Course::new(case.sim);
    let trial = Trial { policy, mode: ModeFrom::Enforce };
    let is_off = course.stand(trial, case, at);
    let strongest = course.acts().iter().max_by_key(|act| act.what);
    assert_eq!(
        is_off,
        strongest.is_some_and(|act| act.what > Verdict::Alert && act.hold.is_none())
    );
    strongest.map(|act| (act.what, act.hold, act.detector))
}

#[test]
fn a_tablet_that_is_stored_is_cut_as_it_stands() {
    let (state, now) = stolen();
    let case = case(state, Desired::default());
    let cut = (Verdict::Deactivate, None, DetectorId::DeviceNotAllowed);
    assert_eq!(done(&declared(), &case, now), Some(cut));
    // Without a model in policy nothing about a device cuts.
    let told = done(&"version = 1\n".parse().unwrap(), &case, now);
    assert!(told.is_some_and(|(what, _, _)| what == Verdict::Alert), "{told:?}");
}

#[test]
fn what_humans_said_of_a_sim_counts() {
    let (state, now) = stolen();
    let of = |desired: Desired, at| done(&declared(), &case(state.clone(), desired), at);
    let cut = Verdict::Deactivate;
    let found = |policy: &Policy| {
        let mut course = Course::new(state.sim);
        let trial = Trial { policy, mode: ModeFrom::Enforce };
        course.stand(trial, &case(state.clone(), Desired::default()), now);
        course.findings().to_vec()
    };
    let allowed_devices = found(&declared()).iter().filter_map(Finding::device).collect();
    let allowed = Desired { allowed_devices, ..Desired::default() };
    let is_of_device = |done: Option<(Verdict, Option<Hold>, DetectorId)>| {
        done.is_some_and(|(_, _, detector)| detector == DetectorId::DeviceNotAllowed)
    };
    assert!(!is_of_device(of(allowed, now)), "a human allowed its device");
    let protected = Desired { protected_by: Some("ops".to_owned()), ..Desired::default() };
    let held = of(protected, now);
    assert_eq!(held, Some((cut, Some(Hold::Protected), DetectorId::DeviceNotAllowed)));
    // Restored a minute ago, of a device that was judged: only what is of another kind cuts at once.
    let minute_ago = now.saturating_sub(SignedDuration::from_mins(1)).ok();
    let restored = Desired { restored_at: minute_ago, ..Desired::default() };
    let news = of(restored, now);
    assert_eq!(news, Some((cut, None, DetectorId::DeviceNotAllowed)), "nobody judged the device");
    let text = "version = 1\n[limits]\nday_mb = 0.1\nact = \"deactivate\"\n";
    let limit: Policy = text.parse().unwrap();
    let within_cooldown = now.saturating_sub(SignedDuration::from_hours(20)).ok();
    // All was judged but today's bytes, and that those of a day were too many.
    let keys = found(&limit).into_iter().filter(|found| found.detector != DetectorId::DayLimit);
    let keys = keys.map(|found| found.key()).chain(["day_limit#2026-02-01".to_owned()]);
    let judged = keys.collect();
    let restored = Desired { restored_at: within_cooldown, judged, ..Desired::default() };
    let cooling = done(&limit, &case(state, restored), now);
    assert_eq!(cooling, Some((cut, Some(Hold::Cooldown), DetectorId::DayLimit)));
}

#[test]
fn records_alone_are_judged_by_their_fleets_rules() {
    let (sim, fleet) = (SimSid::from_bytes([1; 16]), FleetSid::from_bytes([2; 16]));
    let text = format!("version = 1\n[fleet.{fleet}.limits]\nhour_mb = 5\nact = \"deactivate\"\n");
    let policy: Policy = text.parse().unwrap();
    let hour = Hour::of("2026-03-01T14:00:00Z".parse().unwrap());
    let record = |fleet| UsageRecord {
        sim: Some(sim),
        fleet,
        network: None,
        country: None,
        from: hour.start(),
        to: hour.end(),
        up: None,
        down: None,
        total: Some(Bytes(9_000_000)),
        billed: None,
    };
    let acts = |fleet| {
        let mut course = Course::new(sim);
        let trial = Trial { policy: &policy, mode: ModeFrom::Enforce };
        course.record(trial, &record(fleet), hour.end());
        course.acts().iter().map(|act| (act.what, act.fleet)).collect::<Vec<_>>()
    };
    assert_eq!(acts(Some(fleet)), [(Verdict::Deactivate, Some(fleet))]);
    assert_eq!(acts(None), []);
}
