//! Fleets whose hours were closed: what a SIM is judged beside.

use simfuse_domain::bytes::Bytes;
use simfuse_domain::evidence::{Cohort, Sketch};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{Beside, SimUsage, Source};

/// Hours that are closed: enough to be known, and as many in which that counts.
const HOURS: i32 = 60;

/// A fleet of so many SIMs that each use about that in every hour, through this one.
#[must_use]
pub fn cohort_of(fleet: FleetSid, sims: u32, bytes: u64, through: Hour) -> Cohort {
    closed((fleet, sims, bytes), None, through).0
}

/// The same with another SIM that did what the others do until it used so much, in as many hours.
#[must_use]
pub fn stolen_in(
    of: (FleetSid, u32, u64),
    stolen: SimSid,
    (bytes, hours): (u64, i32),
    through: Hour,
) -> (Cohort, SimUsage) {
    let (cohort, usage) = closed(of, Some((stolen, bytes, hours)), through);
    (cohort, usage.unwrap_or_else(|| SimUsage::new(stolen)))
}

fn closed(
    (fleet, sims, bytes): (FleetSid, u32, u64),
    stolen: Option<(SimSid, u64, i32)>,
    through: Hour,
) -> (Cohort, Option<SimUsage>) {
    let others = (0..u128::from(sims)).map(|number| SimSid::from_bytes(number.to_be_bytes()));
    let all = others.chain(stolen.map(|(sim, ..)| sim));
    let mut usages: Vec<SimUsage> = all.map(SimUsage::new).collect();
    let mut cohort = Cohort::default();
    for hours in (0..HOURS).rev() {
        let (hour, mut sketch) = (through.plus(hours.saturating_neg()), Sketch::default());
        for usage in &mut usages {
            let its_own = stolen.filter(|(sim, _, last)| *sim == usage.sim && hours < *last);
            let bytes = its_own.map_or(bytes, |(_, bytes, _)| bytes);
            let beside = Beside { cohort: Some(&cohort), is_suspended: false };
            let source = Source { fleet: Some(fleet), page: 0 };
            usage.close_beside(hour, Bytes(bytes), source, beside);
            sketch.add(usage, hour);
        }
        cohort.merge(hour, &sketch);
    }
    (cohort, usages.pop().filter(|_| stolen.is_some()))
}
