//! The webhook's environment: read here and nowhere else.

use std::str::FromStr;

use simfuse_aws::function::{ConfigError, Environment};
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

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] for the first variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let env = Environment::new(lookup)?;
        let secret = "the ARN of a Secrets Manager secret";
        let public_webhook_url = env
            .optional("PUBLIC_WEBHOOK_URL")
            .map(|_set| env.parsed("PUBLIC_WEBHOOK_URL", "an absolute http or https URL"));
        Ok(Self {
            table_name: env.required("TABLE_NAME", "the name of a DynamoDB table")?,
            provider: env.parsed("PROVIDER", "twilio or kore")?,
            webhook_secret_arn: env.required("WEBHOOK_SECRET_ARN", secret)?,
            public_webhook_url: public_webhook_url.transpose()?.map(|HttpUrl(url)| url),
        })
    }
}

/// An absolute URL.
struct HttpUrl(String);

impl FromStr for HttpUrl {
    type Err = ();

    fn from_str(url: &str) -> Result<Self, ()> {
        let absolute = url.starts_with("https://") || url.starts_with("http://");
        absolute.then(|| Self(url.to_owned())).ok_or(())
    }
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
}
