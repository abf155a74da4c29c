//! A population of SIMs, healthy ones and rogues, that detection is measured on.
//!
//! It is a machine that its consumer drives: [`Population::next`] tells what arrives next, and a
//! deactivation is felt from then on. Everything follows from the seed. What is kept is one entry a
//! SIM and what is delayed, however long it runs. A population may be cut into partitions, each of
//! which is the same alone as beside the others: what befalls many SIMs at once follows from the
//! seed and the time.
//!
//! Events are those that the webhook's decoder gives, usage records those that the aggregator reads;
//! [`encode`] writes either as the provider would.

pub mod behaviour;
mod calendar;
pub mod config;
mod delivery;
mod draw;
pub mod encode;
mod episode;
mod line;
mod place;
mod records;
pub mod rogue;
mod sensor;
mod session;
#[cfg(test)]
mod tests;
mod thief;
mod unit;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use jiff::Timestamp;
use simfuse_domain::event::Event;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::UsageRecord;

use behaviour::{Behaviour, Label};
use calendar::{Calendar, DAY_MS};
use config::PopulationConfig;
use delivery::{LATENCY_MS, Outbox, time};
use draw::hash;
use line::{World, hour_number, whole_second};
use rogue::Rogue;
use unit::Unit;

pub use place::Cell;
pub use unit::SENSOR_TACS;

/// Bits of an entry of the agenda that say which SIM; the others say when.
const SIM_BITS: u32 = 24;

/// SIMs that one partition can have.
pub const PARTITION_SIMS_MAX: u32 = 1 << SIM_BITS;

/// A part of a population: a run of its fleets, each of them whole; it may be empty.
///
/// A part of some thousand
/// SIMs fits in a processor's cache and is told twice as fast as one of fifty thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Which part, from 0.
    pub index: u32,
    /// How many parts there are.
    pub of: u32,
}

impl Partition {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The numbers of its SIMs.
    #[must_use]
    pub fn sims(self, config: &PopulationConfig) -> std::ops::Range<u32> {
        let (all, fleet) = (u64::from(config.sims), u64::from(config.fleet_sims.max(1)));
        let bound = |part: u32| {
            let even = all * u64::from(part.min(self.of)) / u64::from(self.of.max(1));
            let whole = even.div_ceil(fleet) * fleet;
            u32::try_from(whole.min(all)).unwrap_or(config.sims)
        };
        bound(self.index)..bound(self.index.saturating_add(1))
    }
}

/// What arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct Emitted {
    /// When it arrives. It never is before what arrived earlier.
    pub at: Timestamp,
    /// The number of the SIM, from 0, in the whole population.
    pub sim_index: u32,
    /// The SIM.
    pub sim: SimSid,
    /// What it is.
    pub kind: EmittedKind,
}

/// What kinds of things arrive.
#[expect(clippy::large_enum_variant, reason = "nearly all are events: a box would be for nothing")]
#[derive(Debug, Clone, PartialEq)]
pub enum EmittedKind {
    /// A connection event.
    Event(Event),
    /// What a SIM used in an hour. A later record of the same hour takes the place of the former.
    Usage(UsageRecord),
    /// The truth, which no detector may see.
    Label(Label),
}

/// What is true of a rogue SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// The number of the SIM.
    pub sim_index: u32,
    /// The SIM.
    pub sim: SimSid,
    /// What misuses it.
    pub rogue: Rogue,
    /// When it was stolen, or its leak began.
    pub from: Timestamp,
    /// When the first session with a byte of the rogue's was opened.
    pub first_byte: Option<Timestamp>,
    /// Bytes of the rogue's up to the time that was asked for, reported or not.
    pub bytes: u64,
}

/// A population, or a partition of it, up to some moment of its time.
#[derive(Debug)]
pub struct Population {
    config: PopulationConfig,
    calendar: Calendar,
    out: Outbox,
    first_sim: u32,
    units: Vec<Unit>,
    /// When something happens next to each unit, in milliseconds since the start, and which it is.
    agenda: BinaryHeap<Reverse<u64>>,
    start: i64,
    end: i64,
    now: i64,
}

impl Population {
    /// The partition, at its start.
    #[must_use]
    pub fn new(config: &PopulationConfig, partition: Partition) -> Self {
        let start = config.start.as_millisecond();
        let mut sims = partition.sims(config);
        sims.end = sims.end.min(sims.start.saturating_add(PARTITION_SIMS_MAX));
        let calendar = Calendar::new(config);
        let mut out = Outbox::new(&config.delivery);
        let world = World { config, calendar: &calendar, out: &mut out };
        let units: Vec<Unit> = sims.clone().map(|index| Unit::new(index, &world)).collect();
        let numbered = units.iter().zip(0..);
        let agenda = numbered.map(|(unit, place)| entry(unit.next_at() - start, place)).collect();
        Self {
            config: config.clone(),
            calendar,
            out,
            first_sim: sims.start,
            units,
            agenda,
            start,
            end: start + i64::from(config.days) * DAY_MS,
            now: start,
        }
    }

    /// What arrives next; `None` when the population's days are over.
    #[expect(clippy::should_implement_trait, reason = "it is driven, not only iterated over")]
    pub fn next(&mut self) -> Option<Emitted> {
        loop {
            if let Some(emitted) = self.out.pop_ready() {
                return self.arrive(emitted);
            }
            let due = self.agenda.peek().map_or(self.end, |Reverse(due)| self.start + when(*due));
            let due = due.min(self.end);
            if let Some(emitted) = self.out.pop_held(due + LATENCY_MS) {
                return self.arrive(emitted);
            }
            if due >= self.end {
                return None;
            }
            self.step();
        }
    }

