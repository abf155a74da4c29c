//! The aggregator's environment: read here and nowhere else.

use simfuse_supersim::Provider;
use simfuse_supersim::client::{ApiOrigin, TokenUrl};

/// What the environment says.
#[derive(Debug, Clone)]
pub struct Config {
    /// The table.
    pub table_name: String,
    /// Whose SIMs these are.
    pub provider: Provider,
    /// The secret with the API's credentials.
    pub api_secret_arn: String,
    /// The API's origin.
    pub api_base: ApiOrigin,
    /// KORE's token endpoint.
    pub token_url: TokenUrl,
    /// Where alerts go.
    pub alert_topic_arn: String,
}

/// Secrets in plain sight, for `simfuse up` only: a function that finds them refuses to start.
const LOCAL_SECRET: &str = "SIMFUSE_SECRET_JSON";

/// A variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: found {found}, allowed is {allowed}")]
pub struct ConfigError {
    name: &'static str,
    found: String,
    allowed: &'static str,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] for the first variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let required = |name, allowed| {
            text(name).ok_or_else(|| ConfigError { name, found: "nothing".to_owned(), allowed })
        };
        let wrong = |name, allowed| move |found: String| ConfigError { name, found, allowed };
        if text(LOCAL_SECRET).is_some() {
            let (found, allowed) = ("a value".to_owned(), "nothing: secrets have ARNs here");
            return Err(ConfigError { name: LOCAL_SECRET, found, allowed });
        }
        let names = "twilio or kore";
        let found = required("PROVIDER", names)?;
        let provider: Provider =
            found.parse().map_err(|_unknown| wrong("PROVIDER", names)(found))?;
        let origin = "an https origin without a path";
        let found = text("SUPERSIM_API_BASE");
        let found = found.unwrap_or_else(|| provider.default_api_origin().to_owned());
        let api_base = found.parse().map_err(|_wrong| wrong("SUPERSIM_API_BASE", origin)(found))?;
        let endpoint = "an https URL";
        let found = text("SUPERSIM_TOKEN_URL");
        // Twilio has no such endpoint; its client never asks for a token.
        let default = Provider::Kore.default_token_url().unwrap_or_default();
        let found = found.unwrap_or_else(|| default.to_owned());
        let token_url =
            found.parse().map_err(|_wrong| wrong("SUPERSIM_TOKEN_URL", endpoint)(found))?;
        Ok(Self {
            table_name: required("TABLE_NAME", "the name of a DynamoDB table")?,
            provider,
            api_secret_arn: required("API_SECRET_ARN", "the ARN of a Secrets Manager secret")?,
            api_base,
            token_url,
            alert_topic_arn: required("ALERT_TOPIC_ARN", "the ARN of an SNS topic")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 4] = [
        ("TABLE_NAME", "simfuse"),
        ("PROVIDER", "twilio"),
        ("API_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:a"),
        ("ALERT_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:alerts"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Config, String> {
        let of = |list: &[(&str, &str)], name: &str| {
            let found = list.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let lookup = |name: &str| of(changes, name).or_else(|| of(&COMPLETE, name));
        Config::from_lookup(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn a_complete_environment_is_read() {
        let config = read(&[]).unwrap();
        assert_eq!(config.provider, Provider::Twilio);
        assert_eq!(config.api_base.to_string(), "https://supersim.twilio.com");
    }

    #[test]
    fn a_missing_or_wrong_variable_is_named_with_what_is_allowed() {
        let error = |name, value| read(&[(name, value)]).unwrap_err();
        assert_eq!(
            error("PROVIDER", "Twilio"),
            "PROVIDER: found Twilio, allowed is twilio or kore"
        );
        let expected = "ALERT_TOPIC_ARN: found nothing, allowed is the ARN of an SNS topic";
        assert_eq!(error("ALERT_TOPIC_ARN", ""), expected);
        let base = error("SUPERSIM_API_BASE", "http://supersim.example.com");
        assert!(base.starts_with("SUPERSIM_API_BASE: "), "{base}");
    }

    #[test]
    fn secrets_in_plain_sight_are_refused_and_not_repeated() {
        let error = read(&[("SIMFUSE_SECRET_JSON", "{\"auth_token\":\"t\"}")]).unwrap_err();
        assert_eq!(
            error,
            "SIMFUSE_SECRET_JSON: found a value, allowed is nothing: secrets have ARNs here"
        );
    }
}
