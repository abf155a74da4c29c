//! A simulated population under a policy, on all cores.
//!
//! The population is cut into partitions of whole fleets, whose number follows from that of the SIMs alone; each
//! thread takes one after the other, so that memory is bounded by the threads, and the result does
//! not depend on how many there are.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use simfuse_domain::id::FleetSid;
use simfuse_testkit::population::config::PopulationConfig;
use simfuse_testkit::population::{EmittedKind, Partition, Population, Truth};

use crate::course::{Course, Trial};
use crate::peers::{Page, Peers};

/// SIMs of a partition: their states, 5 kB each, stay near a processor's cache.
const PARTITION_SIMS: u32 = 1_000;

/// One SIM at the end of its course.
#[derive(Debug)]
pub struct Passed {
    /// The SIM's number.
    index: u32,
    /// What became of it.
    pub course: Course,
    /// The fleet that its events named last.
    pub fleet: Option<FleetSid>,
    /// The truth about it as of the end; `None` of a healthy SIM, and of one whose rogue had not begun
    /// when it was switched off.
    pub truth: Option<Truth>,
    /// Of each act the rogue's bytes before it; `None` before the rogue began.
    pub rogue_bytes: Vec<Option<u64>>,
}

/// The number of partitions of so many SIMs.
#[must_use]
pub fn partitions(sims: u32) -> u32 {
    sims.div_ceil(PARTITION_SIMS).max(1)
}

/// A whole population at the end of its course.
#[derive(Debug)]
pub struct Over {
    /// The SIMs, in the order of their numbers.
    pub sims: Vec<Passed>,
    /// What was told of their fleets.
    pub pages: Vec<Page>,
}

/// The SIMs of a population that was [judged](judge).
pub fn pass(
    config: &PopulationConfig,
    trial: Trial<'_>,
    threads: NonZeroUsize,
    done: impl Fn() + Sync,
) -> Vec<Passed> {
    judge(config, trial, threads, done).sims
}

/// Judges a whole population. `done` is called with each partition that is over.
///
/// A deactivation is felt by the SIM, as are those that a cap would hold.
pub fn judge(
    config: &PopulationConfig,
    trial: Trial<'_>,
    threads: NonZeroUsize,
    done: impl Fn() + Sync,
) -> Over {
    let of = partitions(config.sims);
    let over_all = by_partition(of, threads, |index| {
        let passed = pass_partition(config, Partition { index, of }, trial);
        done();
        passed
    });
    let mut over = Over { sims: Vec::new(), pages: Vec::new() };
    for Over { sims, pages } in over_all {
        over.sims.extend(sims);
        over.pages.extend(pages);
    }
    over
}

/// Does something for each of so many partitions, on so many threads; the answers are in order.
pub fn by_partition<T: Send>(
    of: u32,
    threads: NonZeroUsize,
    act: impl Fn(u32) -> T + Sync,
) -> Vec<T> {
    let next = AtomicU32::new(0);
    let answers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= of {
                        return;
                    }
                    let answer = act(index);
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn pass_partition(config: &PopulationConfig, partition: Partition, trial: Trial<'_>) -> Over {
    let mut population = Population::new(config, partition);
    let first = partition.sims(config).start;
    let (mut all, mut peers): (Vec<Option<Passed>>, Peers) = Default::default();
    while let Some(emitted) = population.next() {
        close_due(&mut all, trial, emitted.at, &mut peers, &mut population);
        let place = usize::try_from(emitted.sim_index.saturating_sub(first)).unwrap_or(0);
        if all.len() <= place {
            all.resize_with(place.saturating_add(1), || None);
        }
        let Some(passed) = all.get_mut(place) else { continue };
        let passed = passed.get_or_insert_with(|| Passed {
            index: emitted.sim_index,
            course: Course::new(emitted.sim),
            fleet: None,
            truth: None,
            rogue_bytes: Vec::new(),
        });
        let was_off = passed.course.is_off();
        match &emitted.kind {
            EmittedKind::Event(event) => {
                passed.fleet = event.fleet.or(passed.fleet);
                passed.course.event(trial, event, emitted.at, &peers);
            }
            EmittedKind::Usage(record) => {
                passed.course.record(trial, record, emitted.at);
            }
            EmittedKind::Label(_) => {}
        }
        passed.note_bytes(&population, emitted.at);
        if passed.course.is_off() && !was_off {
            population.deactivate(emitted.sim, emitted.at);
        }
    }
    let end = end_of(config);
    close_due(&mut all, trial, end, &mut peers, &mut population);
    for (passed, index) in all.iter_mut().zip(first..) {
        let Some(passed) = passed else { continue };
        passed.course.finish(end);
        let acts = passed.course.acts();
        let by = acts.last().filter(|_| passed.course.is_off()).map_or(end, |act| act.at);
        passed.truth = population.truth_of(index, end).filter(|truth| truth.from <= by);
        let bytes = passed.truth.map(|truth| truth.bytes);
        passed.rogue_bytes.resize(passed.course.acts().len(), bytes);
    }
    Over { sims: all.into_iter().flatten().collect(), pages: peers.pages().collect() }
}

/// Closes the hours that are due by now, each for all SIMs before the next.
fn close_due(
    all: &mut [Option<Passed>],
    trial: Trial<'_>,
    now: Timestamp,
    peers: &mut Peers,
    population: &mut Population,
) {
    while let Some(hour) = peers.due(now) {
        for passed in all.iter_mut().flatten() {
            let was_off = passed.course.is_off();
            let is_off = passed.course.close(trial, hour, peers);
            passed.note_bytes(population, now);
            if is_off && !was_off {
                population.deactivate(passed.course.sim(), now);
            }
        }
        peers.merge(hour, trial.policy);
    }
}

impl Passed {
    /// Notes the rogue's bytes up to now for each act that is new.
    fn note_bytes(&mut self, population: &Population, now: Timestamp) {
        if self.rogue_bytes.len() < self.course.acts().len() {
            let truth = population.truth_of(self.index, now).filter(|truth| truth.from <= now);
            self.rogue_bytes.resize(self.course.acts().len(), truth.map(|truth| truth.bytes));
        }
    }
}

/// When a population is over.
#[must_use]
pub fn end_of(config: &PopulationConfig) -> Timestamp {
    let hours = i64::from(config.days).saturating_mul(24);
    let days = jiff::SignedDuration::from_hours(hours);
    config.start.saturating_add(days).unwrap_or(Timestamp::MAX)
}
