//! Usage: what tests have recorded, and what a source makes up on the fly.

use std::collections::BTreeMap;
use std::fmt;
use std::iter;
use std::ops::Range;
use std::sync::Arc;

use simfuse_domain::id::{FleetSid, NetworkSid, SimSid};
use simfuse_domain::network::Country;
use simfuse_domain::time::Hour;

/// What a SIM used on one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Which network.
    pub network: NetworkSid,
    /// Where that is.
    pub country: Country,
    /// Bytes from the device.
    pub up: u64,
    /// Bytes to the device.
    pub down: u64,
    /// Millionths of a US dollar; `None` while billing lags behind.
    pub billed_micros: Option<i64>,
}

/// Usage of many SIMs that is not kept anywhere: the same question has the same answer.
pub trait UsageSource: Send + Sync {
    /// The fleets whose usage it knows.
    fn fleets(&self) -> Vec<FleetSid>;

    /// How many SIMs a fleet has; none is in two fleets.
    fn sims(&self, fleet: FleetSid) -> usize;

    /// The SIM at this index of a fleet, from 0.
    fn sim(&self, fleet: FleetSid, index: usize) -> Option<SimSid>;

    /// What a SIM used in an hour; `None` for none at all, and for a SIM of another fleet.
    fn usage(&self, fleet: FleetSid, sim: SimSid, hour: Hour) -> Option<Usage>;

    /// What a whole fleet used in an hour, by network: asks for each SIM, unless the source knows
    /// better.
    fn totals(&self, fleet: FleetSid, hour: Hour) -> Vec<Usage> {
        let sims = (0..self.sims(fleet)).filter_map(|index| self.sim(fleet, index));
        let mut totals: BTreeMap<(NetworkSid, Country), Usage> = BTreeMap::new();
        for usage in sims.filter_map(|sim| self.usage(fleet, sim, hour)) {
            let place = (usage.network, usage.country);
            totals.entry(place).and_modify(|total| total.add(&usage)).or_insert(usage);
        }
        totals.into_values().collect()
    }
}

impl Usage {
    /// Adds another amount; what is not billed yet makes the sum unbilled.
    pub(super) fn add(&mut self, other: &Self) {
        self.up = self.up.saturating_add(other.up);
        self.down = self.down.saturating_add(other.down);
        let both = self.billed_micros.zip(other.billed_micros);
        self.billed_micros = both.map(|(one, other)| one.saturating_add(other));
    }
}

/// Usage of one SIM on one network in one hour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) fleet: FleetSid,
    pub(super) usage: Usage,
}

/// A SIM to look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) sim: SimSid,
    /// The fleet of the source that it comes from; `None` for one whose usage was recorded.
    fleet: Option<FleetSid>,
}

impl Subject {
    /// The SIM, whatever is known of it.
    pub(super) fn of(sim: SimSid) -> Self {
        Self { sim, fleet: None }
    }

    /// The fleet that its usage is of, where there is only one.
    pub(super) fn source_fleet(&self) -> Option<FleetSid> {
        self.fleet
    }
}

type Place = (FleetSid, NetworkSid, Country);
type Hours = BTreeMap<Hour, BTreeMap<Place, Usage>>;

/// All usage.
#[derive(Default)]
pub(super) struct UsageBook {
    recorded: BTreeMap<SimSid, Hours>,
    /// The SIMs of `recorded` in the order of their first record, for finding the n-th of them.
    order: Vec<SimSid>,
    source: Option<Arc<dyn UsageSource>>,
}

impl fmt::Debug for UsageBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageBook").field("sims", &self.order.len()).finish_non_exhaustive()
    }
}

impl UsageBook {
    pub(super) fn record(&mut self, sim: SimSid, fleet: FleetSid, hour: Hour, usage: Usage) {
        let recorded = self.recorded.entry(sim).or_insert_with(|| {
            self.order.push(sim);
            Hours::new()
        });
        let cells = recorded.entry(hour).or_default();
        let place = (fleet, usage.network, usage.country);
        cells.entry(place).and_modify(|kept| kept.add(&usage)).or_insert(usage);
    }

    pub(super) fn set_source(&mut self, source: Arc<dyn UsageSource>) {
        self.source = Some(source);
    }

    /// The SIM at a position among all that may have usage; the outer `None` is their end, the
    /// inner one a SIM that stands at another position.
    pub(super) fn subject(&self, position: usize) -> Option<Option<Subject>> {
        let Some(mut index) = position.checked_sub(self.order.len()) else {
            return self.order.get(position).map(|sim| Some(Subject::of(*sim)));
        };
        let source = self.source.as_ref()?;
        for fleet in source.fleets() {
            let sims = source.sims(fleet);
            if index < sims {
                let sim = source.sim(fleet, index);
                let sim = sim.filter(|sim| !self.recorded.contains_key(sim));
                return Some(sim.map(|sim| Subject { sim, fleet: Some(fleet) }));
            }
            index = index.saturating_sub(sims);
        }
        None
    }

    /// What a SIM used in these hours.
    pub(super) fn cells<'a>(
        &'a self,
        subject: Subject,
        hours: &'a Range<Hour>,
    ) -> impl Iterator<Item = Cell> + 'a {
        let recorded = self.recorded.get(&subject.sim).map(|recorded| recorded_in(recorded, hours));
        let source = self.source.as_deref();
        let made_up = source.into_iter().flat_map(move |source| {
            let fleets = subject.fleet.map_or_else(|| source.fleets(), |fleet| vec![fleet]);
            fleets.into_iter().flat_map(move |fleet| {
                each_hour(hours).filter_map(move |hour| {
                    let usage = source.usage(fleet, subject.sim, hour)?;
                    Some(Cell { fleet, usage })
                })
            })
        });
        recorded.into_iter().flatten().chain(made_up)
    }

    /// What all SIMs used in these hours, whose usage need not be told apart.
    pub(super) fn all_cells<'a>(
        &'a self,
        fleet: Option<FleetSid>,
        hours: &'a Range<Hour>,
    ) -> impl Iterator<Item = Cell> + 'a {
        let recorded = self.recorded.values().flat_map(|recorded| recorded_in(recorded, hours));
        let made_up = self.source.as_deref().into_iter().flat_map(move |source| {
            let fleets = source.fleets().into_iter();
            let fleets = fleets.filter(move |own| fleet.is_none_or(|fleet| fleet == *own));
            fleets.flat_map(move |fleet| {
                each_hour(hours).flat_map(move |hour| {
                    source.totals(fleet, hour).into_iter().map(move |usage| Cell { fleet, usage })
                })
            })
        });
        recorded.chain(made_up)
    }
}

fn recorded_in<'a>(
    recorded: &'a Hours,
    hours: &Range<Hour>,
) -> impl Iterator<Item = Cell> + use<'a> {
    // A range that ends before it begins would panic.
    let hours = hours.start..hours.end.max(hours.start);
    let cells = recorded.range(hours).flat_map(|(_, cells)| cells);
    cells.map(|((fleet, ..), usage)| Cell { fleet: *fleet, usage: *usage })
}

fn each_hour(hours: &Range<Hour>) -> impl Iterator<Item = Hour> + use<> {
    let end = hours.end;
    iter::successors(Some(hours.start), |hour| Some(hour.after()))
        .take_while(move |hour| *hour < end)
}
