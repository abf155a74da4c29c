//! The REST API's Sims resource: the adapter of [`SuperSim`].
//!
//! One attempt a call, no redirect, no proxy from the environment: what is retried, and when, is
//! the kill-switch's to decide, and a local run must not leave the machine. Every property of an
//! answer may be null (OpenAPI description, `nullable` throughout).

mod answer;
mod token;
mod url;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret as _;
use simfuse_domain::id::{Iccid, SimSid};
use simfuse_domain::port::{ProviderError, Sim, SimName, SuperSim, TargetStatus};

use self::answer::{read_body, refusal, sim_of, sims_of, unavailable};
use self::token::{Token, TokenSource};
pub use self::url::{ApiOrigin, TokenUrl, UrlError};
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

/// The Sims resource of one account.
#[derive(Debug)]
pub struct SuperSimClient {
    http: reqwest::Client,
    origin: ApiOrigin,
    auth: Auth,
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
        Ok(Self { http, origin: config.origin, auth })
    }

    async fn fetch_by_path(&self, name: &str) -> Result<Sim, ProviderError> {
        let Some(url) = self.origin.sim(name) else { return Err(ProviderError::NotFound) };
        let (status, body) = self.call(|| self.http.request(Method::GET, url.clone())).await?;
        if status != StatusCode::OK {
            return Err(refusal(status, &body));
        }
        sim_of(&body)
    }

    async fn fetch_by_iccid(&self, iccid: Iccid) -> Result<Sim, ProviderError> {
        let url = self.origin.sims();
        let query = [("Iccid", iccid.to_string())];
        let request = || self.http.request(Method::GET, url.clone()).query(&query);
        let (status, body) = self.call(request).await?;
        if status != StatusCode::OK {
            return Err(refusal(status, &body));
        }
        let mut sims = sims_of(&body)?;
        let sim = sims.pop().ok_or(ProviderError::NotFound)?;
        // A filter that was not applied would hand over a stranger's SIM.
        if !sims.is_empty() || sim.iccid.is_some_and(|other| other != iccid) {
            return Err(unavailable("the answer is not about the ICCID that was asked for"));
        }
        Ok(sim)
    }

    async fn update(&self, sim: SimSid, target: TargetStatus) -> Result<Sim, ProviderError> {
        let Some(url) = self.origin.sim(&sim.to_string()) else {
            return Err(ProviderError::NotFound);
        };
        let form = [("Status", target.status().to_string())];
        let request = || self.http.request(Method::POST, url.clone()).form(&form);
        let (status, body) = self.call(request).await?;
        // Both mean that the request was taken; only the answer's status says how far it got.
        if status != StatusCode::OK && status != StatusCode::ACCEPTED {
            return Err(refusal(status, &body));
        }
        same_sim(sim, sim_of(&body)?)
    }

    /// Makes one request, or a second one where KORE says that the token is no longer good: such a
    /// request was refused before anything was done.
    async fn call(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<(StatusCode, Vec<u8>), ProviderError> {
        let tokens = match &self.auth {
            Auth::Basic { user, password } => {
                let request = request().basic_auth(user, Some(password.expose_secret()));
                return answer_to(request).await;
            }
            Auth::Bearer(tokens) => tokens,
        };
        let with = |token: &Token| request().bearer_auth(token.expose());
        let token = tokens.get(&self.http).await?;
        let (status, body) = answer_to(with(&token)).await?;
        if status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN {
            return Ok((status, body));
        }
        let renewed = tokens.renew(&self.http, &token).await?;
        answer_to(with(&renewed)).await
    }
}

impl SuperSim for SuperSimClient {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        within_timeout(async {
            match name {
                SimName::Sid(sid) => same_sim(*sid, self.fetch_by_path(&sid.to_string()).await?),
                SimName::Iccid(iccid) => self.fetch_by_iccid(*iccid).await,
                SimName::UniqueName(name) => self.fetch_by_path(name).await,
            }
        })
        .await
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        within_timeout(self.update(sim, status)).await
    }
}

/// Refuses an answer about another SIM: a kill is recorded under the SIM that was asked for.
fn same_sim(asked: SimSid, sim: Sim) -> Result<Sim, ProviderError> {
    if sim.sid == asked { Ok(sim) } else { Err(unavailable("the answer is about another SIM")) }
}

async fn within_timeout<T>(
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    tokio::time::timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|elapsed| {
        let source = Some(elapsed.into());
        Err(ProviderError::Unavailable { reason: "no answer in time".to_owned(), source })
    })
}

async fn answer_to(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), ProviderError> {
    let response: Response = request.send().await.map_err(answer::unreachable)?;
    let status = response.status();
    Ok((status, read_body(response).await?))
}

#[cfg(test)]
mod tests;
