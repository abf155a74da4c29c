//! What only the deployed function needs: the kill-switch behind Lambda's Invoke call.

use std::error::Error;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use simfuse_aws::SdkConfig;
use simfuse_domain::id::SimSid;
use simfuse_kill_switch::request::{Answer, Request};

use crate::handler::{ANSWER_WITHIN, Switch};

/// The deployed kill-switch.
#[derive(Debug, Clone)]
pub struct LambdaSwitch {
    client: Client,
    function: String,
}

impl LambdaSwitch {
    /// The function of this name or ARN.
    #[must_use]
    pub fn new(aws: &SdkConfig, function: String) -> Self {
        // The kill-switch asks the provider meanwhile: a call within the region is shorter. Whoever
        // waits tries again, so that nothing is asked twice by itself.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(simfuse_aws::client::CONNECT_TIMEOUT)
            .operation_timeout(ANSWER_WITHIN)
            .build();
        let config = Builder::from(aws).timeout_config(timeouts);
        let config = config.retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), function }
    }
}

impl Switch for LambdaSwitch {
    async fn ask(&self, request: &Request) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let payload = Blob::new(serde_json::to_vec(request)?);
        let call = self.client.invoke().function_name(&self.function).payload(payload);
        let answer = Box::pin(call.send()).await?;
        let body = answer.payload.unwrap_or_else(|| Blob::new(Vec::new())).into_inner();
        if let Some(kind) = answer.function_error {
            let said = String::from_utf8_lossy(&body);
            return Err(format!("it failed ({kind}): {said}").into());
        }
        Ok(serde_json::from_slice(&body)?)
    }

    async fn hint(&self, sim: SimSid) -> Result<(), Box<dyn Error + Send + Sync>> {
        let payload = serde_json::json!({ "hint": { "sim": sim } }).to_string();
        let call = self.client.invoke().function_name(&self.function);
        // Lambda keeps it and answers at once.
        let call = call.invocation_type(InvocationType::Event);
        Box::pin(call.payload(Blob::new(payload)).send()).await?;
        Ok(())
    }
}
