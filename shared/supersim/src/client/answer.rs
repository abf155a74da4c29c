//! Answers of the REST API, and what an error among them means.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use simfuse_domain::port::{ProviderError, Sim, SimStatus};

/// A Sim has about 700 bytes, an error less: more than this is not the API.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Of the provider's own words, for logs and for the operator.
const MESSAGE_CHARS_MAX: usize = 200;

/// Error codes: Twilio's error dictionary; KORE keeps the numbers.
const CODE_NOT_FOUND: u32 = 20_404;
const CODE_THROTTLED: u32 = 20_429;
const CODE_UPDATE_FAILED: u32 = 83_004;
const CODE_SIM_NOT_FOUND: u32 = 83_005;
const CODE_TRANSITION_NOT_ALLOWED: u32 = 83_010;

/// What the server said, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body of a success.
    pub(super) fn expect_ok(self) -> Result<Vec<u8>, ProviderError> {
        if self.status == StatusCode::OK { Ok(self.body) } else { Err(self.refusal()) }
    }

    pub(super) fn refusal(&self) -> ProviderError {
        refusal(self.status, self.retry_after, &self.body)
    }
}

/// The answer is not the API's, and will not be a shorter one the next time.
#[derive(Debug, thiserror::Error)]
#[error("more than {bytes_max} bytes")]
pub(super) struct TooLong {
    bytes_max: usize,
}

#[derive(Deserialize)]
pub(super) struct SimAnswer {
    sid: Option<String>,
    iccid: Option<String>,
    unique_name: Option<String>,
    status: Option<String>,
    fleet_sid: Option<String>,
}

#[derive(Deserialize)]
struct SimList {
    sims: Vec<SimAnswer>,
}

/// Twilio: `{code, message, more_info, status}`; KORE: `{status, message, code?}`, or OAuth2's
/// `{error, message?}`. Only some are documented, so each property may be anything.
#[derive(Deserialize, Default)]
struct ErrorAnswer {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: serde_json::Value,
    #[serde(default)]
    error: serde_json::Value,
}

impl ErrorAnswer {
    fn code(&self) -> Option<u32> {
        let number = self.code.as_u64().and_then(|code| code.try_into().ok());
        number.or_else(|| self.code.as_str()?.parse().ok())
    }

    fn message(&self) -> String {
        let text = self.message.as_str().or_else(|| self.error.as_str()).unwrap_or("no message");
        let printable = text.chars().filter(|character| !character.is_control());
        printable.take(MESSAGE_CHARS_MAX).collect()
    }
}

/// The answer to a fetch or an update.
pub(super) fn sim_of(body: &[u8]) -> Result<Sim, ProviderError> {
    sim(serde_json::from_slice(body).map_err(unreadable)?)
}

/// The answer to a list.
pub(super) fn sims_of(body: &[u8]) -> Result<Vec<Sim>, ProviderError> {
    let list: SimList = serde_json::from_slice(body).map_err(unreadable)?;
    list.sims.into_iter().map(sim).collect()
}

pub(super) fn sim(answer: SimAnswer) -> Result<Sim, ProviderError> {
    let sid = answer.sid.and_then(|sid| sid.parse().ok());
    let status = match answer.status.as_deref() {
        Some("new") => SimStatus::New,
        Some("ready") => SimStatus::Ready,
        Some("active") => SimStatus::Active,
        Some("inactive") => SimStatus::Inactive,
        Some("scheduled") => SimStatus::Scheduled,
        Some(_) | None => SimStatus::Unknown,
    };
    Ok(Sim {
        sid: sid.ok_or_else(|| unavailable("the answer has no SIM SID"))?,
        iccid: answer.iccid.and_then(|iccid| iccid.parse().ok()),
        unique_name: answer.unique_name.filter(|name| !name.is_empty()),
        status,
        fleet: answer.fleet_sid.and_then(|fleet| fleet.parse().ok()),
    })
}

/// What an answer other than success means. The error's code says more than the HTTP status.
fn refusal(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> ProviderError {
    let error: ErrorAnswer = serde_json::from_slice(body).unwrap_or_default();
    if !status.is_client_error() {
        return unavailable(format!("HTTP status {}", status.as_u16()));
    }
    match (status, error.code()) {
        (_, Some(CODE_TRANSITION_NOT_ALLOWED)) => ProviderError::TransitionNotAllowed,
        (StatusCode::NOT_FOUND, _) | (_, Some(CODE_NOT_FOUND | CODE_SIM_NOT_FOUND)) => {
            ProviderError::NotFound
        }
        (StatusCode::TOO_MANY_REQUESTS, _) | (_, Some(CODE_THROTTLED)) => {
            ProviderError::Throttled { retry_after }
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            ProviderError::Unauthorized { status: status.as_u16() }
        }
        (StatusCode::REQUEST_TIMEOUT, _) | (_, Some(CODE_UPDATE_FAILED)) => {
            unavailable(format!("HTTP status {}, code {:?}", status.as_u16(), error.code()))
        }
        (_, code) => {
            ProviderError::Refused { status: status.as_u16(), code, message: error.message() }
        }
    }
}

/// Sends a request and reads the answer, as long as that is no longer than it may be.
pub(super) async fn answer_to(
    request: RequestBuilder,
    bytes_max: usize,
) -> Result<Answer, ProviderError> {
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = read_body(response, bytes_max).await?;
    Ok(Answer { status, retry_after, body })
}

/// `Retry-After` in seconds; its other form, a date, would have to be held against a clock.
fn retry_after(response: &Response) -> Option<Duration> {
    let secs = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs))
}

async fn read_body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len().saturating_add(chunk.len()) > bytes_max {
            let reason = "the answer is longer than it can be".to_owned();
            let source = Some(TooLong { bytes_max }.into());
            return Err(ProviderError::Unavailable { reason, source });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(super) fn unavailable(reason: impl Into<String>) -> ProviderError {
    ProviderError::Unavailable { reason: reason.into(), source: None }
}

/// No answer. The URL may hold an ICCID, so it is left out.
pub(super) fn unreachable(error: reqwest::Error) -> ProviderError {
    let reason = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection failed"
    };
    let source = Some(error.without_url().into());
    ProviderError::Unavailable { reason: reason.to_owned(), source }
}

/// An answer that is not what it should be.
pub(super) fn unreadable(error: serde_json::Error) -> ProviderError {
    let reason = "the answer is not the JSON that it should be".to_owned();
    ProviderError::Unavailable { reason, source: Some(error.into()) }
}
