//! What an event costs: the events of 100 simulated SIMs over 30 days, folded and looked at, by the
//! domain alone and as the webhook does it, by SIM and in the order of time.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that goes wrong should stop at once; criterion makes the items"
)]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use simfuse_backtest::{Course, ModeFrom, Peers, Trial};
use simfuse_domain::detector::{self, Control, Snapshot};
use simfuse_domain::event::Event;
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::state::SimState;
use simfuse_testkit::population::config::PopulationConfig;
use simfuse_testkit::population::{EmittedKind, Partition, Population};

fn events(criterion: &mut Criterion) {
    let policy: Policy = DEFAULT.parse().unwrap();
    let trial = Trial { policy: &policy, mode: ModeFrom::Enforce };
    let by_time = all();
    let mut by_sim = by_time.clone();
    by_sim.sort_by_key(|(sim, ..)| *sim);
    let mut group = criterion.benchmark_group("events");
    group.sample_size(10).throughput(Throughput::Elements(by_time.len().try_into().unwrap()));
    group.bench_function("fold and detect", |bencher| {
        bencher.iter(|| {
            let mut state: Option<SimState> = None;
            for (sim, event, _) in &by_sim {
                let other = state.take().filter(|state| state.sim == *sim);
                let known = state.insert(other.unwrap_or_else(|| SimState::new(*sim)));
                let _folded = known.fold(event);
                let rules = policy.rules_for(known.fleet(), *sim);
                let snapshot = Snapshot::of(known, None, None, &rules, Control::default());
                black_box(detector::assess_all(detector::ALL, &snapshot));
            }
        });
    });
    let peers = Peers::default();
    group.bench_function("as the webhook does, in the order of time", |bencher| {
        bencher.iter(|| {
            let mut courses: BTreeMap<SimSid, Course> = BTreeMap::new();
            for (sim, event, at) in &by_time {
                let course = courses.entry(*sim).or_insert_with(|| Course::new(*sim));
                // What is switched off is judged no more, and costs nothing.
                assert!(!course.event(trial, event, *at, &peers));
            }
        });
    });
    group.finish();
}

fn all() -> Vec<(SimSid, Event, Timestamp)> {
    let start = "2026-03-01T00:00:00Z".parse().unwrap();
    let mut population =
        Population::new(&PopulationConfig::new(100, 30, 5, start), Partition::WHOLE);
    let emitted = std::iter::from_fn(|| population.next());
    let events = emitted.filter_map(|emitted| match emitted.kind {
        EmittedKind::Event(event) => Some((emitted.sim, event.clone(), emitted.at)),
        EmittedKind::Usage(_) | EmittedKind::Label(_) => None,
    });
    events.collect()
}

criterion_group!(benches, events);
criterion_main!(benches);
