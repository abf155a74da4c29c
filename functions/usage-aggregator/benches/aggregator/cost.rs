//! From what was measured to dollars a month.

use crate::document::float;
use crate::meter::{Amount, Tally};
use crate::stage::{Measured, Stage};
use crate::webhook::Events;

/// A price list of one region.
pub(crate) struct Prices {
    pub(crate) write_units_million: f64,
    pub(crate) read_units_million: f64,
    pub(crate) storage_gb: f64,
    /// Gigabytes of the table that are free.
    pub(crate) storage_free_gb: f64,
    pub(crate) backup_gb: f64,
    pub(crate) lambda_gb_second: f64,
    pub(crate) lambda_million: f64,
    pub(crate) logs_gb: f64,
    pub(crate) schedule_million: f64,
}

/// Public on-demand prices of us-east-1 in US dollars, as known in November 2025.
pub(crate) const PRICES: Prices = Prices {
    write_units_million: 0.625,
    read_units_million: 0.125,
    storage_gb: 0.25,
    storage_free_gb: 25.0,
    backup_gb: 0.20,
    lambda_gb_second: 0.000_013_333_4,
    lambda_million: 0.20,
    logs_gb: 0.50,
    schedule_million: 1.00,
};

/// Hours of a month.
pub(crate) const HOURS: f64 = 730.0;

/// Days of a month.
const DAYS: f64 = HOURS / 24.0;

/// Events of a sensor in an hour: a session that begins, one update, its end.
pub(crate) const EVENTS_PER_HOUR: f64 = 3.0;

/// The aggregator's memory (template.yaml), in gigabytes.
const AGGREGATOR_GB: f64 = 0.25;

/// The webhook's memory (template.yaml), in gigabytes.
const WEBHOOK_GB: f64 = 0.5;

/// One processor's share of a function with 256 MB: a whole one comes with 1,769 MB (Lambda developer
/// guide, "Configure Lambda function memory").
pub(crate) const PROCESSOR_SHARE: f64 = 256.0 / 1_769.0;

/// What the provider takes for a page of usage records. It documents nothing; assumed.
pub(crate) const PROVIDER_SECS: f64 = 0.3;

/// What the webhook takes for one event, two trips to the table included; assumed.
pub(crate) const WEBHOOK_SECS: f64 = 0.010;

/// What Lambda itself logs of one invocation in JSON, its start and its report; assumed.
pub(crate) const INVOCATION_LOG_BYTES: f64 = 500.0;

/// What the webhook logs of one request: a line of JSON.
pub(crate) const WEBHOOK_LOG_BYTES: f64 = 200.0;

/// What DynamoDB adds to each item that it stores.
const ITEM_OVERHEAD_BYTES: f64 = 100.0;

/// How long hours and days of SIMs are kept.
const HOURS_KEPT: f64 = 40.0 * 24.0;
const DAYS_KEPT: f64 = 400.0;

/// Aggregator's invocations an hour (template.yaml), and the sweep's.
const RUNS_PER_HOUR: f64 = 6.0;
const SWEEPS_PER_HOUR: f64 = 60.0;

/// What a month takes of one resource.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) dollars: f64,
}

/// What a month takes.
pub(crate) struct Month {
    pub(crate) sims: u64,
    /// Whether a fleet of this size was measured; else the next smaller one is scaled.
    pub(crate) is_measured: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) storage_gb: f64,
    /// Seconds that the aggregator runs for an hour of usage.
    pub(crate) hour_secs: f64,
}

impl Month {
    pub(crate) fn dollars(&self) -> f64 {
        self.lines.iter().map(|line| line.dollars).sum()
    }
}

/// What is known of one stage, for one fleet's size.
#[derive(Default, Clone, Copy)]
struct Load {
    write_units: f64,
    read_units: f64,
    secs: f64,
    logged: f64,
}

impl Load {
    fn of(measured: &Measured, scale: f64) -> Self {
        let wall = measured.wall.as_secs_f64();
        let work = wall.max(measured.taken.cpu.as_secs_f64() / PROCESSOR_SHARE);
        let secs = work + float(measured.answer.calls) * PROVIDER_SECS;
        Self {
            write_units: measured.tally.write_units() * scale,
            read_units: measured.tally.read_units() * scale,
            secs: secs * scale,
            logged: float(measured.taken.logged),
        }
    }

    fn plus(self, other: Self, times: f64) -> Self {
        Self {
            write_units: self.write_units + other.write_units * times,
            read_units: self.read_units + other.read_units * times,
            secs: self.secs + other.secs * times,
            logged: self.logged + other.logged * times,
        }
    }
}

