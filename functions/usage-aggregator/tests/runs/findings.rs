//! What a run finds, and whom it tells.

use jiff::SignedDuration;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::finding::{DetectorId, Evidence};
use simfuse_domain::incident::Desired;
use simfuse_domain::port::{
    Beat, BillingPeriod, Cases as _, Clock as _, Commit, Heartbeat as _, SimStatus, TargetStatus,
    UsageItem, UsageStore as _,
};
use simfuse_testkit::cohorts::cohort_of;

use crate::bench::{Bench, fleet, fleet_of, later, sim, sim_of};

const MB: u64 = 1_000_000;

fn keys(bench: &Bench, number: u8) -> Vec<String> {
    bench.table.findings(sim(number)).iter().map(|finding| finding.key()).collect()
}

fn told(bench: &Bench) -> Vec<String> {
    bench.alerts.published().into_iter().map(|alert| alert.subject).collect()
}

#[tokio::test]
async fn a_broken_limit_is_found_when_its_hour_ends_and_once() {
    let bench = Bench::new(4).with_policy("[limits]\nhour_mb = 20\nday_mb = 30").await;
    bench.run().await.unwrap();
    bench.pass_hours(1);
    bench.used(1, 1, 21 * MB);
    bench.used(2, 1, 20 * MB);
    bench.run().await.unwrap();
    assert_eq!(keys(&bench, 1), ["hour_limit#2026-03-10T14Z"]);
    assert!(keys(&bench, 2).is_empty());
    assert_eq!(bench.table.findings_stream(), [sim(1)]);
    bench.run_hourly(4).await;
    assert_eq!(bench.table.findings_stream(), [], "closing it finds nothing new");
    bench.pass_hours(1);
    bench.used(1, 1, 10 * MB);
    bench.run_hourly(0).await;
    bench.run().await.unwrap();
    assert_eq!(keys(&bench, 1), ["day_limit#2026-03-10", "hour_limit#2026-03-10T14Z"]);
}

#[tokio::test]
async fn what_an_hour_grows_to_is_judged_when_it_is_closed() {
    let bench = Bench::new(1).with_policy("[limits]\nhour_mb = 20").await;
    bench.run().await.unwrap();
    bench.pass_hours(1);
    bench.used(1, 1, 15 * MB);
    bench.run().await.unwrap();
    bench.used(1, 1, 6 * MB);
    bench.run_hourly(2).await;
    assert!(keys(&bench, 1).is_empty());
    bench.run_hourly(1).await;
    assert_eq!(keys(&bench, 1), ["hour_limit#2026-03-10T14Z"]);
}

#[tokio::test]
async fn hours_of_a_sim_that_was_never_used_are_judged_by_its_fleet_when_they_are_closed() {
    for (bytes, found) in [(50_000, vec!["strike#2026-03-10T15Z"]), (100 * MB, vec![])] {
        let bench = Bench::new(1).with_policy("").await;
        bench.run().await.unwrap();
        let of = fleet(2);
        let cohort = cohort_of(of, 60, bytes, bench.hour().plus(-5));
        let item = UsageItem::Cohort(of, Box::new(cohort));
        bench.table.put_usage(&[item], bench.clock.now()).await.unwrap();
        for _hour in 0..2 {
            bench.pass_hours(1);
            bench.used(1, 1, 154 * MB);
            bench.run().await.unwrap();
        }
        bench.run_hourly(2).await;
        assert!(keys(&bench, 1).is_empty(), "seen, and not closed");
        bench.run_hourly(2).await;
        assert_eq!(keys(&bench, 1), found);
        let case = bench.table.read_case(sim(1)).await.unwrap();
        assert!(case.state.is_none() && case.cohort.is_some(), "the kill-switch rules by it");
    }
}

