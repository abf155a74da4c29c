//! What needs more than one call of cargo: `cargo xtask test`, `cargo xtask bench`.

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
    /// One bench, or all quick ones: the pipeline beside its floor, the time from event to request
    Bench {
        /// Which; without it, all quick ones
        name: Option<bench::Bench>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test => test::all(),
        Command::Bench { name } => bench::run(name),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("FAILED: {error}"));
            ExitCode::FAILURE
        }
    }
}
