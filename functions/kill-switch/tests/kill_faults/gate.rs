//! Ports that lead through one gate, which lets others come in between, fails one call, or never
//! answers it, before or after it took effect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use simfuse_domain::alert::Alert;
use simfuse_domain::audit::AuditEntry;
use simfuse_domain::finding::Finding;
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::news::{Scope, Told};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    AlertError, Alerts, AuditLog, Beat, Case, Cases, Commit, Committed, Fleet, FleetUsed, Fleets,
    Heartbeat, NewsLimits, OpenIncident, Page, PageLink, Policies, PolicyChange, PolicyVersion,
    PolicyVersions, ProviderError, RankPage, Sim, SimName, StateWrite, States, Stop, StoredState,
    SuperSim, TableError, TargetStatus, UsageRanks, UsageWindow, Written,
};
use simfuse_supersim::client::SuperSimClient;
use simfuse_testkit::fleets::MemoryFleets;
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
}

/// The gate of all ports of a bench; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    trap: Option<Trap>,
    calls: Arc<AtomicUsize>,
    died: Arc<Notify>,
}

/// A port behind the gate.
#[derive(Debug, Clone)]
pub(crate) struct Gated<P> {
    pub(crate) inner: P,
    pub(crate) gate: Gate,
}

/// One client for all functions of a bench. The fleets are not the service's.
#[derive(Debug, Clone)]
pub(crate) struct Client(pub(crate) Arc<SuperSimClient>, pub(crate) MemoryFleets);

struct Failed;

impl Gate {
    pub(crate) fn new(trap: Option<Trap>) -> Self {
        Self { trap, calls: Arc::default(), died: Arc::default() }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// When the function is to die.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }

    async fn pass<R>(&self, call: impl Future<Output = R> + Send) -> Result<R, Failed> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match self.trap {
            Some(Trap::FailsBefore(at)) if at == number => return Err(Failed),
            Some(Trap::DiesBefore(at)) if at == number => self.die().await,
            _ => {}
        }
        let answer = call.await;
        match self.trap {
            Some(Trap::FailsAfter(at)) if at == number => return Err(Failed),
            Some(Trap::DiesAfter(at)) if at == number => self.die().await,
            _ => {}
        }
        tokio::task::yield_now().await;
        Ok(answer)
    }
}

impl<P> Gated<P> {
    async fn table<R>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<R, TableError>> + Send,
    ) -> Result<R, TableError> {
        let failed = |Failed| TableError::Unavailable { doing: doing.to_owned(), source: None };
        self.gate.pass(call).await.map_err(failed)?
    }

    async fn provider<R>(
        &self,
        call: impl Future<Output = Result<R, ProviderError>> + Send,
    ) -> Result<R, ProviderError> {
        let reason = "the gate".to_owned();
        let failed = |Failed| ProviderError::Unavailable { reason, source: None };
        self.gate.pass(call).await.map_err(failed)?
    }
}

impl<P: Cases> Cases for Gated<P> {
    async fn fleet_sims(&self, fleet: FleetSid) -> Result<Option<u32>, TableError> {
        self.table("reading the size of a fleet", self.inner.fleet_sims(fleet)).await
    }

    async fn read_case(&self, sim: SimSid) -> Result<Case, TableError> {
        self.table("reading a case", self.inner.read_case(sim)).await
    }

    async fn read_kill_window(&self, scope: CapScope) -> Result<(KillWindow, u64), TableError> {
        self.table("reading a window", self.inner.read_kill_window(scope)).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, TableError> {
        self.table("committing", self.inner.commit(commit)).await
    }

    async fn acknowledge(&self, sim: SimSid, keys: &[String]) -> Result<(), TableError> {
        self.table("acknowledging", self.inner.acknowledge(sim, keys)).await
    }

    async fn unacknowledged(
        &self,
        before: Timestamp,
        sims_max: usize,
    ) -> Result<Vec<SimSid>, TableError> {
        self.table("listing findings", self.inner.unacknowledged(before, sims_max)).await
    }

    async fn open_incidents(
        &self,
        due_before: Timestamp,
        incidents_max: usize,
    ) -> Result<Vec<OpenIncident>, TableError> {
        self.table("listing incidents", self.inner.open_incidents(due_before, incidents_max)).await
    }

    async fn read_stop(&self) -> Result<Option<Stop>, TableError> {
        self.table("reading the stop switch", self.inner.read_stop()).await
    }

    async fn write_stop(&self, stop: Option<&Stop>, audit: &AuditEntry) -> Result<(), TableError> {
        self.table("writing the stop switch", self.inner.write_stop(stop, audit)).await
    }

    async fn last_paged(&self, name: &str) -> Result<Option<Timestamp>, TableError> {
        self.table("reading the last page", self.inner.last_paged(name)).await
    }

    async fn record_paged(&self, name: &str, at: Timestamp) -> Result<(), TableError> {
        self.table("recording a page", self.inner.record_paged(name, at)).await
    }
}

impl<P: Policies> Policies for Gated<P> {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        self.table("reading the policy", self.inner.current_policy()).await
    }
}