#[tokio::test]
async fn a_period_is_the_sims_own_where_it_matters() {
    let bench = Bench::new(2).with_policy("[limits]\nperiod_mb = 100").await;
    let period =
        BillingPeriod { start: later("2026-02-20T10:00:00Z"), end: later("2026-03-20T10:00:00Z") };
    bench.account.set_period(sim(1), period);
    // 80 MB in February after the period's begin, 26 MB in March.
    for number in [1, 2] {
        bench.used(number, 24 * 12, 80 * MB);
        bench.used(number, 6, 26 * MB);
    }
    bench.run().await.unwrap();
    assert!(keys(&bench, 1).is_empty(), "history teaches, it judges nothing");
    bench.used(1, 0, MB);
    bench.used(2, 0, MB);
    bench.run_hourly(4).await;
    assert_eq!(keys(&bench, 1), ["period_limit#2026-02-20/2026-03-20"]);
    assert!(keys(&bench, 2).is_empty(), "of the other only the calendar month is known");
    let found = bench.table.findings(sim(1));
    let Evidence::Bytes { seen, .. } = found[0].evidence else { panic!("{found:?}") };
    assert_eq!(seen, Bytes(107 * MB));
}

#[tokio::test]
async fn drift_of_a_fleets_own_limit_is_told_once_a_day() {
    let bench = Bench::new(1);
    bench.account.set_fleet(fleet_of(2, None));
    bench.run().await.unwrap();
    assert_eq!(told(&bench), ["SimFuse: fleet fleet-2 has no data limit of its own"]);
    bench.account.set_fleet(fleet_of(1, Some(2_000)));
    bench.run_hourly(2).await;
    assert_eq!(
        told(&bench)[1..],
        ["SimFuse: fleet fleet-1: data limit changed from 250 MB to 2000 MB"]
    );
    bench.run_hourly(24).await;
    assert_eq!(told(&bench)[2..], ["SimFuse: fleet fleet-2 has no data limit of its own"]);
    assert_eq!(bench.alerts.published()[1].fleet, Some(fleet(1)));
}

#[tokio::test]
async fn a_limit_above_policys_is_told_by_the_fleets_own_layer() {
    let bench = Bench::new(1)
        .with_policy(&format!(
            "[limits]\nfleet_limit_mb = 250\n[fleet.\"{}\".limits]\nfleet_limit_mb = 249",
            fleet(2)
        ))
        .await;
    bench.run().await.unwrap();
    assert_eq!(told(&bench), ["SimFuse: fleet fleet-2: data limit 250 MB is above policy"]);
    assert!(bench.alerts.published()[0].email.contains("--set 249"));
}

#[tokio::test]
async fn a_notice_that_does_not_go_out_is_tried_again() {
    let bench = Bench::new(1);
    bench.account.set_fleet(fleet_of(2, None));
    bench.alerts.fail_next(1);
    bench.run().await.unwrap();
    assert!(told(&bench).is_empty());
    bench.run().await.unwrap();
    assert_eq!(told(&bench).len(), 1);
    // A change is told although the first attempt fails: what was before is not forgotten.
    bench.account.set_fleet(fleet_of(1, Some(2_000)));
    bench.alerts.fail_next(1);
    bench.run_hourly(1).await;
    assert_eq!(told(&bench).len(), 1);
    bench.run_hourly(1).await;
    assert!(told(&bench)[1].contains("changed from 250 MB to 2000 MB"), "{:?}", told(&bench));
}

#[tokio::test]
async fn silence_of_all_events_is_told_by_the_accounts_own_rhythm() {
    let bench = Bench::new(1);
    for back in (4..200).step_by(6) {
        bench.used(1, back, 1_000);
    }
    bench.beat().await;
    bench.run().await.unwrap();
    // Six hours of pause are usual, and two are granted.
    bench.run_hourly(8).await;
    assert!(told(&bench).is_empty());
    bench.clock.advance(SignedDuration::from_mins(1));
    bench.run().await.unwrap();
    assert_eq!(told(&bench), ["SimFuse: no event since 2026-03-10T14:10:00Z"]);
    assert!(bench.alerts.published()[0].sms.is_some(), "it wakes someone");
    bench.run_hourly(1).await;
    assert_eq!(told(&bench).len(), 1, "once a day");
}

