//! How fast the provider is asked: whoever is refused with 429 keeps all of a request's SIMs from
//! asking, until the provider is ready again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    Clock, Fleet, Fleets, Page, PageLink, ProviderError, Sim, SimName, SuperSim, TargetStatus,
};

/// The pause after a first 429 that does not say how long; it doubles with each that follows.
const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// The longest pause that the provider did not ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Those who wait go on one after the other, this far apart: all at once would be refused again.
const APART: Duration = Duration::from_millis(60);

/// So many go on at different times.
const APART_COUNT: u32 = 8;

/// The provider, and whether it may be asked now. Who must not wait, as the sweep, asks all the
/// same: it makes one attempt and has its own pauses.
#[derive(Debug)]
pub(crate) struct Paced<P, C> {
    inner: P,
    clock: Arc<C>,
    gate: Mutex<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    /// Nobody should ask before the clock has gone so long.
    opens: Option<Duration>,
    /// Times that it was closed since a request was last taken.
    closed: u32,
    /// Those who waited at it.
    waited: u32,
}

impl<P, C: Clock> Paced<P, C> {
    pub(crate) fn new(inner: P, clock: Arc<C>) -> Self {
        Self { inner, clock, gate: Mutex::default() }
    }

    /// Waits until the provider may be asked. Says whether it may, before the clock has gone so long.
    pub(crate) async fn ready(&self, before: Duration) -> bool {
        while let Some(wait) = self.wait() {
            let wait = wait.saturating_add(self.spread());
            if self.clock.uptime().saturating_add(wait) >= before {
                return false;
            }
            self.clock.sleep(wait).await;
        }
        self.clock.uptime() < before
    }

    /// How long the provider wants to be left alone from now on; `None` where it may be asked.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let wait = self.gate().opens?.saturating_sub(self.clock.uptime());
        (!wait.is_zero()).then_some(wait)
    }

    /// What the next to wait waits longer than the one before.
    fn spread(&self) -> Duration {
        let mut gate = self.gate();
        gate.waited = gate.waited.wrapping_add(1);
        APART.saturating_mul(gate.waited.checked_rem(APART_COUNT).unwrap_or(0))
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen<T>(&self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        let now = self.clock.uptime();
        let mut gate = self.gate();
        let is_open = gate.opens.is_none_or(|opens| opens <= now);
        if let Err(ProviderError::Throttled { retry_after }) = &answer {
            // Others that were under way when it was closed say nothing new.
            if is_open {
                gate.closed = gate.closed.saturating_add(1);
            }
            let doubled = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(gate.closed.min(8)) / 2);
            let pause = retry_after.unwrap_or(doubled.min(PAUSE_MAX));
            let opens = now.saturating_add(pause);
            if is_open || retry_after.is_some() {
                gate.opens = gate.opens.max(Some(opens));
            }
            tracing::warn!(pause.secs = pause.as_secs_f64(), "the provider throttles");
        } else if is_open {
            *gate = Gate::default();
        }
        drop(gate);
        answer
    }
}

impl<P: SuperSim, C: Clock> SuperSim for Paced<P, C> {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        self.seen(self.inner.fetch(name).await)
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        self.seen(self.inner.set_status(sim, status).await)
    }

    async fn set_fleet(&self, sim: SimSid, fleet: FleetSid) -> Result<Sim, ProviderError> {
        self.seen(self.inner.set_fleet(sim, fleet).await)
    }
}

impl<P: Fleets, C: Clock> Fleets for Paced<P, C> {
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
    use simfuse_testkit::clock::ManualClock;

    use super::*;

    fn paced() -> Paced<(), ManualClock> {
        Paced::new((), Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH)))
    }

    fn throttled(secs: Option<u64>) -> Result<(), ProviderError> {
        Err(ProviderError::Throttled { retry_after: secs.map(Duration::from_secs) })
    }

    /// The pause after these answers, all at the same moment, in seconds.
    fn pause(answers: Vec<Result<(), ProviderError>>) -> u64 {
        let paced = paced();
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
        let paced = paced();
        let far = Duration::from_secs(3_600);
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
        let paced = paced();
        let soon = Duration::from_secs(60);
        assert!(paced.ready(soon).await);
        drop(paced.seen(throttled(Some(61))));
        assert!(!paced.ready(soon).await);
        assert_eq!(paced.clock.uptime(), Duration::ZERO);
        assert!(paced.ready(Duration::from_secs(90)).await);
        assert!((61..62).contains(&paced.clock.uptime().as_secs()));
    }
}