impl<P: PolicyVersions> PolicyVersions for Gated<P> {
    async fn policy_version(&self) -> Result<PolicyVersion, TableError> {
        self.table("reading the policy's version", self.inner.policy_version()).await
    }

    async fn replace_policy(&self, change: &PolicyChange) -> Result<Committed, TableError> {
        self.table("applying a policy", self.inner.replace_policy(change)).await
    }
}

impl<P: NewsLimits> NewsLimits for Gated<P> {
    async fn read_told(&self, scope: Scope) -> Result<(Told, u64), TableError> {
        self.table("reading what was told", self.inner.read_told(scope)).await
    }

    async fn write_told(
        &self,
        scope: Scope,
        told: &Told,
        read: u64,
        now: Timestamp,
    ) -> Result<Committed, TableError> {
        self.table("writing what was told", self.inner.write_told(scope, told, read, now)).await
    }
}

impl<P: AuditLog> AuditLog for Gated<P> {
    async fn record_audit(&self, entry: &AuditEntry) -> Result<(), TableError> {
        self.table("recording an entry", self.inner.record_audit(entry)).await
    }
}

impl<P: Heartbeat> Heartbeat for Gated<P> {
    async fn beat(&self, beat: Beat) -> Result<(), TableError> {
        self.table("beating", self.inner.beat(beat)).await
    }

    async fn last_beat(&self) -> Result<Option<Beat>, TableError> {
        self.table("reading the heartbeat", self.inner.last_beat()).await
    }
}

impl SuperSim for Client {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        self.0.fetch(name).await
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        self.0.set_status(sim, status).await
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

impl<P: Fleets> Fleets for Gated<P> {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        self.provider(self.inner.fetch_fleet(name)).await
    }

    async fn set_data_limit(
        &self,
        fleet: FleetSid,
        megabytes: u32,
    ) -> Result<Fleet, ProviderError> {
        self.provider(self.inner.set_data_limit(fleet, megabytes)).await
    }

    async fn list_fleets(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        self.provider(self.inner.list_fleets(page)).await
    }

    async fn list_sims(
        &self,
        fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        self.provider(self.inner.list_sims(fleet, page)).await
    }
}

impl<P: States> States for Gated<P> {
    async fn read_states(
        &self,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, StoredState>, TableError> {
        self.table("reading states", self.inner.read_states(sims)).await
    }

    async fn write_state(&self, write: &StateWrite) -> Result<Written, TableError> {
        self.table("writing a state", self.inner.write_state(write)).await
    }

    async fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> Result<(), TableError> {
        self.table("inserting", self.inner.insert_finding(sim, finding, received_at)).await
    }
}

impl<P: UsageRanks> UsageRanks for Gated<P> {
    async fn read_fleet_used(
        &self,
        fleet: FleetSid,
        windows: &[UsageWindow],
    ) -> Result<BTreeMap<UsageWindow, FleetUsed>, TableError> {
        self.table("reading usage", self.inner.read_fleet_used(fleet, windows)).await
    }

    async fn read_ranks(
        &self,
        fleet: FleetSid,
        pages: &[(UsageWindow, u32)],
    ) -> Result<Vec<RankPage>, TableError> {
        self.table("reading ranks", self.inner.read_ranks(fleet, pages)).await
    }

    async fn read_listed(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Sim>, TableError> {
        self.table("reading the inventory", self.inner.read_listed(sims)).await
    }
}

impl<P: SuperSim> SuperSim for Gated<P> {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        self.provider(self.inner.fetch(name)).await
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        self.provider(self.inner.set_status(sim, status)).await
    }
}

impl<P: Alerts> Alerts for Gated<P> {
    async fn publish(&self, alert: &Alert) -> Result<(), AlertError> {
        let failed = |Failed| AlertError { alert_id: alert.id.clone(), source: "the gate".into() };
        self.gate.pass(self.inner.publish(alert)).await.map_err(failed)?
    }
}
