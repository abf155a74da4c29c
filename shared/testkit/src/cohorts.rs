//! Fleets whose hours were closed: what a SIM is judged beside.

use simfuse_domain::bytes::Bytes;
use simfuse_domain::evidence::{Cohort, Sketch};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{Beside, SimUsage, Source};

/// Hours that are closed: enough to be known, and some in which that counts.
const HOURS: i32 = 30;

/// A fleet of so many SIMs that each use about that in every hour, through this one.
#[must_use]
pub fn cohort_of(fleet: FleetSid, sims: u32, bytes: u64, through: Hour) -> Cohort {
    let mut usages: Vec<SimUsage> = (0..u128::from(sims))
        .map(|number| SimUsage::new(SimSid::from_bytes(number.to_be_bytes())))
        .collect();
    let mut cohort = Cohort::default();
    for hours in (0..HOURS).rev() {
        let (hour, mut sketch) = (through.plus(hours.saturating_neg()), Sketch::default());
        for usage in &mut usages {
            let beside = Beside { cohort: Some(&cohort), is_suspended: false };
            let source = Source { fleet: Some(fleet), page: 0 };
            usage.close_beside(hour, Bytes(bytes), source, beside);
            sketch.add(usage, hour);
        }
        cohort.merge(hour, &sketch);
    }
    cohort
}
