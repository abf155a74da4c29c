//! From the function URL's request to its reply: signature, intake, status code.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequest, LambdaFunctionUrlResponse,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use simfuse_domain::port::{Clock, DeadLetters, Heartbeat, NewsFeed, Policies, States, Usages};
use simfuse_supersim::Provider;
use simfuse_supersim::secret::WebhookSecrets;
use simfuse_supersim::signature::{SignatureError, SignedRequest, Verifier};
use tokio::sync::Mutex;

use crate::error::{Chain, WebhookError};
use crate::intake::{Intake, Tally};

/// Twilio gives up after 5 s (KORE after 15 s): what is not stored by then must not be acknowledged.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(4_500);

/// The secret is fetched again at most this often, or forged requests could make us do so.
const SECRET_MIN_AGE: SignedDuration = SignedDuration::from_mins(1);

/// Where the secret is read that requests are signed with.
pub trait Secrets: Send + Sync {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not to be had now.
    fn fetch(
        &self,
    ) -> impl Future<Output = Result<WebhookSecrets, Box<dyn Error + Send + Sync>>> + Send;
}

/// The handler: made once, lent to each call.
pub struct Handler<T, S, C> {
    intake: Intake<T>,
    secrets: S,
    clock: C,
    provider: Provider,
    public_url: Option<String>,
    answer_within: Duration,
    secret: Mutex<Option<Secret>>,
}

/// The secret at hand.
struct Secret {
    verifier: Verifier,
    /// When it was last fetched, or tried to be.
    tried_at: Timestamp,
    /// It may have been rotated since: it was tried to be fetched again, in vain.
    in_doubt: bool,
}

impl<T, S, C> Handler<T, S, C>
where
    T: States + Usages + DeadLetters + Heartbeat + Policies + NewsFeed,
    S: Secrets,
    C: Clock,
{
    /// A handler for this provider's requests. `public_url` is the URL that the provider calls,
    /// where it is not the function's own.
    pub fn new(
        intake: Intake<T>,
        secrets: S,
        clock: C,
        provider: Provider,
        public_url: Option<String>,
    ) -> Self {
        let secret = Mutex::new(None);
        let answer_within = ANSWER_WITHIN;
        Self { intake, secrets, clock, provider, public_url, answer_within, secret }
    }

    /// The same handler with another time limit, for a sender that waits longer or shorter.
    #[must_use]
    pub const fn answering_within(mut self, limit: Duration) -> Self {
        self.answer_within = limit;
        self
    }

    /// Opens what the first request needs.
    ///
    /// # Errors
    /// [`WebhookError`] when the secret or the policy cannot be read.
    pub async fn warm(&self) -> Result<(), WebhookError> {
        let now = self.clock.now();
        let secret = async {
            *self.secret.lock().await = Some(self.fetch_secret(now).await?);
            Ok(())
        };
        // A fault of one is no reason to give up the other.
        let (secret, policy) = tokio::join!(secret, self.intake.warm(now));
        secret.and(policy)
    }

    /// Answers one request. It never fails: a fault of our own is a 503.
    pub async fn handle(&self, request: LambdaFunctionUrlRequest) -> LambdaFunctionUrlResponse {
        let answer = tokio::time::timeout(self.answer_within, self.take(&request)).await;
        let seconds = self.answer_within.as_secs();
        match answer.unwrap_or(Err(WebhookError::TooSlow { seconds })) {
            Ok(Ok(tally)) => reply(200, &tally),
            Ok(Err(refusal)) => {
                tracing::warn!(refusal = %refusal, "request refused");
                reply(403, &serde_json::json!({ "error": refusal.to_string() }))
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "request not acknowledged");
                reply(503, &serde_json::json!({ "error": "not stored, send it again" }))
            }
        }
    }

    async fn take(
        &self,
        request: &LambdaFunctionUrlRequest,
    ) -> Result<Result<Tally, SignatureError>, WebhookError> {
        let received_at = self.clock.now();
        let body = body_of(request);
        let http = &request.request_context.http;
        let signature = request.headers.get(self.provider.signature_header());
        let signed = SignedRequest {
            method: http.method.as_deref().unwrap_or("POST"),
            url: &signed_url(self.public_url.as_deref(), request),
            signature: signature.and_then(|value| value.to_str().ok()),
            body: &body,
        };
        if let Err(refusal) = self.verify(&signed, received_at).await? {
            return Ok(Err(refusal));
        }
        self.intake.take(&body, received_at).await.map(Ok)
    }

    /// Takes in what an authenticated sender wrote.
    pub(crate) async fn take_unsigned(&self, body: &[u8]) -> Result<Tally, WebhookError> {
        self.intake.take(body, self.clock.now()).await
    }

    /// Verifies by the secret at hand; on a mismatch the secret may have been rotated.
    async fn verify(
        &self,
        request: &SignedRequest<'_>,
        now: Timestamp,
    ) -> Result<Result<(), SignatureError>, WebhookError> {
        let mut held = self.secret.lock().await;
        if let Some(secret) = held.as_mut() {
            let verified = secret.verifier.verify(request);
            if !matches!(verified, Err(SignatureError::Mismatch | SignatureError::NoSecret)) {
                return Ok(verified);
            }
            if now.duration_since(secret.tried_at).abs() < SECRET_MIN_AGE {
                let in_vain = || WebhookError::Secret("not to be had a moment ago".into());
                return if secret.in_doubt { Err(in_vain()) } else { Ok(verified) };
            }
            // Noted before the attempt: it may fail, or take longer than this request may.
            (secret.tried_at, secret.in_doubt) = (now, true);
        }
        let secret = self.fetch_secret(now).await?;
        let verified = secret.verifier.verify(request);
        *held = Some(secret);
        Ok(verified)
    }

    async fn fetch_secret(&self, now: Timestamp) -> Result<Secret, WebhookError> {
        let secrets = self.secrets.fetch().await.map_err(WebhookError::Secret)?;
        let verifier = Verifier::new(self.provider, secrets.into_vec());
        Ok(Secret { verifier, tried_at: now, in_doubt: false })
    }
}

/// The body's bytes; what claims to be base64 and is not is taken as it is, and will be set aside.
fn body_of(request: &LambdaFunctionUrlRequest) -> Vec<u8> {
    let body = request.body.as_deref().unwrap_or_default();
    let decoded = request.is_base64_encoded.then(|| STANDARD.decode(body).ok()).flatten();
    decoded.unwrap_or_else(|| body.as_bytes().to_vec())
}

/// The URL that the provider signed: the configured one or the function's own, never the Host
/// header's; with the query as it came.
fn signed_url(public_url: Option<&str>, request: &LambdaFunctionUrlRequest) -> String {
    let query = request.raw_query_string.as_deref().unwrap_or_default();
    let mut url = match public_url {
        // What the configured URL has for a query came along with the request.
        Some(url) => url.split(['?', '#']).next().unwrap_or(url).to_owned(),
        None => {
            let domain = request.request_context.domain_name.as_deref().unwrap_or_default();
            format!("https://{domain}{}", request.raw_path.as_deref().unwrap_or("/"))
        }
    };
    if !query.is_empty() {
        url.push('?');
        url.push_str(query);
    }
    url
}

fn reply(status: i64, body: &impl serde::Serialize) -> LambdaFunctionUrlResponse {
    let mut response = LambdaFunctionUrlResponse::default();
    response.status_code = status;
    response.body = serde_json::to_string(body).ok();
    response.headers.insert("content-type", JSON);
    response
}

const JSON: aws_lambda_events::http::HeaderValue =
    aws_lambda_events::http::HeaderValue::from_static("application/json");
