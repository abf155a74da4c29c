//! A run that dies at any of its calls: the next one goes on, and nothing is lost or doubled.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use simfuse_domain::evidence::Cohort;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Desired;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Beat, BillingPeriod, Fleet, FleetItem, Heartbeat, Inventory, Network, Page, PageLink, Part,
    Pass, Policies, ProviderError, Recorded, Sim, StateWrite, States, StoredState, TableError,
    UsageItem, UsageQuery, UsageRecord, UsageRecords, UsageStore, UsageWindow, Usages, Written,
};
use simfuse_domain::usage::SimUsage;
use simfuse_testkit::account::MemoryAccount;
use simfuse_usage_aggregator::error::AggregatorError;
use simfuse_usage_aggregator::handler::{Aggregator, Answer};

use crate::bench::{Bench, Breath, Life, lasting};

/// A port of a process that dies.
pub(crate) struct Mortal<P> {
    inner: P,
    life: Life,
}

impl<P> Mortal<P> {
    pub(crate) fn new(inner: P, life: Life) -> Self {
        Self { inner, life }
    }

    async fn table<R>(
        &self,
        call: impl Future<Output = Result<R, TableError>>,
    ) -> Result<R, TableError> {
        let dead = || TableError::Unavailable { doing: "dying".to_owned(), source: None };
        match self.life.breathe() {
            Breath::Alive => call.await,
            Breath::Last => call.await.and(Err(dead())),
            Breath::Dead => Err(dead()),
        }
    }

    async fn provider<R>(
        &self,
        call: impl Future<Output = Result<R, ProviderError>>,
    ) -> Result<R, ProviderError> {
        match self.life.breathe() {
            Breath::Alive => call.await,
            Breath::Last | Breath::Dead => {
                Err(ProviderError::Unavailable { reason: "dying".to_owned(), source: None })
            }
        }
    }
}

impl Inventory for Mortal<MemoryAccount> {
    async fn sims_page(&self, page: Option<&PageLink>) -> Result<Page<Sim>, ProviderError> {
        self.provider(self.inner.sims_page(page)).await
    }

    async fn fleets_page(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        self.provider(self.inner.fleets_page(page)).await
    }

    async fn networks_page(&self, page: Option<&PageLink>) -> Result<Page<Network>, ProviderError> {
        self.provider(self.inner.networks_page(page)).await
    }

    async fn billing_period(&self, sim: SimSid) -> Result<Option<BillingPeriod>, ProviderError> {
        self.provider(self.inner.billing_period(sim)).await
    }
}

impl UsageRecords for Mortal<MemoryAccount> {
    async fn usage_page(
        &self,
        query: &UsageQuery,
        page: Option<&PageLink>,
    ) -> Result<Page<UsageRecord>, ProviderError> {
        self.provider(self.inner.usage_page(query, page)).await
    }
}

