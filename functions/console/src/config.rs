//! The console's environment: read here and nowhere else.

use simfuse_aws::function::{ConfigError, Environment};

/// What the environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The table.
    pub table_name: String,
    /// The secret with the key that links are signed with.
    pub link_secret_arn: String,
    /// The kill-switch's function.
    pub kill_switch: String,
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
        Ok(Self {
            table_name: env.required("TABLE_NAME", "the name of a DynamoDB table")?,
            link_secret_arn: env.required("LINK_SECRET_ARN", secret)?,
            kill_switch: env.required(
                "KILL_SWITCH_FUNCTION",
                "the name or ARN of the kill-switch's function",
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 3] = [
        ("TABLE_NAME", "simfuse"),
        ("LINK_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:l"),
        ("KILL_SWITCH_FUNCTION", "simfuse-kill-switch"),
    ];

    fn read(without: &str) -> Result<Config, String> {
        let lookup = |name: &str| {
            let found = COMPLETE.iter().find(|(other, _)| *other == name && name != without);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::from_lookup(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn a_complete_environment_is_read() {
        assert_eq!(read("").unwrap().kill_switch, "simfuse-kill-switch");
    }

    #[test]
    fn a_missing_variable_is_named_with_what_is_allowed() {
        for (name, _) in COMPLETE {
            let error = read(name).unwrap_err();
            assert!(
                error.starts_with(&format!("{name}: found nothing, allowed is the ")),
                "{error}"
            );
        }
    }
}
