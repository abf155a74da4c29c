//! The aggregator at its sizes: its own binary under the Lambda Runtime API, the simulated provider
//! and the embedded table over HTTP. What a run takes, what it asks of the table as DynamoDB bills
//! it, and what that costs a month; `docs/cost.md` is written from it.
#![expect(clippy::print_stderr, reason = "a bench says what it measured")]

mod cost;
mod crash;
mod document;
mod fleet;
mod meter;
mod stage;
mod webhook;
mod world;

use std::error::Error;

use clap::Parser;

use crate::stage::{Measured, Stage};

/// Anything that ends the bench.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Resident memory that a run may take: half of what the function is given.
const PEAK_KB_MAX: u64 = 128 * 1_024;

/// The largest fleet's run may take this many times the memory of the smallest one's.
const PEAK_RATIO_MAX: f64 = 1.25;

/// A SIM's usage must fit in one write request unit: a second one would double the bill.
const BASE_BYTES_MAX: u64 = 1_024;

/// SIMs of the fleet whose run is killed.
const KILLED_SIMS: u64 = 10_000;

/// The bench's arguments.
#[derive(Debug, Parser)]
struct Arguments {
    /// Sizes of the fleet to close an hour of, each measured
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    sims: Vec<u64>,
    /// A million SIMs, too: takes a quarter of an hour and 10 GB
    #[arg(long)]
    full: bool,
    /// Write docs/cost.md from what was measured
    #[arg(long)]
    write: bool,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    simfuse_aws::function::install_tls()?;
    let mut sizes = arguments.sims;
    if arguments.full {
        sizes.push(1_000_000);
    }
    sizes.sort_unstable();
    sizes.dedup();
    let smallest = *sizes.first().ok_or("no size")?;
    let mut measured = Vec::new();
    for stage in [Stage::Idle, Stage::Inventory, Stage::CloseDay] {
        measured.push(take(stage, smallest).await?);
    }
    for sims in sizes {
        for stage in [Stage::Fresh, Stage::Close] {
            measured.push(take(stage, sims).await?);
        }
    }
    say(&format!("── killed in the middle of a page, {KILLED_SIMS} SIMs"));
    let resumed = Box::pin(crash::kill_and_resume(KILLED_SIMS)).await?;
    say(&document::sentence_on(&resumed));
    say("── the webhook, an hour of events");
    let events = Box::pin(webhook::measure()).await?;
    document::say_tally(&events.tally);
    if arguments.write {
        document::write(&measured, &resumed, &events)?;
    }
    check(&measured)
}

async fn take(stage: Stage, sims: u64) -> Result<Measured, Failure> {
    say(&format!("── {}, {sims} SIMs", stage.name()));
    let measured = Box::pin(stage::measure(stage, sims)).await?;
    document::say_measured(&measured);
    Ok(measured)
}

/// Whether memory is small and flat, and the counting agrees with the embedded table's.
fn check(measured: &[Measured]) -> Result<(), Failure> {
    for one in measured {
        let (name, sims, peak) = (one.stage.name(), one.sims, one.taken.peak_kb);
        if peak > PEAK_KB_MAX {
            return Err(format!("{name}, {sims} SIMs: {peak} kB resident, over the bar").into());
        }
        let tally = &one.tally;
        for (counted, said) in
            [(tally.write_units(), tally.said_written), (tally.read_units(), tally.said_read)]
        {
            if (counted - said).abs() > said * 0.001 {
                return Err(format!("{name}: {counted} units counted, {said} said").into());
            }
        }
        let base = tally.written.get("US BASE").map_or(0, |amount| amount.bytes_max);
        if base > BASE_BYTES_MAX {
            return Err(format!("{name}: a SIM's usage takes {base} bytes").into());
        }
    }
    for stage in [Stage::Fresh, Stage::Close] {
        let peaks = measured.iter().filter(|one| one.stage == stage);
        let peaks = peaks.map(|one| document::float(one.taken.peak_kb));
        let (least, most) = peaks
            .fold((f64::MAX, 0.0_f64), |(least, most), peak| (least.min(peak), most.max(peak)));
        if most > least * PEAK_RATIO_MAX {
            let name = stage.name();
            return Err(format!("{name}: memory grows, {least} kB to {most} kB").into());
        }
    }
    Ok(())
}

/// Says something on standard error.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
