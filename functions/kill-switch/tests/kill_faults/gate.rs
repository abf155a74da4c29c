//! A gate which lets others come in between, fails one call, or never answers it, before or after it
//! took effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    Fleet, Fleets, Page, PageLink, ProviderError, Sim, SimName, SuperSim, TargetStatus,
};
use simfuse_supersim::client::SuperSimClient;
use simfuse_testkit::faulty::Fault;
use simfuse_testkit::fleets::MemoryFleets;
use simfuse_testkit::gated::{self, Call};
use tokio::sync::Notify;

/// What goes wrong with one call, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trap {
    /// It fails, and nothing is done.
    FailsBefore(usize),
    /// It is done, and fails.
    FailsAfter(usize),
    /// It never answers, and nothing is done: the function dies.
    DiesBefore(usize),
    /// It is done, and never answers.
    DiesAfter(usize),
    /// It is done, and answers once the gate is opened.
    WaitsAfter(usize),
}

/// The gate of all ports of a bench; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    trap: Option<Trap>,
    calls: Arc<AtomicUsize>,
    died: Arc<Notify>,
    opened: Arc<Notify>,
}

/// A port behind the gate.
pub(crate) type Gated<P> = gated::Gated<P, Gate>;

/// One client for all functions of a bench. The fleets are not the service's.
#[derive(Debug, Clone)]
pub(crate) struct Client(pub(crate) Arc<SuperSimClient>, pub(crate) MemoryFleets);

impl Gate {
    pub(crate) fn new(trap: Option<Trap>) -> Self {
        Self { trap, calls: Arc::default(), died: Arc::default(), opened: Arc::default() }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Lets the call go on that waits.
    pub(crate) fn open(&self) {
        self.opened.notify_one();
    }

    /// When the function is to die, or waits.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

impl gated::Gate for Gate {
    async fn pass<R: Send>(
        &self,
        _call: Call<'_>,
        effect: impl Future<Output = R> + Send,
        _is_done: impl Fn(&R) -> bool + Send,
    ) -> Result<R, Fault> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match self.trap {
            Some(Trap::FailsBefore(at)) if at == number => return Err(Fault::Unreachable),
            Some(Trap::DiesBefore(at)) if at == number => self.die().await,
            _ => {}
        }
        let answer = effect.await;
        match self.trap {
            Some(Trap::FailsAfter(at)) if at == number => return Err(Fault::LostAnswer),
            Some(Trap::DiesAfter(at)) if at == number => self.die().await,
            Some(Trap::WaitsAfter(at)) if at == number => {
                self.died.notify_one();
                self.opened.notified().await;
            }
            _ => {}
        }
        tokio::task::yield_now().await;
        Ok(answer)
    }
}

impl SuperSim for Client {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        self.0.fetch(name).await
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        self.0.set_status(sim, status).await
    }

    async fn set_fleet(&self, sim: SimSid, fleet: FleetSid) -> Result<Sim, ProviderError> {
        self.0.set_fleet(sim, fleet).await
    }
}

impl Fleets for Client {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        self.1.fetch_fleet(name).await
    }

    async fn set_data_limit(
        &self,
        fleet: FleetSid,
        megabytes: u32,
    ) -> Result<Fleet, ProviderError> {
        self.1.set_data_limit(fleet, megabytes).await
    }

    async fn list_fleets(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        self.0.list_fleets(page).await
    }

    async fn list_sims(
        &self,
        fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        self.0.list_sims(fleet, page).await
    }
}
