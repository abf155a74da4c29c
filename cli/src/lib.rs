//! `simfuse`: the drill, SimFuse on this machine, and the operator's commands.

mod args;
mod audit;
mod backtest;
mod countries;
pub mod drill;
pub mod error;
mod fleet;
mod local;
mod many;
mod names;
mod operate;
mod output;
mod policy;
mod progress;
mod replay;
mod said;
mod score;
mod simulate;
mod stack;
mod target;
mod up;

use std::process::ExitCode;

use clap::Parser as _;
use simfuse_kill_switch::request::Action;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use args::{Cli, Command, FleetCommand, PolicyCommand};
use error::{CliError, sentence};
use output::{Output, note};

/// Runs what the command line asks for.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    log();
    if let Err(error) = install_tls() {
        note(&format!("simfuse: {}", sentence(&error)));
        return ExitCode::FAILURE;
    }
    let output = if cli.json { Output::Json } else { Output::Text };
    match Box::pin(run(cli.command, output)).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            note(&format!("simfuse: {}", sentence(&error)));
            if output == Output::Json {
                output.print(&serde_json::json!({ "error": sentence(&error) }), String::new);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(command: Option<Command>, output: Output) -> Result<u8, CliError> {
    match command.unwrap_or(Command::Drill) {
        Command::Drill => drill::run(output).await,
        Command::Up(args) => up::run(args, output).await,
        Command::Replay(args) => replay::run(args, output).await,
        Command::Kill(args) => operate::kill(&args, output).await,
        Command::Quarantine(args) => operate::quarantine(&args, output).await,
        Command::Restore(args) => operate::restore(&args, output).await,
        Command::FalseAlarm(args) => operate::false_alarm(&args, output).await,
        Command::Status(args) => operate::status(&args, output).await,
        Command::Protect(args) => operate::protect(&args, output).await,
        Command::Approve(args) => operate::approve(&args, output).await,
        Command::Stop(why) => operate::switch(Action::Stop, &why, output).await,
        Command::Resume(why) => operate::switch(Action::Resume, &why, output).await,
        Command::Policy(PolicyCommand::Check { file }) => policy::check(&file, output),
        Command::Policy(PolicyCommand::Show(args)) => policy::show(&args, output).await,
        Command::Policy(PolicyCommand::Apply(args)) => policy::apply(&args, output).await,
        Command::Audit(args) => audit::run(&args, output).await,
        Command::Score(args) => score::run(&args, output),
        Command::Simulate(args) => simulate::run(&args, output),
        Command::Backtest(args) => backtest::run(&args, output).await,
        Command::Fleet(FleetCommand::Limit(args)) => fleet::limit(&args, output).await,
    }
}

/// Chooses how TLS computes, once for the process.
///
/// # Errors
/// When it was chosen before.
pub fn install_tls() -> Result<(), CliError> {
    let installed = simfuse_aws::function::install_tls();
    installed.map_err(|error| CliError::local("setting up TLS")(error.into()))
}

/// Logs go to standard error, and say only what went wrong unless `RUST_LOG` asks for more.
fn log() {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let levels = simfuse_aws::function::levels(LevelFilter::ERROR);
    tracing_subscriber::registry().with(lines).with(levels).init();
}
