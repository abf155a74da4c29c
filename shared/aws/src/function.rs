//! What every deployed function does before its first invocation.

use std::error::Error;
use std::str::FromStr;

use aws_config::SdkConfig;
use simfuse_domain::chain::Chain;
use simfuse_domain::port::Policies;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::{SnsAlerts, Table};

/// TLS was set up before.
#[derive(Debug, thiserror::Error)]
#[error("TLS is set up twice")]
pub struct TlsSetUpTwice;

/// Logs as JSON lines, which CloudWatch can search by field; `RUST_LOG` chooses how much.
pub fn log() {
    let lines = tracing_subscriber::fmt::layer().json().with_current_span(false);
    tracing_subscriber::registry().with(lines).with(levels(LevelFilter::INFO)).init();
}

/// What `RUST_LOG` asks for (`info`, or `warn,simfuse_webhook=debug`), and this where it is unset
/// or cannot be read.
#[must_use]
pub fn levels(otherwise: LevelFilter) -> Targets {
    let asked = std::env::var("RUST_LOG").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| Targets::new().with_default(otherwise))
}

/// Chooses how TLS computes, once for the process.
///
/// # Errors
/// When it was chosen before.
pub fn install_tls() -> Result<(), TlsSetUpTwice> {
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_before| TlsSetUpTwice)
}

/// The table of this name.
#[must_use]
pub fn table(aws: &SdkConfig, name: &str) -> Table {
    Table::new(aws_sdk_dynamodb::Client::new(aws), name)
}

/// E-mail and SMS over the topic with this ARN.
#[must_use]
pub fn alerts(aws: &SdkConfig, topic_arn: &str) -> SnsAlerts {
    SnsAlerts::new(aws_sdk_sns::Client::new(aws), topic_arn.to_owned())
}

/// Opens the connection to the table, by a read of the policy. A fault is not the end: it is logged,
/// and the first invocation opens it.
pub async fn open(table: &impl Policies) {
    if let Err(error) = table.current_policy().await {
        tracing::warn!(error = %Chain(&error), "not warm");
    }
}

/// Says in the log why the function does not start. Lambda starts it anew for the next invocation.
pub fn cannot_start(error: &(dyn Error + Send + Sync + 'static)) {
    tracing::error!(error = %Chain(error), "cannot start");
}

/// A variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: found {found}, allowed is {allowed}")]
pub struct ConfigError {
    name: &'static str,
    found: String,
    allowed: &'static str,
}

/// Secrets in plain sight, for `simfuse up` only: a function that finds them refuses to start.
const LOCAL_SECRET: &str = "SIMFUSE_SECRET_JSON";

/// A function's environment. A variable that is set to nothing is not set.
pub struct Environment<L>(L);

impl<L: Fn(&str) -> Option<String>> Environment<L> {
    /// The environment in which this finds a variable's value.
    ///
    /// # Errors
    /// [`ConfigError`] when it holds secrets in plain sight.
    pub fn new(lookup: L) -> Result<Self, ConfigError> {
        let environment = Self(lookup);
        if environment.optional(LOCAL_SECRET).is_some() {
            let (found, allowed) = ("a value".to_owned(), "nothing: secrets have ARNs here");
            return Err(ConfigError { name: LOCAL_SECRET, found, allowed });
        }
        Ok(environment)
    }

    /// The variable's value, where it is set.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// The variable's value.
    ///
    /// # Errors
    /// [`ConfigError`], with what is allowed, when it is not set.
    pub fn required(
        &self,
        name: &'static str,
        allowed: &'static str,
    ) -> Result<String, ConfigError> {
        let missing = || ConfigError { name, found: "nothing".to_owned(), allowed };
        self.optional(name).ok_or_else(missing)
    }

    /// What the variable's value means.
    ///
    /// # Errors
    /// [`ConfigError`], with what is allowed, when it is not set or means nothing.
    pub fn parsed<T: FromStr>(
        &self,
        name: &'static str,
        allowed: &'static str,
    ) -> Result<T, ConfigError> {
        parse(name, self.required(name, allowed)?, allowed)
    }

    /// The same, or nothing where the variable is not set.
    ///
    /// # Errors
    /// [`ConfigError`], with what is allowed, when it means nothing.
    pub fn parsed_if<T: FromStr>(
        &self,
        name: &'static str,
        allowed: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        self.optional(name).map(|value| parse(name, value, allowed)).transpose()
    }

    /// What the variable's value means, and what `otherwise` means where the variable is not set.
    ///
    /// # Errors
    /// [`ConfigError`], with what is allowed, when it means nothing.
    pub fn parsed_or<T: FromStr>(
        &self,
        name: &'static str,
        allowed: &'static str,
        otherwise: &str,
    ) -> Result<T, ConfigError> {
        parse(name, self.optional(name).unwrap_or_else(|| otherwise.to_owned()), allowed)
    }
}

fn parse<T: FromStr>(
    name: &'static str,
    found: String,
    allowed: &'static str,
) -> Result<T, ConfigError> {
    found.parse().map_err(|_wrong| ConfigError { name, found, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &str = "a number";

    fn environment(value: &str) -> Environment<impl Fn(&str) -> Option<String>> {
        Environment::new(move |name| (name == "N").then(|| value.to_owned())).unwrap()
    }

    fn says<T>(result: Result<T, ConfigError>) -> String {
        result.map(|_| "a value".to_owned()).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_is_not_set() {
        let empty = environment("");
        assert_eq!(empty.optional("N"), None);
        assert_eq!(says(empty.required("N", ALLOWED)), "N: found nothing, allowed is a number");
        assert_eq!(empty.parsed_or("N", ALLOWED, "7"), Ok(7));
    }

    #[test]
    fn a_wrong_variable_is_named_with_what_is_allowed() {
        let wrong = environment("x");
        let expected = "N: found x, allowed is a number";
        assert_eq!(says(wrong.parsed::<u8>("N", ALLOWED)), expected);
        assert_eq!(says(wrong.parsed_or::<u8>("N", ALLOWED, "7")), expected);
        assert_eq!(environment("8").parsed_or("N", ALLOWED, "7"), Ok(8));
    }

    #[test]
    fn secrets_in_plain_sight_are_refused_and_not_repeated() {
        let plain =
            |name: &str| (name == LOCAL_SECRET).then(|| "{\"auth_token\":\"t\"}".to_owned());
        let expected =
            "SIMFUSE_SECRET_JSON: found a value, allowed is nothing: secrets have ARNs here";
        assert_eq!(says(Environment::new(plain)), expected);
    }
}
