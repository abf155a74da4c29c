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
    let Some(others) = sims.checked_sub(1) else { return Cohort::default() };
    let last = SimSid::from_bytes(u128::from(others).to_be_bytes());
    stolen_in((fleet, others, bytes), last, (bytes, 0), through).0
}

/// The same with another SIM that did what the others do until it used so much, in as many hours.
#[must_use]
pub fn stolen_in(
    (fleet, others, bytes): (FleetSid, u32, u64),
    stolen: SimSid,
    (stolen_bytes, stolen_hours): (u64, i32),
    through: Hour,
) -> (Cohort, SimUsage) {
    let others = (0..u128::from(others)).map(|number| SimSid::from_bytes(number.to_be_bytes()));
    let mut others: Vec<SimUsage> = others.map(SimUsage::new).collect();
    let (mut stolen, mut cohort) = (SimUsage::new(stolen), Cohort::default());
    for hours in (0..HOURS).rev() {
        let (hour, mut sketch) = (through.plus(hours.saturating_neg()), Sketch::default());
        let own = if hours < stolen_hours { stolen_bytes } else { bytes };
        let others = others.iter_mut().map(|usage| (usage, bytes));
        for (usage, bytes) in others.chain([(&mut stolen, own)]) {
            let beside = Beside { cohort: Some(&cohort), is_suspended: false };
            let source = Source { fleet: Some(fleet), page: 0 };
            usage.close_beside(hour, Bytes(bytes), source, beside);
            sketch.add(usage, hour);
        }
        cohort.merge(hour, &sketch);
    }
    (cohort, stolen)
}
