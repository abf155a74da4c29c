//! The `simfuse` binary.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    simfuse::main().await
}
