//! SIMs of which too little is known: what the webhook found by their fleet is ruled by it again.

use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Desired;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{
    Cases as _, Commit, Committed, SimStatus, UsageItem, UsageStore as _, Usages as _,
};
use simfuse_domain::time::Hour;
use simfuse_testkit::cohorts::cohort_of;
use simfuse_testkit::service::{Fault, FaultRule, Requests};

use crate::bench::{Bench, fleet, sim};

const CUTS: &str = "version = 1\nmode = \"enforce\"\n[strike]\nact = \"deactivate\"\n";
const MB: u64 = 1_000_000;

/// One device for all: no other detector has anything to find.
const DEVICE: &str = "35378572000000";

/// A bench whose fleet has 60 SIMs that use so much every hour.
async fn beside(bytes: u64) -> Bench {
    let bench = Bench::with(2, CUTS, Mode::Enforce).await;
    learn(&bench, bytes).await;
    bench
}

async fn learn(bench: &Bench, bytes: u64) {
    let cohort = cohort_of(fleet(), 60, bytes, Hour::of(bench.now()).plus(-4));
    let item = UsageItem::Cohort(fleet(), Box::new(cohort));
    bench.memory.put_usage(&[item], bench.now()).await.unwrap();
}

/// Two windows of video, in the SIM's first minutes.
async fn streams(bench: &Bench) {
    for _window in 0..2 {
        bench.pass(360);
        bench.appears(1, DEVICE, 31 * MB).await;
    }
}

async fn found(bench: &Bench) -> Vec<String> {
    bench.case(1).await.findings.into_keys().collect()
}

#[tokio::test]
async fn a_sim_that_was_never_used_is_switched_off_for_what_its_fleet_never_does() {
    let bench = beside(50_000).await;
    streams(&bench).await;
    assert_eq!(found(&bench).await, ["strike#2026-03-01T14Z"]);
    assert!(bench.deliver().await);
    assert_eq!(bench.status(1), SimStatus::Inactive);
    bench.happen_proof(1).await;
    assert_eq!((bench.status(1), bench.status(2)), (SimStatus::Inactive, SimStatus::Active));
}

#[tokio::test]
async fn what_the_provider_did_not_take_is_ruled_again_by_the_fleet_and_asked_again() {
    let bench = beside(50_000).await;
    bench.service.inject(FaultRule::once(Fault::Status(503)).on(Requests::StatusUpdates).times(3));
    streams(&bench).await;
    assert!(bench.deliver().await);
    assert_eq!(
        (bench.status(1), bench.stage(1).await.as_str()),
        (SimStatus::Active, "unreachable")
    );
    bench.minutes(10).await;
    assert_eq!(bench.status(1), SimStatus::Inactive);
}

#[tokio::test]
async fn what_the_fleet_does_meanwhile_lifts_it() {
    let bench = beside(50_000).await;
    streams(&bench).await;
    learn(&bench, 20 * MB).await;
    assert!(bench.deliver().await);
    bench.minutes(5).await;
    assert_eq!((bench.status(1), bench.asked(1).len()), (SimStatus::Active, 0));
    assert_eq!(bench.stage(1).await, "none");
}

#[tokio::test]
async fn in_a_fleet_of_cameras_or_a_new_one_nothing_is_found() {
    let cameras = beside(20 * MB).await;
    let new = Bench::with(2, CUTS, Mode::Enforce).await;
    assert!(new.memory.read_cohort(fleet()).await.unwrap().is_none());
    for bench in [cameras, new] {
        streams(&bench).await;
        assert!(found(&bench).await.is_empty());
    }
}

#[tokio::test]
async fn whose_usage_a_human_judged_is_no_longer_measured_by_its_fleet() {
    let bench = beside(50_000).await;
    judge(&bench, sim(1), "usage_spike#2026-02-28T10Z/alert").await;
    streams(&bench).await;
    assert!(bench.deliver().await);
    bench.minutes(5).await;
    assert_eq!((bench.status(1), bench.stage(1).await.as_str()), (SimStatus::Active, "none"));
    // Of a limit that was judged it says nothing.
    let bench = beside(50_000).await;
    judge(&bench, sim(1), "hour_limit#2026-02-28T10Z").await;
    streams(&bench).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.status(1), SimStatus::Inactive);
}

async fn judge(bench: &Bench, sim: SimSid, key: &str) {
    let desired = Desired { judged: [key.to_owned()].into(), ..Desired::default() };
    let commit = Commit { desired: Some((desired, 0)), ..Commit::of(sim) };
    assert_eq!(bench.memory.commit(&commit).await.unwrap(), Committed::Done);
}
