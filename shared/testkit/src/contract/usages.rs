//! The aggregator's items.

use simfuse_domain::evidence::{Cohort, Sketch};
use simfuse_domain::id::FleetSid;
use simfuse_domain::incident::Desired;
use simfuse_domain::money::{Bill, Money};
use simfuse_domain::port::{
    Cases, Commit, Fleet, FleetItem, FleetSims, FleetUsed, Part, Pass, Recorded, Sim, SimStatus,
    UsageItem, UsageRanks, UsageStore, UsageWindow, Usages, Used,
};
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{Beside, SimUsage, Source};

use super::{Bytes, at, sim};
use crate::cohorts::{cohort_of, stolen_in};

fn hour() -> Hour {
    Hour::of(at(0))
}

fn fleet() -> FleetSid {
    FleetSid::from_bytes([0xf1; 16])
}

fn used(total: u64) -> Used {
    Used { up: Some(Bytes(1)), total: Bytes(total), ..Used::default() }
}

fn bill(micros: i64) -> Bill {
    Bill::of(Bytes(2), Some(Money { micros, currency: "USD".parse().unwrap() }))
}

fn usage(number: u16, bytes: u64) -> SimUsage {
    let mut usage = SimUsage::new(sim(number));
    usage.close(hour(), Bytes(bytes), Source { fleet: Some(fleet()), page: 7 });
    usage
}

/// What is written is read back, and what is not known stays unknown.
pub async fn what_was_used_is_read_back<T: UsageStore + Usages>(table: &T) {
    let window = UsageWindow::Hour(hour());
    let all = [sim(1), sim(2), sim(3)];
    assert!(table.read_recorded(&window, &all).await.unwrap().is_empty());
    let billed = Used {
        up: None,
        down: Some(Bytes(2)),
        total: Bytes(3),
        billed: Some(Money { micros: -4, currency: "USD".parse().unwrap() }),
    };
    let items = [
        UsageItem::Base(usage(1, 50)),
        UsageItem::Sim(sim(1), Some(fleet()), window, billed.clone()),
        UsageItem::Sim(sim(2), None, window, used(9)),
        UsageItem::Sim(sim(2), None, UsageWindow::Day(hour()), used(10)),
    ];
    table.put_usage(&items, at(0)).await.unwrap();
    let together = [UsageItem::Sim(sim(2), None, UsageWindow::Hour(hour().before()), used(8))];
    table.put_together(&together, at(0)).await.unwrap();
    let before = UsageWindow::Hour(hour().before());
    let recorded = table.read_recorded(&before, &all).await.unwrap();
    assert_eq!(recorded[&sim(2)].used, Some(used(8)));
    let recorded = table.read_recorded(&window, &all).await.unwrap();
    assert_eq!(recorded.len(), 2);
    let expected = Recorded { usage: Some(usage(1, 50)), used: Some(billed) };
    assert_eq!(recorded[&sim(1)], expected);
    assert_eq!(recorded[&sim(2)], Recorded { usage: None, used: Some(used(9)) });
    let day = table.read_recorded(&UsageWindow::Day(hour()), &all).await.unwrap();
    assert_eq!(day[&sim(2)].used, Some(used(10)));
    assert_eq!(day[&sim(1)].used, None);
    let usages = table.read_usages(&all).await.unwrap();
    assert_eq!(usages.into_iter().collect::<Vec<_>>(), [(sim(1), usage(1, 50))]);
}

/// Totals and ranks of fleets are read back by those who only read them.
pub async fn ranks_are_read_back<T: UsageStore + UsageRanks>(table: &T) {
    let (hour, day) = (UsageWindow::Hour(hour()), UsageWindow::day_of(hour()));
    let before = UsageWindow::Hour(self::hour().before());
    let total = |sims, rank_pages| FleetUsed {
        sims,
        total: Bytes(9),
        bill: bill(9),
        closed: rank_pages == 2,
        rank_pages,
    };
    let other = FleetSid::from_bytes([0xf2; 16]);
    let (first, second) = (vec![(sim(1), Bytes(5)), (sim(2), Bytes(3))], vec![(sim(3), Bytes(1))]);
    let items = [
        UsageItem::Fleet(fleet(), hour, total(3, 2)),
        UsageItem::Rank(fleet(), hour, 0, first.clone()),
        UsageItem::Rank(fleet(), hour, 1, second.clone()),
        UsageItem::Fleet(fleet(), day, total(0, 0)),
        UsageItem::Fleet(other, before, total(1, 1)),
        UsageItem::Rank(other, hour, 0, vec![(sim(9), Bytes(9))]),
    ];
    table.put_usage(&items, at(0)).await.unwrap();
    let used = table.read_fleet_used(fleet(), &[hour, day, before]).await.unwrap();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), [(hour, total(3, 2)), (day, total(0, 0))]);
    assert!(table.read_fleet_used(fleet(), &[]).await.unwrap().is_empty());
    let pages = [(hour, 0), (hour, 1), (hour, 2), (day, 0)];
    let mut ranks = table.read_ranks(fleet(), &pages).await.unwrap();
    ranks.sort_by_key(Vec::len);
    assert_eq!(ranks, [second, first], "what is not there is left out");
    assert!(table.read_ranks(fleet(), &[]).await.unwrap().is_empty());
}

