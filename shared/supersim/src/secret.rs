//! What the operator keeps in Secrets Manager: webhook secrets and API credentials.
//!
//! The two may be one JSON object, so keys that are not asked for are ignored. No error repeats a
//! value.

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::provider::Provider;

/// While a secret is rotated, the old and the new one are in use.
const WEBHOOK_SECRETS_MAX: usize = 2;

/// Why a secret's JSON is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not JSON, or JSON of another kind.
    #[error("the secret is not a JSON object")]
    NotAnObject,
    /// A key is not there.
    #[error("the secret lacks {key:?}")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key holds something else.
    #[error("the secret's {key:?} is not {expected}")]
    Wrong {
        /// The key.
        key: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
}

/// The secrets with which the provider signs webhook requests: one, or two during rotation.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Vec<SecretString>);

impl WebhookSecrets {
    /// Reads Twilio's `{"auth_token": …}` or KORE's `{"webhook_secret": …}`: a string, or an array
    /// of one or two.
    ///
    /// # Errors
    /// [`SecretError`] when a key is absent, empty or holds something else.
    pub fn from_json(provider: Provider, json: &str) -> Result<Self, SecretError> {
        let key = match provider {
            Provider::Twilio => "auth_token",
            Provider::Kore => "webhook_secret",
        };
        texts(&object(json)?, key).map(Self)
    }

    /// The secrets, for [`Verifier::new`](crate::signature::Verifier::new).
    #[must_use]
    pub fn into_vec(self) -> Vec<SecretString> {
        self.0
    }
}

/// With what the REST API is called.
#[derive(Debug, Clone)]
pub enum ApiCredentials {
    /// Twilio: HTTP Basic with the account's own token.
    TwilioToken {
        /// `AC…`
        account_sid: String,
        /// The primary token.
        auth_token: SecretString,
    },
    /// Twilio: HTTP Basic with an API key, which can be revoked by itself.
    TwilioKey {
        /// `AC…`
        account_sid: String,
        /// `SK…`
        api_key_sid: String,
        /// The key's secret.
        api_key_secret: SecretString,
    },
    /// KORE: OAuth2 client credentials.
    Kore {
        /// The API client.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
}

impl ApiCredentials {
    /// Reads Twilio's `{"account_sid", "auth_token"}` or `{"account_sid", "api_key_sid",
    /// "api_key_secret"}`, of which the key is preferred where both are there; or KORE's
    /// `{"client_id", "client_secret"}`. Of two auth tokens the first is used.
    ///
    /// # Errors
    /// [`SecretError`] when a key is absent, empty or holds something else.
    pub fn from_json(provider: Provider, json: &str) -> Result<Self, SecretError> {
        let object = object(json)?;
        if provider == Provider::Kore {
            return Ok(Self::Kore {
                client_id: text(&object, "client_id")?,
                client_secret: text(&object, "client_secret")?.into(),
            });
        }
        let account_sid = text(&object, "account_sid")?;
        if object.contains_key("api_key_sid") || object.contains_key("api_key_secret") {
            return Ok(Self::TwilioKey {
                account_sid,
                api_key_sid: text(&object, "api_key_sid")?,
                api_key_secret: text(&object, "api_key_secret")?.into(),
            });
        }
        let tokens = texts(&object, "auth_token")?;
        let auth_token =
            tokens.into_iter().next().ok_or(SecretError::Missing { key: "auth_token" })?;
        Ok(Self::TwilioToken { account_sid, auth_token })
    }

    /// Whose credentials these are.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        match self {
            Self::TwilioToken { .. } | Self::TwilioKey { .. } => Provider::Twilio,
            Self::Kore { .. } => Provider::Kore,
        }
    }
}

fn object(json: &str) -> Result<Map<String, Value>, SecretError> {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => Ok(object),
        // The parser's own error may quote the text.
        Ok(_) | Err(_) => Err(SecretError::NotAnObject),
    }
}

fn text(object: &Map<String, Value>, key: &'static str) -> Result<String, SecretError> {
    match object.get(key) {
        None | Some(Value::Null) => Err(SecretError::Missing { key }),
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(_) => Err(SecretError::Wrong { key, expected: "a string that is not empty" }),
    }
}