    fn arrive(&mut self, emitted: Emitted) -> Option<Emitted> {
        let at = emitted.at.as_millisecond();
        if at >= self.end {
            return None;
        }
        self.now = at;
        Some(emitted)
    }

    fn step(&mut self) {
        let Some(mut top) = self.agenda.peek_mut() else { return };
        let Reverse(due) = *top;
        let place = which(due);
        let Some(unit) = usize::try_from(place).ok().and_then(|place| self.units.get_mut(place))
        else {
            PeekMut::pop(top);
            return;
        };
        if unit.next_at() - self.start != when(due) {
            // The SIM was deactivated or restored since: another entry says when it is due.
            PeekMut::pop(top);
            return;
        }
        self.calendar.turn_to(self.start + when(due));
        let Self { config, calendar, out, .. } = self;
        unit.step(&mut World { config, calendar, out });
        *top = entry(unit.next_at() - self.start, place);
    }

    /// Requests a deactivation, at a time that is not before the latest arrival: after the
    /// provider's delay the SIM's session ends, and it transfers nothing more. Its attempts to attach
    /// are rejected. A SIM of another partition is none of this one's.
    pub fn deactivate(&mut self, sim: SimSid, at: Timestamp) {
        let Some(place) = self.place_of(sim) else { return };
        let secs = &self.config.rogues.cut_after_secs;
        let span = u64::from(secs.end.saturating_sub(secs.start)).max(1);
        let draw = hash(self.config.seed, 0x701, u64::from(self.first_sim) + u64::from(place));
        let secs = u64::from(secs.start) + draw % span;
        let delay = i64::try_from(secs * 1_000).unwrap_or(0);
        let from = whole_second(at.as_millisecond().max(self.now)) + delay;
        self.change(place, |unit, _| unit.darken(from));
    }

    /// Switches a SIM on again, at a time that is not before the latest arrival. It is back in its
    /// sensor, but for [`Rogue::Again`], of which the thief comes back.
    pub fn restore(&mut self, sim: SimSid, at: Timestamp) {
        let at = whole_second(at.as_millisecond().max(self.now));
        if let Some(place) = self.place_of(sim) {
            self.change(place, |unit, world| unit.restore(world, at));
        }
    }

    fn change(&mut self, place: u32, change: impl FnOnce(&mut Unit, &mut World<'_>)) {
        let Self { config, calendar, out, units, .. } = self;
        let unit = usize::try_from(place).ok().and_then(|place| units.get_mut(place));
        let Some(unit) = unit else { return };
        let before = unit.next_at();
        change(unit, &mut World { config, calendar, out });
        let after = unit.next_at();
        if before != after {
            self.agenda.push(entry(after - self.start, place));
        }
    }

    fn place_of(&self, sim: SimSid) -> Option<u32> {
        let index = unit::index_of(self.config.seed, sim)?;
        let place = index.checked_sub(self.first_sim)?;
        (usize::try_from(place).ok()? < self.units.len()).then_some(place)
    }

    /// The truth about every rogue of the partition, as of the latest arrival.
    pub fn truth(&self) -> impl Iterator<Item = Truth> + '_ {
        self.units.iter().filter_map(|unit| truth_of(unit, self.now))
    }

    /// The truth about one SIM at a time that is not before the latest arrival; `None` of a healthy
    /// one.
    #[must_use]
    pub fn truth_of(&self, sim_index: u32, at: Timestamp) -> Option<Truth> {
        truth_of(self.unit(sim_index)?, at.as_millisecond().max(self.now))
    }

    /// What befell a SIM, harmlessly, since a time; by whole hours.
    pub fn befell(&self, sim_index: u32, since: Timestamp) -> impl Iterator<Item = Behaviour> + '_ {
        let hour = hour_number(since.as_millisecond());
        self.unit(sim_index).into_iter().flat_map(move |unit| unit.life.seen.since(hour))
    }

    /// How often something befell a SIM of the partition.
    #[must_use]
    pub fn counted(&self, behaviour: Behaviour) -> u64 {
        self.out.counted(behaviour)
    }

    /// The latest arrival.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        time(self.now)
    }

    /// How much is kept: entries of the agenda, and what is delayed.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        (self.agenda.len(), self.out.held())
    }

    fn unit(&self, sim_index: u32) -> Option<&Unit> {
        let place = usize::try_from(sim_index.checked_sub(self.first_sim)?).ok()?;
        self.units.get(place)
    }
}

fn truth_of(unit: &Unit, at: i64) -> Option<Truth> {
    let truth = unit.truth(at)?;
    Some(Truth {
        sim_index: unit.life.card.index,
        sim: unit.life.card.sid,
        rogue: truth.rogue,
        from: time(truth.from),
        first_byte: truth.first_byte.map(time),
        bytes: truth.bytes,
    })
}

/// An entry of the agenda. What lies beyond 34 years never happens.
fn entry(since_start: i64, place: u32) -> Reverse<u64> {
    let since_start = u64::try_from(since_start).unwrap_or(0).min((1 << (64 - SIM_BITS)) - 1);
    Reverse(since_start << SIM_BITS | u64::from(place))
}

/// Milliseconds since the start.
fn when(entry: u64) -> i64 {
    i64::try_from(entry >> SIM_BITS).unwrap_or(i64::MAX)
}

fn which(entry: u64) -> u32 {
    u32::try_from(entry & u64::from(PARTITION_SIMS_MAX - 1)).unwrap_or(u32::MAX)
}