impl<P: Usages> Usages for Mortal<P> {
    async fn read_usages(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, SimUsage>, TableError> {
        self.table(self.inner.read_usages(sims)).await
    }

    async fn read_cohort(&self, fleet: FleetSid) -> Result<Option<Cohort>, TableError> {
        self.table(self.inner.read_cohort(fleet)).await
    }
}

impl<P: UsageStore> UsageStore for Mortal<P> {
    async fn read_recorded(
        &self,
        window: &UsageWindow,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, Recorded>, TableError> {
        self.table(self.inner.read_recorded(window, sims)).await
    }

    /// A write of many items is no transaction: each may be the last.
    async fn put_usage(&self, items: &[UsageItem], now: Timestamp) -> Result<(), TableError> {
        for item in items {
            self.table(self.inner.put_usage(std::slice::from_ref(item), now)).await?;
        }
        Ok(())
    }

    async fn put_together(&self, items: &[UsageItem], now: Timestamp) -> Result<(), TableError> {
        self.table(self.inner.put_together(items, now)).await
    }

    async fn read_parts(
        &self,
        fleet: FleetSid,
        window: &UsageWindow,
        pass: Pass,
        from_page: u32,
    ) -> Result<Vec<Part>, TableError> {
        self.table(self.inner.read_parts(fleet, window, pass, from_page)).await
    }

    async fn read_desired(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Desired>, TableError> {
        self.table(self.inner.read_desired(sims)).await
    }

    async fn read_inventory(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Sim>, TableError> {
        self.table(self.inner.read_inventory(sims)).await
    }

    async fn read_fleet(&self, fleet: FleetSid) -> Result<Option<FleetItem>, TableError> {
        self.table(self.inner.read_fleet(fleet)).await
    }

    async fn read_checkpoint(&self, name: &str) -> Result<Option<(String, u64)>, TableError> {
        self.table(self.inner.read_checkpoint(name)).await
    }

    async fn write_checkpoint(
        &self,
        name: &str,
        text: &str,
        read_version: u64,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        self.table(self.inner.write_checkpoint(name, text, read_version, now)).await
    }
}

impl<P: States> States for Mortal<P> {
    async fn read_states(
        &self,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, StoredState>, TableError> {
        self.table(self.inner.read_states(sims)).await
    }

    async fn write_state(&self, write: &StateWrite) -> Result<Written, TableError> {
        self.table(self.inner.write_state(write)).await
    }

    async fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> Result<(), TableError> {
        self.table(self.inner.insert_finding(sim, finding, received_at)).await
    }
}

impl<P: Policies> Policies for Mortal<P> {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        self.table(self.inner.current_policy()).await
    }
}

impl<P: Heartbeat> Heartbeat for Mortal<P> {
    async fn beat(&self, beat: Beat) -> Result<(), TableError> {
        self.table(self.inner.beat(beat)).await
    }

    async fn last_beat(&self) -> Result<Option<Beat>, TableError> {
        self.table(self.inner.last_beat()).await
    }
}

impl Bench {
    /// A run of a process that dies, and that leaves its lease behind.
    pub(crate) async fn run_mortally(&self, life: &Life) -> Result<Answer, AggregatorError> {
        let table = Mortal::new(self.table.clone(), life.clone());
        let account = Mortal::new(self.account.clone(), life.clone());
        let aggregator = Aggregator::new(table, account, self.alerts.clone(), self.clock.clone());
        let invocation = self.invocation(SignedDuration::from_mins(15));
        aggregator.handle(json!({ "run": true }), &invocation).await
    }

    /// What follows a death: the lease runs out within the hour, and the next run finishes.
    pub(crate) async fn recover(&self) {
        self.clock.advance(SignedDuration::from_mins(16));
        assert!(self.run().await.unwrap().done);
    }
}

/// Five SIMs, ready for an hour with usage of all, a day's end, a broken limit and a late growth.
async fn eve() -> Bench {
    let bench = Bench::new(5).with_policy("[limits]\nhour_mb = 20").await;
    for number in 1..=5 {
        for back in 0..30 {
            bench.used(number, back, 40_000 + u64::from(number));
        }
    }
    for number in 1..=5 {
        for ahead in 0..12 {
            bench.used(number, -ahead, 40_000 + u64::from(number));
        }
    }
    bench.run().await.unwrap();
    // To one hour before the day's end is closed.
    bench.run_hourly(12).await;
    bench.used(4, 16, 123);
    bench.used(1, 3, 30_000_000);
    bench.used(1, 4, 30_000_000);
    bench.pass_hours(1);
    bench
}

#[tokio::test]
async fn whenever_a_run_dies_the_next_leaves_what_an_undisturbed_one_leaves() {
    let calm = eve().await;
    assert!(calm.run().await.unwrap().done);
    let expected = lasting(calm.table.usage_content());
    let expected_found = calm.table.findings_stream();
    assert!(!expected_found.is_empty());
    let content = calm.table.usage_content();
    assert!(content.cohorts.values().map(Cohort::peers).sum::<f64>() > 4.5, "all are peers");
    for last_counts in [false, true] {
        let mut calls = 0;
        loop {
            let bench = eve().await;
            let life = Life::of_calls(calls, last_counts);
            let ran = bench.run_mortally(&life).await;
            if !life.is_over() {
                assert!(ran.unwrap().done);
                break;
            }
            assert!(ran.is_err(), "call {calls}");
            bench.recover().await;
            bench.assert_closed_hours_are_true();
            let left = lasting(bench.table.usage_content());
            assert_eq!(left, expected, "call {calls}, last counts: {last_counts}");
            assert_eq!(bench.table.findings_stream(), expected_found, "call {calls}");
            calls += 1;
        }
        assert!(calls > 100, "{calls} calls");
    }
}

#[tokio::test]
async fn what_was_read_before_a_death_is_not_read_again() {
    let calm = eve().await;
    let life = Life::of_calls(100_000, false);
    let pages = calm.run_mortally(&life).await.unwrap().pages;
    // The hour, and all days but the last, are compared by then.
    let calls = 100_000 - life.calls_left();
    let bench = eve().await;
    assert!(bench.run_mortally(&Life::of_calls(calls - 20, false)).await.is_err());
    bench.clock.advance(SignedDuration::from_mins(16));
    let answer = bench.run().await.unwrap();
    assert!(answer.done && answer.pages * 4 < pages, "{} of {pages} pages", answer.pages);
}

#[tokio::test]
async fn the_first_run_may_die_too() {
    let first = || {
        let bench = Bench::new(5);
        for number in 1..=5 {
            for back in [3, 4, 5, 30] {
                bench.used(number, back, 40_000 + u64::from(number));
            }
        }
        bench
    };
    let calm = first();
    assert!(calm.run().await.unwrap().done);
    let expected = lasting(calm.table.usage_content());
    for calls in 0.. {
        let bench = first();
        let life = Life::of_calls(calls, calls % 2 == 0);
        let ran = bench.run_mortally(&life).await;
        if !life.is_over() {
            assert!(ran.unwrap().done && calls > 50);
            return;
        }
        bench.recover().await;
        assert_eq!(lasting(bench.table.usage_content()), expected, "call {calls}");
    }
}

#[tokio::test]
async fn two_runs_at_the_same_time_are_one() {
    let bench = eve().await;
    let life = Life::of_calls(40, false);
    assert!(bench.run_mortally(&life).await.is_err());
    let before = lasting(bench.table.usage_content());
    bench.clock.advance(SignedDuration::from_mins(14));
    let answer = bench.run().await.unwrap();
    assert!(answer.busy && !answer.done, "the first may still be at it");
    assert_eq!(lasting(bench.table.usage_content()), before);
    bench.clock.advance(SignedDuration::from_mins(2));
    assert!(bench.run().await.unwrap().done);
    bench.assert_closed_hours_are_true();
}
