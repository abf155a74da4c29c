//! A table that others use at the same time, that may never answer, and that may hand over the state
//! of another SIM.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use simfuse_domain::evidence::Cohort;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::news::News;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Beat, DeadLetter, DeadLetters, Heartbeat, NewsFeed, Policies, StateWrite, States, StoredState,
    TableError, Usages, Written,
};
use simfuse_domain::state::SimState;
use simfuse_domain::usage::SimUsage;

/// When a call never answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hang {
    /// Nothing was done.
    Before(usize),
    /// All was done.
    After(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Gate<T> {
    inner: T,
    hang: Option<Hang>,
    /// A SIM whose stored state is said to be another SIM's.
    mixed_up: Option<SimSid>,
    calls: Arc<AtomicUsize>,
}

impl<T> Gate<T> {
    /// A table that lets others come in between before and after each call.
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, hang: None, mixed_up: None, calls: Arc::default() }
    }

    pub(crate) fn hanging(self, hang: Hang) -> Self {
        Self { hang: Some(hang), ..self }
    }

    pub(crate) fn mixing_up(self, sim: SimSid) -> Self {
        Self { mixed_up: Some(sim), ..self }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn pass<R>(&self, call: impl Future<Output = R> + Send) -> R {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.hang == Some(Hang::Before(number)) {
            std::future::pending::<()>().await;
        }
        let answer = call.await;
        if self.hang == Some(Hang::After(number)) {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        answer
    }
}

impl<T: States> States for Gate<T> {
    async fn read_states(
        &self,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, StoredState>, TableError> {
        let mut states = self.pass(self.inner.read_states(sims)).await?;
        if let Some(sim) = self.mixed_up.filter(|sim| sims.contains(sim)) {
            let state = Box::new(SimState::new(SimSid::from_bytes([0xee; 16])));
            states.insert(sim, StoredState { state, version: 1, found: Default::default() });
        }
        Ok(states)
    }

    async fn write_state(&self, write: &StateWrite) -> Result<Written, TableError> {
        self.pass(self.inner.write_state(write)).await
    }

    async fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> Result<(), TableError> {
        self.pass(self.inner.insert_finding(sim, finding, received_at)).await
    }
}

impl<T: Usages> Usages for Gate<T> {
    async fn read_usages(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, SimUsage>, TableError> {
        self.pass(self.inner.read_usages(sims)).await
    }

    async fn read_cohort(&self, fleet: FleetSid) -> Result<Option<Cohort>, TableError> {
        self.pass(self.inner.read_cohort(fleet)).await
    }
}

impl<T: Heartbeat> Heartbeat for Gate<T> {
    async fn beat(&self, beat: Beat) -> Result<(), TableError> {
        self.pass(self.inner.beat(beat)).await
    }

    async fn last_beat(&self) -> Result<Option<Beat>, TableError> {
        self.pass(self.inner.last_beat()).await
    }
}

impl<T: DeadLetters> DeadLetters for Gate<T> {
    async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), TableError> {
        self.pass(self.inner.put_dead_letter(letter)).await
    }
}

impl<T: NewsFeed> NewsFeed for Gate<T> {
    async fn insert_news(&self, news: &News, received_at: Timestamp) -> Result<(), TableError> {
        self.pass(self.inner.insert_news(news, received_at)).await
    }
}

impl<T: Policies> Policies for Gate<T> {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        self.pass(self.inner.current_policy()).await
    }
}
