//! What whole days and whole fleets show, closed one after the other by whole runs.

use simfuse_domain::incident::Desired;
use simfuse_domain::port::{Cases as _, Commit};

use crate::bench::{Bench, fleet, sim};

const MB: u64 = 1_000_000;

/// SIMs, in two fleets of 60.
const SIMS: u8 = 120;

/// The SIM that leaks.
const LEAKING: u8 = 7;

/// Policy that tells soon: sixty peers give some 1.2 nats a day.
const SOON: &str = "[usage_spike]\nact = 'off'\n[slow_leak]\nalert_days = 1000\n\
                    excess_min_mb = 1\nexcess_days = 1";

/// An account whose SIMs did what is usual for 25 days, twice a day.
async fn account(policy: &str) -> Bench {
    let bench = Bench::new(SIMS).with_policy(policy).await;
    for number in 1..=SIMS {
        for half in 1..=50 {
            bench.used(number, half * 12, usual_of(number, half));
        }
    }
    bench.beat().await;
    bench.run().await.unwrap();
    bench
}

/// Some 300 kB, 20 % up and down, without any pattern.
fn usual_of(number: u8, half: i32) -> u64 {
    let mixed = (u64::from(half.unsigned_abs()) * 1_000 + u64::from(number) * 3)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    240_000 + (mixed >> 40) % 120_000
}

/// Half days pass, each with an hour in which all do what is usual but one, and a run.
async fn halves(bench: &Bench, halves: std::ops::Range<i32>, leaking: Option<u64>) {
    for half in halves {
        for number in 1..=SIMS {
            let bytes = leaking.filter(|_| number == LEAKING);
            bench.used(number, 0, bytes.unwrap_or_else(|| usual_of(number, 1_000 + half)));
        }
        bench.beat().await;
        bench.pass_hours(12);
        assert!(bench.run().await.unwrap().done);
    }
}

fn found(bench: &Bench) -> Vec<String> {
    let of = |number| bench.table.findings(sim(number)).into_iter().map(|found| found.key());
    (1..=SIMS).flat_map(of).collect()
}

#[tokio::test]
async fn a_leak_is_found_by_its_days_once_and_what_a_human_judged_is_learnt_anew() {
    let bench = account(SOON).await;
    halves(&bench, 0..6, None).await;
    halves(&bench, 6..16, Some(3 * MB)).await;
    assert!(found(&bench).is_empty(), "{:?}", found(&bench));
    halves(&bench, 16..26, Some(3 * MB)).await;
    assert_eq!(found(&bench), ["slow_leak#2026-03-13"]);
    assert_eq!(bench.table.findings_stream(), [sim(LEAKING)]);
    let judged = found(&bench).into_iter().collect();
    let desired = Desired { judged, ..Desired::default() };
    let commit = Commit { desired: Some((desired, 0)), ..Commit::of(sim(LEAKING)) };
    bench.table.commit(&commit).await.unwrap();
    halves(&bench, 26..28, Some(3 * MB)).await;
    let usage = bench.table.usage_content().bases[&sim(LEAKING)].clone();
    assert!(usage.days().past().active_hours <= 1, "{:?}", usage.days());
    halves(&bench, 28..30, Some(3 * MB)).await;
    assert_eq!(found(&bench).len(), 1);
}

#[tokio::test]
async fn a_third_of_a_fleet_that_is_strange_at_once_is_told_once() {
    let bench = account("[usage_spike]\nact = 'off'").await;
    halves(&bench, 0..18, None).await;
    let before = bench.alerts.published().len();
    for number in (1..=SIMS).filter(|number| number % 2 == 1) {
        bench.used(number, 0, if number < 40 { 30 * MB } else { 300_000 });
    }
    // Told with the hour's close; one that does not go out does with the next hour's.
    bench.beat().await;
    bench.run_hourly(3).await;
    assert_eq!(bench.alerts.published().split_off(before), []);
    bench.alerts.fail_next(1);
    bench.run_hourly(1).await;
    assert_eq!(bench.alerts.published().len(), before);
    bench.run_hourly(1).await;
    let alerts = bench.alerts.published().split_off(before);
    let [alert] = &alerts[..] else { panic!("{alerts:?}") };
    assert!(alert.subject.contains("20 of 60 SIMs use far more"), "{}", alert.subject);
    assert!(alert.subject.starts_with("SimFuse: fleet "), "{}", alert.subject);
    assert_eq!(alert.fleet, Some(fleet(2)));
    bench.beat().await;
    bench.run_hourly(12).await;
    assert_eq!(bench.alerts.published().len(), before + 1, "once an episode");
}
