//! A table, an account, alerts and a clock; and the truth that a run should arrive at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::money::{Bill, Money};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{Beat, Clock as _, Fleet, Heartbeat as _, Sim, SimStatus, UsageWindow};
use simfuse_domain::time::{Hour, Window};
use simfuse_testkit::account::MemoryAccount;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::memory::{MemoryAlerts, MemoryTable, UsageContent};
use simfuse_usage_aggregator::error::AggregatorError;
use simfuse_usage_aggregator::handler::{Aggregator, Answer, Invocation};

/// When the tests begin: ten minutes past the hour, as the schedule has it.
pub(crate) const START: &str = "2026-03-10T14:10:00Z";

/// A function's time.
const TIME: SignedDuration = SignedDuration::from_mins(15);

pub(crate) struct Bench {
    pub(crate) table: MemoryTable,
    pub(crate) account: MemoryAccount,
    pub(crate) alerts: MemoryAlerts,
    pub(crate) clock: ManualClock,
}

impl Bench {
    /// An account with this many SIMs in two fleets, three records a page.
    pub(crate) fn new(sims: u8) -> Self {
        let account = MemoryAccount::new(3);
        for number in 1..=2 {
            account.set_fleet(fleet_of(number, Some(250)));
        }
        for number in 1..=sims {
            account.set_sim(sim_of(number, SimStatus::Active));
        }
        let clock = ManualClock::new(START.parse().unwrap());
        let (table, alerts) = (MemoryTable::new(), MemoryAlerts::new());
        Self { table, account, alerts, clock }
    }

    pub(crate) async fn with_policy(self, policy: &str) -> Self {
        let policy: Policy = format!("version = 1\n{policy}").parse().unwrap();
        self.table.apply_policy(&policy).await.unwrap();
        self
    }

    /// Events come, so that nobody is told of their absence.
    pub(crate) async fn beat(&self) {
        self.table.beat(Beat::at(self.clock.now())).await.unwrap();
    }

    pub(crate) fn hour(&self) -> Hour {
        Hour::of(self.clock.now())
    }

    /// A SIM uses bytes in the hour that lies so many hours back.
    pub(crate) fn used(&self, number: u8, hours_back: i32, bytes: u64) {
        let hour = self.hour().plus(-hours_back);
        self.account.add_usage(sim(number), fleet(1 + number % 2), hour, bytes);
    }

    pub(crate) fn pass_hours(&self, hours: i64) {
        self.clock.advance(SignedDuration::from_hours(hours));
    }

    /// One invocation with the function's whole time.
    pub(crate) async fn run(&self) -> Result<Answer, AggregatorError> {
        self.run_for(TIME).await
    }

    pub(crate) async fn run_for(&self, time: SignedDuration) -> Result<Answer, AggregatorError> {
        let (table, account) = (self.table.clone(), self.account.clone());
        let aggregator = Aggregator::new(table, account, self.alerts.clone(), self.clock.clone());
        aggregator.handle(json!({ "run": true }), &self.invocation(time)).await
    }

    pub(crate) fn invocation(&self, time: SignedDuration) -> Invocation {
        let deadline = self.clock.now().checked_add(time).unwrap();
        Invocation { id: "run".to_owned(), deadline }
    }

    /// Every hour for so long: time passes, and a run is done.
    pub(crate) async fn run_hourly(&self, hours: u32) {
        for _ in 0..hours {
            self.pass_hours(1);
            assert!(self.run().await.unwrap().done);
        }
    }

    /// What the table holds of SIMs' hours that are closed by now is what the account says.
    #[track_caller]
    pub(crate) fn assert_closed_hours_are_true(&self) {
        let content = self.table.usage_content();
        let closable = Hour::of(self.clock.now() - SignedDuration::from_hours(3));
        let recorded: BTreeMap<_, _> = content
            .used
            .iter()
            .filter_map(|((sim, window), used)| match window {
                UsageWindow::Hour(hour) if *hour < closable => Some(((*sim, *hour), used.total)),
                _ => None,
            })
            .collect();
        assert_eq!(recorded, self.truth(|hour| hour < closable));
    }

