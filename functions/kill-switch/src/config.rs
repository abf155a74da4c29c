//! The kill-switch's environment: read here and nowhere else.

use simfuse_aws::function::{ConfigError, Environment};
use simfuse_domain::alert::StackName;
use simfuse_domain::policy::Mode;
use simfuse_domain::signed_link::ConsoleOrigin;
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
    /// Where those go as well that nobody answers.
    pub escalation_topic_arn: Option<String>,
    /// Whether anything is deactivated automatically.
    pub mode: Mode,
    /// What links in alerts lead to and are signed with, where there is a console.
    pub links: Option<LinkConfig>,
}

/// What links are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// Where the console is reached.
    pub console: ConsoleOrigin,
    /// The secret with the key that they are signed with.
    pub secret_arn: String,
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
        // One without the other is a mistake, and none are no links.
        let has_links = env.optional("CONSOLE_URL").or_else(|| env.optional("LINK_SECRET_ARN"));
        let links = has_links.map(|_set| {
            Ok(LinkConfig {
                console: env.parsed(
                    "CONSOLE_URL",
                    "an https URL without a path, or nothing where LINK_SECRET_ARN is nothing",
                )?,
                secret_arn: env.required(
                    "LINK_SECRET_ARN",
                    "the ARN of a Secrets Manager secret, or nothing where CONSOLE_URL is nothing",
                )?,
            })
        });
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
            escalation_topic_arn: env.optional("ESCALATION_TOPIC_ARN"),
            mode: env.parsed_or(
                "ENFORCEMENT_MODE",
                "observe (the default) or enforce",
                "observe",
            )?,
            links: links.transpose()?,
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
    fn without_a_word_it_observes() {
        assert_eq!(read(&[]).unwrap().mode, Mode::Observe);
        assert_eq!(read(&[("ENFORCEMENT_MODE", "enforce")]).unwrap().mode, Mode::Enforce);
    }

    #[test]
    fn a_second_topic_may_be_left_out() {
        let second = |arn| read(&[("ESCALATION_TOPIC_ARN", arn)]).unwrap().escalation_topic_arn;
        assert_eq!(second(""), None);
        let arn = "arn:aws:sns:us-east-1:000000000000:boss";
        assert_eq!(second(arn).as_deref(), Some(arn));
    }

    #[test]
    fn links_need_a_console_and_a_key_or_neither() {
        let (url, arn) = ("https://c.example.com/", "arn:aws:secretsmanager:us-east-1:0:secret:l");
        assert_eq!(read(&[("CONSOLE_URL", ""), ("LINK_SECRET_ARN", "")]).unwrap().links, None);
        let both = [("CONSOLE_URL", url), ("LINK_SECRET_ARN", arn)];
        let console = "https://c.example.com".parse().unwrap();
        let links = Some(LinkConfig { console, secret_arn: arn.to_owned() });
        assert_eq!(read(&both).unwrap().links, links);
        let expected = "LINK_SECRET_ARN: found nothing, allowed is the ARN of a Secrets Manager \
                        secret, or nothing where CONSOLE_URL is nothing";
        assert_eq!(read(&[("CONSOLE_URL", url)]).unwrap_err(), expected);
        let expected = "CONSOLE_URL: found nothing, allowed is an https URL without a path, or \
                        nothing where LINK_SECRET_ARN is nothing";
        assert_eq!(read(&[("LINK_SECRET_ARN", arn)]).unwrap_err(), expected);
        let wrong = [("CONSOLE_URL", "http://c.example.com"), ("LINK_SECRET_ARN", arn)];
        assert!(read(&wrong).unwrap_err().starts_with("CONSOLE_URL: found http://"));
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
        let expected =
            "ENFORCEMENT_MODE: found Enforce, allowed is observe (the default) or enforce";
        assert_eq!(error("ENFORCEMENT_MODE", "Enforce"), expected);
        let expected = "ALERT_TOPIC_ARN: found nothing, allowed is the ARN of an SNS topic";
        assert_eq!(error("ALERT_TOPIC_ARN", ""), expected);
        let base = error("SUPERSIM_API_BASE", "http://supersim.example.com");
        assert!(base.starts_with("SUPERSIM_API_BASE: "), "{base}");
    }
}
