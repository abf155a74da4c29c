//! `cargo xtask bench`.

mod cold;

use std::fs;

use clap::ValueEnum;
use serde_json::Value;

use crate::aggregator;
use crate::run::{cargo, say, step, target};

/// The pipeline may take this many times its floor.
const RATIO_MAX: f64 = 1.6;

/// Events in the measured batch.
const BATCH: f64 = 50.0;

/// On one core.
const EVENTS_PER_SEC_MIN: f64 = 100_000.0;

/// A bench; each says what it measured, and fails when it misses its bar.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Bench {
    /// A batch of events beside its floor
    Pipeline,
    /// The time from event to request
    Thefts,
    /// The functions' starts and sizes; builds them as they are shipped, which takes minutes
    Cold,
    /// What detectors find, how fast, and what they find wrongly, into docs/detection.md; minutes
    Detection,
    /// The aggregator's memory, calls and units at its sizes, and what it costs
    Aggregator,
}

/// Runs one bench, or all that are quick. Arguments are the
/// aggregator's and detection's.
pub(crate) fn run(bench: Option<Bench>, arguments: &[String]) -> Result<(), String> {
    match bench {
        Some(Bench::Pipeline) => pipeline(),
        Some(Bench::Thefts) => thefts(),
        Some(Bench::Cold) => cold::run(),
        Some(Bench::Detection) => detection(arguments),
        Some(Bench::Aggregator) => aggregator::bench(arguments),
        None => pipeline().and_then(|()| thefts()),
    }
}

fn pipeline() -> Result<(), String> {
    step("pipeline", cargo(&["bench", "--package", "simfuse-webhook", "--bench", "pipeline"]))?;
    let floor = median_ns("floor")?;
    let pipeline = median_ns("verify, decode, fold, detect")?;
    let (ratio, rate) = (pipeline / floor, BATCH / pipeline * 1e9);
    say(&format!("── pipeline: {ratio:.2} times its floor, {rate:.0} events a second on one core"));
    if ratio > RATIO_MAX || rate < EVENTS_PER_SEC_MIN {
        return Err(format!("the bars are {RATIO_MAX} times and {EVENTS_PER_SEC_MIN} a second"));
    }
    Ok(())
}

/// Measures detection on a simulated stream, and writes what it measured into `docs/detection.md`. It
/// has its own arguments (`-- --help`), among them `--sim-hours N` and `--seed S`. A missed bar is
/// named there and fails nothing: the table says how far detection is. Full, with as many healthy SIMs as it
/// takes to show 0.01 false kills a million: `-- --benign-sim-hours 300000000`.
fn detection(arguments: &[String]) -> Result<(), String> {
    let package = ["bench", "--package", "simfuse-backtest", "--bench", "detection", "--"];
    let mut bench = cargo(&package);
    bench.arg("--write").args(arguments);
    step("detection", bench)
}

/// Whether healthy SIMs are left alone: ten million hours of them, by the shipped policy.
pub(crate) fn healthy_sims() -> Result<(), String> {
    let mut bench =
        cargo(&["bench", "--locked", "--package", "simfuse-backtest", "--bench", "detection"]);
    bench.args(["--", "--gate", "--seed", "2", "--stress-sim-hours", "2000000"]);
    step("healthy SIMs", bench)
}

fn thefts() -> Result<(), String> {
    step("thefts", cargo(&["bench", "--package", "simfuse", "--bench", "thefts"]))
}

/// The median that criterion left for a bench, in nanoseconds.
fn median_ns(name: &str) -> Result<f64, String> {
    let folder = target().join("criterion").join("batch of 50").join(name);
    let path = folder.join("new").join("estimates.json");
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let estimates: Value =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let median = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
    median.ok_or_else(|| format!("{}: no median", path.display()))
}