fn texts(object: &Map<String, Value>, key: &'static str) -> Result<Vec<SecretString>, SecretError> {
    let Some(Value::Array(values)) = object.get(key) else {
        return Ok(vec![text(object, key)?.into()]);
    };
    let texts: Option<Vec<SecretString>> = values
        .iter()
        .map(|value| value.as_str().filter(|text| !text.is_empty()).map(SecretString::from))
        .collect();
    texts
        .filter(|texts| (1..=WEBHOOK_SECRETS_MAX).contains(&texts.len()))
        .ok_or(SecretError::Wrong { key, expected: "a string, or an array of one or two" })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[track_caller]
    fn check_webhook(provider: Provider, json: &str, expected: Result<&[&str], &str>) {
        let secrets = WebhookSecrets::from_json(provider, json).map_err(|error| error.to_string());
        let secrets = secrets.map(WebhookSecrets::into_vec);
        let texts = secrets.as_ref().map(|secrets| {
            secrets.iter().map(secrecy::ExposeSecret::expose_secret).collect::<Vec<_>>()
        });
        assert_eq!(texts.as_deref().map_err(|error| &***error), expected, "{json}");
    }

    #[test]
    fn a_webhook_secret_is_one_string_or_two() {
        use Provider::{Kore, Twilio};
        check_webhook(Twilio, r#"{"auth_token": "a", "x": 1}"#, Ok(&["a"]));
        check_webhook(Twilio, r#"{"auth_token": ["a", "b"]}"#, Ok(&["a", "b"]));
        check_webhook(Kore, r#"{"webhook_secret": ["a"]}"#, Ok(&["a"]));
        let lacks = r#"the secret lacks "webhook_secret""#;
        check_webhook(Kore, r#"{"auth_token": "a"}"#, Err(lacks));
        check_webhook(Kore, r#"{"webhook_secret": null}"#, Err(lacks));
        let list = r#"the secret's "auth_token" is not a string, or an array of one or two"#;
        for tokens in ["[]", r#"["a", "b", "c"]"#, r#"["a", ""]"#, "[1]"] {
            check_webhook(Twilio, &format!(r#"{{"auth_token": {tokens}}}"#), Err(list));
        }
        let empty = r#"the secret's "auth_token" is not a string that is not empty"#;
        check_webhook(Twilio, r#"{"auth_token": ""}"#, Err(empty));
        for json in ["hunter2", r#""hunter2""#, "[]", "", r#"{"auth_token": "hunter2"#] {
            check_webhook(Twilio, json, Err("the secret is not a JSON object"));
        }
    }

    #[test]
    fn reads_the_credentials_of_either_provider() {
        let token = r#"{"account_sid": "AC1", "auth_token": ["hunter2", "old"]}"#;
        let credentials = ApiCredentials::from_json(Provider::Twilio, token).unwrap();
        assert!(!format!("{credentials:?}").contains("hunter2"));
        let ApiCredentials::TwilioToken { auth_token, .. } = credentials else {
            panic!("{credentials:?}")
        };
        assert_eq!(auth_token.expose_secret(), "hunter2");

        let key = r#"{"account_sid": "AC1", "auth_token": "t", "api_key_sid": "SK1",
                      "api_key_secret": "s"}"#;
        let credentials = ApiCredentials::from_json(Provider::Twilio, key).unwrap();
        assert!(matches!(credentials, ApiCredentials::TwilioKey { .. }));
        assert_eq!(credentials.provider(), Provider::Twilio);

        let client = r#"{"client_id": "c", "client_secret": "s"}"#;
        let credentials = ApiCredentials::from_json(Provider::Kore, client).unwrap();
        assert_eq!(credentials.provider(), Provider::Kore);
    }

    #[test]
    fn says_which_credential_is_missing() {
        for (provider, json, key) in [
            (Provider::Twilio, r#"{"auth_token": "t"}"#, "account_sid"),
            (Provider::Twilio, r#"{"account_sid": "AC1"}"#, "auth_token"),
            (Provider::Twilio, r#"{"account_sid": "AC1", "api_key_sid": "S"}"#, "api_key_secret"),
            (Provider::Twilio, r#"{"account_sid": "AC1", "api_key_secret": "s"}"#, "api_key_sid"),
            (Provider::Kore, r#"{"client_secret": "s"}"#, "client_id"),
            (Provider::Kore, r#"{"client_id": "c"}"#, "client_secret"),
        ] {
            let error = ApiCredentials::from_json(provider, json).unwrap_err();
            assert_eq!(error, SecretError::Missing { key });
        }
    }
}
