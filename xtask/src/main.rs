//! What needs more than one call of cargo: `cargo xtask test`, `simulate`, `bench`, `openapi`,
//! `template`, `fuzz`, `shipped`, `deploy-local`.

mod aggregator;
mod bench;
mod deploy_local;
mod fuzz;
mod openapi;
mod run;
mod shipped;
mod simulate;
mod template;
mod test;
mod tools;

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
    /// Everything that has to pass: format, lints, licences, tests, the drill, the deployed stack
    Test {
        /// Build what is shipped, too: optimised, for arm64. Takes some ten minutes more
        #[arg(long)]
        full: bool,
    },
    /// The simulated service and the client against the providers' OpenAPI descriptions
    Openapi,
    /// One bench, or all quick ones: the pipeline beside its floor, the time from event to request
    Bench {
        /// Which; without it, all quick ones
        name: Option<bench::Bench>,
        /// What the aggregator's or detection's bench is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fuzz what comes from outside: each target's corpus, then new inputs
    Fuzz {
        /// Which target; without it, all
        target: Option<String>,
        /// How long each
        #[arg(long, default_value_t = fuzz::SECONDS_IN_TEST)]
        seconds: u32,
        /// Add inputs that cover more to the corpus that is kept
        #[arg(long)]
        keep: bool,
    },
    /// The whole pipeline under faults, in virtual time; --seed X shows one run, step by step
    Simulate {
        /// How many seeds to run
        #[arg(long, default_value_t = simulate::SEEDS)]
        seeds: u64,
        /// One seed only, with every step in words on standard output
        #[arg(long)]
        seed: Option<u64>,
        /// What else the simulation is told (`-- --help`)
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Lint template.yaml, and hold it to the rules that linters do not know
    Template,
    /// Build the functions as they are shipped, and see that Lambda's system can run them
    Shipped,
    /// Deploy template.yaml to an emulator of AWS, and check it by a theft
    DeployLocal,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test { full } => test::all(full),
        Command::Openapi => openapi::contract(),
        Command::Bench { name, arguments } => bench::run(name, &arguments),
        Command::Fuzz { target, seconds, keep } => fuzz::run(target.as_deref(), seconds, keep),
        Command::Simulate { seeds, seed, mut arguments } => {
            let (name, number) = seed.map_or(("--seeds", seeds), |seed| ("--seed", seed));
            arguments.extend([name.to_owned(), number.to_string()]);
            simulate::run(&arguments)
        }
        Command::Template => template::lint(),
        Command::Shipped => shipped::check(),
        Command::DeployLocal => deploy_local::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("FAILED: {error}"));
            ExitCode::FAILURE
        }
    }
}
