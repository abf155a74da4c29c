//! What needs more than one call of cargo: `cargo xtask test`, `openapi`, `bench`.

mod bench;
mod openapi;
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
    /// The simulated service and the client against the providers' OpenAPI descriptions
    Openapi,
    /// The benches: the pipeline beside its floor, and the time from event to request
    Bench,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test => test::all(),
        Command::Openapi => openapi::contract(),
        Command::Bench => bench::all(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("FAILED: {error}"));
            ExitCode::FAILURE
        }
    }
}