/// Of two writes the later one stands, also within one call; hundreds at once are all written.
pub async fn items_are_written_over<T: UsageStore + Usages>(table: &T) {
    let window = UsageWindow::Hour(hour());
    let many: Vec<_> = (0..300).map(|n| UsageItem::Base(usage(n, 1))).collect();
    table.put_usage(&many, at(0)).await.unwrap();
    let twice = [2, 3].map(|total| UsageItem::Sim(sim(4), None, window, used(total)));
    table.put_usage(&twice, at(0)).await.unwrap();
    let again: Vec<_> = (0..300).map(|n| UsageItem::Base(usage(n, 2))).collect();
    table.put_usage(&again, at(0)).await.unwrap();
    let sims: Vec<_> = (0..300).map(sim).collect();
    let recorded = table.read_recorded(&window, &sims).await.unwrap();
    assert_eq!(recorded.len(), 300);
    assert!((0..300).all(|n| recorded[&sim(n)].usage == Some(usage(n, 2))));
    assert_eq!(recorded[&sim(4)].used, Some(used(3)));
}

/// Parts come in the order of their pages, from the one that was asked for, and of no other window.
pub async fn parts_come_in_order<T: UsageStore>(table: &T) {
    let (this, next) = (UsageWindow::Hour(hour()), UsageWindow::Hour(hour().after()));
    let part = |page: u32| {
        let number = u16::try_from(page).unwrap();
        let (sims, bill) = (vec![(sim(number), Bytes(page.into()))], bill(i64::from(page)));
        // Most parts are of windows in which nobody is judged.
        let sketch = if page == 5 { sketch() } else { Sketch::default() };
        Part { page, sims, bill, sketch }
    };
    let of = |window, pass, page| UsageItem::Part(fleet(), window, pass, part(page));
    let mut items: Vec<_> = (0..12).rev().map(|page| of(this, Pass::Close, page)).collect();
    items.push(of(this, Pass::Fresh, 99));
    items.push(of(next, Pass::Close, 99));
    items.push(UsageItem::Part(FleetSid::from_bytes([0; 16]), this, Pass::Close, part(99)));
    table.put_usage(&items, at(0)).await.unwrap();
    let mut pages = Vec::new();
    let mut from_page = 2;
    loop {
        let parts = table.read_parts(fleet(), &this, Pass::Close, from_page).await.unwrap();
        let Some(last) = parts.last() else { break };
        from_page = last.page + 1;
        pages.extend(parts);
    }
    assert_eq!(pages, (2..12).map(part).collect::<Vec<_>>());
}

/// What is said of a SIM that was active long enough to be judged.
fn sketch() -> Sketch {
    let mut usage = SimUsage::new(sim(1));
    let (cohort, mut sketch) = (Cohort::default(), Sketch::default());
    for hours in 0..30 {
        let (hour, source) = (hour().plus(hours), Source { fleet: Some(fleet()), page: 7 });
        let beside = Beside { cohort: Some(&cohort), is_suspended: false };
        usage.close_beside(hour, Bytes(50_000), source, beside);
        sketch.add(&usage, hour);
    }
    assert!(!sketch.is_empty());
    sketch
}

/// What a fleet's SIMs do is read back, and the later one stands.
pub async fn a_cohort_is_read_back<T: UsageStore + Usages>(table: &T) {
    assert_eq!(table.read_cohort(fleet()).await.unwrap(), None);
    let mut cohort = Cohort::default();
    for hours in 0..2 {
        cohort.merge(hour().plus(hours), &sketch());
        let item = UsageItem::Cohort(fleet(), Box::new(cohort.clone()));
        table.put_usage(&[item], at(0)).await.unwrap();
        assert_eq!(table.read_cohort(fleet()).await.unwrap().as_ref(), Some(&cohort));
    }
    assert_eq!(table.read_cohort(FleetSid::from_bytes([0; 16])).await.unwrap(), None);
}

