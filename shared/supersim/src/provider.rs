//! The two companies that run Super SIM: Twilio built it, KORE took it over.

use std::fmt;
use std::str::FromStr;

/// Who runs the SIMs. It decides the API's host, how requests are authenticated, and how webhooks
/// are signed; paths, fields and the events' content are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Twilio; its event types are discontinued since November 2024, its API description lives on.
    Twilio,
    /// KORE Wireless.
    Kore,
}

impl Provider {
    /// The origin of the REST API, without `/v1` (both providers' OpenAPI descriptions).
    #[must_use]
    pub const fn default_api_origin(self) -> &'static str {
        match self {
            Self::Twilio => "https://supersim.twilio.com",
            Self::Kore => "https://supersim.api.korewireless.com",
        }
    }

    /// The OAuth2 token endpoint (KORE's token API description); Twilio has none.
    #[must_use]
    pub const fn default_token_url(self) -> Option<&'static str> {
        match self {
            Self::Twilio => None,
            Self::Kore => Some("https://api.korewireless.com/api-services/v1/auth/token"),
        }
    }

    /// The header of a webhook request that holds its signature, in lower case.
    #[must_use]
    pub const fn signature_header(self) -> &'static str {
        match self {
            Self::Twilio => crate::signature::TWILIO_SIGNATURE_HEADER,
            Self::Kore => crate::signature::KORE_SIGNATURE_HEADER,
        }
    }
}

/// A provider's name that is neither of the two.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider {found:?}: expected twilio or kore")]
pub struct UnknownProvider {
    found: String,
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        match text {
            "twilio" => Ok(Self::Twilio),
            "kore" => Ok(Self::Kore),
            _ => Err(UnknownProvider { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Twilio => "twilio",
            Self::Kore => "kore",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        for provider in [Provider::Twilio, Provider::Kore] {
            assert_eq!(provider.to_string().parse(), Ok(provider));
        }
        let error = "Twilio".parse::<Provider>().unwrap_err();
        assert_eq!(error.to_string(), r#"unknown provider "Twilio": expected twilio or kore"#);
    }
}
