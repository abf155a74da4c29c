//! KORE's access token: got by OAuth2 client credentials, kept, and renewed by one caller for all.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use simfuse_domain::port::ProviderError;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::{ANSWER_BYTES_MAX, answer_to, unavailable, unreadable};
use super::url::TokenUrl;

/// A token is renewed this long before it expires, so that none expires on its way.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// The shortest life that a KORE client can be given; taken where the answer says none.
const LIFE_UNKNOWN: Duration = Duration::from_secs(60 * 60);

/// A day: KORE's longest is 24 months, longer than any process lives.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A token that is shared by all calls under way.
#[derive(Debug, Clone)]
pub(super) struct Token(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    text: SecretString,
    renew_at: Instant,
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.0.text.expose_secret()
    }
}

/// Where tokens come from.
#[derive(Debug)]
pub(super) struct TokenSource {
    url: TokenUrl,
    client_id: String,
    client_secret: SecretString,
    /// Locked while a token is fetched: whoever waits finds it here.
    kept: Mutex<Option<Token>>,
}

impl TokenSource {
    pub(super) fn new(url: TokenUrl, client_id: String, client_secret: SecretString) -> Self {
        Self { url, client_id, client_secret, kept: Mutex::new(None) }
    }

    /// The token in use, or a new one where that is about to expire.
    pub(super) async fn get(&self, http: &reqwest::Client) -> Result<Token, ProviderError> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some(token) if Instant::now() < token.0.renew_at => Ok(token.clone()),
            _ => Ok(kept.insert(self.fetch(http).await?).clone()),
        }
    }

    /// Another token than the one that was refused; the one in use where another caller has already
    /// renewed it.
    pub(super) async fn renew(
        &self,
        http: &reqwest::Client,
        refused: &Token,
    ) -> Result<Token, ProviderError> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some(token) if !Arc::ptr_eq(&token.0, &refused.0) => Ok(token.clone()),
            _ => {
                *kept = None;
                Ok(kept.insert(self.fetch(http).await?).clone())
            }
        }
    }

    async fn fetch(&self, http: &reqwest::Client) -> Result<Token, ProviderError> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
        ];
        let asked_at = Instant::now();
        let request = http.post(self.url.url().clone()).form(&form);
        let answer = answer_to(request, ANSWER_BYTES_MAX).await?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => {}
            // OAuth2 says 400 to a wrong client as well (RFC 6749, section 5.2).
            StatusCode::BAD_REQUEST => {
                return Err(ProviderError::Unauthorized { status: answer.status.as_u16() });
            }
            // Not a SIM that is unknown: the endpoint is not where it was said to be.
            StatusCode::NOT_FOUND => return Err(unavailable("no token endpoint (404)")),
            _ => return Err(answer.refusal()),
        }
        let answer: TokenAnswer = serde_json::from_slice(&answer.body).map_err(unreadable)?;
        let text = answer.access_token.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| unavailable("the token endpoint sent no token"))?;
        let life = life(&answer.expires_in).min(LIFE_MAX);
        let renew_at = asked_at + life.saturating_sub(RENEW_BEFORE);
        Ok(Token(Arc::new(Kept { text: text.into(), renew_at })))
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    #[serde(default)]
    expires_in: serde_json::Value,
}

/// Documented as a number of seconds, and shown as a string in an example.
fn life(expires_in: &serde_json::Value) -> Duration {
    let secs = expires_in.as_u64().or_else(|| expires_in.as_str()?.parse().ok());
    secs.map_or(LIFE_UNKNOWN, Duration::from_secs)
}
