//! `cargo xtask bench aggregator`.

use crate::run::{cargo, step};

/// Measures the aggregator at its sizes; it has its own arguments (`-- --help`), among them
/// `--sims 10000,100000`, `--full` (a million, too) and `--write` (`docs/cost.md`).
pub(crate) fn bench(arguments: &[String]) -> Result<(), String> {
    let package = ["bench", "--package", "simfuse-usage-aggregator", "--bench", "aggregator", "--"];
    let mut bench = cargo(&package);
    bench.args(arguments);
    step("aggregator", bench)
}
