//! What needs more than one call of cargo: `cargo xtask test`, `cargo xtask bench`.

mod aggregator;
mod bench;
mod run;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tasks. Each does its set-up itself; tools go under `target/tools`.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that has to pass: format, lints, licences, tests, and the drill
    Test,
    /// The benches: the pipeline beside its floor, and the time from event to request
    Bench {
        /// One by its name: `aggregator`; else all that are quick
        name: Option<String>,
        /// What that one is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test => test::all(),
        Command::Bench { name, arguments } => bench::run(name.as_deref(), &arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("FAILED: {error}"));
            ExitCode::FAILURE
        }
    }
}
