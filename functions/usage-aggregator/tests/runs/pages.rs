//! What a run leaves of all kinds of pages.

use jiff::SignedDuration;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::port::{SimStatus, UsageWindow};
use simfuse_testkit::account::Oddity;

use crate::bench::{Bench, day_of, fleet, fleet_of, lasting, sim, sim_of};

/// Eight SIMs over two days, each in its own way.
fn lively() -> Bench {
    let bench = Bench::new(8);
    for number in 1..=8_u8 {
        for back in 0..48 {
            if back % i32::from(number) == 0 {
                bench.used(number, back, 10_000 + 1_000 * u64::from(number));
            }
        }
    }
    bench
}

#[tokio::test]
async fn the_first_run_teaches_the_past_and_sees_the_present() {
    let bench = lively();
    let answer = bench.run().await.unwrap();
    assert!(answer.done && !answer.busy);
    assert_eq!(answer.closed_through.unwrap(), bench.hour().plus(-4).to_string());
    bench.assert_closed_hours_are_true();
    let content = bench.table.usage_content();
    assert_eq!(content.bases[&sim(1)].baseline().active_hours, 44);
    let latest = UsageWindow::Hour(bench.hour().before());
    assert_eq!(content.used[&(sim(1), latest)].total, Bytes(11_000), "seen, not closed");
    assert!(!content.fleets_used[&(fleet(2), latest)].closed);
    bench.assert_fleet_hour_is_true(2, bench.hour().before());
    let yesterday = day_of(bench.hour().plus(-24)).start;
    let day = &content.used[&(sim(1), UsageWindow::Day(yesterday))];
    assert_eq!(day.total, Bytes(24 * 11_000));
    assert_eq!(content.fleets[&fleet(1)].sims.unwrap().all(), 4);
    assert_eq!(content.sims.len(), 8);
}

#[tokio::test]
async fn hour_by_hour_all_is_recorded_totalled_and_ranked() {
    let bench = lively();
    bench.run().await.unwrap();
    for step in 0..30_u64 {
        bench.pass_hours(1);
        for number in 1..=8 {
            bench.used(number, 1, 1_000 + 1_000 * (u64::from(number) + step) % 7_000);
        }
        assert!(bench.run().await.unwrap().done);
        bench.assert_closed_hours_are_true();
        for number in [1, 2] {
            bench.assert_fleet_hour_is_true(number, bench.hour().before());
            bench.assert_fleet_hour_is_true(number, bench.hour().plus(-4));
        }
    }
    let content = bench.table.usage_content();
    let closed = UsageWindow::Hour(bench.hour().plus(-4));
    assert!(content.fleets_used[&(fleet(1), closed)].closed);
}

#[tokio::test]
async fn what_a_sim_is_billed_is_its_price_once_its_hour_is_closed() {
    let bench = Bench::new(2);
    bench.run().await.unwrap();
    let price = || {
        let content = bench.table.usage_content();
        let usage = content.bases.get(&sim(1)).cloned();
        let price = usage.and_then(|usage| usage.price().price_of(Bytes(31 * Bytes::MB)));
        price.map(|price| price.to_string())
    };
    bench.pass_hours(1);
    bench.used(1, 1, 60_000);
    bench.run_hourly(2).await;
    assert_eq!(price(), None, "not closed, what is billed may still change");
    bench.run_hourly(2).await;
    assert_eq!(price().as_deref(), Some("0.31 USD"));
}

#[tokio::test]
async fn a_second_run_within_the_hour_changes_nothing() {
    let bench = lively();
    bench.run().await.unwrap();
    let before = bench.table.usage_content();
    let puts = bench.table.usage_items_put();
    let answer = bench.run().await.unwrap();
    assert!(answer.done);
    assert_eq!((answer.pages, answer.items_written), (0, 0));
    assert_eq!(bench.table.usage_items_put(), puts);
    assert_eq!(lasting(bench.table.usage_content()), lasting(before));
}

#[tokio::test]
async fn hours_missed_are_closed_one_after_the_other() {
    let (bench, steady) = (lively(), lively());
    bench.run().await.unwrap();
    steady.run().await.unwrap();
    for hours in [&bench, &steady] {
        for back in 0..30 {
            hours.used(3, -back, 5_000);
        }
    }
    steady.run_hourly(30).await;
    bench.pass_hours(30);
    assert!(bench.run().await.unwrap().done);
    bench.assert_closed_hours_are_true();
    let (bench, steady) = (bench.table.usage_content(), steady.table.usage_content());
    assert_eq!(bench.bases, steady.bases);
}

#[tokio::test]
async fn growth_of_closed_hours_is_found_by_their_day_and_not_learnt() {
    let bench = lively();
    bench.run().await.unwrap();
    bench.run_hourly(10).await;
    // It is the 11th, past midnight; an hour of the 10th that was closed long ago grows, and a SIM
    // that was silent turns out to have used data.
    bench.used(1, 14, 777);
    bench.account.set_sim(sim_of(9, SimStatus::Active));
    bench.used(9, 15, 888);
    bench.run_hourly(3).await;
    let learnt = bench.table.usage_content().bases[&sim(1)].baseline().active_hours;
    bench.run_hourly(2).await;
    bench.assert_closed_hours_are_true();
    let content = bench.table.usage_content();
    assert_eq!(content.bases[&sim(1)].baseline().active_hours, learnt);
    let tenth = day_of(bench.hour().plus(-24)).start;
    let truth = bench.truth(|hour| day_of(hour).start == tenth);
    let total = |number| {
        let of_sim = truth.iter().filter(|((of, _), _)| *of == sim(number));
        of_sim.map(|(_, bytes)| *bytes).sum::<Bytes>()
    };
    for number in [1, 9] {
        let day = &content.used[&(sim(number), UsageWindow::Day(tenth))];
        assert_eq!(day.total, total(number));
    }
    // Three days later, too; after that it is left as it is.
    bench.used(2, 20, 999);
    bench.run_hourly(72).await;
    bench.assert_closed_hours_are_true();
}

