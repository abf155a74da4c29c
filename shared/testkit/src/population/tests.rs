//! The stream as its consumer sees it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::event::{Event, EventKind};
use simfuse_domain::time::Hour;

use super::behaviour::Labelled;
use super::config::Rogues;
use super::*;

mod benign;
mod delivery;
mod encode;
mod rogues;

fn start() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Sensors that do nothing but wake, and events that arrive as they happen.
fn plain(sims: u32, days: u32, seed: u64) -> PopulationConfig {
    let mut config = PopulationConfig::new(sims, days, seed, start());
    config.switch_all_off();
    config
}

fn whole(config: &PopulationConfig) -> Population {
    Population::new(config, Partition::WHOLE)
}

fn all(config: &PopulationConfig) -> Vec<Emitted> {
    let mut population = whole(config);
    std::iter::from_fn(|| population.next()).collect()
}

fn events(emitted: &[Emitted]) -> impl Iterator<Item = &Event> {
    emitted.iter().filter_map(event)
}

fn event(emitted: &Emitted) -> Option<&Event> {
    match &emitted.kind {
        EmittedKind::Event(event) => Some(event),
        EmittedKind::Usage(_) | EmittedKind::Label(_) => None,
    }
}

fn labels(emitted: &[Emitted]) -> impl Iterator<Item = (u32, Label)> {
    emitted.iter().filter_map(|emitted| match emitted.kind {
        EmittedKind::Label(label) => Some((emitted.sim_index, label)),
        EmittedKind::Event(_) | EmittedKind::Usage(_) => None,
    })
}

fn bytes_of(event: &Event) -> u64 {
    event.session.as_ref().and_then(|session| session.delta.total()).unwrap_or(0)
}

fn hash_of(config: &PopulationConfig, partition: Partition) -> u64 {
    let mut population = Population::new(config, partition);
    let mut hasher = DefaultHasher::new();
    while let Some(emitted) = population.next() {
        format!("{emitted:?}").hash(&mut hasher);
    }
    hasher.finish()
}

/// All behaviours and rogues, in a small population.
fn mixed(seed: u64) -> PopulationConfig {
    let mut config = PopulationConfig::new(300, 12, seed, start());
    config.fleet_sims = 100;
    config.benign.firmware_days = 7;
    config.rogues = Rogues { sims_each: 1, after_days: 3, ..Rogues::default() };
    config.rogues.scenarios = Rogue::all().collect();
    config
}

#[test]
fn a_seed_gives_one_stream_and_another_seed_another() {
    let hash = hash_of(&mixed(1), Partition::WHOLE);
    assert_eq!(hash_of(&mixed(1), Partition::WHOLE), hash);
    assert_ne!(hash_of(&mixed(2), Partition::WHOLE), hash);
}

#[test]
fn what_arrives_is_in_the_order_of_its_arrival() {
    let emitted = all(&mixed(3));
    assert!(emitted.is_sorted_by_key(|emitted| emitted.at));
    assert!(emitted.len() > 200_000, "{}", emitted.len());
}

#[test]
fn the_partitions_make_up_the_whole() {
    let config = mixed(4);
    let by_sim = |emitted: Vec<Emitted>| {
        let mut sims: BTreeMap<u32, Vec<Emitted>> = BTreeMap::new();
        for emitted in emitted {
            sims.entry(emitted.sim_index).or_default().push(emitted);
        }
        sims
    };
    let mut parts = Vec::new();
    for index in 0..3 {
        let mut population = Population::new(&config, Partition { index, of: 3 });
        parts.extend(std::iter::from_fn(|| population.next()));
    }
    assert_eq!(by_sim(all(&config)), by_sim(parts));
}

#[test]
fn partitions_of_any_number_cover_every_sim_once_and_leave_fleets_whole() {
    let mut config = plain(1_001, 1, 6);
    config.fleet_sims = 90;
    for of in 1..20 {
        let parts = (0..of).map(|index| Partition { index, of }.sims(&config));
        assert!(parts.clone().flatten().eq(0..1_001), "{of}");
        assert!(parts.into_iter().all(|sims| sims.start % 90 == 0 || sims.start == 1_001));
    }
}

#[test]
fn what_is_kept_does_not_grow_with_the_time() {
    let mut config = mixed(5);
    config.days = 60;
    let mut population = whole(&config);
    let mut kept_max = [0; 2];
    while let Some(emitted) = population.next() {
        let (agenda, held) = population.kept();
        let half = usize::from(emitted.at > start() + days(30));
        kept_max[half] = kept_max[half].max(held);
        assert_eq!(agenda, 300, "one entry a SIM");
    }
    let [before, after] = kept_max;
    assert!(after < 2 * before && before > 10, "{before} then {after}");
}

#[test]
fn a_sim_is_found_by_its_sid() {
    let config = plain(50, 1, 6);
    let population = whole(&config);
    for index in 0..50 {
        assert_eq!(population.place_of(unit::sid(6, index)), Some(index));
    }
    assert_eq!(population.place_of(unit::sid(7, 3)), None);
    assert_eq!(population.place_of(unit::sid(6, 50)), None);
}