#[tokio::test]
async fn an_account_without_any_event_is_told_when_its_sims_use_data() {
    let bench = Bench::new(1);
    bench.run_hourly(30).await;
    assert!(told(&bench).is_empty(), "without usage there is nothing to miss");
    bench.used(1, 0, 5_000);
    bench.run_hourly(25).await;
    assert!(told(&bench).is_empty(), "the rhythm is not known");
    bench.run_hourly(1).await;
    assert_eq!(told(&bench), ["SimFuse: no event ever came, and SIMs use data"]);
}

#[tokio::test]
async fn sessions_that_end_without_updates_are_told_after_a_day() {
    let bench = Bench::new(1);
    bench.used(1, 6, 1_000);
    bench.run().await.unwrap();
    let beat = |updated: bool| {
        let now = bench.clock.now();
        let updated_at = updated.then_some(now);
        Beat { updated_at, long_ended_at: Some(now), ..Beat::at(now) }
    };
    for _ in 0..30 {
        bench.table.beat(beat(true)).await.unwrap();
        bench.run_hourly(1).await;
    }
    assert!(told(&bench).is_empty());
    for _ in 0..24 {
        bench.table.beat(beat(false)).await.unwrap();
        bench.run_hourly(1).await;
    }
    assert!(told(&bench).is_empty(), "some updates may have been lost");
    bench.table.beat(beat(false)).await.unwrap();
    bench.run_hourly(1).await;
    assert_eq!(told(&bench), ["SimFuse: sessions end without any update"]);
}

#[tokio::test]
async fn what_contradicts_itself_is_found_by_the_days_inventory() {
    let bench = Bench::new(3);
    bench.beat().await;
    bench.run().await.unwrap();
    bench.run_hourly(1).await;
    let inactive_at = Some(bench.clock.now());
    for number in [1, 2] {
        let desired =
            Desired { status: Some(TargetStatus::Inactive), inactive_at, ..Desired::default() };
        let commit = Commit { desired: Some((desired, 0)), ..Commit::of(sim(number)) };
        bench.table.commit(&commit).await.unwrap();
    }
    bench.account.set_sim(sim_of(2, SimStatus::Inactive));
    bench.used(2, -1, 70_000);
    bench.used(3, -1, 5 * MB);
    for _ in 0..20 {
        bench.beat().await;
        bench.run_hourly(1).await;
    }
    assert_eq!(keys(&bench, 1), ["active_after_kill#2026-03-10T15:10:00Z"]);
    assert_eq!(keys(&bench, 2), ["inactive_uses_data#2026-03-11"]);
    assert_eq!(keys(&bench, 3), ["bytes_unseen#2026-03-11"]);
    assert!(told(&bench).is_empty(), "each is told by its incident");
}

#[tokio::test]
async fn bytes_that_no_event_showed_of_many_sims_are_told_together() {
    let bench = Bench::new(30);
    bench.beat().await;
    bench.run().await.unwrap();
    for number in 1..=30 {
        bench.used(number, 0, 5 * MB);
    }
    for _ in 0..20 {
        bench.beat().await;
        bench.run_hourly(1).await;
    }
    let subjects = told(&bench);
    assert_eq!(subjects, ["SimFuse: 30 SIMs used far more than events showed"]);
    let found = (1..=30).filter(|number| !keys(&bench, *number).is_empty());
    assert_eq!(found.count(), 20);
}

#[tokio::test]
async fn sims_that_fell_silent_are_told_in_one_message_on_that_day() {
    let bench = Bench::new(2);
    for back in 0..100 {
        bench.used(1, back, 2_000);
        bench.used(2, back, 2_000);
    }
    bench.run().await.unwrap();
    for _ in 0..70 {
        bench.beat().await;
        bench.used(1, 0, 2_000);
        bench.run_hourly(1).await;
    }
    let silent: Vec<_> = bench
        .alerts
        .published()
        .into_iter()
        .filter(|alert| alert.detector == Some(DetectorId::Silent))
        .collect();
    assert_eq!(silent.len(), 1, "{:?}", told(&bench));
    assert_eq!(silent[0].subject, "SimFuse: 1 SIMs fell silent");
    assert!(silent[0].email.contains("- pump-2: silent since"), "{}", silent[0].email);
    assert_eq!(keys(&bench, 2).len(), 1, "one silence, one finding");
}