#[tokio::test]
async fn a_sim_that_changes_its_fleet_within_an_hour_is_counted_once_in_each() {
    let bench = lively();
    bench.run().await.unwrap();
    bench.pass_hours(2);
    let hour = bench.hour().before();
    bench.account.add_usage(sim(1), fleet(1), hour, 4_000);
    bench.account.add_usage(sim(1), fleet(2), hour, 6_000);
    bench.run_hourly(40).await;
    bench.assert_closed_hours_are_true();
    bench.assert_fleet_hour_is_true(1, hour);
    bench.assert_fleet_hour_is_true(2, hour);
    assert_eq!(bench.table.usage_content().bases[&sim(1)].bytes_in(hour), Bytes(10_000));
}

#[tokio::test]
async fn odd_pages_lose_nothing_and_double_nothing() {
    for oddity in [Oddity::PagesRepeat, Oddity::EmptyPages, Oddity::RecordsLackFields] {
        let (odd, plain) = (lively(), lively());
        odd.account.set_oddity(oddity);
        for bench in [&odd, &plain] {
            bench.run().await.unwrap();
            for number in 1..=8 {
                bench.used(number, 0, 3_000);
            }
            bench.run_hourly(30).await;
        }
        odd.assert_closed_hours_are_true();
        let (odd, plain) = (odd.table.usage_content(), plain.table.usage_content());
        assert_eq!(odd.fleets_used, plain.fleets_used, "{oddity:?}");
        assert_eq!(odd.ranks, plain.ranks, "{oddity:?}");
        assert_eq!(odd.used, plain.used, "{oddity:?}");
    }
}

#[tokio::test]
async fn records_that_lack_something_are_counted_as_unknown() {
    let bench = lively();
    bench.account.set_oddity(Oddity::RecordsLackFields);
    bench.run().await.unwrap();
    bench.pass_hours(1);
    bench.used(1, 1, 3_000);
    let answer = bench.run().await.unwrap();
    assert!(answer.records_unknown >= 3, "{answer:?}");
}

#[tokio::test]
async fn a_fleet_renamed_in_between_stays_the_same_fleet() {
    let bench = lively();
    bench.beat().await;
    bench.run().await.unwrap();
    let mut renamed = fleet_of(1, Some(250));
    renamed.unique_name = Some("other".to_owned());
    bench.account.set_fleet(renamed.clone());
    bench.run_hourly(1).await;
    bench.assert_closed_hours_are_true();
    let content = bench.table.usage_content();
    assert_eq!(content.fleets[&fleet(1)].fleet, renamed);
    assert_eq!(content.fleets[&fleet(1)].sims.unwrap().all(), 4);
    assert!(bench.alerts.published().is_empty());
}

#[tokio::test]
async fn a_fleet_that_is_refused_waits_for_itself_and_nobody_for_it() {
    let bench = lively();
    bench.run().await.unwrap();
    let closed_before = bench.hour().plus(-4);
    bench.account.refuse(fleet(1), true);
    for _ in 0..30 {
        bench.pass_hours(1);
        (1..=6).for_each(|number| bench.used(number, 1, 1_000 * u64::from(number)));
        let refused = bench.run().await.unwrap_err().to_string();
        assert!(refused.contains(&fleet(1).to_string()), "{refused}");
    }
    let closed = |number| {
        let bases = bench.table.usage_content().bases;
        bases[&sim(number)].closed_through().unwrap()
    };
    // SIMs with odd numbers are in fleet 2.
    assert_eq!(closed(1), bench.hour().plus(-4));
    assert!(closed(2) <= closed_before, "{}", closed(2));
    // Whose usage is unknown is not called silent.
    let told = bench.alerts.published();
    assert!(told.iter().all(|alert| !alert.subject.contains("silent")), "{told:?}");

    bench.account.refuse(fleet(1), false);
    bench.pass_hours(1);
    let answer = bench.run().await.unwrap();
    assert!(answer.done && answer.behind.is_empty(), "{answer:?}");
    bench.assert_closed_hours_are_true();
    for back in 4..30 {
        bench.assert_fleet_hour_is_true(1, bench.hour().plus(-back));
    }
    let closed = bench.truth(|hour| hour < bench.hour().plus(-3));
    for number in [1, 2] {
        let hours = closed.keys().filter(|(of, _)| *of == sim(number)).count();
        let learnt = bench.table.usage_content().bases[&sim(number)].baseline().active_hours;
        assert_eq!(usize::try_from(learnt), Ok(hours), "each closed hour is learnt once");
    }
}

#[tokio::test]
async fn a_run_without_time_leaves_the_rest_to_the_next() {
    let (bench, at_once) = (lively(), lively());
    at_once.run().await.unwrap();
    let mut runs = 0;
    // Less than the time that is kept back: a run may begin, and has to stop before its first page.
    while !bench.run_for(SignedDuration::from_secs(20)).await.unwrap().done {
        let answer = bench.run_for(SignedDuration::from_secs(20)).await.unwrap();
        assert_eq!(answer.pages, 0, "nothing is read without time for it");
        runs += 1;
        assert!(runs < 3 || bench.run().await.unwrap().done);
    }
    assert!(runs >= 2);
    let (bench, at_once) = (bench.table.usage_content(), at_once.table.usage_content());
    assert_eq!(lasting(bench), lasting(at_once));
}
