//! How fast the provider is asked: whoever is refused with 429 keeps all of a request's SIMs from
//! asking, until the provider is ready again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    Fleet, Fleets, Page, PageLink, ProviderError, Sim, SimName, SuperSim, TargetStatus,
};
use tokio::time::Instant;

/// The pause after a first 429 that does not say how long; it doubles with each that follows.
const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// The longest pause that the provider did not ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Those who wait go on spread over this time: all at once would be refused again.
const SPREAD: Duration = Duration::from_millis(500);

/// The provider, and whether it may be asked now. Who must not wait, as the sweep, asks all the
/// same: it makes one attempt and has its own pauses.
#[derive(Debug)]
pub(crate) struct Paced<P> {
    inner: P,
    gate: Mutex<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    /// Nobody should ask before.
    opens: Option<Instant>,
    /// Times that it was closed since a request was last taken.
    closed: u32,
}

impl<P> Paced<P> {
    pub(crate) const fn new(inner: P) -> Self {
        Self { inner, gate: Mutex::new(Gate { opens: None, closed: 0 }) }
    }

    /// Waits until the provider may be asked. Says whether it may, before the time.
    pub(crate) async fn ready(&self, before: Instant) -> bool {
        while let Some(wait) = self.wait() {
            let spread = rand::rng().random_range(Duration::ZERO..SPREAD);
            let until = Instant::now().checked_add(wait).and_then(|at| at.checked_add(spread));
            match until.filter(|until| *until < before) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return false,
            }
        }
        Instant::now() < before
    }

    /// How long the provider wants to be left alone from now on; `None` where it may be asked.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let wait = self.gate().opens?.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen<T>(&self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        let now = Instant::now();
        let mut gate = self.gate();
        let is_open = gate.opens.is_none_or(|opens| opens <= now);
        if let Err(ProviderError::Throttled { retry_after }) = &answer {
            // Others that were under way when it was closed say nothing new.
            if is_open {
                gate.closed = gate.closed.saturating_add(1);
            }
            let doubled = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(gate.closed.min(8)) / 2);
            let pause = retry_after.unwrap_or(doubled.min(PAUSE_MAX));
            let opens = now.checked_add(pause);
            if is_open || retry_after.is_some() {
                gate.opens = gate.opens.max(opens);
            }
            tracing::warn!(pause.secs = pause.as_secs_f64(), "the provider throttles");
        } else if is_open {
            *gate = Gate::default();
        }
        drop(gate);
        answer
    }
}

impl<P: SuperSim> SuperSim for Paced<P> {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        self.seen(self.inner.fetch(name).await)
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        self.seen(self.inner.set_status(sim, status).await)
    }
}

impl<P: Fleets> Fleets for Paced<P> {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        self.seen(self.inner.fetch_fleet(name).await)
    }

    async fn set_data_limit(
        &self,
        fleet: FleetSid,
        megabytes: u32,
    ) -> Result<Fleet, ProviderError> {
        self.seen(self.inner.set_data_limit(fleet, megabytes).await)
    }

    async fn list_fleets(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        self.seen(self.inner.list_fleets(page).await)
    }

    async fn list_sims(
        &self,
        fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        self.seen(self.inner.list_sims(fleet, page).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(secs: Option<u64>) -> Result<(), ProviderError> {
        Err(ProviderError::Throttled { retry_after: secs.map(Duration::from_secs) })
    }

    /// The pause after these answers, all at the same moment, in seconds.
    fn pause(answers: Vec<Result<(), ProviderError>>) -> u64 {
        let paced = Paced::new(());
        for answer in answers {
            drop(paced.seen(answer));
        }
        paced.wait().unwrap_or_default().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_providers_own_pause_is_kept_and_the_longest_stands() {
        assert_eq!(pause(vec![Ok(())]), 0);
        assert_eq!(pause(vec![throttled(None)]), 1);
        assert_eq!(pause(vec![throttled(Some(7))]), 7);
        assert_eq!(pause(vec![throttled(None), throttled(Some(7)), throttled(Some(3))]), 7);
        assert_eq!(pause((0..8).map(|_| throttled(None)).collect()), 1, "eight at once");
        assert_eq!(pause(vec![throttled(Some(7)), Ok(())]), 7, "it was under way before");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_until_a_request_is_taken() {
        let paced = Paced::new(());
        let far = Instant::now() + Duration::from_secs(3_600);
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            drop(paced.seen(throttled(None)));
            assert_eq!(paced.wait().unwrap().as_secs(), expected);
            assert!(paced.ready(far).await);
        }
        paced.seen(Ok(())).unwrap();
        drop(paced.seen(throttled(None)));
        assert_eq!(paced.wait().unwrap().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_would_wait_too_long_is_told_at_once() {
        let paced = Paced::new(());
        let begun = Instant::now();
        let soon = begun + Duration::from_secs(60);
        assert!(paced.ready(soon).await);
        drop(paced.seen(throttled(Some(61))));
        assert!(!paced.ready(soon).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(paced.ready(begun + Duration::from_secs(90)).await);
        assert!((61..62).contains(&begun.elapsed().as_secs()));
    }
}
