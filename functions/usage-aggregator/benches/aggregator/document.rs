//! What is said of the measurements, and `docs/cost.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use simfuse_aws::SystemClock;
use simfuse_domain::port::Clock as _;

use crate::cost::{self, EVENTS_PER_HOUR, Month, PRICES};
use crate::crash::Resumed;
use crate::meter::{Amount, Tally};
use crate::stage::{Measured, Stage};
use crate::webhook::Events;
use crate::{Failure, say};

/// Sizes that the document tells the price of.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

pub(crate) fn float(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench, for ratios and dollars")]
    let float = number as f64;
    float
}

/// Thousands apart: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn say_measured(one: &Measured) {
    let (taken, answer) = (&one.taken, &one.answer);
    let (writes, reads) = cost::per_sim(&one.tally, one.sims);
    say(&format!(
        "   {:.1} MB resident at most, {:.1} s, {:.1} s of processor, {} invocations, {} calls, {} \
         pages, {} items written, {} requests to the table, {} bytes logged; for each SIM {writes:.3} \
         write units, {reads:.3} read units",
        float(taken.peak_kb) / 1_024.0,
        one.wall.as_secs_f64(),
        taken.cpu.as_secs_f64(),
        one.invocations,
        answer.calls,
        answer.pages,
        one.tally.items_written(),
        one.tally.requests,
        taken.logged,
    ));
    say_tally(&one.tally);
}

pub(crate) fn say_tally(tally: &Tally) {
    let kinds = |what: &str, amounts: &std::collections::BTreeMap<String, Amount>| {
        for (kind, amount) in amounts {
            say(&format!(
                "     {what} {kind}: {} items, {:.0} bytes each, {} at most, {:.1} units",
                amount.items,
                cost::mean_bytes(amount),
                amount.bytes_max,
                amount.units
            ));
        }
    };
    kinds("wrote", &tally.written);
    kinds("read", &tally.read);
    say(&format!(
        "     in all {:.1} write units, {:.1} read units; the table itself says {:.1} and {:.1}",
        tally.write_units(),
        tally.read_units(),
        tally.said_written,
        tally.said_read
    ));
}

pub(crate) fn sentence_on(resumed: &Resumed) -> String {
    format!(
        "Killed with SIGKILL in the middle of a page, when {} of {} SIMs were closed, and started \
         again: {} invocations found the dead run's lease, the next one read the remaining {} pages. \
         Every SIM's usage and hour, and the fleet's total ({} SIMs, {} bytes), are those of an \
         undisturbed run.",
        grouped(u64::try_from(resumed.closed_before).unwrap_or(0)),
        grouped(resumed.rest.sims),
        resumed.rest.busy,
        resumed.rest.answer.pages,
        grouped(resumed.sims),
        grouped(resumed.bytes),
    )
}

/// Writes the document.
pub(crate) fn write(
    measured: &[Measured],
    resumed: &Resumed,
    events: &Events,
) -> Result<(), Failure> {
    let months = SIZES.iter().map(|sims| cost::month(measured, events, *sims));
    let months: Option<Vec<Month>> = months.collect();
    let months = months.ok_or("not all stages were measured")?;
    let mut text = String::new();
    head(&mut text, &months)?;
    aggregator(&mut text, measured, resumed)?;
    webhook(&mut text, events)?;
    model(&mut text, &months)?;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cost.md");
    fs::write(&docs, text)?;
    say(&format!("wrote {}", docs.display()));
    Ok(())
}

fn head(text: &mut String, months: &[Month]) -> Result<(), Failure> {
    let date = SystemClock.now().strftime("%Y-%m-%d").to_string();
    let cores = std::thread::available_parallelism()?;
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let arguments: String = arguments.map(|argument| format!(" {argument}")).collect();
    write!(
        text,
        "# Cost\n\nWritten by `cargo xtask bench aggregator{arguments}` on {date}, on a machine \
         with {cores} cores; do not edit. Dollars a month in us-east-1, without free tiers but the \
         table's, every SIM active in every hour with {EVENTS_PER_HOUR} events: the dearest fleet of \
         sensors. A SIM that is silent in an hour costs nothing in it but its storage.\n\n| |"
    )?;
    for month in months {
        write!(text, " {} SIMs |", grouped(month.sims))?;
    }
    write!(text, "\n|---|{}\n", "---:|".repeat(months.len()))?;
    let names = months.first().map(|month| &month.lines).into_iter().flatten();
    for (index, name) in names.map(|line| line.name).enumerate() {
        write!(text, "| {name} |")?;
        for line in months.iter().filter_map(|month| month.lines.get(index)) {
            write!(text, " {} |", dollars(line.dollars))?;
        }
        text.push('\n');
    }
    let row = |text: &mut String, name: &str, of: &dyn Fn(&Month) -> String| {
        let cells: String = months.iter().map(|month| format!(" {} |", of(month))).collect();
        writeln!(text, "| {name} |{cells}")
    };
    row(text, "**in all**", &|month| format!("**{}**", dollars(month.dollars())))?;
    row(text, "for each SIM", &|month| format!("${:.4}", month.dollars() / float(month.sims)))?;
    row(text, "table, GB", &|month| format!("{:.1}", month.storage_gb))?;
    row(text, "aggregator, s an hour", &|month| format!("{:.0}", month.hour_secs))?;
    row(text, "from", &|month| (if month.is_measured { "measured" } else { "scaled" }).to_owned())?;
    Ok(())
}

/// To the cent, or to the dollar where cents do not matter.
fn dollars(amount: f64) -> String {
    if amount >= 100.0 { format!("${amount:.0}") } else { format!("${amount:.2}") }
}

