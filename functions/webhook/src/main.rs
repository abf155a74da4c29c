//! The webhook's Lambda function: behind a function URL, and at an event stream where there is one.

use std::error::Error;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use simfuse_aws::client::function_config;
use simfuse_aws::{SystemClock, function};
use simfuse_webhook::adapters::AwsSecrets;
use simfuse_webhook::config::Config;
use simfuse_webhook::handler::Handler;
use simfuse_webhook::intake::{Intake, Receipt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    function::log();
    function::install_tls()?;
    let config = Config::from_env()?;
    let aws = function_config();
    let table = function::table(&aws, &config.table_name);
    let secrets = AwsSecrets::new(&aws, config.webhook_secret_arn, config.provider);
    let intake = Intake::new(table, Receipt::Live);
    let public_url = config.public_webhook_url;
    let handler = &Handler::new(intake, secrets, SystemClock, config.provider, public_url);
    // A fault here is not the end: the first request tries again, and is answered 503 if it must.
    if let Err(error) = handler.warm().await {
        tracing::warn!(error = %simfuse_webhook::error::Chain(&error), "not warm");
    }
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        handler.invoke(event.payload).await.map_err(lambda_runtime::Error::from)
    }))
    .await
}
