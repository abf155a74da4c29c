//! A fleet of any size whose usage is not kept anywhere, and a table that has known it for two days.

use simfuse_aws::SystemClock;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::{FleetSid, NetworkSid, SimSid};
use simfuse_domain::money::Money;
use simfuse_domain::port::{
    Beat, Clock as _, Heartbeat as _, Sim, SimStatus, UsageItem, UsageStore as _, UsageWindow, Used,
};
use simfuse_domain::time::{Hour, Window};
use simfuse_domain::usage::{SimUsage, Source};
use simfuse_testkit::service::{Usage, UsageSource};
use simfuse_usage_aggregator::Reached;

use crate::Failure;
use crate::world::World;

pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000000";

/// Hours that a SIM's usage keeps one by one, and one more.
const HOURS_KNOWN: i32 = 51;

/// SIMs written together when the table is set up.
const SIMS_AT_ONCE: usize = 2_000;

pub(crate) fn fleet() -> FleetSid {
    FleetSid::from_bytes([0xf1; 16])
}

/// SIMs whose SIDs lie all over the key space, as real ones do.
pub(crate) fn sim(index: u64) -> SimSid {
    let spread = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    SimSid::from_bytes(((u128::from(spread) << 64) | u128::from(index)).to_be_bytes())
}

/// The usage of so many SIMs in these hours; in no other hour is there any.
#[derive(Debug, Clone)]
pub(crate) struct Generated {
    pub(crate) sims: u64,
    pub(crate) hours: std::ops::Range<Hour>,
}

/// What a SIM uses in an hour: 10 to 40 kB, so that no limit is near and nothing is told.
fn used(index: u64, hour: Hour) -> (u64, u64) {
    let hours = u64::try_from(hour.start().as_second() / 3_600).unwrap_or(0);
    let drawn = index.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(hours.wrapping_mul(977));
    let total = 10_000 + (drawn >> 20) % 30_000;
    (total / 4, total - total / 4)
}

impl UsageSource for Generated {
    fn fleets(&self) -> Vec<FleetSid> {
        vec![fleet()]
    }

    fn sims(&self, _fleet: FleetSid) -> usize {
        usize::try_from(self.sims).unwrap_or(usize::MAX)
    }

    fn sim(&self, _fleet: FleetSid, index: usize) -> Option<SimSid> {
        u64::try_from(index).ok().filter(|index| *index < self.sims).map(sim)
    }

    fn usage(&self, own: FleetSid, sid: SimSid, hour: Hour) -> Option<Usage> {
        let [_, low] = sid.as_bytes().as_chunks::<8>().0 else { return None };
        let index = u64::from_be_bytes(*low);
        let ours = own == fleet() && index < self.sims && sim(index) == sid;
        if !ours || !self.hours.contains(&hour) {
            return None;
        }
        let (up, down) = used(index, hour);
        let billed_micros = i64::try_from((up + down) / 100).ok();
        let network = NetworkSid::from_bytes([1; 16]);
        Some(Usage { network, country: "US".parse().ok()?, up, down, billed_micros })
    }
}

/// A SIM as the provider lists it.
pub(crate) fn listed(index: u64) -> Sim {
    Sim {
        sid: sim(index),
        iccid: format!("8988307{index:012}").parse().ok(),
        unique_name: Some(format!("sensor-{index:07}")),
        status: SimStatus::Active,
        fleet: Some(fleet()),
    }
}

/// What the table knows before a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) sims: u64,
    /// The latest hour that every SIM's usage has closed.
    pub(crate) closed_through: Hour,
    /// The hour after it was seen.
    pub(crate) next_seen: bool,
    /// The days before the one that ends with the hour after it, as compared.
    pub(crate) days: i32,
    /// Whether the inventory has the SIMs.
    pub(crate) listed: bool,
}

/// Writes it, as the runs before would have, and how far they came.
pub(crate) async fn set_up(world: &World, known: Known, reached: Reached) -> Result<(), Failure> {
    let now = SystemClock.now();
    world.table.beat(Beat::at(now)).await?;
    reached.write(&world.table, now).await?;
    let mut items = Vec::new();
    for index in 0..known.sims {
        items_of(index, known, &mut items);
        if items.len() >= SIMS_AT_ONCE || index + 1 == known.sims {
            world.table.put_usage(&items, now).await?;
            items.clear();
        }
    }
    Ok(())
}

fn items_of(index: u64, known: Known, items: &mut Vec<UsageItem>) {
    let sid = sim(index);
    let total = |hour| {
        let (up, down) = used(index, hour);
        Bytes(up + down)
    };
    let mut usage = SimUsage::new(sid);
    for back in (0..HOURS_KNOWN).rev() {
        let hour = known.closed_through.plus(-back);
        usage.close(hour, total(hour), Source { fleet: Some(fleet()), page: 0 });
    }
    items.push(UsageItem::Base(usage));
    if known.next_seen {
        let hour = known.closed_through.after();
        let window = UsageWindow::Hour(hour);
        items.push(UsageItem::Sim(sid, Some(fleet()), window, billed(index, hour..hour.after())));
    }
    let today = Window::of_day(known.closed_through).hours.start;
    for back in 1..=known.days {
        let day = today.plus(-24 * back);
        let window = UsageWindow::Day(day);
        items.push(UsageItem::Sim(sid, Some(fleet()), window, billed(index, day..day.plus(24))));
    }
    if known.listed {
        items.push(UsageItem::Inventory(listed(index)));
    }
}

/// What the provider says of these hours together.
fn billed(index: u64, hours: std::ops::Range<Hour>) -> Used {
    let mut sum = (0, 0, 0);
    let mut hour = hours.start;
    while hour < hours.end {
        let (up, down) = used(index, hour);
        sum = (sum.0 + up, sum.1 + down, sum.2 + (up + down) / 100);
        hour = hour.after();
    }
    let (up, down, micros) = sum;
    Used {
        up: Some(Bytes(up)),
        down: Some(Bytes(down)),
        total: Bytes(up + down),
        billed: i64::try_from(micros)
            .ok()
            .zip("USD".parse().ok())
            .map(|(micros, currency)| Money { micros, currency }),
    }
}