fn aggregator(text: &mut String, measured: &[Measured], resumed: &Resumed) -> Result<(), Failure> {
    text.push_str(
        "\n## The usage aggregator, measured\n\nIts own binary in a process of its own under a Lambda \
         Runtime API, against the simulated provider (one fleet, every SIM with usage, 249 records a \
         page) and an embedded DynamoDB, all over HTTP on one machine. SIMs have 50 hours of history. \
         Memory is the peak of the resident set; units are for each SIM.\n\n| run | SIMs | memory, MB | \
         wall, s | processor, s | invocations | calls | pages | items written | write units | read \
         units |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for one in measured {
        let (writes, reads) = cost::per_sim(&one.tally, one.sims);
        let units = if one.stage == Stage::Idle {
            let (writes, reads) = (one.tally.write_units(), one.tally.read_units());
            format!("{writes:.0} in all | {reads:.0} in all")
        } else {
            format!("{writes:.3} | {reads:.3}")
        };
        writeln!(
            text,
            "| {} | {} | {:.1} | {:.1} | {:.1} | {} | {} | {} | {} | {units} |",
            one.stage.name(),
            grouped(one.sims),
            float(one.taken.peak_kb) / 1_024.0,
            one.wall.as_secs_f64(),
            one.taken.cpu.as_secs_f64(),
            one.invocations,
            grouped(one.answer.calls),
            grouped(one.answer.pages),
            grouped(one.tally.items_written()),
        )?;
    }
    let base = measured.iter().filter_map(|one| one.tally.written.get("US BASE"));
    let base = base.map(|amount| amount.bytes_max).max().unwrap_or(0);
    write!(
        text,
        "\nA SIM's usage item has {base} bytes at most, all 50 hours kept: one write unit. {}\n\n\
         Units are counted in front of the table by DynamoDB's rules \
         (`functions/usage-aggregator/benches/aggregator/meter.rs`), and the embedded table's own \
         `ConsumedCapacity` must agree within 0.1 %.\n",
        sentence_on(resumed)
    )?;
    Ok(())
}

fn webhook(text: &mut String, events: &Events) -> Result<(), Failure> {
    let tally = &events.tally;
    let of = |units: f64| units / float(events.events);
    let state = tally.written.get("EV STATE").copied().unwrap_or_default();
    write!(
        text,
        "\n## The webhook, measured\n\nIts own intake over the same counted table: {} simulated sensors \
         with 30 hours of history, then one hour of {} events, each in a request of its own. For each \
         event {:.2} write units and {:.2} read units; a SIM's state has {:.0} bytes, {} at most.\n",
        events.sims,
        grouped(events.events),
        of(tally.write_units()),
        of(tally.read_units()),
        cost::mean_bytes(&state),
        grouped(state.bytes_max),
    )?;
    Ok(())
}

fn model(text: &mut String, months: &[Month]) -> Result<(), Failure> {
    let hour_secs = months.last().map_or(0.0, |month| month.hour_secs);
    write!(
        text,
        "\n## What is assumed\n\n\
         - A month has {} hours. Every SIM uses data in every hour and sends {EVENTS_PER_HOUR} events in \
           it, each in a request of its own; batches make the webhook's Lambda cheaper, and its writes where they hold one SIM's events together.\n\
         - An hour is seen once and closed once; no record grows in between, and no day's total changes.\n\
         - The provider takes {} s for a page. The aggregator's time is that, and what was measured: the \
           wall time on one machine, or the processor time at the {:.0} % of a processor that 256 MB come \
           with, whichever is longer.\n\
         - One fleet's pages are read one after the other, so an hour of a million SIMs in one fleet takes \
           some {hour_secs:.0} s of 3,600. Fleets are read four at a time.\n\
         - The webhook takes {} ms of 512 MB for an event.\n\
         - Lambda logs {} bytes of each invocation, the webhook {}; what the aggregator logs was measured.\n\
         - The table holds a year: hours for 40 days, days for 400. Each item is stored with 100 bytes more.\n\
         - Reading the table's stream costs nothing for Lambda, and the filter invokes the kill-switch for \
           findings only. Incidents, alerts, alarms, secrets and the sweep's reads are some dollars a month \
           whatever the fleet's size, and left out.\n",
        cost::HOURS,
        cost::PROVIDER_SECS,
        cost::PROCESSOR_SHARE * 100.0,
        cost::WEBHOOK_SECS * 1_000.0,
        cost::INVOCATION_LOG_BYTES,
        cost::WEBHOOK_LOG_BYTES,
    )?;
    write!(
        text,
        "\n## Prices\n\nPublic prices of us-east-1 as known in November 2025, in \
         `benches/aggregator/cost.rs`; check them before you rely on them.\n\n\
         | | $ | page |\n|---|---:|---|\n\
         | a million write request units | {} | https://aws.amazon.com/dynamodb/pricing/on-demand/ |\n\
         | a million read request units | {} | the same |\n\
         | a GB of table and month, after {} GB | {} | the same |\n\
         | a GB of point-in-time recovery and month | {} | the same |\n\
         | a GB-second of Lambda, arm64 | {} | https://aws.amazon.com/lambda/pricing/ |\n\
         | a million invocations | {} | the same |\n\
         | a GB of logs taken in | {} | https://aws.amazon.com/cloudwatch/pricing/ |\n\
         | a million schedules fired | {} | https://aws.amazon.com/eventbridge/pricing/ |\n",
        PRICES.write_units_million,
        PRICES.read_units_million,
        PRICES.storage_free_gb,
        PRICES.storage_gb,
        PRICES.backup_gb,
        PRICES.lambda_gb_second,
        PRICES.lambda_million,
        PRICES.logs_gb,
        PRICES.schedule_million,
    )?;
    Ok(())
}
