//! The REST API: the adapter of the provider's ports, one module a resource.
//!
//! No redirect, no proxy from the environment: a local run must not leave the machine. A call of
//! [`SuperSim`](simfuse_domain::port::SuperSim) and every change is one attempt: what is retried
//! then, and when, is the caller's to decide. Lists and fleets are read with retries (`read.rs`).
//! Every property of an answer may be null (OpenAPI description, `nullable` throughout).

mod answer;
mod fleets;
mod inventory;
mod pages;
mod read;
mod sims;
mod token;
mod url;
mod usage;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use secrecy::ExposeSecret as _;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::ProviderError;

use self::answer::{ANSWER_BYTES_MAX, Answer, answer_to};
pub use self::fleets::{DATA_LIMIT_MB_MAX, DATA_LIMIT_MB_MIN};
pub use self::pages::{PAGE_BYTES_MAX, PAGE_SIZE, USAGE_PAGE_SIZE};
use self::read::Pauses;
pub use self::read::{READ_ATTEMPTS_MAX, READ_TIMEOUT, RETRY_AFTER_MAX};
use self::token::{Token, TokenSource};
pub use self::url::{ApiOrigin, TokenUrl, UrlError};
pub use self::usage::usage_record;
use crate::secret::ApiCredentials;

/// A host that does not take a connection within this time is down.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// For a whole call, a new token included: the kill-switch may spend 5 s on a finding.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// With what a client is made.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The API's origin.
    pub origin: ApiOrigin,
    /// KORE's token endpoint; not used with Twilio.
    pub token_url: TokenUrl,
    /// They also say whose API it is.
    pub credentials: ApiCredentials,
}

/// Why a client cannot be made: a mistake in the program or on the machine, not at the provider.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The program has to choose how TLS computes before it makes a client.
    #[error("no rustls crypto provider is installed: call `install_default` at start")]
    NoCryptoProvider,
    /// The HTTP client's own error.
    #[error("cannot make an HTTP client")]
    Http(#[source] reqwest::Error),
}

/// The HTTP client under a [`SuperSimClient`]; it loads the machine's root certificates.
#[derive(Debug)]
pub struct Transport(reqwest::Client);

impl Transport {
    /// One that has not connected yet.
    ///
    /// # Errors
    /// [`ClientError`] when no crypto provider is installed, or TLS cannot be set up.
    pub fn new() -> Result<Self, ClientError> {
        // Without this check reqwest panics.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ClientError::NoCryptoProvider);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent(concat!("simfuse/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ClientError::Http)?;
        Ok(Self(http))
    }
}

/// The API as one account may use it.
#[derive(Debug)]
pub struct SuperSimClient {
    http: reqwest::Client,
    origin: ApiOrigin,
    auth: Auth,
    pauses: Pauses,
    callbacks: Option<Callbacks>,
}

/// Makes the URL that the provider is to call once a change of a SIM is done (`CallbackUrl`).
///
/// What it sends there is not documented, and that it was the provider who sent it cannot be proven:
/// it is a hint to look, and nothing else.
#[derive(Clone)]
pub struct Callbacks {
    url: Arc<dyn Fn(SimSid) -> String + Send + Sync>,
    /// The minute under way, and how many were asked for in it.
    asked: Arc<Mutex<(Instant, u32)>>,
}

/// Callbacks asked for in a minute. A theft has a few; thousands of SIMs at once would call back all
/// at once, and the sweep sees them without.
const CALLBACKS_PER_MINUTE_MAX: u32 = 10;

impl Callbacks {
    /// Callbacks to what this makes for a SIM, at the time of the request.
    pub fn new(url: impl Fn(SimSid) -> String + Send + Sync + 'static) -> Self {
        Self { url: Arc::new(url), asked: Arc::new(Mutex::new((Instant::now(), 0))) }
    }

    /// Where to call back about the SIM; `None` when enough are on their way.
    pub(crate) fn url(&self, sim: SimSid) -> Option<String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.0.elapsed() >= Duration::from_secs(60) {
            *asked = (Instant::now(), 0);
        }
        if asked.1 >= CALLBACKS_PER_MINUTE_MAX {
            return None;
        }
        asked.1 = asked.1.saturating_add(1);
        Some((self.url)(sim))
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callbacks(..)")
    }
}

#[derive(Debug)]
enum Auth {
    Basic { user: String, password: secrecy::SecretString },
    Bearer(TokenSource),
}

impl SuperSimClient {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`ClientError`] when no crypto provider is installed, or TLS cannot be set up.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self::over(Transport::new()?, config))
    }

    /// The same, over an HTTP client that was made before.
    #[must_use]
    pub fn over(transport: Transport, config: ClientConfig) -> Self {
        let auth = match config.credentials {
            ApiCredentials::TwilioToken { account_sid, auth_token } => {
                Auth::Basic { user: account_sid, password: auth_token }
            }
            ApiCredentials::TwilioKey { api_key_sid, api_key_secret, account_sid: _ } => {
                Auth::Basic { user: api_key_sid, password: api_key_secret }
            }
            ApiCredentials::Kore { client_id, client_secret } => {
                Auth::Bearer(TokenSource::new(config.token_url, client_id, client_secret))
            }
        };
        let Transport(http) = transport;
        let (origin, pauses) = (config.origin, Pauses::BETWEEN_READS);
        Self { http, origin, auth, pauses, callbacks: None }
    }

    /// The same client, whose changes of SIMs ask for these callbacks.
    #[must_use]
    pub fn calling_back(self, callbacks: Option<Callbacks>) -> Self {
        Self { callbacks, ..self }
    }

    /// Makes one request, or a second one where KORE says that the token is no longer good: such a
    /// request was refused before anything was done.
    async fn call(&self, request: impl Fn() -> RequestBuilder) -> Result<Answer, ProviderError> {
        self.call_up_to(ANSWER_BYTES_MAX, request).await
    }

    /// The same, for an answer of this length at most.
    async fn call_up_to(
        &self,
        bytes_max: usize,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, ProviderError> {
        let tokens = match &self.auth {
            Auth::Basic { user, password } => {
                let request = request().basic_auth(user, Some(password.expose_secret()));
                return answer_to(request, bytes_max).await;
            }
            Auth::Bearer(tokens) => tokens,
        };
        let with = |token: &Token| request().bearer_auth(token.expose());
        let token = tokens.get(&self.http).await?;
        let answer = answer_to(with(&token), bytes_max).await?;
        if answer.status != StatusCode::UNAUTHORIZED && answer.status != StatusCode::FORBIDDEN {
            return Ok(answer);
        }
        let renewed = tokens.renew(&self.http, &token).await?;
        answer_to(with(&renewed), bytes_max).await
    }
}

/// Gives up a call that does not end in time, whatever it waits for.
async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|elapsed| {
        let source = Some(elapsed.into());
        Err(ProviderError::Unavailable { reason: "no answer in time".to_owned(), source })
    })
}

#[cfg(test)]
mod tests;
