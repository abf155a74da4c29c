//! What only the deployed function needs: what it makes of its secrets in Secrets Manager.

use std::error::Error;

use secrecy::ExposeSecret as _;
use simfuse_aws::{SdkConfig, SecretsManager, SystemClock};
use simfuse_domain::port::Clock as _;
use simfuse_domain::signed_link::Links;
use simfuse_supersim::client::{Callbacks, ClientConfig, SuperSimClient, Transport};
use simfuse_supersim::secret::ApiCredentials;

use crate::config::Config;

/// A client of the provider's API, with the credentials of its secret; and what writes links, where
/// there is a console. Both secrets are read at the same time.
///
/// # Errors
/// When a secret cannot be read, or is not laid out as it has to be.
pub async fn provider_and_links(
    aws: &SdkConfig,
    config: &Config,
) -> Result<(SuperSimClient, Option<Links>), Box<dyn Error + Send + Sync>> {
    let secrets = SecretsManager::new(aws);
    let links = async {
        let Some(links) = &config.links else { return Ok(None) };
        let key = secrets.fetch_link_key(&links.secret_arn).await?;
        Ok(Some(Links::new(links.console.clone(), key)))
    };
    let (provider, links) = tokio::join!(provider(&secrets, config), links);
    let links: Result<_, Box<dyn Error + Send + Sync>> = links;
    let links = links?;
    let hints = links
        .clone()
        .map(|links: Links| Callbacks::new(move |sim| links.hint_url(sim, SystemClock.now())));
    Ok((provider?.calling_back(hints), links))
}

async fn provider(
    secrets: &SecretsManager,
    config: &Config,
) -> Result<SuperSimClient, Box<dyn Error + Send + Sync>> {
    // Root certificates take milliseconds to load: done while the secret is on its way.
    let (secret, transport) =
        tokio::join!(secrets.fetch(&config.api_secret_arn), async { Transport::new() });
    let credentials = ApiCredentials::from_json(config.provider, secret?.expose_secret())?;
    let (origin, token_url) = (config.api_base.clone(), config.token_url.clone());
    Ok(SuperSimClient::over(transport?, ClientConfig { origin, token_url, credentials }))
}
