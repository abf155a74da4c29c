//! What only the deployed function needs: the secret from Secrets Manager.

use std::error::Error;

use aws_sdk_secretsmanager::Client;
use secrecy::ExposeSecret as _;
use simfuse_aws::{SdkConfig, fetch_secret};
use simfuse_supersim::Provider;
use simfuse_supersim::secret::WebhookSecrets;

use crate::handler::Secrets;

/// A client of DynamoDB.
#[must_use]
pub fn dynamodb(aws: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(aws)
}

/// The webhook's secret in Secrets Manager.
pub struct AwsSecrets {
    client: Client,
    arn: String,
    provider: Provider,
}

impl AwsSecrets {
    /// The secret with this ARN, as this provider's is laid out.
    #[must_use]
    pub fn new(aws: &SdkConfig, arn: String, provider: Provider) -> Self {
        Self { client: Client::new(aws), arn, provider }
    }
}

impl Secrets for AwsSecrets {
    async fn fetch(&self) -> Result<WebhookSecrets, Box<dyn Error + Send + Sync>> {
        let secret = fetch_secret(&self.client, &self.arn).await?;
        Ok(WebhookSecrets::from_json(self.provider, secret.expose_secret())?)
    }
}
