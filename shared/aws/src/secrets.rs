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

    /// Fetches the key that links are signed with: `{"key": "…"}`, a text of 32 bytes or more. During
    /// a rotation it is a list of two, the present one first.
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
    #[serde(untagged)]
    enum Keys {
        One(String),
        Two([String; 2]),
    }
    #[derive(Deserialize)]
    struct Secret {
        key: Keys,
    }
    // The parser's own words may repeat what it read.
    let secret = serde_json::from_str::<Secret>(json).map_err(|_text| "not laid out so")?;
    Ok(match secret.key {
        Keys::One(key) => LinkKey::new(key.as_bytes())?,
        Keys::Two([present, previous]) => {
            LinkKey::new(present.as_bytes())?.after(previous.as_bytes())?
        }
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use simfuse_domain::id::SimSid;

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
            (r#"{"key": ["hunter2", "hunter2", "hunter2"]}"#, "not laid out so"),
            (r#""hunter2""#, "not laid out so"),
            ("hunter2", "not laid out so"),
        ] {
            assert_eq!(error(json).as_deref(), Some(why));
        }
        let short = format!(r#"{{"key": ["{key}", "hunter2"]}}"#);
        let why = "a key of 7 bytes, and fewer than 32 can be guessed";
        assert_eq!(error(&short).as_deref(), Some(why));
    }

    #[test]
    fn links_of_the_key_before_hold_and_new_ones_are_signed_with_the_present_one() {
        let (now, sim) = (Timestamp::UNIX_EPOCH, SimSid::from_bytes([1; 16]));
        let key = |json: &str| link_key(json).unwrap();
        let (present, previous) = ("n".repeat(32), "p".repeat(32));
        let both = key(&format!(r#"{{"key": ["{present}", "{previous}"]}}"#));
        let sign = |key: &LinkKey| key.sign_hint(sim, Timestamp::MAX);
        let [old, new] = [&previous, &present].map(|text| key(&format!(r#"{{"key": "{text}"}}"#)));
        assert_eq!(both.verify_hint(&sign(&old), now), Ok(sim));
        assert_eq!(sign(&both), sign(&new));
        assert!(
            new.verify_hint(&sign(&old), now).is_err(),
            "without the old key its links are void"
        );
    }
}
