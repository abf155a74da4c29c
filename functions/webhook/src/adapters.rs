//! What only the deployed function needs: the secret from Secrets Manager.

use std::error::Error;

use secrecy::ExposeSecret as _;
use simfuse_aws::{SdkConfig, SecretsManager};
use simfuse_supersim::Provider;
use simfuse_supersim::secret::WebhookSecrets;

use crate::handler::Secrets;

/// The webhook's secret in Secrets Manager.
pub struct AwsSecrets {
    secrets: SecretsManager,
    arn: String,
    provider: Provider,
}

impl AwsSecrets {
    /// The secret with this ARN, as this provider's is laid out.
    #[must_use]
    pub fn new(aws: &SdkConfig, arn: String, provider: Provider) -> Self {
        Self { secrets: SecretsManager::new(aws), arn, provider }
    }
}

impl Secrets for AwsSecrets {
    async fn fetch(&self) -> Result<WebhookSecrets, Box<dyn Error + Send + Sync>> {
        let secret = self.secrets.fetch(&self.arn).await?;
        Ok(WebhookSecrets::from_json(self.provider, secret.expose_secret())?)
    }
}
