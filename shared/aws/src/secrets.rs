//! Secrets of the functions, from Secrets Manager.

use std::error::Error;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use simfuse_domain::signed_link::LinkKey;

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
    /// It holds no key that links could be signed with.
    #[error("the secret {arn} holds no {{\"key\"}}")]
    NoKey {
        /// Which secret.
        arn: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
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

    /// Fetches the key that links are signed with: `{"key": "…"}`, a text of 32 bytes or more.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn fetch_link_key(&self, arn: &str) -> Result<LinkKey, SecretsError> {
        let secret = self.fetch(arn).await?;
        let no_key = |source| SecretsError::NoKey { arn: arn.to_owned(), source };
        link_key(secret.expose_secret()).map_err(no_key)
    }
}

fn link_key(json: &str) -> Result<LinkKey, Box<dyn Error + Send + Sync>> {
    #[derive(Deserialize)]
    struct Secret {
        key: String,
    }
    // The parser's own words may repeat what it read.
    let secret = serde_json::from_str::<Secret>(json).map_err(|_text| "not laid out so")?;
    Ok(LinkKey::new(secret.key.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_long_text_in_a_json_object_and_errors_do_not_repeat_it() {
        let error = |json: &str| link_key(json).err().map(|error| error.to_string());
        let key = "k".repeat(32);
        assert_eq!(error(&format!(r#"{{"key": "{key}"}}"#)), None);
        assert_eq!(error(&format!(r#"{{"key": "{key}", "more": 1}}"#)), None);
        for (json, why) in [
            (r#"{"key": "hunter2"}"#, "a key of 7 bytes, and fewer than 32 can be guessed"),
            (r#"{"key": ["hunter2"]}"#, "not laid out so"),
            (r#""hunter2""#, "not laid out so"),
            ("hunter2", "not laid out so"),
        ] {
            assert_eq!(error(json).as_deref(), Some(why));
        }
    }
}
