//! `cargo xtask simulate`: the pipeline under faults, in virtual time.

use std::process::Command;

use crate::run::{cargo, root, step, target};

/// What `cargo xtask test` runs: over a minute on two cores.
pub(crate) const SEEDS: u64 = 10_000;

/// Builds the simulation as `cargo test` does, so that nothing is compiled twice, and runs it with
/// these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let build = ["test", "--workspace", "--locked", "--no-run", "--quiet", "--test", "short"];
    step("building the simulation", cargo(&build))?;
    run_built(arguments)
}

/// Runs it as it was built last.
pub(crate) fn run_built(arguments: &[String]) -> Result<(), String> {
    let mut simulation = Command::new(target().join("debug").join("simulation"));
    simulation.args(arguments).current_dir(root());
    step("simulation", simulation)
}
