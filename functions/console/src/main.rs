//! The console's Lambda function, behind a function URL.

use std::convert::Infallible;
use std::error::Error;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use simfuse_aws::client::function_config;
use simfuse_aws::{SecretsManager, SystemClock, function};
use simfuse_console::adapters::LambdaSwitch;
use simfuse_console::config::Config;
use simfuse_console::handler::Handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    function::log();
    function::install_tls()?;
    let config = Config::from_env()?;
    let aws = function_config();
    let key = SecretsManager::new(&aws).fetch_link_key(&config.link_secret_arn).await;
    let key = key.inspect_err(|error| function::cannot_start(error))?;
    let table = function::table(&aws, &config.table_name);
    let switch = LambdaSwitch::new(&aws, config.kill_switch);
    let handler = &Handler::new(table, switch, SystemClock, key);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let call = &event.context.request_id;
        Ok::<_, Infallible>(handler.invoke(event.payload, call).await)
    }))
    .await
}
