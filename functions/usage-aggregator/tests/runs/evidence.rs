//! Usage evidence: the hours of a whole fleet, closed one after the other by whole runs.

use jiff::SignedDuration;
use simfuse_domain::incident::Desired;
use simfuse_domain::port::{Cases as _, Commit};

use crate::bench::{Bench, lasting, sim};

const MB: u64 = 1_000_000;

/// SIMs, in two fleets of 60.
const SIMS: u8 = 120;

/// The SIM that is stolen.
const STOLEN: u8 = 7;

/// Policy that tells soon: sixty peers give some 1.2 nats an hour.
const SOON: &str = "[usage_spike]\nalert_hours = 1000";

/// An account whose SIMs did what is usual for two days.
async fn account(policy: &str) -> Bench {
    let bench = Bench::new(SIMS).with_policy(policy).await;
    for number in 1..=SIMS {
        for back in 3..51 {
            bench.used(number, back, usual_of(number, back));
        }
    }
    bench.beat().await;
    bench.run().await.unwrap();
    bench
}

/// Some 50 kB, 20 % up and down, without any pattern.
fn usual_of(number: u8, hour: i32) -> u64 {
    let mixed = (u64::from(hour.unsigned_abs()) * 1_000 + u64::from(number) * 3)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    40_000 + (mixed >> 40) % 20_000
}

/// Hours pass in which all do what is usual but the stolen SIM.
async fn hours(bench: &Bench, hours: i32, stolen: Option<u64>) {
    for hour in 1_000..1_000 + hours {
        for number in 1..=SIMS {
            let bytes = stolen.filter(|_| number == STOLEN);
            bench.used(number, 0, bytes.unwrap_or_else(|| usual_of(number, hour)));
        }
        bench.beat().await;
        bench.run_hourly(1).await;
    }
}

fn found(bench: &Bench) -> Vec<String> {
    let of = |number| bench.table.findings(sim(number)).into_iter().map(|found| found.key());
    (1..=SIMS).flat_map(of).filter(|key| key.starts_with("usage_spike")).collect()
}

#[tokio::test]
async fn a_stream_among_quiet_peers_is_found_once_and_handed_over() {
    let bench = account(SOON).await;
    hours(&bench, 6, None).await;
    hours(&bench, 9, Some(5 * MB)).await;
    assert!(found(&bench).is_empty(), "{:?}", found(&bench));
    // Six hours are enough, the last of them is judged with the seventh, which closes three later.
    hours(&bench, 2, Some(5 * MB)).await;
    assert_eq!(found(&bench), ["usage_spike#2026-03-10T20Z/alert"]);
    assert_eq!(bench.table.findings_stream(), [sim(STOLEN)]);
    hours(&bench, 12, Some(5 * MB)).await;
    assert_eq!(found(&bench).len(), 1, "one run of evidence, one finding");
}

#[tokio::test]
async fn what_a_human_judged_is_learnt_anew() {
    let bench = account(SOON).await;
    hours(&bench, 6, None).await;
    hours(&bench, 12, Some(5 * MB)).await;
    let keys = found(&bench);
    assert_eq!(keys.len(), 1);
    let judged = keys.into_iter().collect();
    let desired = Desired { judged, ..Desired::default() };
    let commit = Commit { desired: Some((desired, 0)), ..Commit::of(sim(STOLEN)) };
    bench.table.commit(&commit).await.unwrap();
    hours(&bench, 1, Some(5 * MB)).await;
    let usage = bench.table.usage_content().bases[&sim(STOLEN)].clone();
    assert_eq!((usage.standing().since(), usage.baseline().active_hours), (None, 0));
    hours(&bench, 40, Some(5 * MB)).await;
    assert_eq!(found(&bench).len(), 1, "it is usual by now");
}

#[tokio::test]
async fn what_a_human_judged_of_evidence_with_a_sign_is_learnt_anew_though_it_is_not_found_alone() {
    let bench = account("").await;
    hours(&bench, 6, None).await;
    hours(&bench, 10, Some(5 * MB)).await;
    let stolen = || bench.table.usage_content().bases[&sim(STOLEN)].clone();
    let (evidence, since) =
        (stolen().standing().wallet().log_evidence(), stolen().standing().since());
    assert!((5.0..13.8).contains(&evidence) && found(&bench).is_empty(), "{evidence}");
    let key = format!("usage_spike#{}/alert/device_changed:35378572000002", since.unwrap());
    let desired = Desired { judged: [key].into(), ..Desired::default() };
    let commit = Commit { desired: Some((desired, 0)), ..Commit::of(sim(STOLEN)) };
    bench.table.commit(&commit).await.unwrap();
    hours(&bench, 1, Some(5 * MB)).await;
    assert_eq!((stolen().standing().since(), stolen().baseline().active_hours), (None, 0));
}

#[tokio::test]
async fn planned_work_suspends_evidence_and_no_longer_than_it_lasts() {
    let work = "[[maintenance]]\nfrom = 2026-03-10T20:00:00Z\nto = 2026-03-11T08:00:00Z\n\
                bytes_max_mb = 100";
    let bench = account(&format!("{SOON}\n{work}")).await;
    hours(&bench, 6, None).await;
    hours(&bench, 17, Some(5 * MB)).await;
    assert!(found(&bench).is_empty(), "{:?}", found(&bench));
    hours(&bench, 8, Some(5 * MB)).await;
    assert_eq!(found(&bench), ["usage_spike#2026-03-11T08Z/alert"]);
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_changes_nothing() {
    let mut left = Vec::new();
    for mins in [-10, 0, 10] {
        let bench = Bench::new(40).with_policy(SOON).await;
        bench.clock.advance(SignedDuration::from_mins(mins));
        for number in 1..=40 {
            for back in 3..51 {
                bench.used(number, back, usual_of(number, back));
            }
            for ahead in -2..30 {
                bench.used(number, -ahead, if number == STOLEN { 5 * MB } else { 50_000 });
            }
        }
        bench.run().await.unwrap();
        bench.run_hourly(30).await;
        let content = bench.table.usage_content();
        let evidence = content.bases[&sim(STOLEN)].standing().wallet().log_evidence();
        assert!(evidence > 0.0, "{evidence}");
        left.push((lasting(content), found(&bench)));
    }
    assert!(left.iter().all(|other| *other == left[1]));
}
