//! Secrets of the functions, from Secrets Manager.

use std::error::Error;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use secrecy::SecretString;

/// Why a secret was not read.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The service did not give it.
    #[error("could not fetch the secret {arn}")]
    Fetch {
        /// Which secret.
        arn: String,
        /// The underlying error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It holds bytes instead of the JSON text that it should.
    #[error("the secret {arn} holds no text")]
    NotText {
        /// Which secret.
        arn: String,
    },
}

/// Secrets Manager.
#[derive(Debug, Clone)]
pub struct SecretsManager(Client);

impl SecretsManager {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(aws: &SdkConfig) -> Self {
        Self(Client::new(aws))
    }

    /// Fetches the current version of a secret, by its ARN or name.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn fetch(&self, arn: &str) -> Result<SecretString, SecretsError> {
        let answer = self.0.get_secret_value().secret_id(arn).send().await;
        let answer = answer.map_err(|error| SecretsError::Fetch {
            arn: arn.to_owned(),
            source: Box::new(error),
        })?;
        let text = answer.secret_string;
        let text = text.ok_or_else(|| SecretsError::NotText { arn: arn.to_owned() })?;
        Ok(SecretString::from(text))
    }
}
