//! The webhook's environment: read here and nowhere else.

use simfuse_supersim::Provider;

/// What the environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The table.
    pub table_name: String,
    /// Whose requests are taken.
    pub provider: Provider,
    /// The secret with which they are signed.
    pub webhook_secret_arn: String,
    /// The URL that the provider calls, where it is not the function's own.
    pub public_webhook_url: Option<String>,
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
            let found = || "nothing".to_owned();
            text(name).ok_or_else(|| ConfigError { name, found: found(), allowed })
        };
        if text(LOCAL_SECRET).is_some() {
            let (found, allowed) = ("a value".to_owned(), "nothing: secrets have ARNs here");
            return Err(ConfigError { name: LOCAL_SECRET, found, allowed });
        }
        let provider_names = "twilio or kore";
        let provider = required("PROVIDER", provider_names)?;
        let public_webhook_url = text("PUBLIC_WEBHOOK_URL");
        if let Some(found) = public_webhook_url.clone().filter(|url| !is_http(url)) {
            let allowed = "an absolute http or https URL";
            return Err(ConfigError { name: "PUBLIC_WEBHOOK_URL", found, allowed });
        }
        Ok(Self {
            table_name: required("TABLE_NAME", "the name of a DynamoDB table")?,
            provider: provider.parse().map_err(|_unknown| ConfigError {
                name: "PROVIDER",
                found: provider,
                allowed: provider_names,
            })?,
            webhook_secret_arn: required(
                "WEBHOOK_SECRET_ARN",
                "the ARN of a Secrets Manager secret",
            )?,
            public_webhook_url,
        })
    }
}

fn is_http(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 3] = [
        ("TABLE_NAME", "simfuse"),
        ("PROVIDER", "kore"),
        ("WEBHOOK_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:w"),
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
        let config = read(&[("PUBLIC_WEBHOOK_URL", "https://example.com/events?a=b")]).unwrap();
        assert_eq!(config.provider, Provider::Kore);
        assert_eq!(config.table_name, "simfuse");
    }

    #[test]
    fn a_missing_or_wrong_variable_is_named_with_what_is_allowed() {
        let error = |name, value| read(&[(name, value)]).unwrap_err();
        let wrong = "PROVIDER: found verizon, allowed is twilio or kore";
        assert_eq!(error("PROVIDER", "verizon"), wrong);
        let missing = "TABLE_NAME: found nothing, allowed is the name of a DynamoDB table";
        assert_eq!(error("TABLE_NAME", ""), missing);
        assert!(error("PUBLIC_WEBHOOK_URL", "example.com").starts_with("PUBLIC_WEBHOOK_URL: "));
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
