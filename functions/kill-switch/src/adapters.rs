//! What only the deployed function needs: the provider's API, with credentials from Secrets Manager.

use std::error::Error;

use secrecy::ExposeSecret as _;
use simfuse_aws::{SdkConfig, SecretsManager};
use simfuse_supersim::client::{ClientConfig, SuperSimClient, Transport};
use simfuse_supersim::secret::ApiCredentials;

use crate::config::Config;

/// A client of the provider's API, with the credentials of the secret.
///
/// # Errors
/// When the secret cannot be read, or is not laid out as this provider's.
pub async fn provider(
    aws: &SdkConfig,
    config: &Config,
) -> Result<SuperSimClient, Box<dyn Error + Send + Sync>> {
    let secrets = SecretsManager::new(aws);
    // Root certificates take milliseconds to load: done while the secret is on its way.
    let (secret, transport) =
        tokio::join!(secrets.fetch(&config.api_secret_arn), async { Transport::new() });
    let credentials = ApiCredentials::from_json(config.provider, secret?.expose_secret())?;
    let (origin, token_url) = (config.api_base.clone(), config.token_url.clone());
    Ok(SuperSimClient::over(transport?, ClientConfig { origin, token_url, credentials }))
}