/// The stage as measured with the size that is nearest from below, or the smallest.
fn measured_at(measured: &[Measured], stage: Stage, sims: u64) -> Option<&Measured> {
    let of_stage = || measured.iter().filter(|one| one.stage == stage);
    let below = of_stage().filter(|one| one.sims <= sims).max_by_key(|one| one.sims);
    below.or_else(|| of_stage().min_by_key(|one| one.sims))
}

/// What a month costs for so many SIMs.
pub(crate) fn month(measured: &[Measured], events: &Events, sims: u64) -> Option<Month> {
    let at = |stage| measured_at(measured, stage, sims);
    let load = |stage| {
        let measured = at(stage)?;
        let grows = stage != Stage::Idle;
        let scale = if grows { float(sims) / float(measured.sims) } else { 1.0 };
        Some(Load::of(measured, scale))
    };
    let (idle, fresh, close) = (load(Stage::Idle)?, load(Stage::Fresh)?, load(Stage::Close)?);
    let (inventory, close_day) = (load(Stage::Inventory)?, load(Stage::CloseDay)?);
    // The day's own: what closing its last hour takes more than closing another.
    let smallest = at(Stage::CloseDay)?.sims;
    let same_size = measured_at(measured, Stage::Close, smallest)?;
    let day = close_day.plus(Load::of(same_size, float(sims) / float(same_size.sims)), -1.0);
    let aggregator = Load::default()
        .plus(idle, HOURS * RUNS_PER_HOUR)
        .plus(fresh, HOURS)
        .plus(close, HOURS)
        .plus(day, DAYS)
        .plus(inventory, DAYS);
    let taken = float(sims) * EVENTS_PER_HOUR * HOURS;
    let per_event = taken / float(events.events);
    let (writes, reads) = (
        events.tally.write_units() * per_event / 1e6 * PRICES.write_units_million,
        events.tally.read_units() * per_event / 1e6 * PRICES.read_units_million,
    );
    let storage_gb = float(sims) * stored_bytes(measured, events) / 1e9;
    let runs = HOURS * (RUNS_PER_HOUR + SWEEPS_PER_HOUR);
    let logged =
        aggregator.logged + taken * WEBHOOK_LOG_BYTES + (taken + runs) * INVOCATION_LOG_BYTES;
    let line = |name, dollars| Line { name, dollars };
    let lines = vec![
        line("aggregator, writes", aggregator.write_units / 1e6 * PRICES.write_units_million),
        line("aggregator, reads", aggregator.read_units / 1e6 * PRICES.read_units_million),
        line("aggregator, Lambda", aggregator.secs * AGGREGATOR_GB * PRICES.lambda_gb_second),
        line("webhook, writes", writes),
        line("webhook, reads", reads),
        line(
            "webhook, Lambda",
            taken * WEBHOOK_SECS * WEBHOOK_GB * PRICES.lambda_gb_second
                + taken / 1e6 * PRICES.lambda_million,
        ),
        line("storage", (storage_gb - PRICES.storage_free_gb).max(0.0) * PRICES.storage_gb),
        line("point-in-time recovery", storage_gb * PRICES.backup_gb),
        line("logs", logged / 1e9 * PRICES.logs_gb),
        line(
            "schedules and their invocations",
            runs / 1e6 * (PRICES.schedule_million + PRICES.lambda_million),
        ),
    ];
    let hour_secs = fresh.secs + close.secs;
    let is_measured = at(Stage::Close)?.sims == sims;
    Some(Month { sims, is_measured, lines, storage_gb, hour_secs })
}

/// What the table keeps of one SIM once a year has passed.
fn stored_bytes(measured: &[Measured], events: &Events) -> f64 {
    let stages = |stage| measured.iter().filter(move |one| one.stage == stage);
    let mean = |tallies: &mut dyn Iterator<Item = &Amount>| {
        tallies.next().map_or(0.0, mean_bytes) + ITEM_OVERHEAD_BYTES
    };
    let written = |stage, kind: &'static str| {
        mean(&mut stages(stage).filter_map(move |one| one.tally.written.get(kind)))
    };
    let hour = written(Stage::Fresh, "US HOUR");
    let base = written(Stage::Close, "US BASE");
    let day = written(Stage::CloseDay, "US DAY");
    let listed = mean(&mut stages(Stage::Inventory).filter_map(|one| one.tally.read.get("US SIM")));
    let state = mean(&mut events.tally.written.get("EV STATE").into_iter());
    hour * HOURS_KEPT + day * DAYS_KEPT + base + listed + state
}

pub(crate) fn mean_bytes(amount: &Amount) -> f64 {
    float(amount.bytes) / float(amount.items.max(1))
}

/// Items of a kind that a tally wrote for each SIM.
pub(crate) fn per_sim(tally: &Tally, sims: u64) -> (f64, f64) {
    (tally.write_units() / float(sims), tally.read_units() / float(sims))
}