    /// What SIMs used in these hours, whatever fleet they were in.
    pub(crate) fn truth(&self, of: impl Fn(Hour) -> bool) -> BTreeMap<(SimSid, Hour), Bytes> {
        let mut truth: BTreeMap<_, Bytes> = BTreeMap::new();
        for ((hour, sim, _), bytes) in self.account.used() {
            if of(hour) {
                let sum = truth.entry((sim, hour)).or_default();
                *sum = sum.plus(Bytes(bytes));
            }
        }
        truth
    }

    /// Totals and ranks of a fleet's hour are what the account says.
    #[track_caller]
    pub(crate) fn assert_fleet_hour_is_true(&self, number: u8, hour: Hour) {
        let content = self.table.usage_content();
        let used = self.account.used();
        let mut expected: Vec<(SimSid, Bytes)> = used
            .iter()
            .filter(|((of, _, fleet_of), _)| *of == hour && *fleet_of == fleet(number))
            .map(|((_, sim, _), bytes)| (*sim, Bytes(*bytes)))
            .collect();
        expected.sort_by_key(|(sim, bytes)| std::cmp::Reverse((*bytes, *sim)));
        let window = UsageWindow::Hour(hour);
        let total = content.fleets_used[&(fleet(number), window)].clone();
        assert_eq!(total.total, expected.iter().map(|(_, bytes)| *bytes).sum());
        assert_eq!(total.sims, expected.len() as u64);
        let bills = expected.iter().filter(|(_, bytes)| bytes.0 >= 100);
        let (micros, of) = bills.fold((0, 0), |(micros, of), (_, bytes)| {
            (micros + i64::try_from(bytes.0 / 100).unwrap(), of + bytes.0)
        });
        let money = Money { micros, currency: "USD".parse().unwrap() };
        assert_eq!(total.bill, Bill::of(Bytes(of), (of > 0).then_some(money)));
        let ranked = (0..total.rank_pages)
            .flat_map(|page| content.ranks[&(fleet(number), window, page)].clone());
        assert_eq!(ranked.collect::<Vec<_>>(), expected);
    }
}

/// What matters of the table: not how often it was written.
pub(crate) fn lasting(content: UsageContent) -> impl PartialEq + std::fmt::Debug {
    let UsageContent { bases, used, fleets_used, ranks, sims, fleets, cohorts, .. } = content;
    (bases, used, fleets_used, ranks, sims, fleets, cohorts)
}

pub(crate) fn sim(number: u8) -> SimSid {
    SimSid::from_bytes([number; 16])
}

pub(crate) fn fleet(number: u8) -> FleetSid {
    FleetSid::from_bytes([0xf0 | number; 16])
}

pub(crate) fn sim_of(number: u8, status: SimStatus) -> Sim {
    Sim {
        sid: sim(number),
        iccid: None,
        unique_name: Some(format!("pump-{number}")),
        status,
        fleet: Some(fleet(1 + number % 2)),
    }
}

pub(crate) fn fleet_of(number: u8, data_limit_mb: Option<u32>) -> Fleet {
    let unique_name = Some(format!("fleet-{number}"));
    Fleet { sid: fleet(number), unique_name, data_enabled: Some(true), data_limit_mb }
}

pub(crate) fn day_of(hour: Hour) -> std::ops::Range<Hour> {
    Window::of_day(hour).hours
}

/// A process that dies at one of its calls: that one and all later ones fail.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    calls_left: Arc<AtomicI64>,
    /// Whether the last call still takes effect.
    pub(crate) last_counts: bool,
}

/// What a call of a dying process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breath {
    Alive,
    /// It takes effect, and nobody hears of it.
    Last,
    Dead,
}

impl Life {
    pub(crate) fn of_calls(calls: i64, last_counts: bool) -> Self {
        Self { calls_left: Arc::new(AtomicI64::new(calls)), last_counts }
    }

    pub(crate) fn breathe(&self) -> Breath {
        match self.calls_left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Breath::Alive,
            0 if self.last_counts => Breath::Last,
            _ => Breath::Dead,
        }
    }

    /// Calls that it could still have made.
    pub(crate) fn calls_left(&self) -> i64 {
        self.calls_left.load(Ordering::SeqCst)
    }

    /// Whether it died before it was done.
    pub(crate) fn is_over(&self) -> bool {
        self.calls_left.load(Ordering::SeqCst) < 0
    }
}

pub(crate) fn later(time: &str) -> Timestamp {
    time.parse().unwrap()
}
