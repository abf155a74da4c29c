//! What only the deployed function needs: its ports, and credentials from Secrets Manager.

use std::error::Error;

use secrecy::ExposeSecret as _;
use simfuse_aws::{SdkConfig, SnsAlerts, Table, fetch_secret};
use simfuse_supersim::client::{ClientConfig, SuperSimClient};
use simfuse_supersim::secret::ApiCredentials;

use crate::config::Config;

/// The table.
#[must_use]
pub fn table(aws: &SdkConfig, config: &Config) -> Table {
    Table::new(aws_sdk_dynamodb::Client::new(aws), &*config.table_name)
}

/// E-mail and SMS.
#[must_use]
pub fn alerts(aws: &SdkConfig, config: &Config) -> SnsAlerts {
    SnsAlerts::new(aws_sdk_sns::Client::new(aws), config.alert_topic_arn.clone())
}

/// A client of the provider's API, with the credentials of the secret.
///
/// # Errors
/// When the secret cannot be read, or is not laid out as this provider's.
pub async fn provider(
    aws: &SdkConfig,
    config: &Config,
) -> Result<SuperSimClient, Box<dyn Error + Send + Sync>> {
    let secrets = aws_sdk_secretsmanager::Client::new(aws);
    let secret = fetch_secret(&secrets, &config.api_secret_arn).await?;
    let credentials = ApiCredentials::from_json(config.provider, secret.expose_secret())?;
    let (origin, token_url) = (config.api_base.clone(), config.token_url.clone());
    Ok(SuperSimClient::new(ClientConfig { origin, token_url, credentials })?)
}