/// A checkpoint is written over only by who read it.
pub async fn a_checkpoint_has_one_writer_at_a_time<T: UsageStore>(table: &T) {
    assert_eq!(table.read_checkpoint("run").await.unwrap(), None);
    assert!(table.write_checkpoint("run", "1", 0, at(0)).await.unwrap());
    assert!(!table.write_checkpoint("run", "other", 0, at(0)).await.unwrap());
    assert_eq!(table.read_checkpoint("run").await.unwrap(), Some(("1".to_owned(), 1)));
    assert!(table.write_checkpoint("run", "2", 1, at(0)).await.unwrap());
    assert!(!table.write_checkpoint("run", "other", 1, at(0)).await.unwrap());
    assert!(table.write_checkpoint("else", "1", 0, at(0)).await.unwrap());
    assert_eq!(table.read_checkpoint("run").await.unwrap(), Some(("2".to_owned(), 2)));
}

/// The inventory tells SIMs, fleets and their sizes; what the kill-switch wants is read along.
pub async fn the_inventory_is_read_back<T: UsageStore + Cases>(table: &T) {
    let named = Sim {
        sid: sim(1),
        iccid: Some("8988307000001234567".parse().unwrap()),
        unique_name: Some("pump-17".to_owned()),
        status: SimStatus::Ready,
        fleet: Some(fleet()),
    };
    let bare = Sim {
        sid: sim(2),
        iccid: None,
        unique_name: None,
        status: SimStatus::Unknown,
        fleet: None,
    };
    let sims = Some(FleetSims { active: 7, inactive: 2, other: 1 });
    let fleet_item = |sims| FleetItem {
        fleet: Fleet {
            sid: fleet(),
            unique_name: None,
            data_enabled: Some(true),
            data_limit_mb: Some(250),
        },
        sims,
    };
    assert_eq!(table.fleet_sims(fleet()).await.unwrap(), None);
    assert_eq!(table.read_fleet(fleet()).await.unwrap(), None);
    let uncounted = [UsageItem::FleetInventory(fleet_item(None))];
    table.put_usage(&uncounted, at(0)).await.unwrap();
    assert_eq!(table.fleet_sims(fleet()).await.unwrap(), None);
    let items = [
        UsageItem::Inventory(named.clone()),
        UsageItem::Inventory(bare.clone()),
        UsageItem::FleetInventory(fleet_item(sims)),
    ];
    table.put_usage(&items, at(0)).await.unwrap();
    assert_eq!(table.read_fleet(fleet()).await.unwrap(), Some(fleet_item(sims)));
    assert_eq!(table.fleet_sims(fleet()).await.unwrap(), Some(10));
    let read = table.read_inventory(&[sim(1), sim(2), sim(3)]).await.unwrap();
    assert_eq!(read.into_values().collect::<Vec<_>>(), [named, bare]);
    let desired = Desired { restored_at: Some(at(5)), ..Desired::default() };
    let commit = Commit { desired: Some((desired.clone(), 0)), ..Commit::of(sim(2)) };
    table.commit(&commit).await.unwrap();
    let read = table.read_desired(&[sim(1), sim(2)]).await.unwrap();
    assert_eq!(read.into_iter().collect::<Vec<_>>(), [(sim(2), desired)]);
}

/// A SIM's case shows its usage.
pub async fn a_case_shows_usage<T: UsageStore + Cases>(table: &T) {
    assert_eq!(table.read_case(sim(1)).await.unwrap().usage, None);
    table.put_usage(&[UsageItem::Base(usage(1, 50))], at(0)).await.unwrap();
    assert_eq!(table.read_case(sim(1)).await.unwrap().usage, Some(usage(1, 50)));
}

/// A SIM's case shows its fleet, where too little is known of the SIM itself for what it carried, or
/// where there is evidence against it.
pub async fn a_case_shows_its_fleet_where_that_is_asked_for<T: UsageStore + Cases>(table: &T) {
    let cohort = cohort_of(fleet(), 60, 50_000, hour());
    assert!(cohort.usual().is_some());
    let mut known = usage(3, 50_000);
    for hours in 1..30 {
        let source = Source { fleet: Some(fleet()), page: 7 };
        known.close(hour().plus(hours), Bytes(9_000_000), source);
    }
    let stolen = (30_000_000, 6);
    let (_, accused) = stolen_in((fleet(), 400, 50_000), sim(4), stolen, hour());
    let usages = [usage(1, 9_000_000), usage(2, 50_000), known, accused];
    let items = usages.map(UsageItem::Base);
    table.put_usage(&items, at(0)).await.unwrap();
    let seen = async |number| table.read_case(sim(number)).await.unwrap().cohort;
    assert_eq!(seen(1).await, None, "no hour of it was closed");
    let item = UsageItem::Cohort(fleet(), Box::new(cohort.clone()));
    table.put_usage(&[item], at(0)).await.unwrap();
    assert_eq!((seen(2).await, seen(3).await), (None, None));
    assert_eq!((seen(1).await, seen(4).await), (Some(cohort.clone()), Some(cohort)));
}
