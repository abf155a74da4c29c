//! The kill-switch's Lambda function: invoked by the table's stream, every minute, and by humans.

use std::error::Error;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use simfuse_aws::client::function_config;
use simfuse_aws::{SystemClock, function};
use simfuse_kill_switch::adapters;
use simfuse_kill_switch::config::Config;
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_kill_switch::error::Chain;
use simfuse_kill_switch::handler::diagnostic;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    function::log();
    function::install_tls()?;
    let config = Config::from_env()?;
    let aws = function_config();
    let table = function::table(&aws, &config.table_name);
    let alerts = function::alerts(&aws, &config.alert_topic_arn);
    let alerts = alerts.escalating_to(config.escalation_topic_arn.clone());
    let alerts = alerts.of_stack(config.stack.clone());
    let secrets = adapters::provider_and_links(&aws, &config);
    let (made, ()) = tokio::join!(secrets, function::open(&table));
    let (provider, links) = made.inspect_err(|error| function::cannot_start(&**error))?;
    let kill_switch = KillSwitch::new(table, provider, alerts, SystemClock, config.mode);
    let kill_switch = &kill_switch.of_stack(config.stack).linking(links);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let time = kill_switch.time_until(event.context.deadline);
        kill_switch.handle_within(event.payload, time).await.map_err(|error| {
            tracing::error!(error = %Chain(&error), "invocation failed");
            diagnostic(&error)
        })
    }))
    .await
}
