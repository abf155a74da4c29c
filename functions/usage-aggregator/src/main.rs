//! The usage aggregator's Lambda function: invoked on a schedule, and by hand.

use std::error::Error;

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use simfuse_aws::client::function_config;
use simfuse_aws::{SystemClock, function};
use simfuse_usage_aggregator::adapters;
use simfuse_usage_aggregator::config::Config;
use simfuse_usage_aggregator::error::Chain;
use simfuse_usage_aggregator::handler::{Aggregator, Invocation, diagnostic};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    function::log();
    function::install_tls()?;
    let config = Config::from_env()?;
    let aws = function_config();
    let table = function::table(&aws, &config.table_name);
    let alerts = function::alerts(&aws, &config.alert_topic_arn);
    let alerts = alerts.of_stack(config.stack.clone());
    let (provider, ()) = tokio::join!(adapters::provider(&aws, &config), function::open(&table));
    let provider = provider.inspect_err(|error| function::cannot_start(&**error))?;
    let aggregator = Aggregator::new(table, provider, alerts, SystemClock);
    let aggregator = &aggregator.of_stack(config.stack);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        let invocation = Invocation {
            id: event.context.request_id.clone(),
            deadline: Timestamp::from_millisecond(deadline).unwrap_or(Timestamp::MAX),
        };
        aggregator.handle(event.payload, &invocation).await.map_err(|error| {
            tracing::error!(error = %Chain(&error), "run failed");
            diagnostic(&error)
        })
    }))
    .await
}
