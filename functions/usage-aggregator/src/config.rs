//! The aggregator's environment: read here and nowhere else.

use simfuse_aws::function::{ConfigError, Environment};
use simfuse_domain::alert::StackName;
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
    /// Which stack alerts say that they are of.
    pub stack: Option<StackName>,
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
        let provider: Provider = env.parsed("PROVIDER", "twilio or kore")?;
        // Twilio has no such endpoint; its client never asks for a token.
        let token_url = Provider::Kore.default_token_url().unwrap_or_default();
        Ok(Self {
            table_name: env.required("TABLE_NAME", "the name of a DynamoDB table")?,
            provider,
            api_secret_arn: env
                .required("API_SECRET_ARN", "the ARN of a Secrets Manager secret")?,
            api_base: env.parsed_or(
                "SUPERSIM_API_BASE",
                "an https origin without a path",
                provider.default_api_origin(),
            )?,
            token_url: env.parsed_or("SUPERSIM_TOKEN_URL", "an https URL", token_url)?,
            alert_topic_arn: env.required("ALERT_TOPIC_ARN", "the ARN of an SNS topic")?,
            stack: env.parsed_if("STACK_NAME", "the name of a CloudFormation stack")?,
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
    fn a_stack_may_have_no_name_but_no_impossible_one() {
        let stack = |name| read(&[("STACK_NAME", name)]).map(|config| config.stack);
        assert_eq!(stack(""), Ok(None));
        assert_eq!(stack("prod").unwrap().unwrap().to_string(), "prod");
        let expected = "STACK_NAME: found prod;ls, allowed is the name of a CloudFormation stack";
        assert_eq!(stack("prod;ls").unwrap_err(), expected);
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
}
