//! Reading with retries: a read changes nothing, so it may be repeated.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::Url;
use simfuse_domain::port::ProviderError;

use super::answer::{Answer, TooLong};
use super::pages::PAGE_BYTES_MAX;
use super::{SuperSimClient, within};

/// For one attempt, a new token included: a full page of usage is summed up while one waits.
pub const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Attempts at one read. With the pauses a server that is down costs some 5 s, one that never
/// answers 85 s: whoever has less time ends the call by itself, which is safe at any moment.
pub const READ_ATTEMPTS_MAX: usize = 4;

/// The longest `Retry-After` that is waited for. Who wants to be left alone for longer is not asked
/// again: an earlier request would be refused as well.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(15);

/// How long to wait between attempts; jitter adds up to as much again, so that readers which failed
/// together do not come back together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl Pauses {
    pub(super) const BETWEEN_READS: Self =
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(4) };
}

/// An attempt that failed.
struct Failure {
    error: ProviderError,
    is_transient: bool,
    retry_after: Option<Duration>,
}

impl SuperSimClient {
    /// Reads what is at this address: 429, 5xx, connection errors and time-outs are tried again.
    pub(super) async fn read(&self, url: &Url) -> Result<Vec<u8>, ProviderError> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.pauses.first)
            .with_max_delay(self.pauses.longest)
            .with_max_times(READ_ATTEMPTS_MAX.saturating_sub(1))
            .with_jitter();
        (async || self.attempt(url).await)
            .retry(pauses)
            .when(|failure: &Failure| failure.is_transient)
            .adjust(|failure, pause| pause_before_next(failure.retry_after, pause))
            .await
            .map_err(|failure| failure.error)
    }

    async fn attempt(&self, url: &Url) -> Result<Vec<u8>, Failure> {
        let request = || self.http.get(url.clone()).timeout(READ_TIMEOUT);
        match within(READ_TIMEOUT, self.call_up_to(PAGE_BYTES_MAX, request)).await {
            Ok(answer) => judged(answer),
            Err(error) => {
                let is_transient = may_pass(&error);
                Err(Failure { error, is_transient, retry_after: None })
            }
        }
    }
}

fn judged(answer: Answer) -> Result<Vec<u8>, Failure> {
    let (status, retry_after) = (answer.status, answer.retry_after);
    answer.expect_ok().map_err(|error| {
        let is_error = status.is_client_error() || status.is_server_error();
        Failure { is_transient: is_error && may_pass(&error), error, retry_after }
    })
}

fn may_pass(error: &ProviderError) -> bool {
    match error {
        ProviderError::Throttled { .. } => true,
        ProviderError::Unavailable { source, .. } => {
            source.as_ref().is_none_or(|source| !source.is::<TooLong>())
        }
        _ => false,
    }
}

/// The pause as drawn, or as the server wants it where that is longer; `None` ends the attempts.
fn pause_before_next(wanted: Option<Duration>, drawn: Option<Duration>) -> Option<Duration> {
    let drawn = drawn?;
    match wanted {
        None => Some(drawn),
        Some(wanted) if wanted <= RETRY_AFTER_MAX => Some(wanted.max(drawn)),
        Some(_too_long) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_own_pause_is_kept_within_bounds() {
        let secs = |secs| Some(Duration::from_secs(secs));
        for (wanted, drawn, expected) in [
            (None, secs(2), secs(2)),
            (secs(5), secs(2), secs(5)),
            (secs(0), secs(2), secs(2)),
            (secs(15), secs(2), secs(15)),
            (secs(16), secs(2), None),
            (secs(5), None, None),
        ] {
            assert_eq!(pause_before_next(wanted, drawn), expected, "{wanted:?} {drawn:?}");
        }
    }
}
