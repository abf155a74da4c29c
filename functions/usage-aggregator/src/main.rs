//! The usage aggregator's Lambda function: invoked on a schedule, and by hand.

use std::error::Error;

use simfuse_aws::function;
use simfuse_usage_aggregator::config::Config;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    function::log();
    function::install_tls()?;
    let _config = Config::from_env()?;
    Err("the aggregator cannot run yet".into())
}
